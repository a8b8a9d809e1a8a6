"""Log lines on their way to a disk: in their order, and nobody waits for them."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import logging
import os
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from telephony import log, log_writer
from telephony.log_writer import LogWriter

PIPE = 4096  # bytes; the smallest that there is


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is as good as a disk which stands still when it is full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
    yield reader, writer
    for end in (reader, writer):
        os.close(end)


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = structlog.get_config()
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    yield
    structlog.configure(**before)


def until(true: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def waiting(pipe: int) -> int:
    """How many bytes are in it."""
    found = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, found)
    return found[0]


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def test_every_line_is_there_at_the_end_in_its_order_from_whatever_thread(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as opened, LogWriter(opened.fileno()) as output:
        log.configure(output)

        def say(who: int) -> None:
            for number in range(500):
                structlog.get_logger("x").info("line", who=who, n=number, label="消防")

        threads = [threading.Thread(target=say, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = read(file)
    for who in range(3):
        assert [line["n"] for line in lines if line["who"] == who] == list(range(500))


def test_nobody_waits_for_a_disk_that_stands_still_and_all_is_written_when_it_goes_on(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    text = "x" * 99 + "\n"
    with LogWriter(writer) as output:
        speaker = threading.Thread(target=lambda: [output.write(text) for _ in range(1000)], daemon=True)
        speaker.start()  # 25 times what the pipe holds, and nobody reads
        speaker.join(10)
        assert not speaker.is_alive()
        got = b""
        while len(got) < 100 * 1000:
            got += os.read(reader, 1 << 16)
    assert got == text.encode() * 1000


def test_what_is_too_much_is_lost_and_counted(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST", 10)
    reader, writer = pipe
    with LogWriter(writer) as output:
        log.configure(output)
        output.write("x" * PIPE + "\n")  # one byte more than it takes
        until(lambda: waiting(reader) == PIPE)  # the thread stands in its write
        for number in range(25):
            structlog.get_logger("x").info("line", n=number)
        got = b""
        while b"log_lines_lost" not in got:
            got += os.read(reader, 1 << 16)
    lines = [json.loads(line) for line in got.decode().splitlines()[1:]]
    assert [line.get("n", line.get("lines")) for line in lines] == [*range(10), 15]
    assert (lines[-1]["event"], lines[-1]["level"]) == ("log_lines_lost", "error")


def test_a_full_disk_raises_nothing_and_its_broken_line_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    real, full = os.write, threading.Event()

    def write(to: int, data: bytes) -> int:
        if not full.is_set():
            return real(to, data)
        if data[:4] == b'{"ev':
            return real(to, data[:4])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with file.open("wb") as opened, LogWriter(opened.fileno()) as output:
        log.configure(output)
        logger = structlog.get_logger("x")
        logger.info("before")
        until(lambda: b"before" in file.read_bytes())
        monkeypatch.setattr(os, "write", write)
        full.set()
        logger.info("lost")
        until(lambda: output._unwritten == 1)
        full.clear()
        logger.info("after")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[1] == '{"ev'
    found = [json.loads(line) for line in (lines[0], *lines[2:])]
    assert [line["event"] for line in found] == ["before", "after", "log_lines_lost"]
    assert found[-1]["lines"] == 1


def test_a_program_ends_although_its_log_s_disk_stands_still(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "PATIENCE", 0.05)
    reader, writer = pipe
    began = time.monotonic()
    with LogWriter(writer) as output:
        output.write("x" * PIPE * 2 + "\n")
    assert time.monotonic() - began < 5.0
    assert output._thread.daemon
    left = PIPE * 2 + 1
    while left:
        left -= len(os.read(reader, left))
    output._thread.join(10)
    assert not output._thread.is_alive()
