"""Calls in Redis: the live ones, to be known again after a restart, and the last that ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import ResponseError

from telephony.core.call import Call
from telephony.errors import StoreDown
from telephony.settings import HistorySettings
from telephony.store import records
from telephony.store.faults import wrong_type
from telephony.store.history import record_commands
from telephony.store.keys import Keys
from telephony.store.link import Command, RedisLink
from telephony.store.records import RecordError

log = structlog.get_logger("store")

LIVE_EXPIRES = 6 * 3600  # seconds after the last save
RECENT_EXPIRES = 24 * 3600  # seconds
RECENT = 1000  # calls

_PAGE = 500  # ids asked for at once
_CHUNK = 100  # records read at once; with records.LIMIT, what a hostile Redis can make us hold
_MAX_UNFINISHED = 10_000  # calls


class RedisStore:
    """The dispatcher's CallStore."""

    def __init__(self, link: RedisLink, keys: Keys, history: HistorySettings) -> None:
        self._link = link
        self._keys = keys
        self._history = history
        self._unfinished: dict[str, Call] = {}
        self._finishing = asyncio.Lock()

    async def save(self, call: Call) -> None:
        """Write the whole of a live call, in one round trip. StoreDown."""
        await self._link.ask(
            # The index first: an id without a record does no harm, a record without its id is forgotten.
            ("SADD", self._keys.calls, call.id),
            ("EXPIRE", self._keys.calls, LIVE_EXPIRES),
            ("SET", self._keys.call(call.id), _encode(call), "EX", LIVE_EXPIRES),
        )

    async def finish(self, call: Call) -> None:
        """Move a call from the live ones to the recent ones, and into its number's history, in one round trip.

        Again, if more has been put on its record meanwhile. StoreDown; `settle` does it later then.
        """
        async with self._finishing:  # so that of two records of one call the later one is the last to arrive
            try:
                await self._finish(call)
            except StoreDown:
                self._keep(call)
                raise
            self._unfinished.pop(call.id, None)

    def _keep(self, call: Call) -> None:
        self._unfinished[call.id] = call
        if len(self._unfinished) > _MAX_UNFINISHED:
            lost = next(iter(self._unfinished))
            del self._unfinished[lost]
            log.warning("ended_call_not_recorded", call=lost)

    async def settle(self) -> None:
        """Finish the calls that ended while Redis was away. What fails again is kept; raises nothing."""
        for call_id in list(self._unfinished):
            try:
                async with self._finishing:
                    if call_id in self._unfinished:
                        await self._finish(self._unfinished[call_id])
                        del self._unfinished[call_id]
            except StoreDown as error:
                log.warning("ended_calls_kept", calls=len(self._unfinished), reason=str(error))
                if not self._link.up:
                    return

    async def _finish(self, call: Call) -> None:
        await self._link.ask(
            ("DEL", self._keys.call(call.id)),
            ("SREM", self._keys.calls, call.id),
            ("LPUSH", self._keys.recent, _encode(call)),
            ("LTRIM", self._keys.recent, 0, RECENT - 1),
            ("EXPIRE", self._keys.recent, RECENT_EXPIRES),
            *record_commands(self._keys, call, self._history),
        )

    async def recent(self, limit: int = 100) -> list[Call]:
        """The calls that ended last, newest first. StoreDown."""
        (found,) = await self._link.ask(("LRANGE", self._keys.recent, 0, limit - 1))
        calls: dict[str, Call] = {}
        for record in found:
            try:
                call = records.decode(record)
            except RecordError as error:
                log.error("record_broken", key=self._keys.recent, reason=str(error))
            else:
                calls.setdefault(call.id, call)  # twice, if Redis wrote it and its answer was lost
        return list(calls.values())

    # -- after a restart ---------------------------------------------------------------------

    async def load_all(self) -> tuple[list[Call], list[str]]:
        """The calls that were live, and the ids of records that are not what we wrote. StoreDown.

        Broken records stay where they are, for people to look at, until they expire.
        """
        calls: list[Call] = []
        broken: list[str] = []
        ids = await self._ids()
        for start in range(0, len(ids), _CHUNK):
            await self._load(ids[start : start + _CHUNK], calls, broken)
        return calls, broken

    async def _ids(self) -> list[bytes]:
        members = await self._scan(lambda cursor: ("SSCAN", self._keys.calls, cursor, "COUNT", _PAGE))
        if members:
            return members
        # No live calls, or the index is lost: the records themselves know.
        prefix = self._keys.call_prefix
        keys = await self._scan(lambda cursor: ("SCAN", cursor, "MATCH", prefix + b"*", "COUNT", _PAGE))
        return [key.removeprefix(prefix) for key in keys]

    async def _scan(self, command: Callable[[int], Command]) -> list[bytes]:
        """All elements of a cursor's pages, each once."""
        found: dict[bytes, None] = {}
        cursor = 0
        while True:
            ((cursor, page),) = await self._link.ask(command(cursor))
            found.update(dict.fromkeys(page))
            if cursor == 0:
                return list(found)

    async def _load(self, ids: list[bytes], calls: list[Call], broken: list[str]) -> None:
        """Read one chunk, and add to `calls` and `broken`."""
        # Not MGET: it does not tell a wrong type from an absence, and brings a gigabyte if there is one.
        answers = await self._link.ask_each(
            *(("GETRANGE", self._keys.call_prefix + call_id, 0, records.LIMIT) for call_id in ids)
        )
        expired: list[bytes] = []
        for raw_id, answer in zip(ids, answers, strict=True):
            call_id = raw_id.decode(errors="backslashreplace")
            if answer == b"":
                expired.append(raw_id)
                continue
            try:
                calls.append(_decode(answer, call_id))
            except RecordError as error:
                log.error("record_broken", call=call_id, reason=str(error))
                broken.append(call_id)
        if expired:
            await self._link.ask(("SREM", self._keys.calls, *expired))


def _encode(call: Call) -> bytes:
    try:
        return records.encode(call)
    except RecordError as error:
        log.error("call_not_writable", call=call.id, reason=str(error))
        raise StoreDown(f"the call cannot be written: {error}") from error


def _decode(answer: bytes | ResponseError, call_id: str) -> Call:
    if isinstance(answer, ResponseError):
        raise RecordError("it is no string" if wrong_type(answer) else "Redis does not give it")
    return records.decode(answer, call_id)
