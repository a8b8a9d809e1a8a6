"""Gives a door its inputs, in blocks, and judges: crashes, hangs, memory.

Hypothesis draws the inputs and, when one fails, looks for the smallest that does. It remembers all that it has
drawn, so each block is a run of its own: what is measured between two blocks is the door's memory.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.door import Door, Opener, watched_log

LIMIT = 1.0  # s; for each input
BLOCK = 500  # inputs
WARM = 0.2  # of the inputs; what the door takes until then it may keep
GROWTH = 12 * 1024  # KiB; a leak of 1.5 kB for each of 8,000 inputs
SHOWN = 4000  # characters of a failing input


class Hang(KeyboardInterrupt):
    """An input took longer than `LIMIT`. Of this kind, so that neither asyncio nor we catch it on its way."""


@dataclass
class Finding:
    """What has become of a door; `trouble` is empty when all is well."""

    name: str
    inputs: int = 0
    slowest: float = 0.0
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    hangs: int = 0
    trouble: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        if self.crashes or self.hangs:
            return "CRASHES" if self.crashes else "HANGS"
        if self.trouble:
            return "GROWS" if self.grown else "FAILED"
        return "good"

    @property
    def grown(self) -> list[str]:
        """The processes whose memory has grown beyond the limit since the warm-up."""
        return [name for name, kib in self.after.items() if kib - self.before.get(name, kib) > GROWTH]


def fuzz(
    name: str,
    opener: Opener,
    inputs: int,
    first_seed: int,
    folder: Path,
    progress: Callable[[Finding], None] = lambda _: None,
) -> Finding:
    """Open the door and give it so many inputs; it ends at the first that crashes it or hangs."""
    found = Finding(name)
    began = time.monotonic()
    with watched_log() as faults:
        try:
            with opener(folder) as door:
                _blocks(door, found, inputs, first_seed, faults, progress)
                door.after()
        except (Exception, BaseExceptionGroup, Hang):
            # A Hang here, too, when it came a moment after its input: the last word is the table's.
            found.trouble.append(traceback.format_exc())
    found.seconds = time.monotonic() - began
    found.trouble += [
        f"the memory of {name or 'this process'} has grown from {found.before[name]} to {found.after[name]} KiB"
        for name in found.grown
    ]
    return found


def _blocks(
    door: Door,
    found: Finding,
    inputs: int,
    first_seed: int,
    faults: list[dict[str, Any]],
    progress: Callable[[Finding], None],
) -> None:
    block = 0
    while found.inputs < inputs and not found.trouble:
        _block(door, found, min(BLOCK, inputs - found.inputs), first_seed * 1000 + block, faults)
        door.rest()
        block += 1
        if not found.before and found.inputs >= WARM * inputs:
            found.before = door.memory()
        progress(found)
    found.after = door.memory()


def _block(door: Door, found: Finding, inputs: int, block_seed: int, faults: list[dict[str, Any]]) -> None:
    failing: list[Any] = []
    wanted = found.inputs + inputs

    def give(value: Any) -> None:
        failing[:] = [value]
        faults.clear()
        began = time.perf_counter()
        try:
            with limited():
                door.give(value)
        finally:
            found.inputs += 1
            found.slowest = max(found.slowest, time.perf_counter() - began)
        if faults:
            raise AssertionError(f"an error of ours is in the log: {faults[0]}")

    drawn = given(door.inputs)(give)
    tried = 0
    try:
        # An input that hypothesis itself gives up (too large a draw) does not count, nor one drawn twice.
        while found.inputs < wanted:
            seed(block_seed + 1_000_000 * tried)(_settings(wanted - found.inputs)(drawn))()
            tried += 1
    except Hang:
        found.hangs += 1
        found.trouble.append(f"no end within {LIMIT:g} s of: {failing!r}"[:SHOWN])
    except (Exception, BaseExceptionGroup) as error:  # schemathesis groups what it finds in one of its own
        kinds = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
        found.crashes += len(kinds)
        for each in (error, *kinds):
            each.__notes__ = []  # hypothesis's, the failing input at its full length
        shown = "".join(traceback.format_exception(error))
        found.trouble.append(f"{shown[:SHOWN]}\nof: {failing!r}"[: 2 * SHOWN])


def _settings(inputs: int) -> settings:
    return settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def limited() -> Iterator[None]:
    """Hang is raised in this block when it takes longer than the limit."""

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    # Not setitimer's one shot alone: what a destructor swallows is raised again.
    signal.setitimer(signal.ITIMER_REAL, LIMIT, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
