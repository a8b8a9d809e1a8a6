"""The log is written by a thread of its own: a disk that stands still, or is full, holds up no call."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue

import structlog

MOST = 20_000  # lines that may wait for the disk, some 6 MB; what comes then is counted and lost
GATHER = 0.02  # s; to wake a thread for each line costs more than the line
PATIENCE = 2.0  # s for the last lines at the end of the program


class LogWriter:
    """What structlog writes to; `file` is a file descriptor. At the end of the `with` block all has been written.

    Lines that could not be written are counted, and `log_lines_lost` says how many as soon as the disk takes it.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._too_many = 0
        self._unwritten = 0
        self._told = 0
        self._broken = b""
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.put(None)
        self._thread.join(PATIENCE)

    def write(self, text: str) -> None:
        """Never waits, and raises nothing."""
        if self._lines.qsize() < MOST or threading.current_thread() is self._thread:
            self._lines.put(text)
        else:
            self._too_many += 1

    def flush(self) -> None:
        """Nothing: what was given to `write` is on its way."""

    def _work(self) -> None:
        last = False
        while not last or not self._lines.empty():  # How many are lost may be the last to be told.
            lines, ends = self._next()
            last = last or ends
            unwritten = self._put("".join(lines).encode(errors="backslashreplace"))
            self._unwritten += unwritten
            if not unwritten:
                self._tell()
            if not last:
                time.sleep(GATHER)

    def _next(self) -> tuple[list[str], bool]:
        """All lines that wait, at least one; and whether they are the last."""
        lines: list[str] = []
        while not lines or not self._lines.empty():
            line = self._lines.get()
            if line is None:
                return lines, True
            lines.append(line)
        return lines, False

    def _put(self, data: bytes) -> int:
        """How many lines could not be written."""
        rest = memoryview(self._broken + data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Part of a line may be there: it is to stand alone, and not to spoil the next.
            self._broken = b"\n"
            return min(rest.tobytes().count(b"\n"), data.count(b"\n"))
        self._broken = b""
        return 0

    def _tell(self) -> None:
        lost = self._too_many + self._unwritten
        if lost > self._told:
            structlog.get_logger("log").error("log_lines_lost", lines=lost - self._told)
            self._told = lost
