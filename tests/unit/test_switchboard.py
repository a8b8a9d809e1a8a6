"""The switchboard: what people and programs may ask of a hotline, and what they are told instead."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from telephony.core.call import Call, Caller, EndReason, Hangup, Leg, LegState, Mode, Role, Situation
from telephony.core.events import LegEnded, LegJoined, LegLeft, LegStarted
from telephony.dispatcher import Dispatcher
from telephony.errors import LinkDown, NotFound, Refusal, StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.history import Histories
from telephony.metrics import Metrics
from telephony.rooms import Rooms
from telephony.settings import GroupSettings, HistorySettings
from telephony.switchboard import LineState, LineStatus, Pressed, SeatState, Switchboard
from tests.adapters.http_hotline import (
    MemoryAsterisk,
    MemoryLines,
    MemoryPast,
    MemoryRooms,
    MemoryStore,
    settings,
)
from tests.adapters.waiting import until


class Phones:
    """Who is registered, and which far ends answer: everybody who is not in `gone`."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def seat_online(self, seat: str) -> bool:
        return seat not in self.gone

    def line_up(self, line: str) -> bool:
        return line not in self.gone


class House:
    """A switchboard with seats 1001 and 1002 and lines 12345, 119 and gas (which takes one call).

    The key `leak` is 119 and gas at once.
    """

    def __init__(self) -> None:
        self.asterisk, self.lines, self.phones = MemoryAsterisk(), MemoryLines(), Phones()
        self.link_open = True
        self.dispatcher = Dispatcher(Executor(self.asterisk), MemoryStore(), Feed(), Metrics("110"))
        ids = itertools.count(1)
        leak = GroupSettings(group="leak", label="燃气泄漏", lines=["119", "gas"], key="F9", dtmf="*5")
        self.switchboard = Switchboard(
            replace(settings(), groups=[leak]),
            self.dispatcher,
            self.phones,
            self.lines,
            lambda: f"t-{next(ids)}",
            time.time,
            Histories(MemoryPast(), HistorySettings(), time.time),
            Rooms(settings(), MemoryRooms(), Feed(), lambda: f"m-{next(ids)}", time.time),
            lambda: self.link_open,
        )
        self.switchboard.recovered = True

    async def ringing_at(self, seat: str, call_id: str, via: str = "carrier") -> None:
        leg = Leg(call_id, f"PJSIP/{call_id}", Role.CALLER, via, LegState.WAITING)
        await self.dispatcher.open(Call(call_id, Caller("13800138000"), via, time.time(), (leg,)))
        self.dispatcher.post(call_id, LegStarted(time.time(), f"{call_id}-k", "PJSIP/k", Role.TAKER, seat))
        await until(lambda: len(self.call(call_id).legs) == 2)

    async def call_at(self, seat: str, call_id: str = "c", via: str = "carrier") -> None:
        """A caller who talks with `seat`."""
        await self.ringing_at(seat, call_id, via)
        for leg_id in (call_id, f"{call_id}-k"):
            self.dispatcher.post(call_id, LegJoined(time.time(), leg_id, "b"))
        await until(lambda: self.call(call_id).situation is Situation.TALKING)

    def call(self, call_id: str = "c") -> Call:
        return self.switchboard.call(call_id)

    def line(self, name: str) -> LineStatus:
        return self.switchboard.line(name)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    house.asterisk.gate.set()
    await house.dispatcher.close()


async def refusal(asking: object) -> str:
    with pytest.raises(Refusal) as refused:
        await asking  # type: ignore[misc]
    return refused.value.code


class TestKeys:
    async def test_a_lines_key_calls_its_partner_into_the_callers_conversation(self, house: House) -> None:
        await house.call_at("1001")
        pressed = await house.switchboard.press("1001", "12345", note="噪音")
        (transfer,) = pressed.transfers
        assert (pressed.call_id, transfer.id, transfer.line, transfer.note) == ("c", "t-1", "12345", "噪音")
        (invited,) = house.asterisk.invited
        assert (invited.transfer_id, invited.anchor) == ("t-1", "PJSIP/c")
        assert invited.caller == Caller("13800138000")
        assert invited.answer_timeout == 25.0

    async def test_a_seat_that_holds_its_caller_is_talking_and_may_have_a_partner_called(
        self, house: House
    ) -> None:
        await house.call_at("1001")
        for leg_id in ("c", "c-k"):
            house.dispatcher.post("c", LegLeft(time.time(), leg_id, "b"))
        await until(lambda: house.call().situation is Situation.HELD)
        assert house.switchboard.seat("1001").state is SeatState.TALKING
        (transfer,) = (await house.switchboard.transfer("c", "119")).transfers
        assert (transfer.line, transfer.seat) == ("119", "1001")

    async def test_a_cold_press_is_a_cold_transfer(self, house: House) -> None:
        await house.call_at("1001")
        (transfer,) = (await house.switchboard.press("1001", "119", mode=Mode.COLD)).transfers
        assert transfer.mode is Mode.COLD

    async def test_two_keys_at_once_are_two_transfers(self, house: House) -> None:
        await house.call_at("1001")
        both = await asyncio.gather(*(house.switchboard.press("1001", key) for key in ("12345", "119")))
        assert sorted(t.line for pressed in both for t in pressed.transfers) == ["119", "12345"]
        assert len(house.asterisk.invited) == 2

    async def test_the_same_key_twice_at_once_is_one_transfer(self, house: House) -> None:
        await house.call_at("1001")
        first, second = await asyncio.gather(*(house.switchboard.press("1001", "gas") for _ in range(2)))
        assert first == second
        assert len(house.asterisk.invited) == 1

    async def test_a_line_with_one_channel_left_takes_one_of_two_presses_at_once(self, house: House) -> None:
        """Each press looks at the line before either is decided on."""
        await house.call_at("1001", "c")
        await house.call_at("1002", "d")
        results = await asyncio.gather(
            *(house.switchboard.press(seat, "gas") for seat in ("1001", "1002")), return_exceptions=True
        )
        assert [getattr(result, "code", "taken") for result in results] == ["taken", "line_full"]
        assert len(house.asterisk.invited) == 1
        assert house.line("gas").live == 1

    async def test_a_group_and_a_line_at_once_do_not_share_the_last_channel(self, house: House) -> None:
        await house.call_at("1001", "c")
        await house.call_at("1002", "d")
        group, alone = await asyncio.gather(
            house.switchboard.press("1001", "leak"),
            house.switchboard.press("1002", "gas"),
            return_exceptions=True,
        )
        assert isinstance(group, Pressed)
        assert [transfer.line for transfer in group.transfers] == ["119", "gas"]
        assert isinstance(alone, Refusal)
        assert alone.code == "line_full"

    async def test_a_press_that_waits_for_asterisk_does_not_fill_a_line_twice(self, house: House) -> None:
        await house.call_at("1001")
        house.asterisk.gate.clear()
        pressing = asyncio.create_task(house.switchboard.press("1001", "gas"))
        await until(lambda: len(house.asterisk.invited) == 1)
        assert house.line("gas").live == 1
        house.asterisk.gate.set()
        (transfer,) = (await pressing).transfers
        await house.switchboard.cancel("c", transfer.id)
        assert house.line("gas").state is LineState.OPEN

    async def test_a_press_that_was_given_up_leaves_its_line_free(self, house: House) -> None:
        await house.call_at("1001", "c")
        await house.call_at("1002", "d")
        giving_up = asyncio.create_task(house.switchboard.press("1001", "gas"))
        giving_up.cancel()
        await asyncio.gather(giving_up, return_exceptions=True)
        (transfer,) = (await house.switchboard.press("1002", "gas")).transfers
        assert transfer.line == "gas"

    @pytest.mark.parametrize(
        ("seat", "key", "code"),
        [
            ("7", "12345", "unknown_seat"),
            ("", "12345", "unknown_seat"),
            ("1001", "", "unknown_key"),
            ("1001", "F5", "unknown_key"),
            ("1001", "*1", "unknown_key"),
            ("1001", "cancel", "nothing_to_cancel"),
            ("1001", "leave", "nobody_to_leave_with"),
            ("1002", "12345", "no_call"),
            ("1002", "cancel", "no_call"),
        ],
    )
    async def test_a_press_that_means_nothing_is_refused_by_name(
        self, house: House, seat: str, key: str, code: str
    ) -> None:
        await house.call_at("1001")
        assert await refusal(house.switchboard.press(seat, key)) == code
        assert house.asterisk.invited == []

    async def test_a_seat_whose_phone_only_rings_has_nobody_to_hand_over(self, house: House) -> None:
        await house.ringing_at("1001", "c")
        assert await refusal(house.switchboard.press("1001", "12345")) == "no_call"

    async def test_a_closed_line_is_refused_and_on_record(self, house: House) -> None:
        await house.call_at("1001")
        await house.switchboard.set_line("119", closed=True)
        assert await refusal(house.switchboard.press("1001", "119")) == "line_closed"
        assert [t.reason for t in house.call().transfers] == [EndReason.LINE_CLOSED]

    @pytest.mark.parametrize(("recovered", "link_open"), [(False, True), (True, False)])
    async def test_without_the_link_nothing_is_pressed_though_a_wrong_key_is_still_named(
        self, house: House, recovered: bool, link_open: bool
    ) -> None:
        await house.call_at("1001")
        house.switchboard.recovered, house.link_open = recovered, link_open
        for asking in (
            house.switchboard.press("1001", "12345"),
            house.switchboard.press("1002", "cancel"),
            house.switchboard.transfer("c", "12345"),
        ):
            with pytest.raises(LinkDown):
                await asking
        assert await refusal(house.switchboard.press("1001", "F5")) == "unknown_key"
        assert house.asterisk.invited == []


class TestTransfers:
    async def test_a_transfer_by_its_call_is_the_press_of_the_seat_that_has_it(self, house: House) -> None:
        await house.call_at("1002")
        (transfer,) = (await house.switchboard.transfer("c", "12345", mode=Mode.COLD)).transfers
        assert (transfer.seat, transfer.mode) == ("1002", Mode.COLD)
        assert house.switchboard.get_transfer("c", transfer.id) == transfer

    async def test_of_several_only_the_one_that_is_named_is_cancelled(self, house: House) -> None:
        await house.call_at("1001")
        for key in ("12345", "119"):
            await house.switchboard.press("1001", key)
        (cancelled,) = (await house.switchboard.cancel("c", "t-2")).transfers
        assert (cancelled.id, cancelled.reason) == ("t-2", EndReason.CANCELLED)
        assert [t.id for t in house.call().pending] == ["t-1"]
        assert await refusal(house.switchboard.cancel("c", "t-2")) == "nothing_to_cancel"

    async def test_what_is_not_there_is_not_found(self, house: House) -> None:
        await house.call_at("1001")
        for asking, code in (
            (house.switchboard.transfer("x", "12345"), "unknown_call"),
            (house.switchboard.cancel("x", "t"), "unknown_call"),
            (house.switchboard.cancel("c", "t"), "unknown_transfer"),
        ):
            with pytest.raises(NotFound) as refused:
                await asking
            assert refused.value.code == code
        assert await refusal(house.switchboard.transfer("c", "999")) == "unknown_line"

    async def test_a_call_that_no_seat_has_cannot_be_handed_over(self, house: House) -> None:
        await house.ringing_at("1001", "c")
        assert await refusal(house.switchboard.transfer("c", "12345")) == "no_call"


class TestLooking:
    async def test_calls_are_listed_oldest_first_and_gone_when_over(self, house: House) -> None:
        await house.call_at("1001", "c")
        await house.call_at("1002", "b")
        assert [call.id for call in house.switchboard.calls()] == ["c", "b"]
        for leg_id in ("c-k", "c"):
            house.dispatcher.post("c", LegEnded(time.time(), leg_id, Hangup(16)))
        await until(lambda: [call.id for call in house.switchboard.calls()] == ["b"])
        assert house.call("c").ended

    async def test_a_lines_state_is_the_worst_that_is_known_of_it(self, house: House) -> None:
        states = [house.line("gas").state]
        await house.call_at("1001", via="gas")
        states.append(house.line("gas").state)
        house.phones.gone.add("gas")
        states.append(house.line("gas").state)
        await house.switchboard.set_line("gas", closed=True)
        states.append(house.line("gas").state)
        assert states == [LineState.OPEN, LineState.BUSY, LineState.DOWN, LineState.CLOSED]
        assert (house.line("gas").live, house.line("119").state) == (1, LineState.OPEN)

    async def test_transfers_and_calls_over_a_line_count_while_they_last(self, house: House) -> None:
        await house.call_at("1001", "c", via="12345")
        await house.call_at("1002", "d")
        (transfer,) = (await house.switchboard.press("1002", "12345")).transfers
        assert house.line("12345").live == 2
        await house.switchboard.cancel("d", transfer.id)
        assert house.line("12345").live == 1

    async def test_opening_a_line_again_lets_presses_through(self, house: House) -> None:
        await house.call_at("1001")
        await house.switchboard.set_line("119", closed=True)
        assert (await house.switchboard.set_line("119", closed=False)).state is LineState.OPEN
        assert (await house.switchboard.press("1001", "119")).transfers

    async def test_an_unknown_line_can_be_neither_seen_nor_closed(self, house: House) -> None:
        with pytest.raises(NotFound):
            house.line("999")
        with pytest.raises(NotFound):
            await house.switchboard.set_line("999", closed=True)
        assert house.lines.closed == set()

    async def test_a_line_that_cannot_be_remembered_as_closed_stays_open(self, house: House) -> None:
        house.lines.broken = True
        with pytest.raises(StoreDown):
            await house.switchboard.set_line("119", closed=True)
        assert house.line("119").state is LineState.OPEN

    async def test_a_seat_is_offline_idle_ringing_or_talking(self, house: House) -> None:
        def seat(name: str) -> tuple[SeatState, str]:
            return next((s.state, s.call) for s in house.switchboard.seats() if s.seat == name)

        house.phones.gone.add("1002")
        assert (seat("1001"), seat("1002")) == ((SeatState.IDLE, ""), (SeatState.OFFLINE, ""))
        await house.ringing_at("1001", "c")
        assert seat("1001") == (SeatState.RINGING, "c")
        house.dispatcher.post("c", LegJoined(time.time(), "c-k", "b"))
        await until(lambda: seat("1001") == (SeatState.TALKING, "c"))
        house.dispatcher.post("c", LegLeft(time.time(), "c-k", "b"))
        house.dispatcher.post("c", LegEnded(time.time(), "c-k", Hangup(16)))
        await until(lambda: seat("1001") == (SeatState.IDLE, ""))
