"""Stories of callers on hold: alone with the music, while taker and partner talk, and back again."""

from __future__ import annotations

import pytest

from telephony.core.call import EndReason, Hangup, Mode, Role, Situation, TransferState
from telephony.core.commands import Accepted, Decision, Refused
from telephony.core.events import InviteTimeout, LegMuted, MutePressed
from tests.unit.story import BUSY, LOST, RELEASED, Story


def code(decision: Decision) -> str:
    assert isinstance(decision.reply, Refused), decision
    return decision.reply.code


def together(story: Story, *legs: str, bridge: str = "b9") -> Story:
    """These are in one conversation now."""
    for leg in legs:
        story.join(leg, bridge)
    return story.wait(10)


class TestHold:
    def test_the_caller_is_on_hold_once_asterisk_has_said_so(self) -> None:
        story = Story().taken()
        assert story.hold_key().reply == Accepted()
        assert story.did() == ["hold"]
        assert story.call.situation is Situation.TALKING
        story.leave("c")
        story.leave("k")
        assert story.call.situation is Situation.HELD

    def test_a_hold_that_asterisk_did_not_carry_out_can_be_pressed_again_and_ends_like_any_call(self) -> None:
        story = Story().taken()
        story.hold_key()
        assert story.hold_key().outcome == "hold_asked"
        assert story.did() == ["hold"]
        story.wait(5).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_resume_brings_the_caller_back(self) -> None:
        story = Story().held()
        story.resume_key()
        assert story.did() == ["bring back"]
        assert story.call.situation is Situation.HELD
        together(story, "k", "c")
        assert story.call.situation is Situation.TALKING
        assert code(story.resume_key()) == "not_held"

    def test_resume_again_leaves_a_caller_who_is_coming_alone_and_brings_one_who_has_not_come(self) -> None:
        story = Story().held()
        story.resume_key()
        assert story.did() == ["bring back"]
        story.wait(0.1)
        assert story.resume_key().reply == Accepted()
        assert story.did() == []
        story.wait(2)
        story.resume_key()
        assert story.did() == ["bring back"]

    def test_resume_after_another_hold_brings_the_caller_back_at_once(self) -> None:
        story = Story().held()
        story.resume_key()
        story.join("k", "b9")
        story.join("c", "b9")
        story.hold_key()
        story.leave("c", "b9")
        story.leave("k", "b9")
        assert story.call.situation is Situation.HELD
        story.resume_key()
        assert story.did() == ["bring back"]

    def test_nobody_is_muted_who_comes_when_the_call_is_over(self) -> None:
        story = Story().taken()
        story.gone("k")
        story.gone("c")
        story.start("late", Role.TAKER, "1001")
        decision = story.tell(MutePressed(story.at, "late", True))
        assert code(decision) == "unknown_leg"

    def test_resume_without_hold_says_so(self) -> None:
        assert code(Story().taken().resume_key()) == "not_held"

    def test_another_seat_cannot_press_for_a_held_caller(self) -> None:
        story = Story().held()
        assert code(story.resume_key("1002")) == "no_call"
        assert code(story.hold_key("1002")) == "no_call"

    @pytest.mark.parametrize("hangup", [Hangup(16), LOST])
    def test_taker_who_is_gone_during_hold_does_not_lose_the_caller(self, hangup: Hangup) -> None:
        story = Story().held()
        story.end("k", hangup)
        assert story.did() == ["rescue"]
        assert not story.call.held
        story.taken("1002", "k2")
        story.gone("k2")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_taker_who_hangs_up_as_resume_is_pressed_does_not_end_the_call(self) -> None:
        """The caller finds nobody, asks what comes next, and only then the hang-up is told."""
        story = Story().held()
        story.resume_key()
        story.freed()
        assert story.did() == ["await news"]
        story.end("k")
        assert story.did() == ["answer rescue"]

    def test_taker_who_hangs_up_as_hold_is_pressed_has_ended_the_call(self) -> None:
        story = Story().taken()
        story.hold_key()
        story.gone("k")
        story.leave("c")
        assert story.did() == []
        story.freed()
        assert story.did() == ["answer end"]

    def test_caller_who_hangs_up_on_hold_ends_the_call_and_what_rings(self) -> None:
        story = Story().held()
        story.press("119", "t2")
        story.start("t2", Role.PARTNER, "119")
        story.end("c")
        assert story.did() == ["cancel t2", "watch"]
        assert story.reason("t2") is EndReason.CALLER_HUNG_UP
        story.end("k")
        story.end("t2", Hangup(16, 487))
        assert story.call.ended

    @pytest.mark.parametrize("mode", [Mode.WARM, Mode.COLD, Mode.CONSULT])
    def test_partner_called_during_hold_talks_with_the_taker_first(self, mode: Mode) -> None:
        story = Story().held()
        story.press("119", "t2", mode=mode)
        story.start("t2", Role.PARTNER, "119")
        story.answer("t2")
        story.join("k", "b2")
        story.join("t2", "b2")
        assert story.call.situation is Situation.CONSULT
        assert story.did() == (["hang up k"] if mode is Mode.COLD else [])

    def test_partner_called_during_hold_joins_both_if_the_caller_is_back_by_then(self) -> None:
        story = Story().held()
        story.press("119", "t2")
        assert story.did() == ["invite 119", "watch"]
        story.start("t2", Role.PARTNER, "119")
        together(story, "k", "c")
        story.answer("t2")
        story.join("t2", "b9")
        assert story.call.situation is Situation.THREE_WAY

    def test_partner_who_joins_as_hold_is_pressed_talks_with_the_taker(self) -> None:
        story = Story().inviting()
        story.hold_key()
        story.answer("t1")
        story.join("t1")
        story.leave("c")
        assert story.call.situation is Situation.CONSULT
        story.resume_key()
        story.join("c")
        assert story.call.situation is Situation.THREE_WAY

    def test_taker_who_leaves_a_held_caller_to_a_ringing_partner(self) -> None:
        story = Story().held()
        story.press("119", "t2")
        story.start("t2", Role.PARTNER, "119")
        assert story.leave_key().reply == Accepted(("t2",))
        story.end("k")
        assert story.did() == []
        story.wait(5).answer("t2")
        together(story, "c", "t2")
        assert story.transfer("t2").state is TransferState.HANDED_OVER
        story.leave("t2", "b9")
        story.leave("c", "b9")
        story.end("t2")
        story.freed()
        assert story.did() == ["answer end"]

    @pytest.mark.parametrize("failure", ["busy", "refused", "silent", "cancelled"])
    def test_partner_who_fails_after_the_taker_left_a_held_caller(self, failure: str) -> None:
        story = Story().held()
        story.press("119", "t2")
        story.end("k")
        match failure:
            case "busy":
                story.start("t2", Role.PARTNER, "119")
                story.end("t2", BUSY)
            case "refused":
                story.invite_fails("t2")
            case "silent":
                story.tell(InviteTimeout(story.at, "t2"))
            case _:
                story.cancel()
        assert story.did()[-1] == "rescue"

    def test_group_key_during_hold_calls_every_line(self) -> None:
        story = Story().held()
        assert story.group_key("119", "gas").reply == Accepted(("119", "gas"))
        assert story.did() == ["invite 119", "watch", "invite gas", "watch"]

    def test_taker_who_let_go_presses_no_more(self) -> None:
        story = Story().consult()
        story.leave_key()
        assert code(story.resume_key()) == "no_call"
        assert code(story.press("119", "t2")) == "no_call"
        assert story.leave_key().reply == Accepted(("t1",))


class TestConsult:
    """Taker and partner talk alone first."""

    def test_caller_hears_music_and_taker_and_partner_talk(self) -> None:
        story = Story().consult()
        assert story.call.situation is Situation.CONSULT
        assert story.transfer().state is TransferState.JOINED

    def test_merge_is_a_three_way_call(self) -> None:
        story = Story().consult()
        assert story.resume_key().reply == Accepted(("t1",))
        assert story.did() == ["bring back"]
        story.join("c", "b2")
        assert story.call.situation is Situation.THREE_WAY

    def test_taker_hangs_up_and_the_caller_is_the_partners(self) -> None:
        story = Story().consult()
        story.leave("k", "b2")
        story.end("k")
        story.leave("t1", "b2")
        assert story.did() == []
        together(story, "c", "t1")
        assert story.call.situation is Situation.HANDED_OVER
        assert story.transfer().state is TransferState.HANDED_OVER

    def test_partner_who_is_gone_before_it_has_the_caller_is_no_hand_over(self) -> None:
        story = Story().consult()
        story.leave("k", "b2")
        story.end("k")
        story.leave("t1", "b2")
        story.end("t1")
        assert story.did() == ["rescue"]
        assert story.reason() is EndReason.PARTNER_LEFT

    def test_partner_leaves_and_caller_and_taker_are_together_again(self) -> None:
        story = Story().consult()
        story.leave("t1", "b2")
        story.leave("k", "b2")
        story.end("t1")
        assert (story.did(), story.reason()) == ([], EndReason.PARTNER_LEFT)
        assert story.call.situation is Situation.HELD
        together(story, "k", "c")
        assert story.call.situation is Situation.TALKING

    def test_cancel_ends_the_consultation(self) -> None:
        story = Story().consult()
        assert story.cancel().reply == Accepted(("t1",))
        assert story.did() == ["hang up t1"]
        assert story.reason() is EndReason.CANCELLED

    def test_caller_hangs_up_and_the_two_may_finish(self) -> None:
        story = Story().consult()
        story.end("c")
        assert (story.did(), story.reason()) == ([], EndReason.CALLER_HUNG_UP)
        assert story.call.situation is Situation.STAFF
        story.leave("k", "b2")
        story.end("k")
        assert story.did() == ["hang up t1"]

    def test_partner_who_answers_and_hangs_up_at_once_leaves_caller_and_taker_as_they_were(self) -> None:
        story = Story().inviting(Mode.CONSULT)
        story.answer("t1")
        story.end("t1")
        assert story.call.situation is Situation.TALKING
        assert not story.call.held
        story.gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"], "the taker left the caller to a partner"

    def test_partner_who_answers_as_the_taker_hangs_up_has_the_caller(self) -> None:
        story = Story().inviting(Mode.CONSULT)
        story.answer("t1")
        story.gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer wait"]
        together(story, "t1", "c")
        assert story.call.situation is Situation.HANDED_OVER

    def test_merge_crosses_the_partners_hangup(self) -> None:
        story = Story().consult()
        story.leave("t1", "b2")
        story.leave("k", "b2")
        story.resume_key()
        assert story.did() == ["bring back"]
        story.end("t1")
        assert story.did() == []
        together(story, "k", "c")
        assert story.call.situation is Situation.TALKING

    def test_merge_crosses_the_takers_hangup(self) -> None:
        """The caller was sent to a taker who is gone: asks, and the partner was hung up with nobody to talk to."""
        story = Story().consult()
        story.resume_key()
        story.leave("k", "b2")
        story.end("k")
        story.leave("t1", "b2")
        story.end("t1")
        assert story.did() == ["rescue"]
        story.freed()
        assert story.did() == ["answer rescue"]

    @pytest.mark.parametrize("first", ["cancel", "merge"])
    def test_cancel_and_merge_at_once_leave_caller_and_taker_together(self, first: str) -> None:
        story = Story().consult()
        for key in ("cancel", "merge") if first == "cancel" else ("merge", "cancel"):
            story.cancel() if key == "cancel" else story.resume_key()
        story.leave("t1", "b2")
        story.leave("k", "b2")
        story.end("t1")
        assert story.reason() is EndReason.CANCELLED
        together(story, "k", "c")
        assert story.call.situation is Situation.TALKING

    def test_taker_leaves_a_held_caller_to_two_partners_who_are_with_each_other(self) -> None:
        story = Story().consult()
        story.press("119", "t2")
        story.start("t2", Role.PARTNER, "119")
        story.answer("t2")
        story.join("t2", "b2")
        story.leave("k", "b2")
        story.end("k")
        assert story.did() == ["bring back"]
        story.join("c", "b2")
        assert {t.state for t in story.call.transfers} == {TransferState.HANDED_OVER}

    def test_dropping_the_partner_ends_the_consultation(self) -> None:
        story = Story().consult()
        story.drop("t1")
        assert story.did() == ["hang up t1"]

    def test_a_partner_whom_the_taker_drops_has_not_been_lost(self) -> None:
        story = Story().three_way()
        story.drop("t1")
        story.leave("t1")
        story.end("t1", RELEASED)
        assert story.call.transfers[0].reason is EndReason.RETURNED
        assert story.call.situation is Situation.TALKING

    def test_the_last_one_with_the_caller_is_not_dropped_while_the_taker_is_let_go(self) -> None:
        story = Story().three_way()
        story.leave_key()
        assert code(story.drop("t1")) == "last_with_caller"

    def test_partner_dropped_as_the_taker_was_lost_has_not_ended_the_call(self) -> None:
        story = Story().three_way()
        story.drop("t1")
        story.leave("k")
        story.end("k", LOST)
        story.wait(2).gone("t1")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]


class TestTheHoldButtonOfThePhone:
    def test_the_caller_hears_music_while_the_phone_is_on_hold(self) -> None:
        story = Story().taken()
        story.phone_hold()
        assert story.did() == ["hold"]
        story.leave("c")
        story.leave("k")
        assert story.call.situation is Situation.HELD
        story.phone_unhold()
        assert story.did() == ["bring back"]
        together(story, "c", "k")
        assert story.call.situation is Situation.TALKING

    def test_a_button_pressed_twice_faster_than_asterisk_moves_the_caller(self) -> None:
        story = Story().taken()
        story.phone_hold()
        story.phone_unhold()
        assert story.did() == []
        story.leave("c")
        assert story.did() == ["bring back"]

    def test_with_a_partner_in_it_the_conversation_goes_on(self) -> None:
        story = Story().three_way()
        story.phone_hold()
        assert story.did() == []

    def test_when_that_partner_goes_the_caller_hears_music(self) -> None:
        story = Story().three_way()
        story.phone_hold()
        story.wait(5).gone("t1")
        assert story.did() == ["hold"]

    def test_a_partner_who_comes_meanwhile_is_with_the_caller_and_not_with_a_phone_on_hold(self) -> None:
        story = Story().taken()
        story.phone_hold()
        story.leave("c")
        story.leave("k")
        story.press("119", "t1")
        story.start("t1", Role.PARTNER, "119")
        story.answer("t1")
        together(story, "k", "t1", bridge="b2")
        assert story.did() == ["bring back"]
        together(story, "c", bridge="b2")
        assert story.call.situation is Situation.THREE_WAY
        story.phone_unhold()
        assert story.did() == []

    def test_the_phone_of_the_caller_or_the_partner_moves_nobody(self) -> None:
        story = Story().handed_over()
        story.phone_hold("c")
        story.phone_hold("t1")
        assert story.did() == []

    def test_a_hold_that_was_pressed_by_key_is_not_ended_by_the_phone(self) -> None:
        story = Story().held()
        story.phone_hold()
        story.phone_unhold()
        assert story.did() == []
        assert story.call.situation is Situation.HELD

    def test_a_taker_who_puts_the_phone_down_while_it_is_on_hold_has_not_ended_the_call(self) -> None:
        story = Story().taken()
        story.phone_hold()
        story.leave("c")
        story.leave("k")
        story.wait(5).end("k")
        assert story.did() == ["rescue"]


class TestReturn:
    """The partner sends the caller back."""

    def test_caller_comes_back_to_a_seat_and_the_first_receiver_stays(self) -> None:
        story = Story().handed_over()
        assert story.return_key().reply == Accepted(("t1",))
        assert story.did() == ["rescue", "hang up t1"]
        assert story.reason() is EndReason.RETURNED
        story.leave("c")
        story.gone("t1")
        assert story.did() == []
        story.taken("1001", "k2")
        assert code(story.press("12345", "t2", mode=Mode.COLD)) == "returned_once"
        assert isinstance(story.press("12345", "t2").reply, Accepted)
        assert code(story.leave_key()) == "returned_once"

    def test_return_pressed_twice_is_one_return(self) -> None:
        story = Story().handed_over()
        story.return_key()
        assert code(story.return_key()) == "no_call"
        assert story.call.rescues == 1

    def test_return_while_the_taker_is_there_takes_the_partner_out(self) -> None:
        story = Story().three_way()
        story.return_key()
        assert story.did() == ["hang up t1"]
        story.gone("t1")
        assert story.call.situation is Situation.TALKING

    def test_return_of_one_of_two_partners_leaves_the_caller_with_the_other(self) -> None:
        story = Story().three_way()
        story.press("119", "t2")
        story.start("t2", Role.PARTNER, "119")
        story.join("t2")
        story.gone("k")
        story.return_key("t1")
        assert story.did() == ["hang up t1"]

    def test_return_crosses_the_takers_leaving(self) -> None:
        """The partner is let go in the belief that the taker is there, and the taker is gone: back to a seat."""
        story = Story().three_way()
        story.return_key()
        story.gone("k")
        story.gone("t1")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_a_seat_takes_the_returned_caller_before_the_partners_leg_has_ended(self) -> None:
        story = Story().handed_over()
        story.return_key()
        story.leave("c")
        story.start("k2", Role.TAKER, "1002")
        story.join("k2", "b5")
        story.join("c", "b5")
        assert story.call.situation is Situation.THREE_WAY  # until the partner's leaving is told
        story.gone("t1")
        assert story.did() == []
        assert story.call.situation is Situation.TALKING

    def test_asterisk_could_not_take_the_caller_away_and_the_partner_hangs_up(self) -> None:
        story = Story().handed_over()
        story.return_key()
        story.gone("t1")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]


class TestMute:
    def test_who_is_muted_stays_so_across_hold(self) -> None:
        story = Story().taken()
        story.tell(MutePressed(story.at, "k", muted=True))
        assert story.did() == ["mute k"]
        assert not story.call.takers[0].muted
        story.tell(LegMuted(story.at, "k", muted=True))
        story.hold_key()
        story.leave("c")
        story.leave("k")
        together(story, "k", "c")
        leg = story.call.leg("k")
        assert leg is not None
        assert leg.muted
