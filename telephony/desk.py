"""The desk of one call: what its task works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from telephony.core.call import Call
from telephony.core.commands import Next, Refused, Reply
from telephony.core.events import Event, FreedTimeout

log = structlog.get_logger("call")

INBOX = 1000  # events; a call that has this many unread is broken, not busy

LATE = 1.0  # s; longer than it takes to ask Asterisk again how things stand

T = TypeVar("T")


@dataclass(slots=True)
class Item:
    """An event to be worked off, and who waits for its answer: a presser, or the dialplan for `CallerFreed`."""

    event: Event
    reply: asyncio.Future[Reply] | None = None
    place: asyncio.Future[Next] | None = None


@dataclass(slots=True)
class Desk:
    """A call, its inbox, who waits to be told where the caller goes, and the events that are due later.

    In the inbox, None says that what has changed is to be written now. `unwritten` is set while there is such.
    """

    call: Call
    inbox: asyncio.Queue[Item | None] = field(default_factory=lambda: asyncio.Queue(INBOX))
    asking: list[asyncio.Future[Next]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    timers: list[tuple[float, asyncio.Handle]] = field(default_factory=list)  # when due, by the loop's clock
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    unwritten: asyncio.Handle | None = None

    def write_soon(self, within: float) -> None:
        """The call has changed and is not written: it is to be, within so many seconds from its first change."""
        if self.unwritten is None:
            self.unwritten = asyncio.get_running_loop().call_later(within, self._write_now, within)

    def written(self) -> None:
        if self.unwritten is not None:
            self.unwritten.cancel()
            self.unwritten = None

    def _write_now(self, within: float) -> None:
        try:
            self.inbox.put_nowait(None)
        except asyncio.QueueFull:  # all that is to be decided first changes it anyway
            self.unwritten = asyncio.get_running_loop().call_later(within, self._write_now, within)

    def put(self, item: Item) -> None:
        try:
            self.inbox.put_nowait(item)
        except asyncio.QueueFull:
            log.error("inbox_full", call=self.call.id, lost=type(item.event).__name__)
            self.give_up(item, Refused("overloaded", "the call has too many unread events"))

    def give_up(self, item: Item, why: Refused) -> None:
        """The event is lost: whoever waits for its answer is told so, and a caller goes to a seat."""
        answer(item.reply, why)
        answer(item.place, Next.RESCUE)
        if isinstance(item.event, FreedTimeout):
            self.answer_all(Next.RESCUE)

    def answer_all(self, place: Next) -> None:
        """Answer every question that has been read. One that is still unread comes after this answer."""
        for asker in self.asking:
            answer(asker, place)
        self.asking.clear()

    def later(self, seconds: float, event: Callable[[], Event]) -> None:
        """Put `event()` into the inbox after a while.

        Much later than that, this process has stood still: what has happened meanwhile is to be read first.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds

        def fire() -> None:
            if loop.time() - due > LATE:
                self.later(LATE, event)
            else:
                self.put(Item(event()))

        # A handle cannot be asked when it is due: uvloop's for a time that has passed does not know.
        self.timers = [(at, timer) for at, timer in self.timers if at > loop.time() and not timer.cancelled()]
        self.timers.append((due, loop.call_at(due, fire)))

    def cancel_timers(self) -> None:
        for _, timer in self.timers:
            timer.cancel()
        if self.unwritten is not None:
            self.unwritten.cancel()

    def drain(self) -> list[Item]:
        """The unread items, oldest first."""
        items = []
        while not self.inbox.empty():
            items.append(self.inbox.get_nowait())
            self.inbox.task_done()
        return [item for item in items if item is not None]


def answer(asker: asyncio.Future[T] | None, value: T) -> None:
    """Answer, unless nobody asked, it was answered already, or the asker has gone away."""
    if asker is not None and not asker.done():
        asker.set_result(value)
