"""The disk for recordings: full, gone, well again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from telephony import recording_space
from telephony.recording_space import RecordingSpace

GIGABYTE = 1 << 30
FULL, GONE = "recording_disk_full", "recording_disk_gone"


async def test_it_warns_below_the_limit_and_says_so_once_and_the_warning_goes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    disk = RecordingSpace("disk", tmp_path, GIGABYTE, lambda *each: told.append(each))
    with capture_logs() as logs:
        for blocks in (1 << 18, (1 << 18) - 1, 0, 1 << 20):
            monkeypatch.setattr(os, "statvfs", lambda _, b=blocks: SimpleNamespace(f_bavail=b, f_frsize=4096))
            await disk.look()
    assert told == [("disk", ""), ("disk", FULL), ("disk", FULL), ("disk", "")]
    assert [(line["log_level"], line["warning"]) for line in logs] == [("error", FULL), ("info", "")]


async def test_a_directory_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    disk = RecordingSpace("memory", tmp_path / "away", 0, lambda *_: None)
    await disk.look()
    assert disk.warning == "recording_memory_gone"


async def test_a_disk_that_does_not_answer_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_space, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "statvfs", lambda _: time.sleep(0.3))
    disk = RecordingSpace("disk", tmp_path, 0, lambda *_: None)
    began = time.monotonic()
    await disk.look()
    assert disk.warning == GONE
    assert time.monotonic() - began < 0.25
