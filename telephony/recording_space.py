"""Where calls are recorded: whether there is room. Calls go on when there is none; people are told in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger("recording")

INTERVAL = 2.0  # s between two looks
PATIENCE = 2.0  # s; a disk that does not answer for longer (network) is as good as full
LEAST_MEMORY = 16 << 20  # bytes; a call needs 16 kB a second of it until it is over
FULL = "full"
GONE = "gone"


class RecordingSpace:
    """Looks at the file system below `directory`. `warning` is empty, or says in a word what is wrong.

    `kind` (`disk`, `memory`) is in that word: `recording_disk_full`, `recording_memory_gone`. Less than `least` bytes
    free counts as full. `on_look` is told kind and warning after each look.
    """

    def __init__(self, kind: str, directory: Path, least: int, on_look: Callable[[str, str], None]) -> None:
        self.warning = ""
        self._kind = kind
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
            wrong, detail = GONE, error.strerror or "no answer"
        else:
            wrong, detail = (FULL if free < self._least else ""), f"{free >> 20} MB free"
        warning = f"recording_{self._kind}_{wrong}" if wrong else ""
        if warning != self.warning:
            say = log.error if warning else log.info
            say("recording_space", warning=warning, directory=str(self._directory), detail=detail)
        self.warning = warning
        self._on_look(self._kind, warning)

    async def _free_soon(self) -> int:
        if self._asked is None:  # Else the disk has not answered the last question yet.
            self._asked = asyncio.ensure_future(asyncio.to_thread(self._free))
        await asyncio.wait([self._asked])
        asked, self._asked = self._asked, None
        return asked.result()

    def _free(self) -> int:
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize
