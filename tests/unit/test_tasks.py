"""Tasks are ended for certain: one that swallows its first cancellation too."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from telephony.tasks import end_all


async def test_a_task_that_takes_its_cancellation_for_something_else_is_cancelled_again() -> None:
    swallowed = asyncio.Event()

    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        swallowed.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_all([task])
    assert swallowed.is_set()
    assert task.cancelled()


async def test_a_task_that_fails_while_it_ends_harms_nobody() -> None:
    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_all([task])
    assert isinstance(task.exception(), OSError)
