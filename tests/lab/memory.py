"""What tests and trials write to memory: logs, Redis' files, and what a hotline records there.

A virtual machine's disk may stand still for a second, and while it does an Asterisk that records stands still too
(measured with `fsfreeze`): what the tests are about is not that disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.paths import LAB

MEMORY = Path("/dev/shm")
TEMPORARY = (Path("/tmp"), Path("/var/tmp"), MEMORY)
ROOM = 4 << 30  # bytes; a run of everything needs some 300 MB
NAME = "hotline-tests-"


def remove(state: Path) -> None:
    """Remove a folder in which hotlines kept their state, and what they have recorded in memory."""
    shutil.rmtree(state)
    forget_recordings()


def forget_recordings() -> None:
    """Remove what hotlines of ours have recorded whose state directory has gone."""
    for folder in MEMORY.glob("hotline-*"):
        link = folder / "state"
        # Elsewhere it may be a container's, which we cannot see.
        ours = link.is_symlink() and any(map(link.readlink().is_relative_to, (*TEMPORARY, LAB)))
        if ours and not link.exists():
            shutil.rmtree(folder, ignore_errors=True)


def folder() -> Path | None:
    """A new folder, for this process and its children; None where there is no memory to spare.

    Those of runs that are over are removed: until then, what a run that failed has kept can be looked at.
    """
    forget_recordings()
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    for old in MEMORY.glob(f"{NAME}*"):
        if not Path(f"/proc/{old.name.removeprefix(NAME)}").exists():
            shutil.rmtree(old, ignore_errors=True)
    own = MEMORY / f"{NAME}{os.getpid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own
