"""Recordings on their way from memory to the disk: whole, once, and only when Asterisk has closed them."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from telephony import recordings
from telephony.errors import ConfigError
from telephony.recordings import Recordings, folder_for, make_folder

SOUND = os.urandom(3 << 20)  # more than is copied at once


class Place:
    """The two folders; `put` is what Asterisk writes."""

    def __init__(self, path: Path) -> None:
        self.memory, self.disk = path / "memory", path / "disk"
        self.memory.mkdir()
        self.disk.mkdir()
        self.recordings = Recordings(self.memory, self.disk)

    def put(self, name: str = "a.wav", sound: bytes = SOUND, age: float = 60.0) -> Path:
        file = self.memory / name
        file.write_bytes(sound)
        ended = time.time() - age
        os.utime(file, (ended, ended))
        return file

    @property
    def files(self) -> tuple[list[str], list[str]]:
        memory, disk = (sorted(path.name for path in folder.iterdir()) for folder in (self.memory, self.disk))
        return memory, disk


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_is_over_is_moved_whole_with_its_time_and_for_its_owner_alone(place: Place) -> None:
    ended = place.put().stat().st_mtime
    assert place.recordings.move() == 1
    assert place.files == ([], ["a.wav"])
    kept = place.disk / "a.wav"
    assert kept.read_bytes() == SOUND
    assert kept.stat().st_mtime == ended
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_what_another_program_has_open_stays_however_long_nothing_was_written(place: Place) -> None:
    file = place.put()
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); input()",
            str(file),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as asterisk:
        assert asterisk.stdout is not None
        asterisk.stdout.readline()
        assert place.recordings.move() == 0
        assert place.files == (["a.wav"], [])
        asterisk.communicate(b"\n")
    assert place.recordings.move() == 1


def test_what_was_written_to_just_now_stays(place: Place) -> None:
    place.put(age=0.0)
    assert place.recordings.move() == 0
    assert place.recordings.move(young=0.0) == 1


def test_a_disk_without_room_leaves_it_in_memory_says_so_once_and_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.wav")
    place.put("b.wav")
    fsync = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with capture_logs() as logs:
        assert [place.recordings.move(), place.recordings.move()] == [0, 0]
    assert [(line["log_level"], line["event"], Path(line["file"]).name) for line in logs] == [
        ("error", "recording_not_moved", name) for name in ("a.wav", "b.wav")
    ]
    assert place.files == (["a.wav", "b.wav"], [])
    monkeypatch.setattr(os, "fsync", fsync)
    assert place.recordings.move() == 2
    assert place.files == ([], ["a.wav", "b.wav"])


def test_a_disk_that_has_gone_leaves_it_in_memory(place: Place) -> None:
    place.put()
    place.disk.rmdir()
    with capture_logs() as logs:
        assert place.recordings.move() == 0
    assert [line["event"] for line in logs] == ["recording_not_moved"]
    place.disk.mkdir()
    assert place.recordings.move() == 1


def test_one_that_cannot_be_read_holds_up_no_other(place: Place) -> None:
    (place.memory / "a.wav").mkdir()
    place.put("b.wav")
    assert place.recordings.move() == 1


def test_another_controller_may_have_been_quicker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place.put()

    def quicker(*_: object) -> None:
        shutil.copy2(file, place.disk / "a.wav")
        file.unlink()
        monkeypatch.undo()

    monkeypatch.setattr(shutil, "copyfileobj", quicker)
    with capture_logs() as logs:
        place.recordings.move()
    assert (place.files, logs) == (([], ["a.wav"]), [])


async def test_it_moves_by_itself_and_removes_what_was_left_half_copied(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "INTERVAL", 0.01)
    (place.disk / ".a.wav.x1.partial").write_bytes(b"half")
    place.put()
    running = asyncio.create_task(place.recordings.run())
    async with asyncio.timeout(10):
        while place.files != ([], ["a.wav"]):  # noqa: ASYNC110 - a thread moves it
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


async def test_a_disk_that_does_not_answer_keeps_nobody_waiting_at_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, answers = threading.Event(), threading.Event()

    def fsync(_: int) -> None:
        stuck.set()
        answers.wait(30)

    monkeypatch.setattr(recordings, "INTERVAL", 0.01)
    monkeypatch.setattr(os, "fsync", fsync)
    place.put()
    running = asyncio.create_task(place.recordings.run())
    await asyncio.to_thread(stuck.wait, 10)
    assert not running.done()
    running.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([running])
    (thread,) = (each for each in threading.enumerate() if each.name == "recordings")
    assert thread.daemon, "a process would wait for it at its end"
    answers.set()
    await asyncio.to_thread(thread.join, 10)
    assert place.files == ([], ["a.wav"])


async def test_a_defect_of_ours_is_told_and_not_silent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "INTERVAL", 0.01)
    monkeypatch.setattr(place.recordings, "move", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10):
            await place.recordings.run()


class TestFolder:
    def test_it_is_for_its_owner_alone_and_may_be_there_already(self, tmp_path: Path) -> None:
        folder = folder_for(tmp_path, "110", Path("/var/lib/hotline/110"))
        make_folder(folder)
        folder.chmod(0o755)
        make_folder(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(folder.iterdir()) == []

    def test_no_two_hotlines_share_one(self) -> None:
        places = [(hotline, state) for hotline in ("110", "12345") for state in ("/state", "/other")]
        assert len({folder_for(Path("/dev/shm"), hotline, Path(state)) for hotline, state in places}) == 4

    def test_what_somebody_else_has_put_there_is_not_taken(self, tmp_path: Path) -> None:
        folder, elsewhere = tmp_path / "hotline", tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o755)
        folder.symlink_to(elsewhere)
        with pytest.raises(ConfigError, match="not a folder of ours"):
            make_folder(folder)
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755
        folder.unlink()
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
            with pytest.raises(ConfigError, match="not a folder of ours"):
                make_folder(folder)

    def test_a_place_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none/hotline: calls cannot be recorded there \(No such file"):
            make_folder(tmp_path / "none" / "hotline")
