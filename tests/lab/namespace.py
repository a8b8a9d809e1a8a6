"""`python -m tests.lab.namespace COMMAND ...`: run it as the only program of its own small machine.

In network and process namespaces of its own the command has all of 127.0.0.0/8 to itself, cannot
meet a running lab, and nothing that it started outlives it (namespaces(7), pid_namespaces(7)).
"""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

UNSHARE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
SIOCSIFFLAGS = 0x8914  # netdevice(7)
IFF_UP = 0x1


def isolated(command: Sequence[str]) -> list[str]:
    """The argv that runs `command` in namespaces of its own."""
    return [*UNSHARE, sys.executable, "-m", "tests.lab.namespace", *command]


def machines(count: int) -> list[str]:
    """The options by which pytest-xdist shares tests out, file by file, to workers with a small machine each."""
    worker = shlex.join(isolated([sys.executable]))
    return ["--tx", f"{count}*popen//python={worker}", "--dist", "loadfile"]


def possible() -> str | None:
    """None when this machine lets us have namespaces, else its reason."""
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


def main(command: Sequence[str]) -> int:
    """Raise the loopback interface, run `command`, and bury what dies meanwhile; its exit code."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    child = os.posix_spawnp(command[0], list(command), os.environ)
    while True:
        try:
            pid, wait_status = os.wait()
        except KeyboardInterrupt:  # the terminal has told the command too: it decides
            continue
        if pid == child:
            return os.waitstatus_to_exitcode(wait_status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
