"""Recordings on their way from memory to the disk: whole, once, and only when Asterisk has closed them."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    assert place.recordings.move() == 0
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
        assert place.recordings.move() == 1
        assert place.files == (["a.wav"], [])
        asterisk.communicate(b"\n")
    assert place.recordings.move() == 0


def test_what_was_written_to_just_now_stays(place: Place) -> None:
    place.put(age=0.0)
    assert place.recordings.move() == 1
    assert place.recordings.move(young=0.0) == 0


def test_where_there_is_no_memory_recordings_stay_where_they_are(place: Place) -> None:
    link = place.memory.parent / "link"
    link.symlink_to(place.memory)
    place.put()
    for disk in (place.memory, link):
        assert Recordings(place.memory, disk).move(young=0.0) == 0
        assert (place.memory / "a.wav").read_bytes() == SOUND


def test_a_clock_that_was_set_back_keeps_nothing_in_memory(place: Place) -> None:
    place.put(age=-3600.0)
    assert place.recordings.move() == 0


def test_a_disk_without_room_leaves_it_in_memory_says_so_once_and_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.wav")
    place.put("b.wav")
    fsync, tried = os.fsync, []

    def full(_: int) -> None:
        tried.append(1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with capture_logs() as logs:
        assert [place.recordings.move(), place.recordings.move()] == [2, 2]
    assert [(line["log_level"], line["event"], line["error"]) for line in logs] == [
        ("error", "recording_not_moved", "No space left on device")
    ]
    assert place.files == (["a.wav", "b.wav"], [])
    assert len(tried) == 2, "one file a round: to copy all of them for nothing would cost a core"
    monkeypatch.setattr(os, "fsync", fsync)
    assert place.recordings.move() == 0
    assert place.files == ([], ["a.wav", "b.wav"])


def test_what_the_disk_never_takes_holds_up_no_other_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.wav")
    place.put("b.wav")
    real = tempfile.mkstemp

    def picky(suffix: str, prefix: str, folder: Path) -> tuple[int, str]:
        if prefix == ".a.wav.":
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return real(suffix, prefix, folder)

    monkeypatch.setattr(tempfile, "mkstemp", picky)
    place.recordings.move()
    place.recordings.move()
    assert place.files == (["a.wav"], ["b.wav"])


def test_a_disk_that_has_gone_leaves_it_in_memory(place: Place) -> None:
    place.put()
    place.disk.rmdir()
    with capture_logs() as logs:
        assert place.recordings.move() == 1
    assert [line["event"] for line in logs] == ["recording_not_moved"]
    place.disk.mkdir()
    assert place.recordings.move() == 0


def test_memory_that_has_gone_is_made_again_for_its_owner_alone(place: Place) -> None:
    place.memory.rmdir()
    assert place.recordings.move() == 0
    assert stat.S_IMODE(place.memory.stat().st_mode) == 0o700


def test_another_recording_of_that_name_stays(place: Place) -> None:
    """An administrator's `confbridge record stop` and `start`."""
    for sound in (b"one", b"two", b"three"):
        place.put("room.wav", sound)
        place.recordings.move()
    assert place.files == ([], ["room-2.wav", "room-3.wav", "room.wav"])
    assert {file.read_bytes() for file in place.disk.iterdir()} == {b"one", b"two", b"three"}


def test_it_is_on_the_disk_before_it_goes_from_memory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file, done = place.put(), []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}

    def watched(name: str) -> Callable[..., None]:
        def call(*given: Any) -> None:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode)
            done.append(f"{name} folder" if folder else name)
            assert file.exists()
            real[name](*given)

        return call

    for name in real:
        monkeypatch.setattr(os, name, watched(name))
    place.recordings.move()
    assert done == ["fsync", "rename", "fsync folder"]
    assert not file.exists()


def test_one_that_cannot_be_read_holds_up_no_other(place: Place) -> None:
    (place.memory / "a.wav").mkdir()
    place.put("b.wav")
    with capture_logs() as logs:
        assert [place.recordings.move(), place.recordings.move()] == [1, 1]
    assert [(line["event"], line["error"]) for line in logs] == [("recording_not_moved", "Is a directory")]
    assert (place.disk / "b.wav").exists()


def test_another_controller_may_have_been_quicker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place.put()
    copy = shutil.copyfileobj

    def quicker(*given: Any) -> None:
        copy(*given)
        shutil.copy2(file, place.disk / "a.wav")
        file.unlink()

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


async def test_a_defect_of_ours_is_told_and_ends_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "INTERVAL", 0.01)
    rounds = threading.Semaphore(0)

    def move() -> None:
        rounds.release()
        raise ZeroDivisionError

    monkeypatch.setattr(place.recordings, "move", move)
    with capture_logs() as logs:
        running = asyncio.create_task(place.recordings.run())
        for _ in range(3):
            assert await asyncio.to_thread(rounds.acquire, timeout=10)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
    assert [line["event"] for line in logs] == ["recordings_failed"]


class TestHalfCopied:
    """What a controller, or a machine, has left that ended while it copied."""

    def left(self, place: Place) -> list[str]:
        place.recordings._clean()
        return place.files[1]

    def test_it_goes_if_the_whole_is_in_memory_or_on_the_disk(self, place: Place) -> None:
        place.put("a.wav")
        (place.disk / "b.wav").write_bytes(SOUND)
        for name in ("a", "b"):
            (place.disk / f".{name}.wav.x1_y.partial").write_bytes(b"half")
        assert self.left(place) == ["b.wav"]

    def test_it_is_kept_and_named_if_it_is_all_that_there_is(self, place: Place) -> None:
        (place.disk / ".a.wav.x1_y.partial").write_bytes(b"half")
        with capture_logs() as logs:
            assert self.left(place) == ["incomplete-a.wav"]
        assert [line["event"] for line in logs] == ["recording_incomplete"]

    def test_other_files_are_left_alone(self, place: Place) -> None:
        (place.disk / ".partial").touch()
        assert self.left(place) == [".partial"]

    async def test_a_disk_that_cannot_be_written_ends_nothing(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_only(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(recordings, "INTERVAL", 0.01)
        monkeypatch.setattr(Path, "unlink", read_only)
        place.put("a.wav", age=0.0)
        (place.disk / ".a.wav.x1_y.partial").write_bytes(b"half")
        (place.disk / ".a.wav.x2_y.partial").write_bytes(b"half")
        with capture_logs() as logs:
            running = asyncio.create_task(place.recordings.run())
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110 - a thread logs it
                    await asyncio.sleep(0.01)
            assert not running.done()
            running.cancel()
            await asyncio.wait([running])
        assert [line["event"] for line in logs] == ["recordings_failed"]


def test_two_controllers_at_once_lose_nothing_and_keep_everything_once(place: Place) -> None:
    names = [f"{number}.wav" for number in range(40)]
    for name in names:
        place.put(name, name.encode() * 10_000)
    movers = [
        threading.Thread(target=Recordings(place.memory, place.disk).move, name=f"mover {n}") for n in (1, 2)
    ]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(30)
    place.recordings.move()
    assert place.files == ([], sorted(names))
    assert all((place.disk / name).read_bytes() == name.encode() * 10_000 for name in names)


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

    @pytest.mark.parametrize("name", ["a b", "${EVIL}", "a,b", "a)", "消防", "a\nb"])
    def test_nothing_in_its_path_is_the_dialplans(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigError, match="must be letters"):
            make_folder(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none/hotline: No such file"):
            make_folder(tmp_path / "none" / "hotline")
