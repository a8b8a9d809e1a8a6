"""Who writes down when the machine stood still."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.lab.processes import may_go_ahead
from tests.lab.stalls import AHEAD, Stall, Stalls

HELD_UP = 0.03  # seconds
HOG = f"import time; until = time.monotonic() + {HELD_UP}\nwhile time.monotonic() < until: pass"


def hog(core: int, priority: int) -> tuple[float, float]:
    """Have a core to ourselves for a while; from when to when."""
    began = time.time()
    argv = ["chrt", "--rr", str(priority), "taskset", "--cpu-list", str(core), sys.executable, "-ISc", HOG]
    subprocess.run(argv, check=True)
    return began, time.time()


@pytest.fixture
def core() -> int:
    """One that we may use; skips where a process may not go ahead of others."""
    if not may_go_ahead(AHEAD):
        pytest.skip("needs the right to go ahead of other processes")
    return min(os.sched_getaffinity(0))


def test_a_core_taken_away_is_a_stall(core: int) -> None:
    with Stalls() as stalls:
        began, ended = hog(core, AHEAD + 1)
        found = stalls.longest_ms(began, ended)
        assert HELD_UP * 1000 - 10 < found < (ended - began) * 1000 + 10
        assert stalls.between(began - 2, began - 1) == []


def test_work_that_may_not_go_ahead_of_us_is_none(core: int) -> None:
    with Stalls() as stalls:
        began, ended = hog(core, AHEAD - 1)
        assert stalls.longest_ms(began, ended) < HELD_UP * 1000 - 10


@pytest.mark.parametrize(
    ("seen", "longest"),
    [
        ([(1.0, 1.1), (5.0, 5.2)], 200),
        ([(5.0, 5.2), (5.1, 5.3), (1.0, 1.1)], 300),
        ([(5.0, 5.4), (5.1, 5.2), (5.35, 5.5)], 500),
        ([(5.0, 5.1), (5.11, 5.2)], 100),
        ([], 0),
    ],
)
def test_two_cores_that_stand_still_one_after_the_other_are_one_stall(
    seen: list[tuple[float, float]], longest: float
) -> None:
    stalls = Stalls()
    stalls._seen = [Stall(*each) for each in seen]
    assert stalls.longest_ms(0.0, 10.0) == pytest.approx(longest)


def test_nobody_watches_nothing_is_excused() -> None:
    assert Stalls().longest_ms(0, time.time()) == 0
