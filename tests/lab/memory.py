"""A folder in memory for what the tests write: logs, recordings, Redis' files.

A virtual machine's disk may stand still for a second, and while it does an Asterisk that records stands still too
(measured with `fsfreeze`): what the tests are about is not that disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; a run of everything needs some 300 MB
NAME = "hotline-tests-"


def folder() -> Path | None:
    """A new folder, for this process and its children; None where there is no memory to spare.

    Those of runs that are over are removed: until then, what a run that failed has kept can be looked at.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    for old in MEMORY.glob(f"{NAME}*"):
        if not Path(f"/proc/{old.name.removeprefix(NAME)}").exists():
            shutil.rmtree(old, ignore_errors=True)
    own = MEMORY / f"{NAME}{os.getpid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own
