"""How a call ends up in its number's history, and what may come to its record when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from telephony.core.call import Call, DiversionKind, Hangup
from telephony.core.commands import Accepted, Refused
from telephony.core.events import DiversionRecorded, LegEnded
from telephony.dispatcher import Dispatcher
from telephony.executor import Executor
from telephony.history import Outcome, past_call
from tests.unit.story import BUSY, LOST, NORMAL, Story
from tests.unit.test_dispatcher import Office, until


def guidance(at: float, diversion: str = "d1", note: str = "") -> DiversionRecorded:
    return DiversionRecorded(at, "1001", diversion, DiversionKind.GUIDANCE, note=note)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    await office.dispatcher.close()


# -- how it ended ------------------------------------------------------------------------------


def test_caller_who_gives_up_before_a_seat_answers_has_abandoned() -> None:
    story = Story()
    story.end("c", Hangup(127))
    assert past_call(story.call).outcome is Outcome.ABANDONED


def test_call_that_the_seat_has_ended_is_finished_though_a_partner_was_busy() -> None:
    story = Story().inviting()
    story.end("t1", BUSY)
    story.gone("c")
    story.gone("k")
    past = past_call(story.call)
    assert past.outcome is Outcome.FINISHED
    assert [(t.line, t.reason) for t in past.transfers] == [("12345", "busy")]


def test_call_that_a_partner_has_ended_is_handed_over() -> None:
    story = Story().handed_over()
    story.gone("t1")
    story.leave("c")
    story.end("c")
    assert past_call(story.call).outcome is Outcome.HANDED_OVER


def test_caller_whose_line_fails_is_lost() -> None:
    story = Story().taken()
    story.gone("c", LOST)
    story.gone("k")
    assert past_call(story.call).outcome is Outcome.LOST


# -- after the end -----------------------------------------------------------------------------


async def test_diversion_after_the_end_is_answered_told_and_written(office: Office) -> None:
    await office.taken()
    await office.over()
    seq = office.feed.last_seq

    assert await office.dispatcher.ask("c", guidance(office.now)) == Accepted(diversion_id="d1")

    assert [event.data["diversions"][0]["id"] for event in office.feed.since(seq)] == ["d1"]
    assert office.store.finished == ["c", "c"]


async def test_diversion_that_crosses_the_end_is_not_lost(office: Office) -> None:
    await office.taken()
    office.store.gate.clear()  # the call's task is held up while it writes
    for leg in ("k", "c"):
        office.dispatcher.post("c", LegEnded(office.now, leg, NORMAL))
    asked = asyncio.create_task(office.dispatcher.ask("c", guidance(office.now)))
    await until(lambda: office.unread("c") > 0)
    office.store.gate.set()

    assert await asked == Accepted(diversion_id="d1")
    assert [d.id for d in office.call().diversions] == ["d1"]


async def test_diversion_is_recorded_while_the_store_is_away(office: Office) -> None:
    await office.taken()
    await office.over()
    office.store.down = True
    assert await office.dispatcher.ask("c", guidance(office.now)) == Accepted(diversion_id="d1")


async def test_other_keys_after_the_end_are_refused_as_before(office: Office) -> None:
    await office.taken()
    await office.over()
    reply = await office.press()
    assert isinstance(reply, Refused)
    assert reply.code == "no_call"


# -- how often ---------------------------------------------------------------------------------


class Memory:
    """Tells that three earlier calls are known, once `gate` is open; or nothing while `away`."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False
        self.asked = 0

    async def earlier(self, call: Call) -> int | None:
        self.asked += 1
        await self.gate.wait()
        return None if self.away else 3


@pytest.fixture
def memory(office: Office) -> Memory:
    memory = Memory()
    office.dispatcher = Dispatcher(
        Executor(office.asterisk, office.clock),
        office.store,
        office.feed,
        office.metrics,
        office.clock,
        memory.earlier,
    )
    return memory


async def test_no_call_waits_for_its_history(office: Office, memory: Memory) -> None:
    memory.gate.clear()
    await office.taken()
    assert office.call().earlier_calls is None
    memory.gate.set()
    await until(lambda: office.call().earlier_calls == 3)
    assert office.feed.since(0)[-1].data["earlier_calls"] == 3


async def test_history_that_could_not_be_read_is_read_when_the_store_is_back(
    office: Office, memory: Memory
) -> None:
    memory.away = True
    await office.open()
    await until(lambda: memory.asked == 1)
    memory.away = False
    await office.dispatcher.look_up_all()
    await until(lambda: office.call().earlier_calls == 3)
    await office.dispatcher.look_up_all()
    assert memory.asked == 2
