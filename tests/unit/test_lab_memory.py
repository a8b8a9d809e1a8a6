"""The folder in memory that the tests write to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab import memory


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "ROOM", 1)
    return tmp_path


def test_folder_is_this_runs_own_and_private(in_a_folder: Path) -> None:
    folder = memory.folder()
    assert folder is not None
    assert folder.parent == in_a_folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert memory.folder() == folder, "an interrupted run's pid may come again"


def test_what_runs_that_are_over_have_left_is_removed_and_others_stay(in_a_folder: Path) -> None:
    with subprocess.Popen(["/bin/true"]) as over:
        pass
    for name in (f"{memory.NAME}{over.pid}", f"{memory.NAME}{os.getppid()}", "somebody-elses"):
        (in_a_folder / name / "deep").mkdir(parents=True)
    memory.folder()
    left = {path.name for path in in_a_folder.iterdir()}
    assert left == {f"{memory.NAME}{os.getppid()}", f"{memory.NAME}{os.getpid()}", "somebody-elses"}


def test_without_memory_to_spare_there_is_none(in_a_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ROOM", 1 << 60)
    assert memory.folder() is None
    monkeypatch.setattr(memory, "MEMORY", in_a_folder / "none")
    assert memory.folder() is None


def test_recordings_go_with_the_state_directory_and_no_container_s(
    in_a_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = tmp_path_factory.mktemp("state")
    owners = {"kept": there, "gone": there / "gone", "container": Path("/state-of-a-container")}
    for name, state in owners.items():
        (in_a_folder / f"hotline-110-{name}").mkdir()
        (in_a_folder / f"hotline-110-{name}" / "state").symlink_to(state)
    memory.forget_recordings()
    assert {path.name for path in in_a_folder.iterdir()} == {"hotline-110-kept", "hotline-110-container"}
