"""Waiting for a condition, with a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    """Wait until the condition holds; TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        # Any condition may be asked for, so nobody could set an Event for it.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
