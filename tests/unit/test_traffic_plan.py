"""The plan of `make traffic` is what the two hotlines get: by the figures, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.traffic import figures
from tests.traffic.plan import draw_plan, number_of_calls
from tests.traffic.planned import LAST_RESORT, PlannedCall
from tests.traffic.scenes import SCENES

MANY = 20_000
GROUPS = {"gas-leak": {"119", "gas"}}  # docker/hotlines/*.toml
NO_PARTNER = {"leave", "cancel", "merge", "guidance", "platform"}
DEVIATIONS = 4.0  # standard deviations: a right plan fails one test in 16,000, and with this seed none


@pytest.fixture(scope="module")
def plan() -> list[PlannedCall]:
    return draw_plan(MANY, 5.0, seed=1)


def share(
    plan: list[PlannedCall], counts: Callable[[PlannedCall], bool], among: Callable[[PlannedCall], bool]
) -> tuple[float, int]:
    whole = [call for call in plan if among(call)]
    return sum(map(counts, whole)) / len(whole), len(whole)


SHARES = {
    "non-police": (figures.NON_POLICE, lambda c: c.matter == "non_police", lambda c: c.site == "110"),
    "handed on": (figures.HANDED_ON, lambda c: bool(c.way), lambda c: c.matter == "non_police"),
    "by transfer": (figures.WAYS["transfer"], lambda c: c.way == "transfer", lambda c: bool(c.way)),
    "joint": (figures.JOINT, lambda c: c.matter == "joint", lambda c: c.site == "110"),
    "at 12345": (figures.AT_12345, lambda c: c.site == "12345", lambda c: True),
    "given up": (figures.GIVE_UP, lambda c: c.scene == "gives_up", lambda c: True),
    "withheld": (figures.WITHHELD, lambda c: c.withheld, lambda c: True),
}


@pytest.mark.parametrize("name", SHARES)
def test_shares_are_those_of_the_figures(plan: list[PlannedCall], name: str) -> None:
    expected, counts, among = SHARES[name]
    found, size = share(plan, counts, among)
    assert abs(found - expected) < DEVIATIONS * (expected * (1 - expected) / size) ** 0.5


def test_the_hours_of_a_day_sum_to_the_day() -> None:
    assert len(figures.DAY_CURVE) == 24
    assert sum(figures.DAY_CURVE) == pytest.approx(1)
    assert min(figures.DAY_CURVE) > 0


def test_calls_come_along_the_curve_and_in_order(plan: list[PlannedCall]) -> None:
    times = [call.at for call in plan]
    length = MANY / 5.0
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= length
    for hour, expected in enumerate(figures.DAY_CURVE):
        found = sum(hour <= at / length * 24 < hour + 1 for at in times) / MANY
        assert abs(found - expected) < DEVIATIONS * (expected * (1 - expected) / MANY) ** 0.5, hour


def test_arrivals_within_an_hour_are_poisson() -> None:
    """Counts in equal pieces of the busiest hour vary as much as their mean: 1 is Poisson, 0 a metronome."""
    hour = max(range(24), key=figures.DAY_CURVE.__getitem__)
    times = figures.arrivals(MANY, 24.0, random.Random(2))
    pieces = [sum(hour + n / 100 <= at < hour + (n + 1) / 100 for at in times) for n in range(100)]
    mean = sum(pieces) / 100
    dispersion = sum((piece - mean) ** 2 for piece in pieces) / 99 / mean
    assert abs(dispersion - 1) < DEVIATIONS * (2 / 99) ** 0.5


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert draw_plan(500, 5.0, seed=3) == draw_plan(500, 5.0, seed=3)
    assert draw_plan(500, 5.0, seed=3) != draw_plan(500, 5.0, seed=4)
    assert number_of_calls(1.0, 5.0, seed=3) == number_of_calls(1.0, 5.0, seed=3)


def test_an_hour_brings_as_many_calls_as_the_rate_says() -> None:
    found = [number_of_calls(1.0, 5.0, seed) for seed in range(100)]
    assert sum(found) / 100 == pytest.approx(18_000, abs=DEVIATIONS * 18_000**0.5 / 10)
    assert len(set(found)) > 50


def test_every_caller_has_a_number_of_his_own(plan: list[PlannedCall]) -> None:
    assert len({call.number for call in plan}) == MANY


def test_every_scene_is_played_in_both_directions_where_it_can_be(plan: list[PlannedCall]) -> None:
    played = {(call.scene, line) for call in plan for line in call.reasons}
    for name, scene in SCENES.items():
        assert ((name, "119") in played) is not scene.far_only
        for far in ("12345", "110"):
            assert ((name, far) in played) is not scene.refuses


def test_every_key_has_a_partner_and_every_partner_a_reason(plan: list[PlannedCall]) -> None:
    for call in plan:
        keys = {press.key for press in call.presses} - NO_PARTNER
        assert GROUPS.get(min(keys, default=""), keys) == set(call.partners) == set(call.reasons), call


def test_somebody_ends_every_call_before_the_last_resort(plan: list[PlannedCall]) -> None:
    """Whoever is to end it has a time of its own for that."""
    for call in plan:
        if "caller" in call.ends:
            assert call.talk < LAST_RESORT / 2, call
        elif "partner" in call.ends:
            assert all(partner.talk < LAST_RESORT / 2 for partner in call.partners.values()), call
        elif "taker" in call.ends:  # or a seat to which the caller has been brought back
            assert call.taker.talk < LAST_RESORT / 2 or call.answers == 2, call
