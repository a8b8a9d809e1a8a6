"""A softphone's process, before it is told which phone it is: to start one takes longer than to make it a phone."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROGRAM = Path(__file__).with_name("softphone_process.py")
LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """The process, and our end of its line."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, errors: Path | None) -> Self:
        """`errors` is the file for what it prints; ours if left out."""
        ours, theirs = socket.socketpair()
        with theirs:
            stderr = errors.open("ab") if errors else None
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, str(PROGRAM), str(theirs.fileno()),
                    pass_fds=[theirs.fileno()], stderr=stderr,
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            finally:
                if stderr:
                    stderr.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        return cls(process, reader, writer)

    async def kill(self) -> None:
        """End it without a word."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.writer.close()
