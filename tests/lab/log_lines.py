"""The controller's log as tests read it: it is written by a thread, a moment after what it tells of."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Lines = list[dict[str, Any]]


def read(log: Path, *, after: int = 0) -> Lines:
    """The lines that are whole, from the byte `after` on."""
    whole, _, _ = log.read_bytes()[after:].rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines() if line]


async def until(
    log: Path, true: Callable[[Lines], bool], what: str, *, after: int = 0, within: float = 5.0
) -> Lines:
    """Wait until the lines from the byte `after` on are as `true` says; returns them."""
    deadline = time.monotonic() + within
    while not true(found := read(log, after=after)):
        assert time.monotonic() < deadline, f"not in {log} after {within} s: {what}"
        await asyncio.sleep(0.02)
    return found


async def call_ended(log: Path, call: str) -> Lines:
    """Wait until the log has all of the call, to its end; returns all lines."""
    mine = ("call_ended", call)
    return await until(
        log,
        lambda lines: any((line["event"], line.get("call")) == mine for line in lines),
        f"the end of {call}",
    )
