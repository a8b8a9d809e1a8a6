"""A day of Guangzhou's 110 (19,844 calls by the traffic model) at 20 times real time: none lost."""

from __future__ import annotations

import asyncio
import os
import re
import sys

from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row
from tests.lab.paths import CHECKOUT
from tests.traffic.command import INSIDE
from tests.traffic.figures import CALLS_A_DAY

SPEED = 20
HOURS = float(os.environ.get("BENCH_DAY_HOURS", "24"))
"""How much of the day is played: fewer calls in the same bustle."""


async def measure(bench: Bench) -> None:
    """`make traffic` with the day's calls; its own verdict counts."""
    if not bench.full:
        bench.leave_out(
            f"one day of Guangzhou, {CALLS_A_DAY} calls at {SPEED} x (full only: it takes 72 minutes)"
        )
        return
    calls = round(CALLS_A_DAY * HOURS / 24)
    rate = CALLS_A_DAY * SPEED / (24 * 3600)
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.traffic", "--calls", str(calls), "--rate", f"{rate:.4f}"),
        *("--seed", "110", "--tidy"),
        cwd=CHECKOUT,
        env={**os.environ, INSIDE: "yes"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert run.stdout is not None
    text = ""
    async for line in run.stdout:
        text += line.decode()
        if line.startswith(b"    "):
            print(line.decode(), end="", flush=True)
    code = await run.wait()
    bench.keep("day", [{"calls": calls, "exit": code, "output": text}])
    found = re.search(r"callers lost\D*(\d+)", text)
    lost = float(found[1]) if found else float(code != 0)
    bench.add(
        Row(
            f"callers lost of {calls} ({HOURS:g} h of Guangzhou at {SPEED} x)",
            "calls",
            lost,
            None,
            Goal(ours=0),
            calls,
            why="see day.jsonl",
        )
    )
