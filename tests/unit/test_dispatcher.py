"""The dispatcher: one task per call, what is written before what is done, and calls that are over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from telephony import desk
from telephony.core.call import Call, Caller, DiversionKind, EndReason, Hangup, Leg, LegState, Role, Situation
from telephony.core.commands import Accepted, InvitePartner, Next, Refused, Reply
from telephony.core.events import (
    CallerFreed,
    CancelPressed,
    DiversionRecorded,
    Event,
    LeavePressed,
    LegEnded,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
    LinePressed,
    MutePressed,
)
from telephony.core.keys import INVITE_GRACE
from telephony.dispatcher import Dispatcher
from telephony.ended import KEPT, KEPT_FOR
from telephony.errors import LinkDown, NotFound, OutcomeUnknown, StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.metrics import Metrics
from tests.unit.story import LOST, NORMAL, line


async def until(true: Callable[[], bool]) -> None:
    """Wait for the condition, with a limit."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - the code under test has no event to wait for
            await asyncio.sleep(0)


class FakeAsterisk:
    """Notes what it is asked in `log`; `down` makes it unreachable."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.down = False
        self.error = LinkDown("down")

    async def invite(self, command: InvitePartner) -> None:
        self._note(f"invite {command.line}")

    async def hang_up(self, leg_id: str, channel: str, *, unless_answered: bool) -> None:
        self._note(f"hang up {leg_id}")

    async def rescue(self, channel: str, *, from_talk: bool) -> None:
        self._note(f"rescue {channel}")

    async def mute(self, channel: str, *, muted: bool) -> None:
        self._note(f"{'mute' if muted else 'unmute'} {channel}")

    def _note(self, text: str) -> None:
        self.log.append(text)
        if self.down:
            raise self.error


class FakeStore:
    """Notes what it is given in `log`; `down` makes it fail, `gate` makes it wait."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.saved: dict[str, Call] = {}
        self.finished: list[str] = []
        self.written_after_end: list[str] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def save(self, call: Call) -> None:
        await self.gate.wait()
        if self.down:
            raise StoreDown("down")
        self.log.append(f"save {call.situation}")
        if call.id in self.finished:
            self.written_after_end.append(call.id)
        self.saved[call.id] = call

    async def finish(self, call: Call) -> None:
        if self.down:
            raise StoreDown("down")
        self.finished.append(call.id)


class Office:
    """A dispatcher and all that it needs; `now` is its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.log: list[str] = []
        self.asterisk = FakeAsterisk(self.log)
        self.store = FakeStore(self.log)
        self.feed = Feed()
        self.metrics = Metrics("110")
        executor = Executor(self.asterisk, self.clock)
        self.dispatcher = Dispatcher(executor, self.store, self.feed, self.metrics, self.clock)

    def clock(self) -> float:
        return self.now

    async def open(self, call_id: str = "c") -> None:
        leg = Leg(call_id, f"PJSIP/{call_id}", Role.CALLER, "carrier", LegState.WAITING, since=self.now)
        await self.dispatcher.open(Call(call_id, Caller("1"), "carrier", self.now, legs=(leg,)))

    async def tell(self, *events: Event, call_id: str = "c") -> None:
        """Post the events and wait until the call has read them."""
        for event in events:
            self.dispatcher.post(call_id, event)
        await until(lambda: self.unread(call_id) == 0)

    def unread(self, call_id: str) -> int:
        one = self.dispatcher._desks.get(call_id)
        return one.inbox.qsize() if one else 0

    async def taken(self, seat: str = "1001", leg: str = "k", call_id: str = "c") -> None:
        await self.open(call_id)
        await self.tell(
            LegStarted(self.now, leg, f"PJSIP/{leg}", Role.TAKER, seat),
            LegJoined(self.now, leg, "b"),
            LegJoined(self.now, call_id, "b"),
            call_id=call_id,
        )
        await until(lambda: self.call(call_id).situation is Situation.TALKING)

    async def over(self, call_id: str = "c", leg: str = "k") -> None:
        await self.tell(LegEnded(self.now, leg, NORMAL), LegEnded(self.now, call_id, NORMAL), call_id=call_id)
        await until(lambda: len([c for c in self.dispatcher if c.id == call_id]) == 0)
        await until(lambda: call_id in self.store.finished or self.store.down)

    async def press(self, transfer: str = "t1", name: str = "12345", call_id: str = "c") -> Reply:
        return await self.dispatcher.ask(call_id, LinePressed(self.now, "1001", line(name), transfer))

    def call(self, call_id: str = "c") -> Call:
        call = self.dispatcher.get(call_id)
        assert call is not None
        return call


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    await office.dispatcher.close()


class TestLiveCalls:
    """What a call's task does with an event."""

    async def test_state_is_written_before_asterisk_is_asked_to_act(self, office: Office) -> None:
        await office.taken()
        office.log.clear()
        assert await office.press() == Accepted(("t1",))
        assert office.log == ["save inviting", "invite 12345"]

    async def test_what_asks_nothing_of_asterisk_is_written_together_within_a_moment(
        self, office: Office
    ) -> None:
        await office.taken()
        assert office.log == ["save queued"]

        await until(lambda: len(office.log) > 1)

        assert office.log == ["save queued", "save talking"]
        assert office.store.saved["c"] == office.call()

    async def test_what_was_not_written_yet_is_written_before_asterisk_is_asked_to_act(
        self, office: Office
    ) -> None:
        await office.taken()
        await office.press()
        await office.tell(LegStarted(office.now, "t1", "PJSIP/t1", Role.PARTNER, "12345"))
        office.log.clear()

        await office.dispatcher.ask("c", CancelPressed(office.now))

        assert office.log == ["save talking", "hang up t1"]
        assert office.store.saved["c"].leg("t1") is not None

    async def test_an_orderly_stop_leaves_nothing_unwritten(self, office: Office) -> None:
        await office.taken()
        talking = office.call()

        await office.dispatcher.close()

        assert office.store.saved["c"] == talking

    async def test_without_the_store_the_call_goes_on_and_is_written_later(self, office: Office) -> None:
        office.store.down = True
        await office.taken()
        assert isinstance(await office.press(), Accepted)
        assert "invite 12345" in office.log
        office.store.down = False
        await office.dispatcher.save_all()
        assert office.store.saved["c"] == office.call()

    async def test_a_store_that_has_lost_everything_gets_the_live_calls_again(self, office: Office) -> None:
        await office.taken()
        office.store.saved.clear()
        await office.dispatcher.save_all()
        assert office.store.saved == {"c": office.call()}

    async def test_a_call_that_ends_while_everything_is_written_is_not_written_after_its_end(
        self, office: Office
    ) -> None:
        await office.taken("1001", "k", "c")
        await office.taken("1002", "k2", "c2")
        office.store.gate.clear()
        writing = asyncio.create_task(office.dispatcher.save_all())
        ending = asyncio.create_task(office.over("c2", "k2"))
        await asyncio.sleep(0)  # Both have begun.
        office.store.gate.set()
        await asyncio.gather(writing, ending)
        assert office.store.finished == ["c2"]
        assert office.store.written_after_end == []

    async def test_an_invitation_that_asterisk_cannot_take_ends_the_transfer(self, office: Office) -> None:
        await office.taken()
        office.asterisk.down = True
        assert isinstance(await office.press(), Accepted)
        await until(lambda: office.call().transfers[0].reason is EndReason.UNREACHABLE)
        assert office.call().situation is Situation.TALKING

    async def test_an_invitation_that_asterisk_has_not_answered_is_not_given_up_before_it_is_known(
        self, office: Office
    ) -> None:
        await office.taken()
        office.asterisk.down, office.asterisk.error = True, OutcomeUnknown("no answer")
        assert isinstance(await office.press(), Accepted)
        await office.tell(LegStarted(office.now, "t1", "PJSIP/t1", Role.PARTNER, "12345"))
        await office.tell(LegJoined(office.now, "t1", "b"))
        assert office.call().situation is Situation.THREE_WAY

    async def test_calls_do_not_wait_for_each_other(self, office: Office) -> None:
        await office.taken("1001", "k", "c")
        await office.open("c2")
        office.store.gate.clear()
        office.dispatcher.post("c", LegLeft(office.now, "k", "b"))
        office.dispatcher.post("c2", LegEnded(office.now, "c2", NORMAL))
        await until(lambda: office.call("c2").ended)
        office.store.gate.set()
        await until(lambda: len(office.dispatcher) == 1)

    async def test_events_that_come_while_the_call_is_opened_are_not_lost(self, office: Office) -> None:
        office.store.gate.clear()
        opening = asyncio.create_task(office.open())
        await until(lambda: len(office.dispatcher) == 1)
        office.dispatcher.post("c", LegStarted(office.now, "k", "PJSIP/k", Role.TAKER, "1001"))
        office.store.gate.set()
        await opening
        await until(lambda: office.call().leg("k") is not None)

    async def test_opening_a_call_twice_keeps_what_is_known(self, office: Office) -> None:
        await office.taken()
        await office.open()
        assert office.call().situation is Situation.TALKING

    async def test_a_fault_of_our_own_costs_one_event_and_not_the_call(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await office.taken()
        with monkeypatch.context() as patch:
            patch.setattr("telephony.dispatcher.decide", _broken)
            reply = await office.press()
        assert reply == Refused("internal_error", "the press could not be carried out")
        assert isinstance(await office.press(), Accepted)

    async def test_a_presser_who_goes_away_does_not_disturb_the_call(self, office: Office) -> None:
        await office.taken()
        office.store.gate.clear()
        press = asyncio.create_task(office.press())
        await until(lambda: office.call().situation is Situation.INVITING)
        press.cancel()
        await asyncio.gather(press, return_exceptions=True)
        office.store.gate.set()
        assert await office.press("t2") == Accepted(("t1",))

    async def test_a_call_with_too_many_unread_events_refuses_presses(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await office.taken()
        office.store.gate.clear()
        office.dispatcher.post("c", LegStarted(office.now, "k2", "PJSIP/k2", Role.TAKER, "1002"))
        await until(lambda: office.unread("c") == 0)
        for _ in range(desk.INBOX):
            office.dispatcher.post("c", LegRinging(office.now, "k2"))
        reply = await office.press()
        assert isinstance(reply, Refused)
        assert reply.code == "overloaded"
        assert await office.dispatcher.ask_next("c") is Next.RESCUE
        office.store.gate.set()

    async def test_what_happens_is_published_in_order(self, office: Office) -> None:
        await office.taken()
        await office.press()
        events = office.feed.since(0)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events[-2:]] == ["transfer", "call"]
        assert events[-1].data["situation"] == "inviting"

    async def test_an_unknown_call_cannot_be_pressed(self, office: Office) -> None:
        with pytest.raises(NotFound):
            await office.press()


class TestMute:
    """A party is muted when Asterisk has said so, and not when somebody has asked for it."""

    async def mute(self, office: Office, *, muted: bool = True) -> Reply:
        return await office.dispatcher.ask("c", MutePressed(office.now, "k", muted))

    async def test_whoever_is_told_that_the_party_is_muted_sees_it_so(self, office: Office) -> None:
        await office.taken()
        assert await self.mute(office) == Accepted()
        assert office.call().takers[0].muted
        assert office.store.saved["c"].takers[0].muted

    async def test_a_party_that_asterisk_does_not_mute_is_not_shown_as_muted(self, office: Office) -> None:
        await office.taken()
        office.asterisk.down = True
        assert isinstance(await self.mute(office), Refused)
        assert not office.call().takers[0].muted
        assert not office.store.saved["c"].takers[0].muted

    async def test_a_press_that_nobody_knows_the_end_of_can_be_taken_back(self, office: Office) -> None:
        await office.taken()
        office.asterisk.down = True
        await self.mute(office)
        office.asterisk.down = False
        office.log.clear()
        await self.mute(office, muted=False)
        assert office.log == ["unmute PJSIP/k"]


class TestSeats:
    """Which call a seat's key is meant for."""

    async def test_a_seat_has_the_call_that_rings_at_it_and_then_none(self, office: Office) -> None:
        await office.open()
        assert office.dispatcher.call_of_seat("1001") is None
        await office.tell(LegStarted(office.now, "k", "PJSIP/k", Role.TAKER, "1001"))
        await until(lambda: office.dispatcher.call_of_seat("1001") is not None)
        await office.tell(LegEnded(office.now, "k", Hangup(19)))
        await until(lambda: office.dispatcher.call_of_seat("1001") is None)

    async def test_a_call_that_rings_at_a_seat_that_talks_does_not_take_its_keys(
        self, office: Office
    ) -> None:
        await office.taken()
        await office.open("c2")
        await office.tell(LegStarted(office.now, "k2", "PJSIP/k2", Role.TAKER, "1001"), call_id="c2")
        await until(lambda: office.call("c2").leg("k2") is not None)
        assert office.dispatcher.call_of_seat("1001") == office.call("c")

    async def test_a_call_that_rings_at_a_seat_that_holds_its_caller_does_not_take_its_keys(
        self, office: Office
    ) -> None:
        await office.taken()
        await office.tell(LegLeft(office.now, "c", "b"), LegLeft(office.now, "k", "b"))
        assert office.call().situation is Situation.HELD
        await office.open("c2")
        await office.tell(LegStarted(office.now, "k2", "PJSIP/k2", Role.TAKER, "1001"), call_id="c2")
        assert office.dispatcher.call_of_seat("1001") == office.call("c")

    async def test_a_call_that_is_over_is_no_seats_call(self, office: Office) -> None:
        await office.taken()
        await office.over()
        assert office.dispatcher.call_of_seat("1001") is None


class TestTheDialplansQuestion:
    """The caller is alone and the dialplan asks; it always gets an answer."""

    async def test_how_the_taker_left_decides(self, office: Office) -> None:
        await office.taken()
        asked = asyncio.create_task(office.dispatcher.ask_next("c"))
        await office.tell(LegEnded(office.now, "k", NORMAL), LegLeft(office.now, "c", "b"))
        assert await asked is Next.END

    async def test_without_news_the_caller_is_rescued_in_time(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("telephony.core.alone.FREED_GRACE", 0.01)
        await office.taken()
        async with asyncio.timeout(1):
            assert await office.dispatcher.ask_next("c") is Next.RESCUE

    async def test_who_asks_twice_gets_the_same_answer(self, office: Office) -> None:
        await office.taken()
        first = asyncio.create_task(office.dispatcher.ask_next("c"))
        second = asyncio.create_task(office.dispatcher.ask_next("c"))
        await until(lambda: office.call().freed_at is not None)
        await office.tell(LegEnded(office.now, "k", LOST), LegLeft(office.now, "c", "b"))
        assert await asyncio.gather(first, second) == [Next.RESCUE, Next.RESCUE]

    async def test_who_stops_asking_does_not_take_the_answer_from_others(self, office: Office) -> None:
        await office.taken()
        first = asyncio.create_task(office.dispatcher.ask_next("c"))
        await until(lambda: office.call().freed_at is not None)
        second = asyncio.create_task(office.dispatcher.ask_next("c"))
        await asyncio.sleep(0)
        first.cancel()
        await office.tell(LegEnded(office.now, "k", NORMAL), LegLeft(office.now, "c", "b"))
        assert await second is Next.END

    async def test_a_question_is_not_answered_with_the_answer_to_an_earlier_one(self, office: Office) -> None:
        """The first asker was taken out of its question by a partner, and asks anew when that one is gone."""
        await office.taken()
        await office.press()
        office.store.gate.clear()
        first = asyncio.create_task(office.dispatcher.ask_next("c"))
        await asyncio.sleep(0)
        for event in (
            LegLeft(office.now, "c", "b"),
            LegEnded(office.now, "k", NORMAL),
            LegStarted(office.now, "t1", "PJSIP/t1", Role.PARTNER, "12345"),
            LegEnded(office.now, "t1", Hangup(17, 486)),
        ):
            office.dispatcher.post("c", event)
        second = asyncio.create_task(office.dispatcher.ask_next("c"))
        await asyncio.sleep(0)
        office.store.gate.set()
        assert await asyncio.gather(first, second) == [Next.WAIT, Next.RESCUE]

    async def test_an_unknown_caller_is_rescued(self, office: Office) -> None:
        assert await office.dispatcher.ask_next("c") is Next.RESCUE

    async def test_a_fault_of_our_own_sends_the_caller_to_a_seat(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await office.taken()
        monkeypatch.setattr("telephony.dispatcher.decide", _broken)
        async with asyncio.timeout(1):
            assert await office.dispatcher.ask_next("c") is Next.RESCUE

    async def test_a_call_that_ends_while_it_is_asked_is_answered(self, office: Office) -> None:
        await office.taken()
        asked = asyncio.create_task(office.dispatcher.ask_next("c"))
        await until(lambda: office.call().freed_at is not None)
        await office.over()
        assert await asked is Next.END

    async def test_a_question_to_an_earlier_controller_is_not_answered_by_this_one(
        self, office: Office
    ) -> None:
        leg = Leg("c", "PJSIP/c", Role.CALLER, "carrier", LegState.WAITING)
        await office.dispatcher.open(Call("c", Caller("1"), "carrier", 0.0, legs=(leg,), freed_at=1.0))
        assert office.call().freed_at is None


class TestAfterARestart:
    """A controller that takes up what an earlier one has left."""

    async def test_a_partner_who_was_being_called_is_not_called_for_ever(self, office: Office) -> None:
        await office.taken()
        await office.press()
        call = office.call()
        later = Office()
        later.now = office.now + 3600.0
        await later.dispatcher.open(call)
        assert later.call().pending, "before Asterisk has told, nothing is known to have failed"
        later.dispatcher.await_invites()
        await until(lambda: not later.call().pending)
        assert [transfer.reason for transfer in later.call().transfers] == [EndReason.UNREACHABLE]
        assert later.log[-1] == "hang up t1"
        await later.dispatcher.close()

    async def test_a_time_limit_that_is_noticed_too_late_lets_news_come_first(self, office: Office) -> None:
        await office.taken()
        line_view = replace(line("12345"), answer_timeout=0.1 - INVITE_GRACE)
        await office.dispatcher.ask("c", LinePressed(office.now, "1001", line_view, "t1"))
        await office.tell(LegStarted(office.now, "t1", "PJSIP/t1", Role.PARTNER, "12345"))
        time.sleep(desk.LATE + 0.3)  # noqa: ASYNC251 - frozen
        await asyncio.sleep(0.2)
        await office.tell(LegJoined(office.now, "t1", "b"))  # It had answered while we were frozen.
        await asyncio.sleep(desk.LATE)
        assert office.call().situation is Situation.THREE_WAY
        assert "hang up t1" not in office.log

    async def test_a_partner_who_may_still_answer_is_given_the_time_that_is_left(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(desk.Desk, "later", lambda self, seconds, event: waits.append(seconds))
        await office.taken()
        await office.press()
        office.now += 20.0
        office.dispatcher.await_invites()
        first, again = waits
        assert again == pytest.approx(first - 20.0)

    async def test_a_caller_on_hold_is_on_hold_still(self, office: Office) -> None:
        await office.taken()
        await office.tell(LegLeft(office.now, "c", "b"), LegLeft(office.now, "k", "b"))
        later = Office()
        await later.dispatcher.open(office.call())
        assert later.call().situation is Situation.HELD
        assert later.dispatcher.call_of_seat("1001") == later.call()
        await later.dispatcher.close()

    async def test_a_call_that_had_just_ended_can_be_read_and_diverted_for_as_long_as_before(
        self, office: Office
    ) -> None:
        await office.taken()
        await office.over()
        later = Office()
        later.now = office.now + KEPT_FOR - 1.0
        later.dispatcher.remember([office.call()])
        diverted = DiversionRecorded(later.now, "1001", "d1", DiversionKind.PLATFORM, "119")
        assert await later.dispatcher.ask("c", diverted) == Accepted(diversion_id="d1")
        assert later.store.finished == ["c"]
        later.now += 2.0
        assert later.dispatcher.get("c") is None

    async def test_a_call_that_is_live_again_is_not_taken_for_one_that_is_over(self, office: Office) -> None:
        await office.taken()
        live = office.call()
        await office.over()
        later = Office()
        later.dispatcher.remember([office.call()])
        await later.dispatcher.open(live)
        later.dispatcher.remember([office.call()])
        assert not later.call().ended
        await later.dispatcher.close()


class TestCallsThatAreOver:
    """A call that is over can be read for a while, and nothing more."""

    async def test_its_end_and_its_transfers_reasons_can_be_read(self, office: Office) -> None:
        await office.taken()
        await office.press()
        await office.over()
        call = office.call()
        assert call.ended_at == office.now
        assert call.transfers[0].reason is EndReason.CALLER_HUNG_UP

    async def test_it_is_no_longer_among_the_live_ones(self, office: Office) -> None:
        await office.taken()
        await office.over()
        assert list(office.dispatcher) == []
        assert len(office.dispatcher) == 0

    @pytest.mark.parametrize(
        "event", [CancelPressed(1000.0), LeavePressed(1000.0, "1001"), CallerFreed(1000.0)]
    )
    async def test_a_press_is_refused_as_no_call(self, office: Office, event: Event) -> None:
        await office.taken()
        await office.over()
        assert await office.dispatcher.ask("c", event) == Refused("no_call", "the call is over")

    async def test_a_press_that_was_unread_when_the_call_ended_is_refused(self, office: Office) -> None:
        await office.taken()
        office.store.gate.clear()
        office.dispatcher.post("c", LegEnded(office.now, "k", NORMAL))
        office.dispatcher.post("c", LegEnded(office.now, "c", NORMAL))
        press = asyncio.create_task(office.press())
        await asyncio.sleep(0)
        office.store.gate.set()
        assert await press == Refused("no_call", "the call is over")

    async def test_it_is_forgotten_after_ten_minutes(self, office: Office) -> None:
        await office.taken()
        await office.over()
        office.now += KEPT_FOR - 1
        assert office.dispatcher.get("c") is not None
        office.now += 1
        assert office.dispatcher.get("c") is None
        with pytest.raises(NotFound):
            await office.press()

    async def test_only_the_newest_thousand_are_kept(self, office: Office) -> None:
        for n in range(KEPT + 3):
            await office.open(f"c{n}")
            office.dispatcher.post(f"c{n}", LegEnded(office.now, f"c{n}", NORMAL))
        await until(lambda: len(office.store.finished) == KEPT + 3)
        kept = [n for n in range(KEPT + 3) if office.dispatcher.get(f"c{n}") is not None]
        assert kept == list(range(3, KEPT + 3))

    async def test_a_leg_that_comes_too_late_is_released(self, office: Office) -> None:
        await office.taken()
        await office.press()
        await office.over()
        office.log.clear()
        office.dispatcher.post("c", LegStarted(office.now, "t1", "PJSIP/t1", Role.PARTNER, "12345"))
        await until(lambda: office.log == ["hang up t1"])
        assert office.call().ended
        office.dispatcher.post("c", LegEnded(office.now, "t1", NORMAL))
        assert office.log == ["hang up t1"]

    async def test_without_the_store_it_ends_all_the_same(self, office: Office) -> None:
        await office.taken()
        office.store.down = True
        await office.over()
        assert office.call().ended

    async def test_an_id_that_comes_again_is_a_live_call_again(self, office: Office) -> None:
        await office.taken()
        await office.over()
        await office.open()
        assert [call.id for call in office.dispatcher] == ["c"]
        assert not office.call().ended


class TestStopping:
    """Stopping the controller stops its tasks; the calls go on in Asterisk."""

    async def test_no_task_is_left(self, office: Office) -> None:
        before = asyncio.all_tasks()
        await office.taken()
        await office.press()
        await office.dispatcher.close()
        assert asyncio.all_tasks() == before
        assert "hang up k" not in office.log


def _broken(call: Call, event: Event) -> None:
    raise RuntimeError("a fault of our own")
