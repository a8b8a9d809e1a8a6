"""The calls of each number that are over, in Redis: the newest, for so many days."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import structlog

from telephony.core.call import Call
from telephony.history import PastCall, has_history, past_call
from telephony.settings import HistorySettings
from telephony.store.keys import Keys
from telephony.store.link import Command, RedisLink
from telephony.store.records import RecordError

log = structlog.get_logger("history")

VERSION = 1
LIMIT = 256 * 1024  # bytes; twenty transfers and twenty diversions with the longest notes have about 60 kB

_DAY = 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class _Record:
    version: int
    call: PastCall


_record = msgspec.json.Decoder(_Record)


def record_commands(keys: Keys, call: Call, settings: HistorySettings) -> tuple[Command, ...]:
    """What writes `call`, which is over, into its number's history, in place of what was there of it.

    The score is when the call came, so that a call that is written again, because more was put on record or
    an answer of Redis was lost, is there once.
    """
    if not has_history(call.caller):
        return ()
    key, came = keys.history(call.caller.number), repr(call.arrived_at)
    past = past_call(call)
    return (
        ("ZREMRANGEBYSCORE", key, came, came),
        ("ZADD", key, came, msgspec.json.encode(_Record(VERSION, past))),
        ("ZREMRANGEBYSCORE", key, "-inf", repr(past.ended_at - settings.days * _DAY)),
        ("ZREMRANGEBYRANK", key, 0, -1 - settings.most),
        ("EXPIRE", key, settings.days * _DAY),
    )


class RedisHistory:
    """The switchboard's PastCalls; `RedisStore.finish` is what writes them."""

    def __init__(self, link: RedisLink, keys: Keys, settings: HistorySettings) -> None:
        self._link = link
        self._keys = keys
        self._most = settings.most

    async def read(self, number: str, since: float) -> list[PastCall]:
        """The calls of `number` that came after `since`, newest first. StoreDown. Broken ones are left out."""
        key = self._keys.history(number)
        (found,) = await self._link.ask(
            ("ZREVRANGEBYSCORE", key, "+inf", repr(since), "LIMIT", 0, self._most)
        )
        calls: dict[str, PastCall] = {}
        for record in found:
            try:
                call = _decode(record)
            except RecordError as error:
                log.error("record_broken", key=self._keys.history("*"), reason=str(error))
            else:
                calls.setdefault(call.call, call)
        return list(calls.values())


def _decode(record: bytes) -> PastCall:
    if len(record) > LIMIT:
        raise RecordError(f"it has more than {LIMIT} bytes")
    try:
        found = _record.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(str(error)) from error
    if found.version != VERSION:
        raise RecordError(f"it has version {found.version}, and we know {VERSION}")
    return found.call
