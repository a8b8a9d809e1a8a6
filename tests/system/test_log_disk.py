"""The disk that the controller's log is on is full: calls and presses go on, and the log says what it misses."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import log_lines
from tests.lab.stage import CALLER, PARTNER, TAKER, Stage
from tests.system.conftest import Lab

SIZE = 64  # kB


@pytest.fixture
def small_log(lab: Lab) -> Iterator[Path]:
    """110's controller writes its log to a small file system, in this test's own mount namespace."""
    site = lab.sites["110"]
    folder = site.state / "log"
    site.stop_controller()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}k", "tmpfs", folder], check=True)
    try:
        site.start_controller()
        yield folder
    finally:
        site.stop_controller()
        subprocess.run(["umount", "--lazy", folder], check=True)
        site.start_controller()


def fill(file: Path) -> None:
    """Write for as long as there is room."""
    with file.open("ab", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"x" * 4096)


async def test_a_full_disk_for_the_log_stops_neither_calls_nor_presses(small_log: Path, stage: Stage) -> None:
    other, log = small_log / "other", small_log / "controller.jsonl"
    fill(other)
    fill(log)  # the rest of the page that it has begun
    full = log.stat().st_size

    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    talk = await stage.talk(citizen, taker)
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    assert log.stat().st_size == full, "the log's disk was not full"

    other.unlink()
    await ring.hangup()
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    lines = await log_lines.until(
        log,
        lambda lines: any(line["event"] == "log_lines_lost" for line in lines),
        "log_lines_lost",
        after=full,
    )
    assert all(line["lines"] > 0 for line in lines if line["event"] == "log_lines_lost")
    assert any(line["event"] == "transition" for line in lines)
    await talk.caller.hangup()
    await talk.taker.ended()
