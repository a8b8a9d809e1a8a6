"""The disk for recordings is full: calls go on as before, and people are told until it has room again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.lab.stage import API, CALLER, PARTNER, TAKER, Stage
from tests.system.conftest import Lab

LATE = 20.0  # ms; what is no hole to an ear, for a machine that is busy for once in all these seconds
TMPFS = 64  # kB: four seconds of a recording


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[None]:
    """A file system of its own for the recordings, in this test's own mount namespace."""
    monitor = str(lab.sites["110"].state / "asterisk/spool/monitor")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS}k", "tmpfs", monitor], check=True)
    yield
    subprocess.run(["umount", "--lazy", monitor], check=True)


async def warned(*warnings: str, within: float = 5.0) -> str:
    """Wait until 110 is ready with these warnings; what its figures say."""
    deadline = time.monotonic() + within
    async with aiohttp.ClientSession(API["110"]) as session:
        while True:
            async with session.get("/health/ready") as answer:
                status, body = answer.status, await answer.json()
            assert (status, body["missing"]) == (200, [])
            if body["warnings"] == list(warnings):
                break
            assert time.monotonic() < deadline, body
            await asyncio.sleep(0.05)
        async with session.get("/metrics") as answer:
            return await answer.text()


async def test_calls_go_on_while_people_are_told_that_recordings_have_no_room(
    stage: Stage, lab: Lab, small_disk: None
) -> None:
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    assert 'telephony_recording_disk_low{hotline="110"} 1.0' in await warned("recording_disk_full")
    monitor = lab.sites["110"].state / "asterisk/spool/monitor"

    talk = await stage.talk(citizen, taker)
    began = await stage.hears(talk.caller, TAKER)
    await stage.wire.until(
        lambda: sum(file.stat().st_size for file in monitor.iterdir()) > (TMPFS - 8) * 1024,
        "a full disk",
        within=8.0,
    )
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=1.0)
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(ring, CALLER, TAKER)
    done = time.time()

    heard = stage.wire.received(citizen.bind, talk.caller.call_id).between(began, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(began, done, talk.taker, ring) + LATE
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
    for file in monitor.iterdir():
        file.unlink()


async def test_the_warning_goes_by_itself(stage: Stage, lab: Lab) -> None:
    assert 'telephony_recording_disk_low{hotline="110"} 0.0' in await warned()
    text = (lab.sites["110"].state / "log" / "controller.jsonl").read_text(encoding="utf-8")
    assert any(json.loads(line).get("warning") == "recording_disk_full" for line in text.splitlines())
