"""The board: what lines and seats look like now, told to those who watch when it changes.

Calls, phones, far ends and administrators all move it; whoever may have done so says only that, and the board
looks itself and compares. So the feed's events of lines and seats, and the lamps on the phones, have one origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from telephony.core.call import Role
from telephony.feed import Feed, FeedGap
from telephony.switchboard import LineStatus, SeatStatus, Switchboard

SETTLE = 0.03  # s before a look: what moves many times in a moment is looked at once


class Lamps(Protocol):
    """The lines' lamps on phones. Raises nothing: a lamp is put right when Asterisk can be asked again."""

    async def show(self, lines: Iterable[LineStatus]) -> None: ...

    def forget(self) -> None: ...


class Board:
    """`run` publishes events of type `line` and `seat`, whose data are those of `LineStatus` and `SeatStatus`.

    Nothing is told before the first `renew`: until then nobody knows. `clock`: seconds since the epoch.
    """

    def __init__(
        self, switchboard: Switchboard, feed: Feed, lamps: Lamps, clock: Callable[[], float]
    ) -> None:
        self._switchboard = switchboard
        self._feed = feed
        self._lamps = lamps
        self._clock = clock
        self._known: dict[tuple[str, str], LineStatus | SeatStatus] = {}
        self._renewed = False
        self._moved = asyncio.Event()
        self._seats: set[str] | None = set()

    def moved(self, seats: Iterable[str] | None = None) -> None:
        """Something may have changed: lines, and these seats; without names, any seat."""
        if seats is None:
            self._seats = None
        elif self._seats is not None:
            self._seats.update(seats)
        self._moved.set()

    def renew(self) -> None:
        """The truth about phones and lines is known (again), and what the lamps show is not."""
        self._renewed = True
        self._lamps.forget()
        self.moved()

    async def run(self) -> None:
        """Look whenever something has moved, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_calls(), name="board's calls")
            tasks.create_task(self._look_on(), name="board's look")

    async def _look_on(self) -> None:
        while True:
            await self._moved.wait()
            await asyncio.sleep(SETTLE)
            self._moved.clear()
            if self._renewed:
                seats, self._seats = self._seats, set()
                lines = self._switchboard.lines()
                self._publish(lines, self._switchboard.seats(seats))
                if self._switchboard.ready:
                    await self._lamps.show(lines)

    async def _follow_calls(self) -> None:
        """Every change of a call is in the feed."""
        while True:
            try:
                async for event in self._feed.watch(self._feed.last_seq):
                    if event.type == "call":
                        self.moved(leg["party"] for leg in event.data["legs"] if leg["role"] == Role.TAKER)
            except FeedGap:
                self.moved()

    def _publish(self, lines: list[LineStatus], seats: list[SeatStatus]) -> None:
        now: dict[tuple[str, str], LineStatus | SeatStatus] = {("line", line.line): line for line in lines}
        now |= {("seat", seat.seat): seat for seat in seats}
        for key, status in now.items():
            if self._known.get(key) != status:
                self._feed.publish(self._clock(), key[0], msgspec.to_builtins(status))
        self._known |= now
