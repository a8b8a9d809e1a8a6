"""The HTTP door of a hotline without Asterisk, served from a thread, so that whoever asks may wait for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from telephony.errors import Refusal
from telephony.room_book import Ended, Joined, MemberKind
from tests.adapters.http_hotline import Hotline, hotline

T = TypeVar("T")
WAIT = 10.0  # s


class Served:
    """A running hotline, and its loop in a thread."""

    def __init__(self, house: Hotline, loop: asyncio.AbstractEventLoop) -> None:
        self.house = house
        self.url = house.url
        self._loop = loop
        self._rounds = 0
        self._given = 0
        self._members = 0
        # Whoever is moved arrives, as with an Asterisk; else a request waits for that as long as it may.
        house.room_asterisk.move = self._move  # type: ignore[method-assign]
        house.room_asterisk.move_pair = self._move_pair  # type: ignore[method-assign]

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Run `what` in the hotline's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(WAIT)

    def furnish(self, every: int = 1) -> None:
        """Both seats talk, c-1 and c-2 of this round, and what earlier inputs have left is gone: every so often."""
        if self._given % every == 0:
            self.do(self._furnish())
        self._given += 1

    def named(self, name: str) -> str:
        """A name that inputs use (`@1`, the call at seat 1001) as it is in this round."""
        return f"c-{self._rounds}-{name[1:]}" if name.startswith("@") else name

    async def _move(self, room: str, channel: str) -> None:
        kind = MemberKind.CALLER if channel.startswith("PJSIP/c-") else MemberKind.SEAT
        party = channel.removeprefix("PJSIP/")
        self._members += 1
        member_id = f"m-{self._members % 4}"
        self.house.rooms.on_event(Joined(time.time(), room, member_id, channel, kind, party, "", muted=False))

    async def _move_pair(self, room: str, official: str, caller: str) -> None:
        await self._move(room, official)
        await self._move(room, caller)

    def close(self, over: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(over.set)

    async def _furnish(self) -> None:
        house = self.house
        for call in list(house.dispatcher):
            await house.end(call.id)
        with suppress(Refusal):  # nobody was in it
            await house.rooms.end("room")
        house.rooms.on_event(Ended(time.time(), "room"))
        house.asterisk.invited.clear()
        house.asterisk.hung_up.clear()
        house.room_asterisk.asked.clear()
        self._rounds += 1
        await house.call_at("1001", self.named("@1"))
        await house.call_at("1002", self.named("@2"))


@contextmanager
def served(folder: Path, **limits: Any) -> Iterator[Served]:
    """A hotline that does not mind how often it is asked."""
    up: list[Served] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with hotline(folder, capacity=200, **{"rate": 1e6, "burst": 1_000_000, **limits}) as house:
            up.append(Served(house, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="hotline")
    thread.start()
    ready.wait(WAIT)
    try:
        [there] = up
        yield there
    finally:
        for one in up:
            one.close(over)
        thread.join(WAIT)
