"""Programs that outlive the command which started them, found again without pid files.

Every program is started with a mark in its environment: whose it is, and which version of its files
it was started with. /proc tells both for as long as the process lives and not a moment longer, so
there is no stale pid file, no reused pid, and no gap between starting a program and noting its pid.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MARK = "TELEPHONY_LAB_OWNER"
VERSION = "TELEPHONY_LAB_VERSION"
POLL = 0.02  # seconds
KILL_LIMIT = 30.0  # seconds; a process that outlives SIGKILL so long hangs in the kernel

PRIORITY = (
    10  # of 99 (SCHED_RR of sched(7)): Asterisk's in the lab, which goes ahead of all ordinary programs
)

_children: set[int] = set()  # started from this interpreter, so it has to take their exit codes


@dataclass(frozen=True, slots=True)
class Process:
    """One program of ours.

    `owner` is unique on this machine (the state directory and a name); `log` receives the
    program's output, added to the end.
    """

    owner: str
    log: Path

    def start(
        self,
        argv: Sequence[str],
        version: str = "",
        environment: Mapping[str, str] | None = None,
        priority: int | None = None,
    ) -> int:
        """Start `argv` in a session of its own, detached from this terminal; its pid.

        With a `priority` it goes ahead of all ordinary programs (SCHED_RR of sched(7), 1 to 99). That is set before
        the program begins and not by a program before it (chrt): a process that is changing its program has no
        environment for a moment, and would not be found.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        marked = {**self.environment(version), **(environment or {})}
        to_log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            marked,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), to_log, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            **({} if priority is None else {"scheduler": (os.SCHED_RR, os.sched_param(priority))}),
        )
        _children.add(pid)
        _await_mark(pid)
        return pid

    def environment(self, version: str = "") -> dict[str, str]:
        """The present environment with the mark; whatever is started with it is found by `pids`."""
        return {**os.environ, MARK: self.owner, VERSION: version}

    def pid(self) -> int | None:
        """The pid of the running program itself, not of what it has started."""
        return next((pid for pid in self.pids() if _session(pid) == pid), None)

    def pids(self) -> list[int]:
        """The running program and whatever it has started."""
        _reap()
        running = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        return [pid for pid in running if _environment(pid).get(MARK) == self.owner]

    def version(self) -> str | None:
        """What the running program was started with; None when it does not run."""
        pid = self.pid()
        return None if pid is None else _environment(pid).get(VERSION)

    def stop(self, grace: float = 10.0) -> None:
        """End it: SIGTERM, after `grace` seconds SIGKILL. Returns when it and its children are gone."""
        main = self.pid()
        if main is not None:
            self._signal(main, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while main in self.pids() and time.monotonic() < deadline:
                time.sleep(POLL)
        self.kill()

    def kill(self) -> None:
        """End it and its children with SIGKILL. Returns when they are gone.

        Raises TimeoutError when one does not go.
        """
        deadline = time.monotonic() + KILL_LIMIT
        while pids := self.pids():
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pids} of {self.owner} outlives SIGKILL")
            for pid in pids:
                self._signal(pid, signal.SIGKILL)
            time.sleep(POLL)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        if _environment(pid).get(MARK) == self.owner:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@cache
def may_go_ahead(priority: int) -> bool:
    """Whether this machine lets us start a program with a priority."""
    try:
        pid = os.posix_spawnp("true", ["true"], os.environ, scheduler=(os.SCHED_RR, os.sched_param(priority)))
    except PermissionError:
        return False
    os.waitpid(pid, 0)
    return True


def _environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it is gone, dead, or not ours to read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in os.fsdecode(raw).split("\0"))
    return {name: value for name, _, value in pairs}


def _await_mark(pid: int) -> None:
    """The kernel lets us go on a moment before the new program's environment can be read."""
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while MARK not in _environment(pid) and os.waitid(os.P_PID, pid, ended) is None:
        time.sleep(POLL / 10)


def _reap() -> None:
    """Take dead children's exit codes, so that they do not stay in the process table."""
    for pid in tuple(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _children.discard(pid)


def _session(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    return -1
