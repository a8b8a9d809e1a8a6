"""Moments in which the machine itself stood still: a virtual one whose host gave its cores to somebody else.

    with Stalls() as stalls:
        ...                                   # calls happen
        stalls.longest_ms(since, until)

On every core a small process that goes ahead of everything else, Asterisk too, wakes every few milliseconds and
writes down when it was woken late. Nothing that runs in this machine can hold it up, but for a program that has kept
a core to itself for a second (sched_rt_runtime_us), so what it missed is nobody's doing here. Without the right to go
ahead (sched(7)) nobody watches, and there are no stalls to excuse anything.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from typing import NamedTuple, Self

from tests.lab.paths import CHECKOUT
from tests.lab.processes import PRIORITY, may_go_ahead

AHEAD = PRIORITY + 1  # of Asterisk too
PERIOD = 0.005  # seconds
LATE = 0.004  # seconds after its time that are a stall
RECORD = struct.Struct("dd")


class Stall(NamedTuple):
    """When a core should have woken a process, and when it did; Unix seconds."""

    began: float
    ended: float


class Stalls:
    """What the watchers have written down; a context manager, in which they watch from the first moment on."""

    def __init__(self) -> None:
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._seen: list[Stall] = []

    def __enter__(self) -> Self:
        if not may_go_ahead(AHEAD):
            return self
        for core in sorted(os.sched_getaffinity(0)):
            argv = [sys.executable, "-m", "tests.lab.stalls", str(core)]
            self._watchers.append(subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE))
        for watcher in self._watchers:
            assert watcher.stdout is not None
            watcher.stdout.read(RECORD.size)  # it watches
            os.set_blocking(watcher.stdout.fileno(), False)
        return self

    def __exit__(self, *_: object) -> None:
        for watcher in self._watchers:
            watcher.kill()
            watcher.communicate()

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def between(self, since: float, until: float) -> list[Stall]:
        """Those that any part of this time was lost to."""
        self._read()
        return [stall for stall in self._seen if stall.began < until and since < stall.ended]

    def longest_ms(self, since: float, until: float) -> float:
        """The length of the longest of them, in ms; 0 without one. Where one core stood still while another did,
        what needs both was held up by the two together.
        """
        longest = began = ended = 0.0
        for stall in sorted(self.between(since, until)):
            if stall.began > ended:
                began = stall.began
            ended = max(ended, stall.ended)
            longest = max(longest, ended - began)
        return longest * 1000

    def _read(self) -> None:
        for watcher in self._watchers:
            assert watcher.stdout is not None
            assert watcher.poll() is None, "who watches for stalls is dead"
            while found := watcher.stdout.read(RECORD.size):
                self._seen.append(Stall(*RECORD.unpack(found)))


def _watch(core: int) -> None:
    parent = os.getppid()
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(AHEAD))
    os.write(sys.stdout.fileno(), RECORD.pack(0, 0))
    due = time.monotonic() + PERIOD
    while os.getppid() == parent:
        time.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        if late > LATE:
            now = time.time()
            os.write(sys.stdout.fileno(), RECORD.pack(now - late, now))
        due = time.monotonic() + PERIOD


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
