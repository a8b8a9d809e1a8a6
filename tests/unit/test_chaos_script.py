"""The script of `make chaos` is the same for the same seed, spares what is rare, and leaves time to compare."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from tests.chaos.faults import FAULTS
from tests.chaos.script import BETWEEN_CALMS, CALM, RARE, WEIGHTS, Kind, draw_script


def test_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    assert draw_script(200, 400.0, 7) == draw_script(200, 400.0, 7)
    assert draw_script(200, 400.0, 7) != draw_script(200, 400.0, 8)


def test_every_fault_strikes_in_order_and_within_the_run() -> None:
    for faults, seconds in ((1, 1.0), (12, 30.0), (200, 400.0)):
        times = [fault.at for fault in draw_script(faults, seconds, 3)]
        assert len(times) == faults
        assert times == sorted(times)
        assert times[-1] <= max(seconds, 3.0)


def test_every_kind_can_be_drawn_and_done() -> None:
    assert set(FAULTS) == set(WEIGHTS) == set(Kind)
    drawn = Counter(fault.kind for seed in range(5) for fault in draw_script(200, 400.0, seed))
    assert set(drawn) == set(Kind)


def test_what_costs_every_call_is_rare() -> None:
    for seed in range(20):
        drawn = Counter(fault.kind for fault in draw_script(200, 400.0, seed))
        for kind, each in RARE.items():
            assert drawn[kind] <= -(-200 // each)


def test_now_and_then_there_is_time_without_a_new_fault() -> None:
    script = draw_script(200, 400.0, 1)
    gaps = [later.at - earlier.at for earlier, later in pairwise(script)]
    assert all(gap >= CALM for gap in gaps[BETWEEN_CALMS - 1 :: BETWEEN_CALMS])
