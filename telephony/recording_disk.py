"""The disk that calls are recorded on: whether it has room. Calls go on when it is full; people are told in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger("recording")

INTERVAL = 2.0  # s between two looks
PATIENCE = 2.0  # s; a disk that does not answer for longer (network) is as good as full
FULL = "recording_disk_full"
GONE = "recording_disk_gone"


class RecordingDisk:
    """Looks at the disk below `directory`. `warning` is empty, or says in a word what is wrong.

    Less than `least` bytes free counts as full. `on_look` is told the warning after each look.
    """

    def __init__(self, directory: Path, least: int, on_look: Callable[[str], None]) -> None:
        self.warning = ""
        self._directory = directory
        self._least = least
        self._on_look = on_look
        self._asked: asyncio.Future[int] | None = None

    async def run(self) -> None:
        """Look for ever. Raises nothing."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Find out now."""
        try:
            async with asyncio.timeout(PATIENCE):
                free = await self._free_soon()
        except OSError as error:  # TimeoutError too
            warning, detail = GONE, error.strerror or "no answer"
        else:
            warning, detail = (FULL if free < self._least else ""), f"{free >> 20} MB free"
        if warning != self.warning:
            say = log.error if warning else log.info
            say("recording_disk", warning=warning, directory=str(self._directory), detail=detail)
        self.warning = warning
        self._on_look(warning)

    async def _free_soon(self) -> int:
        if self._asked is None:  # Else the disk has not answered the last question yet.
            self._asked = asyncio.ensure_future(asyncio.to_thread(self._free))
        await asyncio.wait([self._asked])
        asked, self._asked = self._asked, None
        return asked.result()

    def _free(self) -> int:
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize
