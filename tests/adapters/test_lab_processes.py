"""Programs of the lab are started, found again and ended, and nobody else's are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.paths import LabError
from tests.lab.processes import Process, may_go_ahead
from tests.lab.service import Service, digest

SLEEP = ["/bin/sleep", "60"]
# Says when its handler is in place, so that a test does not signal it too early.
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo up; sleep 60"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(owner=f"{tmp_path}:sleeper", log=tmp_path / "log" / "sleeper.log")
    yield process
    process.kill()


def service(process: Process, argv: list[str], **options: object) -> Service:
    defaults = {"name": "sleeper", "probe": lambda: None, "limit": 5.0}
    return Service(process=process, argv=argv, **{**defaults, **options})  # type: ignore[arg-type]


def until(condition: Callable[[], bool], limit: float = 5.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


class TestProcess:
    def test_started_program_is_found_by_another_process_object(self, process: Process) -> None:
        pid = process.start(SLEEP, version="one")
        again = Process(process.owner, process.log)
        assert again.pid() == pid
        assert again.version() == "one"

    def test_program_with_a_priority_has_it_and_is_found_from_its_first_moment_on(
        self, process: Process
    ) -> None:
        if not may_go_ahead(10):
            pytest.skip("needs the right to go ahead of other processes")
        pid = process.start(SLEEP, priority=10)
        assert [process.pid() for _ in range(20)] == [pid] * 20
        assert (os.sched_getscheduler(pid), os.sched_getparam(pid).sched_priority) == (os.SCHED_RR, 10)

    def test_program_outlives_the_interpreter_that_started_it(self, process: Process) -> None:
        code = (
            "import sys; from pathlib import Path; from tests.lab.processes import Process;"
            f"Process(sys.argv[1], Path(sys.argv[2])).start({SLEEP!r})"
        )
        subprocess.run([sys.executable, "-c", code, process.owner, str(process.log)], check=True)
        assert process.pid() is not None
        process.stop()
        assert process.pid() is None

    def test_stop_leaves_a_stranger_with_the_same_command_alone(self, process: Process) -> None:
        process.start(SLEEP)
        with subprocess.Popen(SLEEP) as stranger:
            process.stop()
            assert stranger.poll() is None
            stranger.kill()

    def test_program_that_ignores_sigterm_is_killed_after_its_grace(self, process: Process) -> None:
        process.start(STUBBORN)
        until(lambda: process.log.read_text() == "up\n")
        process.stop(grace=0.1)
        assert process.pids() == []

    def test_children_are_ended_with_their_parent(self, process: Process) -> None:
        process.start(["/bin/sh", "-c", "sleep 60 & sleep 60 & wait"])
        until(lambda: len(process.pids()) == 3)
        process.stop()
        assert process.pids() == []

    def test_children_left_by_a_dead_parent_are_not_the_program_but_are_ended(self, process: Process) -> None:
        process.start(["/bin/sh", "-c", "sleep 60 & exit"])
        until(lambda: process.pid() is None and len(process.pids()) == 1)  # it may still be becoming `sleep`
        process.stop()
        assert process.pids() == []

    def test_dead_program_is_reaped_and_not_running(self, process: Process) -> None:
        pid = process.start(["/bin/true"])
        until(lambda: process.pid() is None)
        process.pids()
        assert not Path(f"/proc/{pid}").exists()

    def test_other_children_of_this_interpreter_keep_their_exit_code(self, process: Process) -> None:
        with subprocess.Popen(["/bin/sh", "-c", "exit 7"]) as other:
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
            process.pids()
            assert other.wait() == 7

    def test_stopping_what_does_not_run_is_harmless(self, process: Process) -> None:
        process.stop()
        process.kill()


class TestService:
    def test_ensure_leaves_a_serving_program_alone(self, process: Process) -> None:
        sleeper = service(process, SLEEP)
        assert sleeper.ensure()
        pid = sleeper.pid
        assert not sleeper.ensure()
        assert sleeper.pid == pid

    def test_ensure_restarts_a_program_whose_file_changed(self, process: Process, tmp_path: Path) -> None:
        file = tmp_path / "file.conf"
        file.write_text("one")
        sleeper = service(process, SLEEP, files=lambda: [file])
        sleeper.ensure()
        pid = sleeper.pid
        file.write_text("two")
        assert sleeper.ensure()
        assert sleeper.pid not in (pid, None)

    def test_ensure_restarts_a_program_that_runs_but_does_not_serve(self, process: Process) -> None:
        broken = service(process, SLEEP)
        broken.ensure()
        pid = broken.pid
        mended = service(process, SLEEP, probe=lambda: "half dead" if process.pid() == pid else None)
        assert mended.ensure()
        assert mended.pid not in (pid, None)

    def test_program_that_ends_at_once_is_reported_with_the_end_of_its_log(self, process: Process) -> None:
        failing = service(process, ["/bin/sh", "-c", "echo no such table; exit 1"], probe=lambda: "not yet")
        with pytest.raises(LabError, match=r"ended before it served(?s:.*)no such table"):
            failing.ensure()

    def test_program_that_never_serves_is_reported_with_the_reason(self, process: Process) -> None:
        deaf = service(process, SLEEP, probe=lambda: "no answer", limit=0.2)
        with pytest.raises(LabError, match="does not serve after 0 s: no answer"):
            deaf.ensure()

    def test_digest_ignores_bytecode(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("pass")
        before = digest([tmp_path])
        (tmp_path / "__pycache__").mkdir()
        (tmp_path / "__pycache__" / "a.pyc").write_text("x")
        assert digest([tmp_path]) == before
