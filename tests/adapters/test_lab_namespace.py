"""System tests run as on a machine of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab import namespace

pytestmark = pytest.mark.skipif(
    namespace.possible() is not None, reason="this machine does not allow namespaces"
)


def inside(code: str) -> subprocess.CompletedProcess[str]:
    command = namespace.isolated([sys.executable, "-c", code])
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_loopback_address_answers_inside() -> None:
    done = inside(
        "import socket; server = socket.create_server(('127.0.110.1', 6379));"
        "print(socket.create_connection(('127.0.110.1', 6379)).getpeername())"
    )
    assert done.stdout == "('127.0.110.1', 6379)\n", done.stderr


def test_nothing_of_the_machine_is_seen_inside() -> None:
    done = inside("import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))")
    assert done.stdout == "[1, 2]\n"


def test_exit_code_comes_out() -> None:
    assert inside("raise SystemExit(7)").returncode == 7


def test_death_by_a_signal_is_not_success() -> None:
    assert inside("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode != 0


def test_nothing_outlives_the_command() -> None:
    marker = "0.0073"
    inside(f"import subprocess; subprocess.Popen(['sh', '-c', 'while sleep {marker}; do :; done'])")
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"sleep {marker}" not in running


def test_orphans_are_buried_while_the_command_goes_on() -> None:
    done = inside(
        "import os, subprocess, time\n"
        "subprocess.run(['sh', '-c', 'sleep 0.01 & exit'], check=True)\n"
        "limit = time.monotonic() + 5\n"
        "while len([p for p in os.listdir('/proc') if p.isdigit()]) > 2: assert time.monotonic() < limit\n"
        "print('gone')"
    )
    assert done.stdout == "gone\n", done.stderr
