"""The sweep: what lasts is put right, what is only on its way is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from telephony.core.call import Call, LegState, Role
from telephony.core.commands import Command, HangUp, RescueCaller
from telephony.errors import LinkDown
from telephony.orphans import Fault, Finding, find
from telephony.reconciler import ChannelNow
from telephony.sweep import Sweep
from tests.unit.story import Story, new_call

AT = 2000.0
CARRIER = ChannelNow(
    "c", "PJSIP/c", "c", Role.CALLER, "carrier", LegState.WAITING, "", "02012345678", "queue"
)


def leg(leg_id: str, role: Role, bridge: str = "b1", context: str = "") -> ChannelNow:
    state = LegState.TALKING if bridge else LegState.WAITING
    return ChannelNow(leg_id, f"PJSIP/{leg_id}", "c", role, leg_id, state, bridge, "02012345678", context)


def held() -> tuple[Call, list[ChannelNow]]:
    story = Story().taken()
    story.hold_key()
    story.leave("c")
    story.leave("k")
    return story.call, [leg("c", Role.CALLER, "", "hold"), leg("k", Role.TAKER, "", "seat-after")]


def handing_over() -> tuple[Call, list[ChannelNow]]:
    """The taker has left, the partner rings."""
    story = Story().taken()
    story.press("12345", "t1")
    story.start("t1", Role.PARTNER, "12345")
    story.ring("t1")
    story.gone("k")
    story.leave("c")
    story.freed()
    partner = replace(leg("t1", Role.PARTNER, ""), state=LegState.RINGING)
    return story.call, [leg("c", Role.CALLER, "", "after"), partner]


RIGHT = {
    "queued": (new_call(), [CARRIER]),
    "talking": (Story().taken().call, [leg("c", Role.CALLER), leg("k", Role.TAKER)]),
    "three-way": (
        Story().three_way().call,
        [leg("c", Role.CALLER), leg("k", Role.TAKER), leg("t1", Role.PARTNER)],
    ),
    "held": held(),
    "handing over": handing_over(),
}


class TestFind:
    @pytest.mark.parametrize("name", RIGHT)
    def test_a_call_that_is_as_it_is_remembered_is_left_alone(self, name: str) -> None:
        call, channels = RIGHT[name]
        assert find([call], channels, AT) == set()

    def test_a_caller_whom_nobody_remembers(self) -> None:
        assert find([], [CARRIER], AT) == {Finding(Fault.UNKNOWN_CALL, "c")}

    def test_a_leg_that_is_remembered_and_gone_is_the_same_finding_at_every_look(self) -> None:
        call = Story().taken().call
        (first,) = find([call], [leg("c", Role.CALLER)], AT)
        assert (first.fault, first.id) == (Fault.DISAGREES, "c")
        assert find([call], [leg("c", Role.CALLER)], AT + 5) == {first}

    def test_a_caller_who_waits_in_the_dialplan_for_nobody(self) -> None:
        lonely = replace(CARRIER, context="after")
        assert find([new_call()], [lonely], AT) == {Finding(Fault.LONELY, "c", "PJSIP/c")}

    def test_a_leg_whose_call_is_over(self) -> None:
        assert find([], [leg("t1", Role.PARTNER, "")], AT) == {Finding(Fault.LEFT_OVER, "t1", "PJSIP/t1")}

    def test_a_leg_whose_caller_is_unknown_but_there_is_no_left_over(self) -> None:
        found = find([], [CARRIER, leg("k", Role.TAKER)], AT)
        assert {finding.fault for finding in found} == {Fault.UNKNOWN_CALL}


class House:
    """A sweep over channels that a test sets, look by look."""

    def __init__(self, *looks: list[ChannelNow], calls: tuple[Call, ...] = ()) -> None:
        self.looks = list(looks)
        self.calls = calls
        self.recoveries = 0
        self.done: list[Command] = []
        self.counted: list[str] = []
        self.over = asyncio.Event()
        self.ready = True
        self.sweep = self.made(self.channels)

    def made(self, channels: Callable[[], Awaitable[list[ChannelNow]]]) -> Sweep:
        return Sweep(
            channels,
            lambda: self.calls,
            self.recover,
            self,
            lambda: self.ready,
            self.counted.append,
            lambda: AT,
            interval=0.001,
        )

    async def channels(self) -> list[ChannelNow]:
        if not self.looks:
            self.over.set()
            await asyncio.Future[None]()
        return self.looks.pop(0)

    async def recover(self) -> None:
        self.recoveries += 1
        self.over.set()

    async def run(self, command: Command) -> None:
        self.done.append(command)

    async def until_over(self) -> None:
        task = asyncio.create_task(self.sweep.run())
        await asyncio.wait_for(self.over.wait(), 5)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), "the sweep has ended by itself"


GHOST = leg("t1", Role.PARTNER, "")


class TestSweep:
    async def test_what_is_gone_at_the_next_look_was_on_its_way(self) -> None:
        house = House([GHOST], [], [GHOST], [])
        await house.until_over()
        assert (house.done, house.counted) == ([], [])

    async def test_a_left_over_leg_is_ended_once_it_has_lasted(self) -> None:
        house = House([GHOST], [GHOST], [])
        await house.until_over()
        assert house.done == [HangUp("t1", "PJSIP/t1")]
        assert house.counted == ["left_over"]

    async def test_a_lonely_caller_goes_back_to_a_seat(self) -> None:
        lonely = replace(CARRIER, context="after")
        house = House([lonely], [lonely], [], calls=(new_call(),))
        await house.until_over()
        assert house.done == [RescueCaller("PJSIP/c")]

    async def test_an_unknown_call_that_lasts_is_found_out_about(self) -> None:
        house = House([CARRIER], [CARRIER])
        await house.until_over()
        assert (house.recoveries, house.counted) == (1, ["unknown_call"])

    async def test_a_stranger_is_found_out_about_at_once(self) -> None:
        house = House()
        house.sweep.stranger()
        await house.until_over()
        assert house.recoveries == 1

    async def test_while_asterisk_is_away_nothing_is_done_and_afterwards_it_goes_on(self) -> None:
        house = House([GHOST], [GHOST], [])
        failed: list[bool] = []

        async def channels() -> list[ChannelNow]:
            if not failed:
                failed.append(True)
                raise LinkDown("the link to Asterisk is down")
            return await house.channels()

        house.sweep = house.made(channels)
        await house.until_over()
        assert house.done == [HangUp("t1", "PJSIP/t1")]
