"""After the link was down: what is remembered against what Asterisk has, told as events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.core.call import Call, EndReason, LegState, Role, Situation
from telephony.core.events import (
    Event,
    InviteFailed,
    LegAnswered,
    LegEnded,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
    LinePressed,
)
from telephony.core.transitions import decide
from telephony.reconciler import LOST, ChannelNow, missed, unknown_calls
from tests.unit.story import line, new_call

AT = 2000.0


def channel(
    leg_id: str, role: Role, state: LegState = LegState.TALKING, *, bridge: str = "b", call_id: str = "c"
) -> ChannelNow:
    bridge = bridge if state is LegState.TALKING else ""
    return ChannelNow(leg_id, f"PJSIP/{leg_id}", call_id, role, leg_id, state, bridge, "02012345678")


CALLER, TAKER = channel("c", Role.CALLER), channel("k", Role.TAKER)
PARTNER = channel("t", Role.PARTNER)


def after(call: Call, *events: Event) -> Call:
    for event in events:
        call = decide(call, event).call
    return call


def talking() -> Call:
    """Caller `c` and taker `k` in conversation `b`."""
    return after(
        new_call(),
        LegStarted(1001.0, "k", "PJSIP/k", Role.TAKER, "1001"),
        LegJoined(1002.0, "k", "b"),
        LegJoined(1002.0, "c", "b"),
    )


def inviting() -> Call:
    """And the press of 12345's key, transfer `t`."""
    return after(talking(), LinePressed(1003.0, "1001", line("12345"), "t"))


class TestUnknownCalls:
    def test_a_call_that_came_while_we_were_away_is_found(self) -> None:
        (call,) = unknown_calls([], [CALLER, TAKER], AT)
        assert (call.id, call.caller.number, call.caller.withheld) == ("c", "02012345678", False)
        assert call.situation is Situation.QUEUED
        assert (call.via, call.arrived_at) == ("c", AT)

    def test_a_call_that_is_remembered_is_not_found_again(self) -> None:
        assert list(unknown_calls([new_call()], [CALLER], AT)) == []

    def test_takers_and_partners_alone_make_no_call(self) -> None:
        assert list(unknown_calls([], [TAKER, PARTNER], AT)) == []

    def test_a_channel_that_calls_itself_another_calls_caller_makes_none(self) -> None:
        assert list(unknown_calls([], [replace(CALLER, id="x")], AT)) == []

    @pytest.mark.parametrize("number", ["", "anonymous", "1\r\nX: y", "1" * 33, "１２", "${SHELL(id)}"])
    def test_what_is_no_number_is_left_out_and_the_caller_counts_as_withheld(self, number: str) -> None:
        (call,) = unknown_calls([], [replace(CALLER, number=number)], AT)
        assert (call.caller.number, call.caller.withheld) == ("", True)


class TestMissed:
    def test_nothing_is_told_where_nothing_has_happened(self) -> None:
        assert missed(talking(), [CALLER, TAKER], AT) == []

    def test_channels_of_other_calls_are_not_looked_at(self) -> None:
        other = channel("x", Role.PARTNER, call_id="other")
        assert missed(talking(), [CALLER, TAKER, other], AT) == []

    def test_who_is_gone_has_ended_the_caller_first(self) -> None:
        """Otherwise the caller would look left alone, and be rescued though there is nobody to rescue."""
        call = talking()
        call = replace(call, legs=call.legs[::-1])
        assert missed(call, [], AT) == [LegEnded(AT, "c", LOST), LegEnded(AT, "k", LOST)]
        assert after(call, *missed(call, [], AT)).situation is Situation.ENDED

    def test_a_leg_that_had_ended_before_is_not_ended_again(self) -> None:
        call = after(talking(), LegEnded(1005.0, "k", LOST))
        assert missed(call, [CALLER], AT) == []

    @pytest.mark.parametrize(
        ("state", "told"),
        [
            (LegState.DIALLING, []),
            (LegState.RINGING, [LegRinging(AT, "t")]),
            (LegState.WAITING, [LegAnswered(AT, "t")]),
            (LegState.TALKING, [LegJoined(AT, "t", "b")]),
        ],
    )
    def test_a_partner_who_is_new_is_told_of_as_far_as_it_has_come(
        self, state: LegState, told: list[Event]
    ) -> None:
        partner = channel("t", Role.PARTNER, state)
        started = LegStarted(AT, "t", "PJSIP/t", Role.PARTNER, "t")
        assert missed(inviting(), [CALLER, TAKER, partner], AT) == [started, *told]

    def test_who_has_left_the_conversation_and_is_still_up_waits(self) -> None:
        waiting = channel("c", Role.CALLER, LegState.WAITING)
        assert missed(talking(), [waiting, TAKER], AT) == [LegLeft(AT, "c", "b"), LegAnswered(AT, "c")]

    def test_who_is_in_another_conversation_has_left_the_first(self) -> None:
        moved = channel("c", Role.CALLER, bridge="b2")
        assert missed(talking(), [moved, TAKER], AT) == [LegLeft(AT, "c", "b"), LegJoined(AT, "c", "b2")]

    def test_an_invitation_that_asterisk_knows_nothing_of_has_failed(self) -> None:
        (event,) = missed(inviting(), [CALLER, TAKER], AT)
        assert isinstance(event, InviteFailed)
        transfer = after(inviting(), event).transfer("t")
        assert transfer is not None
        assert transfer.reason is EndReason.UNREACHABLE

    def test_an_invitation_that_is_under_way_goes_on(self) -> None:
        ringing = channel("t", Role.PARTNER, LegState.RINGING)
        call = after(inviting(), *missed(inviting(), [CALLER, TAKER, ringing], AT))
        assert [transfer.id for transfer in call.pending] == ["t"]

    def test_a_partner_whose_channel_is_gone_has_ended_once(self) -> None:
        call = after(inviting(), LegStarted(1004.0, "t", "PJSIP/t", Role.PARTNER, "12345"))
        assert missed(call, [CALLER, TAKER], AT) == [LegEnded(AT, "t", LOST)]

    def test_a_three_way_call_that_lost_its_taker_meanwhile_is_handed_over(self) -> None:
        call = after(inviting(), *missed(inviting(), [CALLER, PARTNER], AT))
        assert call.situation is Situation.HANDED_OVER


STATES = (LegState.RINGING, LegState.WAITING, LegState.TALKING)


@given(
    start=st.sampled_from([new_call, talking, inviting]),
    states=st.fixed_dictionaries(
        {
            ("c", Role.CALLER): st.sampled_from([LegState.WAITING, LegState.TALKING]),
            ("k", Role.TAKER): st.sampled_from([None, *STATES]),
            ("t", Role.PARTNER): st.sampled_from([None, *STATES]),
            ("p", Role.PARTNER): st.sampled_from([None, *STATES]),
        }
    ),
    order=st.randoms(use_true_random=False),
)
def test_when_all_has_been_told_the_call_is_as_asterisk_has_it(
    start: object, states: dict[tuple[str, Role], LegState | None], order: object
) -> None:
    """While the caller is there, whatever happened to the others, and in whatever order they are listed."""
    channels = [channel(id, role, state) for (id, role), state in states.items() if state is not None]
    order.shuffle(channels)  # type: ignore[attr-defined]
    call = start()  # type: ignore[operator]
    call = after(call, *missed(call, channels, AT))
    assert {leg.id: leg.bridge for leg in call.legs if leg.alive} == {c.id: c.bridge for c in channels}
    assert {leg.id for leg in call.legs if leg.talking} == {c.id for c in channels if c.bridge}
    assert not [
        event for event in missed(call, channels, AT) if not isinstance(event, LegRinging | LegAnswered)
    ]
