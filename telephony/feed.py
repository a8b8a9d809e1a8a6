"""The feed: what happened at this hotline, numbered, for those who watch (consoles, the CLI, tests).

Each event has the next sequence number. The last `capacity` events are kept, so that a watcher who
was away resumes without loss; who was away longer is told so and reads the state afresh.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """`seq` numbers events without holes; `data` is JSON-ready.

    `type` is `call`, `transfer`, `leg`, `line`, `seat` or `room`.
    """

    seq: int
    at: float
    type: str
    data: Mapping[str, Any]


class FeedGap(Exception):
    """The events asked for are no longer kept (or the watcher was too slow): read the state afresh."""


class Feed:
    def __init__(self, *, last_seq: int = 0, capacity: int = 10_000) -> None:
        self._events: deque[FeedEvent] = deque(maxlen=capacity)
        self._last = last_seq
        self._grown = asyncio.Event()

    @property
    def last_seq(self) -> int:
        """The number of the newest event."""
        return self._last

    @property
    def oldest_seq(self) -> int:
        """The number after which nothing is missing."""
        return self._events[0].seq - 1 if self._events else self._last

    def restore(self, events: list[FeedEvent], last_seq: int) -> None:
        """Take over events that an earlier run had kept, oldest first, and go on numbering after `last_seq`."""
        self._events.extend(events)
        self._last = max(self._last, last_seq)

    def publish(self, at: float, type: str, data: Mapping[str, Any]) -> FeedEvent:
        """Add an event; watchers get it in order."""
        self._last += 1
        event = FeedEvent(self._last, at, type, data)
        self._events.append(event)
        self._grown.set()
        self._grown = asyncio.Event()
        return event

    def since(self, seq: int) -> list[FeedEvent]:
        """The events after number `seq`; FeedGap if some of them are gone.

        A number that has not been given yet is a gap too: it is from another life of this feed.
        """
        if seq > self._last:
            raise FeedGap
        if seq == self._last:
            return []
        if not self._events or self._events[0].seq > seq + 1:
            raise FeedGap
        newest_first = islice(reversed(self._events), self._last - seq)  # not a copy of all that is kept
        return list(newest_first)[::-1]

    async def watch(self, seq: int) -> AsyncGenerator[FeedEvent, None]:
        """Every event after number `seq`, for ever, in order; FeedGap when the watcher falls too far behind."""
        while True:
            grown = self._grown
            for event in self.since(seq):
                yield event
                seq = event.seq
            if seq >= self._last:
                await grown.wait()
