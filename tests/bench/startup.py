"""From `make run` on a prepared machine to the first call, against Asterisk's own start."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row, percentile
from tests.bench.sites import OURS, make_ours
from tests.lab.paths import CHECKOUT, LabError
from tests.lab.wire import Wire


async def measure(bench: Bench) -> None:
    """In turn: `make run` until its call's INVITE is on the wire; one Asterisk alone until it is fully booted."""
    rounds = bench.samples(1, 5)
    runs, boots = [], []
    for n in range(rounds):
        runs.append(await _make_run(bench.state / f"lab{n}"))
        boots.append(await asyncio.to_thread(_boot, bench))
    bench.keep(
        "startup", [{"make_run": run, "asterisk": boot} for run, boot in zip(runs, boots, strict=True)]
    )
    bench.add(
        Row(
            "`make run` to the first call",
            "s",
            percentile(runs, 0.5),
            percentile(boots, 0.5),
            Goal(ratio=2.0),
            rounds,
            "one of the two Asterisks alone, until it is fully booted",
            "make run starts two Asterisks, two Redis, two controllers and three softphones on two cores; the "
            "interpreters and their imports, provisioning and the phones' registration come on top of Asterisk's start",
        )
    )


async def _make_run(lab: Path) -> float:
    environment = {**os.environ, "TELEPHONY_LAB": str(lab)}
    with Wire() as wire:
        began = time.time()
        run = await asyncio.create_subprocess_exec(
            "make", "run", cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        if await run.wait():
            raise LabError("make run failed")
        calls = [p.at for p in wire.sip(ip=OURS) if p.message.first_line.startswith("INVITE sip:110@")]
    stop = await asyncio.create_subprocess_exec(
        "make", "stop", cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    await stop.wait()
    shutil.rmtree(lab, ignore_errors=True)
    return calls[0] - began


def _boot(bench: Bench) -> float:
    site = make_ours(bench.state, 3)
    site.provision()
    began = time.monotonic()
    site.asterisk.ensure()
    took = time.monotonic() - began
    site.asterisk.stop()
    return took
