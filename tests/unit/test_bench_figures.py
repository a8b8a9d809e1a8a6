"""The bench's verdicts are what its numbers say."""

from __future__ import annotations

import json

import pytest

from tests.bench.figures import Goal, Row, percentile, ratio_of, table


class TestPercentile:
    def test_of_a_hundred_values_the_99th_is_exceeded_by_one(self) -> None:
        values = [float(n) for n in range(100, 0, -1)]
        assert percentile(values, 0.99) == 99
        assert percentile(values, 0.5) == 50

    def test_of_few_values_the_highest_is_the_worst_percentile(self) -> None:
        assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0

    def test_of_one_value_every_percentile_is_that_value(self) -> None:
        assert {percentile([7.0], share) for share in (0.0, 0.5, 1.0)} == {7.0}

    def test_of_nothing_there_is_none(self) -> None:
        with pytest.raises(ValueError, match="no samples"):
            percentile([], 0.5)


class TestGoal:
    @pytest.mark.parametrize(
        ("goal", "ours", "reference", "met"),
        [
            (Goal(ratio=2), 2.0, 1.0, True),
            (Goal(ratio=2), 2.1, 1.0, False),
            (Goal(ratio=2), 1.0, None, False),
            (Goal(least=0.9), 90.0, 100.0, True),
            (Goal(least=0.9), 89.0, 100.0, False),
            (Goal(least=2), 1.0, 0.0, False),
            (Goal(ours=30), 30.0, None, True),
            (Goal(ours=30), 30.1, None, False),
            (Goal(ours=30, better=True), 25.0, 26.0, True),
            (Goal(ours=30, better=True), 25.0, 25.0, False),
            (Goal(ours=30, better=True), 31.0, 50.0, False),
            (Goal(ratio=1.2, ours=40), 44.0, 40.0, False),
            (Goal(ours=0), 0.0, None, True),
        ],
    )
    def test_every_limit_must_be_kept(
        self, goal: Goal, ours: float, reference: float | None, met: bool
    ) -> None:
        assert goal.met(ours, reference) is met

    def test_it_says_in_words_what_it_asks(self) -> None:
        assert str(Goal(ratio=1.2, ours=40)) == "<= 1.2 x, <= 40"
        assert str(Goal(ours=30, better=True)) == "<= 30, < reference"
        assert str(Goal(least=0.9)) == ">= 0.9 x"


def test_a_reference_of_nothing_gives_no_ratio() -> None:
    assert ratio_of(1.0, 0.0) is None
    assert ratio_of(1.0, None) is None
    assert ratio_of(3.0, 2.0) == 1.5


MET = Row("one", "ms", 1.0, 2.0, Goal(ratio=1), 10, "another", "never said")
MISSED = Row("two", "s", 3.0, 2.0, Goal(ratio=1), 5, why="it is slow")


def test_the_table_says_why_a_goal_is_not_met_and_only_then() -> None:
    text = table([MET, MISSED])
    assert "NOT MET: it is slow" in text
    assert "never said" not in text
    assert "against: another" in text


def test_the_json_has_every_field_that_others_read() -> None:
    row = json.loads(json.dumps(MISSED.as_json()))
    assert row["why"] == "it is slow"
    assert {
        name: row[name] for name in ("name", "unit", "ours", "reference", "ratio", "goal", "met", "samples")
    } == {
        "name": "two",
        "unit": "s",
        "ours": 3.0,
        "reference": 2.0,
        "ratio": 1.5,
        "goal": "<= 1 x",
        "met": False,
        "samples": 5,
    }
