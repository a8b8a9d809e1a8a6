"""System tests run as on a machine of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


_MEETS = """
import pathlib, socket, time
def test_has_the_address_while_the_other_has_it_too():
    with socket.create_server(('127.0.110.1', 6379)):
        pathlib.Path({mine!r}).touch()
        limit = time.monotonic() + 10
        while not pathlib.Path({other!r}).exists():
            assert time.monotonic() < limit, 'the other has not got the address'
            time.sleep(0.01)
"""


def test_workers_have_a_machine_each(tmp_path: Path) -> None:
    for mine, other in (("a", "b"), ("b", "a")):
        code = _MEETS.format(mine=str(tmp_path / mine), other=str(tmp_path / other))
        (tmp_path / f"test_{mine}.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]

    done = subprocess.run([*command, *namespace.machines(2)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
