"""Where calls are recorded stands still or is full: calls go on as before, and what was recorded is kept."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from tests.lab import log_lines, recordings
from tests.lab.stage import API, CALLER, PARTNER, TAKER, Stage
from tests.system.conftest import Lab

LATE = 20.0  # ms; what is no hole to an ear, for a machine that is busy for once in all these seconds
TMPFS = 64  # kB: four seconds of a recording


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """A file system of its own for `folder`, in this test's own mount namespace."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS}k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


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


async def test_no_call_waits_for_the_disk_that_recordings_are_kept_on(stage: Stage, lab: Lab) -> None:
    """Asterisk stands still with a disk that does, where it has a file on it: while people talk it has none."""
    site = lab.sites["110"]
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    await stage.hears(talk.caller, TAKER)
    files = open_files(site.asterisk.pid)
    live = recordings.memory(site) / f"{talk.id}.wav"
    assert live in files
    assert [file for file in files if file.is_relative_to(site.state / "asterisk" / "spool")] == []
    assert [file for file in files if file.name == "queue_log"] == [], (
        "it is written in the calls' own threads"
    )
    await talk.caller.hangup()
    await talk.taker.ended()
    assert await recordings.length(site, live.name) > 0
    await stage.wire.until(lambda: not live.exists(), "it goes from memory")


def open_files(pid: int | None) -> list[Path]:
    return [link.resolve() for link in Path(f"/proc/{pid}/fd").iterdir()]


async def test_what_was_recorded_without_a_controller_is_kept_by_the_next(stage: Stage, lab: Lab) -> None:
    site = lab.sites["110"]
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    await stage.hears(talk.caller, TAKER)
    live = recordings.memory(site) / f"{talk.id}.wav"
    await asyncio.to_thread(site.kill_controller)
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=1.0)
    await talk.caller.hangup()
    await talk.taker.ended()
    assert live.exists()
    await asyncio.to_thread(site.start_controller)
    assert await recordings.length(site, live.name) > 1.0


async def test_calls_go_on_while_people_are_told_that_there_is_no_memory_to_record_in(
    stage: Stage, lab: Lab
) -> None:
    memory = recordings.memory(lab.sites["110"])
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    with small(memory):
        figures = await warned("recording_memory_full")
        assert 'telephony_recording_memory_low{hotline="110"} 1.0' in figures
        assert 'telephony_recording_disk_low{hotline="110"} 0.0' in figures

        talk = await stage.talk(citizen, taker)
        began = await stage.hears(talk.caller, TAKER)
        await stage.wire.until(
            lambda: sum(file.stat().st_size for file in memory.iterdir()) > (TMPFS - 8) * 1024,
            "no memory left",
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


async def test_what_is_recorded_while_the_disk_is_full_is_kept_as_soon_as_it_has_room(
    stage: Stage, lab: Lab
) -> None:
    site = lab.sites["110"]
    disk, log = recordings.disk(site), site.state / "log" / "controller.jsonl"
    citizen, taker = await asyncio.gather(stage.citizen(), stage.seat("1001"))
    name = ""

    def refused(lines: log_lines.Lines) -> bool:
        return any(
            line["event"] == "recording_not_moved" and line["file"].endswith(f"/{name}") for line in lines
        )

    with small(disk):
        (disk / "other").write_bytes(b"x" * (TMPFS * 1024 - 8192))
        assert 'telephony_recording_disk_low{hotline="110"} 1.0' in await warned("recording_disk_full")
        talk = await stage.talk(citizen, taker)
        name = f"{talk.id}.wav"
        began = await stage.hears(talk.caller, TAKER)
        await stage.goes_on_hearing(talk.caller, TAKER, seconds=1.0)
        seconds = time.time() - began
        await talk.caller.hangup()
        await talk.taker.ended()
        await log_lines.until(log, refused, "recording_not_moved", within=8.0)
        assert [file.name for file in disk.iterdir()] == ["other"]
    assert await recordings.length(site, name) > seconds - 0.2


async def test_the_warning_goes_by_itself(stage: Stage, lab: Lab) -> None:
    assert 'telephony_recording_disk_low{hotline="110"} 0.0' in await warned()
    lines = log_lines.read(lab.sites["110"].state / "log" / "controller.jsonl")
    assert any(line.get("warning") == "recording_disk_full" for line in lines)
