"""What is told of decisions: in their order, and a fault in it costs nobody anything."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from telephony.core.call import Call
from telephony.core.events import HistoryRead
from telephony.core.transitions import decide
from telephony.feed import Feed
from telephony.metrics import Metrics
from telephony.teller import Teller
from tests.unit.story import new_call

NOW = 1000.0


class Telling:
    """A call whose number of earlier calls changes; what has been told of it is the numbers in the feed."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.metrics = Metrics("110")
        self.teller = Teller(self.feed, self.metrics, lambda: NOW)
        self.call = new_call()

    def change(self, earlier: int, *, soon: bool = False) -> Call:
        before, event = self.call, HistoryRead(NOW, earlier)
        decision = decide(before, event)
        self.call = decision.call
        self.teller.decided(before, event, decision, soon=soon)
        return self.call

    @property
    def told(self) -> list[int]:
        return [event.data["earlier_calls"] for event in self.feed.since(0)]


@pytest.fixture
def telling() -> Telling:
    return Telling()


def test_what_is_decided_is_told_to_log_figures_and_feed(telling: Telling) -> None:
    with capture_logs() as logs:
        telling.change(3)
    assert telling.told == [3]
    assert [(line["event"], line["call"], line["happened"]) for line in logs] == [
        ("transition", "c", "HistoryRead")
    ]
    assert b'telephony_transitions_total{event="HistoryRead",hotline="110"} 1.0' in generate_latest(
        telling.metrics.registry
    )


async def test_soon_is_after_what_is_done_now(telling: Telling) -> None:
    telling.change(1, soon=True)
    assert telling.told == []
    await asyncio.sleep(0)
    assert telling.told == [1]


async def test_what_is_told_at_once_does_not_overtake_what_is_told_soon(telling: Telling) -> None:
    telling.change(1, soon=True)
    telling.change(2)
    assert telling.told == [1, 2]
    await asyncio.sleep(0)
    assert telling.told == [1, 2]


async def test_the_end_of_a_call_does_not_overtake_what_is_told_soon(telling: Telling) -> None:
    telling.change(1, soon=True)
    with capture_logs() as logs:
        telling.teller.ended(telling.call)
    assert [line["event"] for line in logs] == ["transition", "call_ended"]


async def test_a_fault_in_telling_is_logged_and_costs_no_other_call(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    transition = telling.metrics.transition

    def fail_once(event: str) -> None:
        monkeypatch.setattr(telling.metrics, "transition", transition)
        raise ZeroDivisionError

    monkeypatch.setattr(telling.metrics, "transition", fail_once)
    with capture_logs() as logs:
        telling.change(1, soon=True)
        telling.change(2)
    assert telling.told == [2]
    assert [line["event"] for line in logs] == ["not_told", "transition"]
