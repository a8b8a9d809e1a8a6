"""The feed on disk: watchers go on after a restart where they were, or are told that they cannot.

An event is numbered and shown before it is written, so a crash leaves events that watchers have seen and
Redis has not. Their numbers must never name other events. So after an orderly stop, when all is written,
the numbers go on; after anything else they jump ahead, by `BLOCK` or to the milliseconds since the epoch,
whichever is higher: the second holds even if Redis has lost everything. After a jump no old event is
taken over, and a watcher who asks for the events since an old number gets FeedGap: read the state afresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from redis.exceptions import ResponseError

from telephony.errors import StoreDown
from telephony.feed import Feed, FeedEvent, FeedGap
from telephony.store.keys import Keys
from telephony.store.link import Command, RedisLink

log = structlog.get_logger("feed")

BLOCK = 1_000_000
"""More events than a run can have shown and not written."""

CAPACITY = 10_000  # events
EXPIRES = 24 * 3600  # seconds: events name callers
PAUSE = 0.25  # seconds between two writes

_BATCH = 500  # events in one write or read
_HIGHEST = 2**52  # numbers are read by JavaScript, which counts exactly to 2**53


@dataclass(frozen=True, slots=True)
class FeedStart:
    """What a new Feed begins with: `feed.restore(start.events, start.last_seq)`."""

    last_seq: int
    events: list[FeedEvent]


class FeedLog:
    """Writes what the feed publishes to a stream in Redis, in the background.

    `clock` gives seconds since the epoch.
    """

    def __init__(self, link: RedisLink, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self.lost = 0
        """Events that were never written: Redis was away for longer than the feed keeps them."""
        self.written = 0
        """The number of the newest event that is written, or given up."""
        self._link = link
        self._keys = keys
        self._clock = clock
        self._certain = False  # that the stream ends where we think

    # -- start -------------------------------------------------------------------------------

    async def load(self) -> FeedStart:
        """What an earlier run has left; to be called once. Raises nothing: without Redis, numbers jump."""
        try:
            start = await self._load()
        except StoreDown as error:
            log.warning("feed_not_loaded", reason=str(error))
            start = FeedStart(self._milliseconds(), [])
        self.written = start.last_seq
        log.info("feed_loaded", last_seq=start.last_seq, events=len(start.events))
        return start

    async def _load(self) -> FeedStart:
        last = await self._last_in_stream()
        # Taken away as it is read: if this run ends in a crash, the next one must know.
        (mark,) = await self._link.ask(("GETDEL", self._keys.feed_closed))
        if last and mark == str(last).encode():
            events = await self._newest(last)
            if events:
                return FeedStart(last, events)
        return FeedStart(max(last + BLOCK, self._milliseconds()), [])

    async def _newest(self, last: int) -> list[FeedEvent]:
        """The events up to number `last`, as far back as they are without holes; oldest first."""
        events: list[FeedEvent] = []
        wanted = last
        while len(events) < CAPACITY:
            (page,) = await self._link.ask(
                ("XREVRANGE", self._keys.feed, f"{wanted}-0", "-", "COUNT", _BATCH)
            )
            for entry_id, fields in page:
                event = _event(wanted, entry_id, fields)
                if event is None:
                    return events[::-1]
                events.append(event)
                wanted -= 1
            if len(page) < _BATCH:
                break
        return events[::-1]

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000)

    # -- writing -----------------------------------------------------------------------------

    async def run(self, feed: Feed) -> None:
        """Write the feed's new events a few times a second, for ever. What Redis refuses is tried again."""
        while True:
            await self.flush(feed)
            await asyncio.sleep(PAUSE)

    async def close(self, feed: Feed) -> None:
        """Write what is left and that all is written. Nothing may be published afterwards. Raises nothing."""
        # Twice, because the first may only find out that the stream does not end where we thought.
        if await self.flush(feed) or await self.flush(feed):
            try:
                await self._link.ask(("SET", self._keys.feed_closed, feed.last_seq, "EX", EXPIRES))
            except StoreDown as error:
                log.warning("feed_not_closed", reason=str(error))

    async def flush(self, feed: Feed) -> bool:
        """Write all that is not written; whether that is done. Raises nothing."""
        try:
            for batch in _batches(self._unwritten(feed)):
                if not self._certain:
                    await self._find_end(feed)
                await self._write([event for event in batch if event.seq > self.written])
        except StoreDown as error:
            log.debug("feed_not_written", reason=str(error))
            return False
        return True

    def _unwritten(self, feed: Feed) -> list[FeedEvent]:
        try:
            return feed.since(self.written)
        except FeedGap:
            lost = feed.last_seq - self.written
            self.lost += lost
            log.error("feed_events_lost", events=lost, since=self.written)
            self.written = feed.last_seq
            return []

    async def _find_end(self, feed: Feed) -> None:
        """What Redis has of our events: more than we know, if it wrote them and its answer was lost."""
        last = await self._last_in_stream()
        if last > feed.last_seq:
            await self._link.set_aside(self._keys.feed)  # not ours: its numbers would keep ours out
        elif last > self.written:
            self.written = last
        self._certain = True

    async def _write(self, events: list[FeedEvent]) -> None:
        adds = [command for event in events if (command := self._add_command(event))]
        if adds:
            self._certain = False  # until it is answered
            await self._link.ask(*adds, ("EXPIRE", self._keys.feed, EXPIRES))
            self._certain = True
        if events:
            self.written = events[-1].seq

    def _add_command(self, event: FeedEvent) -> Command | None:
        try:
            data = msgspec.json.encode(event.data)
        except (UnicodeEncodeError, TypeError) as error:
            self.lost += 1
            log.error("feed_event_not_writable", seq=event.seq, reason=str(error))
            return None
        where = ("XADD", self._keys.feed, "MAXLEN", "~", CAPACITY, f"{event.seq}-0")
        return (*where, "at", repr(event.at), "type", event.type, "data", data)

    async def _last_in_stream(self) -> int:
        """The highest number that the stream has had; 0 if there is no stream that we could go on with."""
        (info,) = await self._link.ask_each(("XINFO STREAM", self._keys.feed))
        if isinstance(info, ResponseError):
            (kind,) = await self._link.ask(("TYPE", self._keys.feed))
            if kind != b"none":
                await self._link.set_aside(self._keys.feed)
            return 0
        seq = _seq(info["last-generated-id"])
        if seq > _HIGHEST:
            await self._link.set_aside(self._keys.feed)
            return 0
        return seq


def _batches(events: list[FeedEvent]) -> Iterator[list[FeedEvent]]:
    return (events[start : start + _BATCH] for start in range(0, len(events), _BATCH))


def _seq(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _event(seq: int, entry_id: bytes, fields: dict[bytes, Any]) -> FeedEvent | None:
    """The event in a stream's entry; None if it is not the one with number `seq`, or not one of ours."""
    if entry_id != f"{seq}-0".encode():
        return None
    try:
        data = msgspec.json.decode(fields[b"data"], type=dict[str, Any])
        return FeedEvent(seq, float(fields[b"at"]), fields[b"type"].decode(), data)
    except (KeyError, ValueError, RecursionError, msgspec.DecodeError) as error:
        log.error("feed_event_broken", seq=seq, reason=type(error).__name__)
        return None
