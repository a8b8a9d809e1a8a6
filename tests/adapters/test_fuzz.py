"""A few hundred hostile inputs at every door but SIP; `make fuzz` gives each 10,000."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.adapters.store.server import missing
from tests.fuzz import run
from tests.fuzz.door import Door
from tests.fuzz.doors import DOORS
from tests.fuzz.run import GROWTH, LIMIT, Finding, fuzz

SEED = 110
INPUTS = {"agi": 100, "redis": 100}  # of the slower ones
PATIENCE = 5.0  # s; other tests want the processor too


@pytest.mark.parametrize("door", [name for name in DOORS if name != "sip"])
def test_hostile_input_neither_crashes_nor_hangs_the_door(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LIMIT", PATIENCE)
    if door == "redis" and missing():
        pytest.skip(missing())
    found = fuzz(door, DOORS[door], INPUTS.get(door, 200), SEED, tmp_path)
    assert not found.trouble, found.trouble[0]
    assert found.inputs >= INPUTS.get(door, 200)


class TestWhatTheFuzzRunFinds:
    """It would see a door that is not good."""

    def test_a_crash_with_the_smallest_input_that_makes_it(self, tmp_path: Path) -> None:
        def give(number: int) -> None:
            if number > 1000:
                raise ZeroDivisionError("it is too large")

        found = self.fuzz(give, tmp_path)
        assert (found.verdict, found.crashes) == ("CRASHES", 1)
        assert "it is too large" in found.trouble[0]
        assert "[1001]" in found.trouble[0]

    def test_an_input_that_never_ends(self, tmp_path: Path) -> None:
        def give(number: int) -> None:
            deadline = time.monotonic() + 10 * LIMIT
            while number > 1000 and time.monotonic() < deadline:
                pass

        found = self.fuzz(give, tmp_path)
        assert (found.verdict, found.hangs) == ("HANGS", 1)
        assert found.slowest < 2 * LIMIT

    def test_memory_that_grows_with_the_inputs(self, tmp_path: Path) -> None:
        kept: list[bytes] = []
        piece = 8 * GROWTH * 1024 // 1000  # more than the tests before may have left free
        found = self.fuzz(lambda number: kept.append(bytes([number % 251]) * piece), tmp_path, inputs=1500)
        assert found.verdict == "GROWS"

    @staticmethod
    def fuzz(give: object, folder: Path, inputs: int = 500) -> Finding:
        @contextmanager
        def opened(_: Path) -> Iterator[Door]:
            yield Door(st.integers(0, 10**6), give)  # type: ignore[arg-type]

        return fuzz("made up", opened, inputs, SEED, folder)
