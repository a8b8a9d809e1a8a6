"""A call's desk on the event loop that the controller runs on."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from telephony.core.events import FreedTimeout
from telephony.desk import Desk
from tests.unit.story import new_call


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_events_that_are_due_at_once_come_as_others_do(loop) -> None:
    async def day() -> list[FreedTimeout]:
        desk = Desk(new_call())
        for seconds in (0.0, -0.5, 0.01):  # a limit that an earlier controller had set may have passed
            desk.later(seconds, lambda: FreedTimeout(0.0))
        async with asyncio.timeout(5):
            return [(await desk.inbox.get()).event for _ in range(3)]

    with asyncio.Runner(loop_factory=loop) as runner:
        assert len(runner.run(day())) == 3
