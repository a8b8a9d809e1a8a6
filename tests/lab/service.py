"""A program of a site, brought up until it serves and taken down again."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.paths import LabError
from tests.lab.processes import Process

POLL = 0.05  # seconds
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Service:
    """What to start, how to tell that it serves (`probe` answers None), and how long that may take.

    `files` names what the program has read: when one changes, `ensure` starts it anew.
    `limit` is in seconds. `priority` is as for Process.start.
    """

    name: str
    process: Process
    argv: list[str]
    probe: Callable[[], str | None]
    limit: float
    files: Callable[[], Iterable[Path]] = tuple
    environment: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None

    @property
    def pid(self) -> int | None:
        """The running program's pid."""
        return self.process.pid()

    def ensure(self) -> bool:
        """Have it serving with its present files; False when it did already.

        Raises LabError when it does not come up.
        """
        if self.serves():
            return False
        self.stop()
        self.start()
        return True

    def serves(self) -> bool:
        """Whether it does, with its present files."""
        return self.process.version() == self.version() and self.probe() is None

    def start(self) -> None:
        """Start it and wait until it serves. Raises LabError as `wait` does."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it, without waiting for anything."""
        self.process.start(self.argv, self.version(), self.environment, self.priority)

    def wait(self) -> None:
        """Wait until it serves, having been launched.

        Raises LabError, with the last lines of its log, when it ends or `limit` passes first.
        """
        pid = self.process.pid()
        deadline = time.monotonic() + self.limit
        while (reason := self.probe()) is not None:
            if pid is None or self.process.pid() != pid:
                raise LabError(f"{self.name} ended before it served\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.name} does not serve after {self.limit:.0f} s: {reason}\n{self.last_lines()}"
                )
            time.sleep(POLL)

    def stop(self) -> None:
        """End it in its own time, ten seconds at most; nothing happens when it does not run."""
        self.process.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """In the block it neither runs nor dies; LabError where it is not there."""
        pid = self.pid
        if pid is None:
            raise LabError(f"{self.name} does not run, and cannot be frozen")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def version(self) -> str:
        """Changes whenever the command, its environment or one of its files does."""
        return digest(self.files(), [*self.argv, *map(str, sorted(self.environment.items()))])

    def last_lines(self) -> str:
        """The end of the log, with its path."""
        try:
            lines = self.process.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        except FileNotFoundError:
            lines = []
        return "\n".join([f"  last lines of {self.process.log}:", *(f"    {line}" for line in lines)])


def digest(files: Iterable[Path], words: Iterable[str] = ()) -> str:
    """One short word for the contents of `files` (folders: all in them but caches) and for `words`."""
    seen = hashlib.sha256("\0".join(words).encode())
    for path in files:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            if file.is_file() and "__pycache__" not in file.parts:
                seen.update(f"\0{file}\0".encode() + file.read_bytes())
    return seen.hexdigest()[:16]
