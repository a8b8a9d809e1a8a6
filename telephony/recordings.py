"""A call is recorded in memory while it lasts, and kept on the disk when it is over.

Asterisk makes and closes a recording's file in the thread of the caller's call, and with it waits all its
signalling: a disk that stands still for a second would hold up every call. (Measured: `fsfreeze` below Asterisk's spool
directory.) So Asterisk writes to a folder in memory, and the leader moves to the disk what Asterisk has closed; a disk
that does not answer keeps nobody waiting but the thread that moves.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog

from telephony.errors import ConfigError

log = structlog.get_logger("recordings")

INTERVAL = 1.0  # s from one look to the next
YOUNG = 1.0  # s; a file that was written to since is left alone, closed or not

_PLAIN = re.compile(r"/[A-Za-z0-9._/-]{1,200}")  # of these characters none is the dialplan's
_PARTIAL = re.compile(r"\.(?P<name>.+)\.[^.]+\.partial")


def folder_for(memory: Path, hotline: str, state: Path) -> Path:
    """Where the hotline whose state directory is `state` records below `memory`: no two share a folder."""
    return memory / f"hotline-{hotline}-{hashlib.sha256(os.fsencode(state)).hexdigest()[:12]}"


def make_folder(folder: Path) -> None:
    """Have it there, for its owner alone. ConfigError if it cannot be, or if it is another user's."""
    if not _PLAIN.fullmatch(str(folder)):
        raise ConfigError(f"{folder}: the path must be letters, digits and . _ - /")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
            raise ConfigError(f"{folder}: is there already, and is not a folder of ours")
        folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            _is_closed(file.fileno())
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


class Recordings:
    """Moves finished recordings from `memory` to `disk`. What cannot be moved stays, and is tried again.

    Where both are the same folder there is nothing to do.
    """

    def __init__(self, memory: Path, disk: Path) -> None:
        self._memory = memory
        self._disk = disk
        self._refused: set[str] = set()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Move for ever, in a thread of its own. Ends, without waiting for a disk, when it is cancelled."""
        stop = threading.Event()
        # A daemon, not a thread of the pool: a process does not wait for it at its end.
        threading.Thread(target=self._work, args=(stop,), name="recordings", daemon=True).start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stop.set()

    def _work(self, stop: threading.Event) -> None:
        self._try(self._clean)
        while not stop.wait(INTERVAL):
            self._try(self.move)

    def _try(self, work: Callable[[], object]) -> None:
        """Whatever goes wrong with recordings costs no call."""
        try:
            work()
        except Exception as error:
            if self._is_news(repr(error)):
                log.exception("recordings_failed")

    def _is_news(self, what: str) -> bool:
        """Whether this has not been told since all was well."""
        news = what not in self._told
        self._told.add(what)
        return news

    def move(self, young: float = YOUNG) -> int:
        """Move what is finished and was not written to for `young` seconds; how many are left."""
        if self._one_place():
            return 0
        if not self._memory.is_dir():
            self._make_again()
        failed = False
        # What the disk has not taken comes last: it may be that file's own fault.
        for file in sorted(self._waiting(), key=lambda file: (file.name in self._refused, file.name)):
            try:
                self._move(file, young)
            except OSError as error:
                failed = True
                of_the_file = isinstance(error, _SourceError)
                if self._is_news(file.name if of_the_file else str(error.strerror)):
                    log.error("recording_not_moved", file=str(file), to=str(self._disk), error=error.strerror)
                self._refused.add(file.name)
                if not of_the_file:
                    break  # To copy all the others to a disk that is full would cost a core, for nothing.
        left = {file.name for file in self._waiting()}
        self._refused &= left
        if not failed:
            self._told.clear()
        return len(left)

    def _one_place(self) -> bool:
        """To move a recording onto itself would be the end of it."""
        return self._memory == self._disk or (
            self._memory.exists() and self._disk.exists() and self._memory.samefile(self._disk)
        )

    def _waiting(self) -> Iterator[Path]:
        return self._memory.glob("*.wav")

    def _make_again(self) -> None:
        """The machine has been started anew, or somebody has removed it."""
        with suppress(ConfigError):  # That it is gone is told by `RecordingSpace`.
            make_folder(self._memory)

    def _move(self, file: Path, young: float) -> None:
        try:
            source = file.open("rb")
        except FileNotFoundError:
            return  # Another controller, which led until now, was quicker.
        except OSError as error:
            raise _SourceError(error.errno, error.strerror) from error
        with source:
            found = os.fstat(source.fileno())
            if 0 <= time.time() - found.st_mtime < young or not _is_closed(source.fileno()):
                return
            self._keep(file.name, source, found)
        file.unlink(missing_ok=True)

    def _keep(self, name: str, source: BinaryIO, found: os.stat_result) -> None:
        """Whole, or not at all: what has its name on the disk can be relied on, even if the machine stops now."""
        handle, partial = tempfile.mkstemp(".partial", f".{name}.", self._disk)
        try:
            with os.fdopen(handle, "wb") as writer:
                shutil.copyfileobj(source, writer, 1 << 20)
                writer.flush()
                os.utime(writer.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
                os.fsync(writer.fileno())
            os.rename(partial, self._free_name(name, found))
            self._sync()
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise

    def _free_name(self, name: str, found: os.stat_result) -> Path:
        """Another recording of that name stays; the same one, which another controller has just put there, goes."""
        target, number = self._disk / name, 1
        while target.exists() and not _alike(target.stat(), found):
            number += 1
            target = self._disk / f"{Path(name).stem}-{number}{Path(name).suffix}"
        return target

    def _sync(self) -> None:
        folder = os.open(self._disk, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _clean(self) -> None:
        """What a controller that was killed has left half copied: it goes if the whole is still in memory.

        If the machine was switched off, it may be all that there is.
        """
        for partial in sorted(self._disk.glob(".*.partial")):
            match = _PARTIAL.fullmatch(partial.name)
            if match is None:
                continue
            if (self._memory / match["name"]).exists() or (self._disk / match["name"]).exists():
                partial.unlink(missing_ok=True)
            else:
                kept = self._disk / f"incomplete-{match['name']}"
                log.warning("recording_incomplete", file=str(kept))
                partial.rename(kept)


class _SourceError(OSError):
    """The file in memory cannot be read, which says nothing of the others."""


def _alike(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _is_closed(file: int) -> bool:
    """Whether nobody but us has the file open: only then the kernel grants a lease to write it (fcntl(2))."""
    # If somebody opens it within this moment the kernel sends a signal, by default SIGIO, which would end us.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
