"""After the link was down: what is remembered against what Asterisk has, told as events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.core.call import Call, EndReason, LegState, Mode, Role, Situation, TransferState
from telephony.core.commands import Command, RescueCaller
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
from tests.unit.story import Story, line, new_call

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


def done(call: Call, channels: list[ChannelNow]) -> tuple[Call, list[Command]]:
    """The call when all that it has missed has been told, and what was done about it."""
    commands: list[Command] = []
    for event in missed(call, channels, AT):
        decision = decide(call, event)
        call = decision.call
        commands += decision.commands
    return call, commands


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


def held() -> Call:
    """Caller `c` hears music, and taker `k` waits."""
    return after(talking(), LegLeft(1003.0, "c", "b"), LegLeft(1003.0, "k", "b"))


def consulting() -> Call:
    """Taker and partner `t` talk alone in `b2`, the caller hears music."""
    return after(
        talking(),
        LinePressed(1003.0, "1001", line("12345"), "t", Mode.CONSULT),
        LegStarted(1004.0, "t", "PJSIP/t", Role.PARTNER, "12345"),
        LegAnswered(1005.0, "t"),
        LegLeft(1005.0, "c", "b"),
        LegLeft(1005.0, "k", "b"),
        LegJoined(1005.0, "k", "b2"),
        LegJoined(1005.0, "t", "b2"),
    )


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

    @pytest.mark.parametrize(("bridge", "situation"), [("", Situation.HELD), ("b2", Situation.CONSULT)])
    def test_a_caller_who_waits_though_a_taker_has_answered_is_on_hold(
        self, bridge: str, situation: Situation
    ) -> None:
        state = LegState.TALKING if bridge else LegState.WAITING
        channels = [
            channel("c", Role.CALLER, LegState.WAITING),
            channel("k", Role.TAKER, state, bridge=bridge),
            *([channel("t", Role.PARTNER, bridge=bridge)] if bridge else []),
        ]
        (call,) = unknown_calls([], channels, AT)
        call, commands = done(call, channels)
        assert call.situation is situation
        assert commands == []
        assert call.seat == "k"

    def test_a_caller_in_the_queue_whose_seat_only_rings_is_not_on_hold(self) -> None:
        channels = [
            channel("c", Role.CALLER, LegState.WAITING),
            channel("k", Role.TAKER, LegState.RINGING),
        ]
        (call,) = unknown_calls([], channels, AT)
        assert not call.held


ON_HOLD = channel("c", Role.CALLER, LegState.WAITING)
TAKER_WAITS = channel("k", Role.TAKER, LegState.WAITING)
TAKER_CONSULTS, PARTNER_CONSULTS = (
    channel("k", Role.TAKER, bridge="b2"),
    channel("t", Role.PARTNER, bridge="b2"),
)


class TestHold:
    """The caller waits in the music, which is not the same as having been left."""

    def test_a_held_call_goes_on_as_it_was(self) -> None:
        assert missed(held(), [ON_HOLD, TAKER_WAITS], AT) == []

    def test_a_consultation_goes_on_as_it_was(self) -> None:
        channels = [ON_HOLD, TAKER_CONSULTS, PARTNER_CONSULTS]
        assert missed(consulting(), channels, AT) == []
        assert consulting().situation is Situation.CONSULT

    def test_a_hold_that_began_while_we_were_away_is_seen(self) -> None:
        call, commands = done(talking(), [ON_HOLD, TAKER_WAITS])
        assert call.situation is Situation.HELD
        assert commands == []

    def test_a_consultation_that_began_while_we_were_away_is_seen(self) -> None:
        call = after(talking(), LinePressed(1003.0, "1001", line("12345"), "t", Mode.CONSULT))
        call, commands = done(call, [PARTNER_CONSULTS, TAKER_CONSULTS, ON_HOLD])
        assert call.situation is Situation.CONSULT
        assert [transfer.state for transfer in call.transfers] == [TransferState.JOINED]
        assert commands == []

    def test_a_held_caller_whose_taker_is_gone_is_rescued(self) -> None:
        call, commands = done(held(), [ON_HOLD])
        assert commands == [RescueCaller("PJSIP/c")]
        assert not call.held

    def test_a_held_caller_who_has_a_new_taker_by_now_is_left_there(self) -> None:
        """The dialplan has rescued the caller by itself; that the first taker is gone must not tear them apart."""
        talks = channel("c", Role.CALLER, bridge="b9"), channel("k2", Role.TAKER, bridge="b9")
        call, commands = done(held(), [*talks])
        assert commands == []
        assert call.situation is Situation.TALKING
        assert call.seat == "k2"

    def test_a_caller_who_waited_for_a_partner_and_has_a_taker_by_now_is_left_there(self) -> None:
        story = Story().waiting()
        talks = channel("c", Role.CALLER, bridge="b9"), channel("k2", Role.TAKER, bridge="b9")
        call, commands = done(story.call, [*talks])
        assert commands == []
        assert call.situation is Situation.TALKING
        assert call.transfers[0].reason is EndReason.LINK_LOST

    def test_a_consultation_whose_taker_is_gone_is_handed_over_by_the_dialplan(self) -> None:
        taken = channel("c", Role.CALLER, bridge="b3"), channel("t", Role.PARTNER, bridge="b3")
        call, commands = done(consulting(), [*taken])
        assert commands == []
        assert call.situation is Situation.HANDED_OVER
        assert call.transfers[0].state is TransferState.HANDED_OVER

    def test_a_consultation_whose_partner_is_gone_has_caller_and_taker_together(self) -> None:
        together = channel("c", Role.CALLER, bridge="b3"), channel("k", Role.TAKER, bridge="b3")
        call, commands = done(consulting(), [*together])
        assert commands == []
        assert call.situation is Situation.TALKING
        assert call.transfers[0].reason is EndReason.LINK_LOST

    def test_a_consultation_of_which_only_the_caller_is_left_is_rescued_once(self) -> None:
        call, commands = done(consulting(), [ON_HOLD])
        assert commands == [RescueCaller("PJSIP/c")]
        assert call.transfers[0].reason is EndReason.LINK_LOST

    def test_a_consultation_whose_caller_is_gone_may_finish(self) -> None:
        call, commands = done(consulting(), [TAKER_CONSULTS, PARTNER_CONSULTS])
        assert commands == []
        assert call.situation is Situation.STAFF
        assert call.transfers[0].reason is EndReason.LINK_LOST


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
            (LegState.TALKING, [LegAnswered(AT, "t"), LegJoined(AT, "t", "b")]),
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
        assert missed(talking(), [waiting, TAKER], AT) == [LegLeft(AT, "c", "b")]

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
    start=st.sampled_from([new_call, talking, inviting, held, consulting]),
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
    assert not call.held or not call.talking(Role.CALLER)
    assert not [
        event for event in missed(call, channels, AT) if not isinstance(event, LegRinging | LegAnswered)
    ]
