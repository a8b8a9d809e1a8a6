"""The rules of a call: any events in any order, and what must hold after each (tests/unit/witness.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from telephony.core.call import Role
from telephony.core.events import Event, LegJoined, LegStarted, LinePressed
from tests.fuzz.door import Door
from tests.unit.story import line
from tests.unit.test_transitions_random import any_event
from tests.unit.witness import Witness

BEGUN: tuple[Event, ...] = (
    LegStarted(1000, "k1", "PJSIP/k1", Role.TAKER, "1001"),
    LegJoined(1000, "k1", "b1"),
    LegJoined(1000, "c", "b1"),
    LinePressed(1000, "1001", line("12345"), "t0"),
    LegStarted(1000, "t0", "PJSIP/t0", Role.PARTNER, "12345"),
)


def _give(order: tuple[tuple[Event, ...], list[Event]]) -> None:
    witness = Witness()
    for event in (*order[0], *order[1]):
        witness.tell(event)
    witness.finish(1010.0)


@contextmanager
def core(_: Path) -> Iterator[Door]:
    """From an empty call, or from where a partner is being called."""
    yield Door(st.tuples(st.sampled_from(((), BEGUN)), st.lists(any_event, max_size=40)), _give)
