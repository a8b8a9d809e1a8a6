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
import shutil
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog

from telephony.errors import ConfigError

log = structlog.get_logger("recordings")

INTERVAL = 1.0  # s from one look to the next
YOUNG = 1.0  # s; a file that was written to since is left alone, closed or not
PARTIAL = ".partial"


def folder_for(memory: Path, hotline: str, state: Path) -> Path:
    """Where the hotline whose state directory is `state` records below `memory`: no two share a folder."""
    return memory / f"hotline-{hotline}-{hashlib.sha256(os.fsencode(state)).hexdigest()[:12]}"


def make_folder(folder: Path) -> None:
    """Have it there, for its owner alone. ConfigError if it cannot be, or if it is another user's."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
            raise ConfigError(f"{folder}: is there already, and is not a folder of ours")
        folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            _is_closed(file.fileno())
    except OSError as error:
        raise ConfigError(f"{folder}: calls cannot be recorded there ({error.strerror})") from error


class Recordings:
    """Moves finished recordings from `memory` to `disk`. What cannot be moved stays, and is tried again."""

    def __init__(self, memory: Path, disk: Path) -> None:
        self._memory = memory
        self._disk = disk
        self._refused: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Move for ever, in a thread of its own. Ends, without waiting for a disk, when it is cancelled."""
        loop, stop = asyncio.get_running_loop(), threading.Event()
        ended: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            try:
                self._clean()
                while not stop.wait(INTERVAL):
                    self.move()
            except BaseException as error:  # It is raised where this was started.
                tell(error)

        def tell(error: BaseException) -> None:
            with suppress(RuntimeError):  # The loop is closed: nobody is left to be told.
                loop.call_soon_threadsafe(end, error)

        def end(error: BaseException) -> None:
            if not ended.done():
                ended.set_exception(error)

        # A daemon, not a thread of the pool: a process does not wait for it at its end.
        threading.Thread(target=work, name="recordings", daemon=True).start()
        try:
            await ended
        finally:
            stop.set()

    def move(self, young: float = YOUNG) -> int:
        """Move what is finished and was not written to for `young` seconds; how many that were."""
        moved, refused = 0, set()
        for file in sorted(self._memory.glob("*.wav")):
            try:
                moved += self._move(file, young)
            except OSError as error:
                refused.add(file.name)
                if file.name not in self._refused:
                    log.error("recording_not_moved", file=str(file), to=str(self._disk), error=error.strerror)
        self._refused = frozenset(refused)
        return moved

    def _move(self, file: Path, young: float) -> bool:
        try:
            source = file.open("rb")
        except FileNotFoundError:
            return False  # Another controller, which led until now, was quicker.
        with source:
            found = os.fstat(source.fileno())
            if time.time() - found.st_mtime < young or not _is_closed(source.fileno()):
                return False
            self._keep(file.name, source, found)
        file.unlink(missing_ok=True)
        return True

    def _keep(self, name: str, source: BinaryIO, found: os.stat_result) -> None:
        """Whole, or not at all: what has its name on the disk can be relied on."""
        handle, partial = tempfile.mkstemp(PARTIAL, f".{name}.", self._disk)
        try:
            with os.fdopen(handle, "wb") as writer:
                shutil.copyfileobj(source, writer, 1 << 20)
                writer.flush()
                os.utime(writer.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
                os.fsync(writer.fileno())
            os.rename(partial, self._disk / name)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise

    def _clean(self) -> None:
        """Remove what a controller that was killed has left half copied; the whole is still in memory."""
        for partial in self._disk.glob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)


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
