"""What a hotline has recorded: in memory while a call lasts, on its disk a second or two after it is over."""

from __future__ import annotations

import asyncio
import time
import wave
from pathlib import Path

from tests.lab.site import Site

KEPT_WITHIN = 10.0  # s


def memory(site: Site) -> Path:
    """Where calls are recorded while they last."""
    return (site.state / "live").readlink()


def disk(site: Site) -> Path:
    """Where recordings are kept."""
    return site.state / "asterisk" / "spool" / "monitor"


async def length(site: Site, pattern: str, since: float = 0.0, within: float = KEPT_WITHIN) -> float:
    """Wait until a recording of that name that ended after `since` is on the disk; how many seconds are in it."""
    deadline = time.monotonic() + within
    while not (found := [file for file in disk(site).glob(pattern) if file.stat().st_mtime >= since]):
        assert time.monotonic() < deadline, (
            f"no recording {pattern}; in memory: {list(memory(site).iterdir())}"
        )
        await asyncio.sleep(0.05)
    with wave.open(str(found[0])) as sound:
        return sound.getnframes() / sound.getframerate()
