"""Stories of calls as people live them: the rows of the design's table, and the races between them."""

from __future__ import annotations

from itertools import permutations

import pytest

from telephony.core import partners
from telephony.core.call import EndReason, Hangup, Mode, Role, Situation, TransferState
from telephony.core.commands import Accepted, Refused
from telephony.core.events import InviteTimeout
from tests.unit.story import BUSY, LOST, NORMAL, Story


class TestPartnerRings:
    """A partner's phone is being called while the taker has the caller."""

    def test_partner_answers_and_three_talk(self) -> None:
        story = Story().inviting()
        story.answer("t1")
        story.join("t1")
        assert story.call.situation is Situation.THREE_WAY
        assert story.transfer().state is TransferState.JOINED
        assert story.transfer().joined_at == story.at
        assert story.did() == []

    @pytest.mark.parametrize(
        ("hangup", "reason"),
        [
            (BUSY, EndReason.BUSY),
            (Hangup(19), EndReason.NO_ANSWER),
            (Hangup(21, 603), EndReason.REJECTED),
            (Hangup(1, 404), EndReason.UNREACHABLE),
        ],
    )
    def test_failure_leaves_caller_and_taker_alone_and_says_why(
        self, hangup: Hangup, reason: EndReason
    ) -> None:
        story = Story().inviting()
        story.end("t1", hangup)
        assert story.did() == []
        assert story.call.situation is Situation.TALKING
        transfer = story.transfer()
        assert (transfer.reason, transfer.q850, transfer.sip_code) == (reason, hangup.cause, hangup.sip_code)

    def test_after_a_failure_one_press_tries_again(self) -> None:
        story = Story().inviting()
        story.end("t1", BUSY)
        assert story.press(transfer="t2").reply == Accepted(("t2",))
        assert story.did() == ["invite 12345", "watch"]
        assert story.reason("t1") is EndReason.BUSY

    def test_taker_hangs_up_and_the_caller_waits_and_is_taken_by_the_partner(self) -> None:
        story = Story().inviting()
        story.gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer wait"]
        assert story.call.situation is Situation.WAITING
        story.wait(5).join("t1", "b2")
        story.join("c", "b2")
        assert story.call.situation is Situation.HANDED_OVER
        assert story.transfer().handed_over_at == story.at
        story.wait(60).leave("t1", "b2")
        story.leave("c", "b2")
        story.end("t1")
        assert story.reason() is EndReason.COMPLETED
        story.freed()
        assert story.did() == ["answer end"]

    @pytest.mark.parametrize("hangup", [BUSY, Hangup(19), Hangup(21, 603), LOST])
    def test_taker_gone_and_partner_fails_rescues_the_caller(self, hangup: Hangup) -> None:
        story = Story().waiting()
        story.end("t1", hangup)
        assert story.did() == ["rescue"]
        assert story.call.rescues == 1

    def test_taker_whose_phone_dies_is_like_one_who_hangs_up(self) -> None:
        story = Story().inviting()
        story.gone("k", LOST)
        story.leave("c")
        story.freed()
        assert story.did() == ["answer wait"]

    def test_rescued_caller_is_not_pulled_out_of_the_queue_again(self) -> None:
        story = Story().waiting()
        story.end("t1", BUSY)
        story.start("k2", Role.TAKER, "1001")
        story.wait(8).end("k2", Hangup(19))
        assert story.did() == []
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_rescued_caller_starts_over_with_the_next_taker(self) -> None:
        story = Story().waiting()
        story.end("t1", BUSY)
        story.taken("1002", "k2")
        assert story.call.seat == "1002"
        assert story.call.situation is Situation.TALKING
        story.gone("k2")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_caller_hangs_up_and_the_ringing_leg_is_cancelled(self) -> None:
        story = Story().inviting()
        story.gone("c")
        assert story.did() == ["cancel t1", "watch"]
        assert story.reason() is EndReason.CALLER_HUNG_UP

    def test_caller_hangs_up_before_asterisk_has_told_the_partners_channel(self) -> None:
        story = Story().taken()
        story.press()
        story.gone("c")
        assert story.did() == ["cancel t1", "watch"]
        story.start("t1", Role.PARTNER)
        assert story.did() == ["hang up t1"]

    def test_answer_that_crosses_the_callers_hangup_is_released(self) -> None:
        story = Story().inviting()
        story.gone("c")
        story.answer("t1")
        story.join("t1", "b2")
        assert story.did() == ["hang up t1"]
        story.gone("k")
        story.end("t1")
        assert story.call.ended
        assert story.reason() is EndReason.CALLER_HUNG_UP

    @pytest.mark.parametrize("answered_first", [True, False])
    def test_partner_who_has_just_answered_is_told_that_the_caller_is_gone_and_let_go(
        self, answered_first: bool
    ) -> None:
        story = Story().inviting()
        if answered_first:
            story.answer("t1")
        story.gone("c")
        assert story.did() == ["cancel t1", "watch"]
        story.answer("t1")
        story.gone("k")
        assert story.did() == []
        assert not story.call.ended
        story.wait(2.5).end("t1")
        assert story.call.ended
        assert story.reason() is EndReason.CALLER_HUNG_UP

    def test_partner_whom_nobody_lets_go_is_not_left_over(self) -> None:
        story = Story().inviting()
        story.answer("t1")
        story.gone("c")
        story.gone("k")
        story.wait(partners.GOODBYE).tell(InviteTimeout(story.at, "t1"))
        assert story.did() == ["hang up t1"]

    def test_watch_over_a_partner_who_is_gone_does_nothing(self) -> None:
        story = Story().inviting()
        story.gone("c")
        story.end("t1")
        story.wait(partners.GOODBYE).tell(InviteTimeout(story.at, "t1"))
        assert story.did() == []

    def test_cancel_releases_the_ringing_leg(self) -> None:
        story = Story().inviting()
        assert story.cancel().reply == Accepted(("t1",))
        assert story.did() == ["hang up t1"]
        story.end("t1", Hangup(16, 487))
        assert story.reason() is EndReason.CANCELLED
        assert story.call.situation is Situation.TALKING

    def test_answer_that_crosses_cancel_is_released(self) -> None:
        story = Story().inviting()
        story.cancel()
        story.answer("t1")
        assert story.did() == []
        story.join("t1")
        assert story.did() == ["hang up t1"]
        assert story.reason() is EndReason.CANCELLED

    def test_cancel_that_crosses_the_answer_finds_nothing_to_cancel(self) -> None:
        story = Story().inviting()
        story.join("t1")
        reply = story.cancel().reply
        assert isinstance(reply, Refused)
        assert reply.code == "nothing_to_cancel"
        assert story.call.situation is Situation.THREE_WAY

    def test_cancel_before_asterisk_has_told_the_channel_names_it_by_its_id(self) -> None:
        story = Story().taken()
        story.press()
        story.cancel()
        assert story.did() == ["hang up t1"]
        story.start("t1", Role.PARTNER)
        assert story.did() == ["hang up t1"]
        story.press(transfer="t2")
        assert story.did() == ["invite 12345", "watch"]

    def test_cancel_of_a_transfer_that_is_not_known_cancels_no_other(self) -> None:
        story = Story().inviting()
        reply = story.cancel("t7").reply
        assert isinstance(reply, Refused)
        assert story.transfer().live

    def test_cancel_while_the_caller_waits_alone_rescues_once(self) -> None:
        story = Story().taken()
        story.press("12345", "t1")
        story.press("119", "t2")
        story.gone("k")
        story.leave("c")
        story.freed()
        story.cancel()
        assert story.did() == ["hang up t1", "hang up t2", "rescue"]

    def test_one_of_two_partners_fails_and_the_caller_goes_on_waiting(self) -> None:
        story = Story().taken()
        story.press("12345", "t1")
        story.press("119", "t2")
        story.gone("k")
        story.leave("c")
        story.freed()
        story.invite_fails("t1")
        assert story.did() == []
        story.invite_fails("t2")
        assert story.did() == ["rescue"]

    def test_same_key_again_is_the_same_transfer(self) -> None:
        story = Story().inviting()
        assert story.press(transfer="t2").reply == Accepted(("t1",))
        assert story.did() == []
        story.join("t1")
        assert story.press(transfer="t3").reply == Accepted(("t1",))
        assert len(story.call.transfers) == 1

    def test_same_press_told_twice_is_one_transfer_even_after_it_ended(self) -> None:
        story = Story().inviting()
        story.end("t1", BUSY)
        assert story.press(transfer="t1").reply == Accepted(("t1",))
        assert story.reason() is EndReason.BUSY
        assert story.did() == []

    def test_another_lines_key_invites_another_partner_too(self) -> None:
        story = Story().inviting()
        assert story.press("119", "t2").reply == Accepted(("t2",))
        assert [t.line for t in story.call.pending] == ["12345", "119"]
        story.join("t1")
        story.start("t2", Role.PARTNER, "119")
        story.join("t2")
        assert len(story.call.talking(Role.PARTNER)) == 2

    def test_asterisk_refuses_and_no_leg_comes(self) -> None:
        story = Story().taken()
        story.press()
        story.invite_fails("t1")
        assert story.reason() is EndReason.UNREACHABLE
        assert story.did() == []

    def test_a_late_refusal_does_not_speak_for_a_leg_that_exists(self) -> None:
        story = Story().inviting()
        story.invite_fails("t1")
        assert story.transfer().live
        story.end("t1", BUSY)
        assert story.reason() is EndReason.BUSY

    def test_asterisks_silence_ends_the_invitation(self) -> None:
        story = Story().inviting()
        story.tell(InviteTimeout(story.at, "t1"))
        assert story.reason() is EndReason.NO_ANSWER
        assert story.did() == ["hang up t1"]

    def test_partner_who_answered_and_never_came_in_is_an_error(self) -> None:
        story = Story().inviting()
        story.answer("t1")
        story.tell(InviteTimeout(story.at, "t1"))
        assert story.reason() is EndReason.ERROR
        assert story.did() == ["hang up t1"]

    def test_partner_who_answers_and_hangs_up_before_coming_in_has_left(self) -> None:
        story = Story().waiting()
        story.answer("t1")
        story.end("t1")
        assert story.reason() is EndReason.PARTNER_LEFT
        assert story.did() == ["rescue"]

    def test_ringing_that_is_told_after_the_answer_changes_nothing(self) -> None:
        story = Story().inviting()
        story.answer("t1")
        before = story.call
        story.ring("t1")
        assert story.call == before

    def test_the_partners_leg_is_named_after_its_line(self) -> None:
        story = Story().taken()
        story.press()
        story.start("t1", Role.PARTNER, "?")
        leg = story.call.leg("t1")
        assert leg is not None
        assert leg.party == "12345"


class TestRefusedPress:
    """A press that cannot be carried out says so at once and starts nothing."""

    def test_closed_line_is_refused_and_on_record(self) -> None:
        story = Story().taken()
        reply = story.press(closed=True).reply
        assert reply == Refused("line_closed", "line 12345 is closed", "t1")
        assert story.reason() is EndReason.LINE_CLOSED
        assert story.did() == []

    def test_full_line_is_refused_and_on_record(self) -> None:
        story = Story().taken()
        assert story.press(full=True).reply == Refused("line_full", "line 12345 is full", "t1")
        assert story.reason() is EndReason.LINE_FULL

    def test_closing_a_line_lets_live_legs_on_it_go_on(self) -> None:
        story = Story().three_way()
        assert story.press(transfer="t2", closed=True).reply == Accepted(("t1",))
        assert story.transfer().live

    def test_a_key_held_down_on_a_closed_line_blocks_no_other_line(self) -> None:
        story = Story().taken()
        for n in range(500):
            reply = story.press("gas", f"g{n}", closed=True).reply
            assert isinstance(reply, Refused)
            assert reply.code == "line_closed"
        assert len(story.call.transfers) == 100
        assert isinstance(story.press("12345", "t1").reply, Accepted)

    def test_transfers_of_one_call_are_bounded(self) -> None:
        story = Story().taken()
        for n in range(100):
            story.press(transfer=f"t{n}")
            story.invite_fails(f"t{n}")
        reply = story.press(transfer="t100").reply
        assert isinstance(reply, Refused)
        assert reply.code == "too_many_transfers"

    def test_a_seat_that_only_rings_has_no_caller(self) -> None:
        story = Story()
        story.start("k", Role.TAKER, "1001")
        story.ring("k")
        reply = story.press().reply
        assert isinstance(reply, Refused)
        assert reply.code == "no_call"


class TestThreeWay:
    """Caller, taker and partner in one conversation."""

    def test_taker_leaves_and_caller_and_partner_go_on(self) -> None:
        story = Story().three_way()
        story.gone("k")
        assert story.call.situation is Situation.HANDED_OVER
        assert story.transfer().state is TransferState.HANDED_OVER
        assert story.did() == []

    def test_leave_key_hangs_up_the_taker_and_no_one_else(self) -> None:
        story = Story().three_way()
        assert story.leave_key().reply == Accepted(("t1",))
        assert story.did() == ["hang up k"]

    def test_partner_leaves_and_caller_and_taker_go_on(self) -> None:
        story = Story().three_way()
        story.gone("t1")
        assert story.call.situation is Situation.TALKING
        assert story.reason() is EndReason.RETURNED
        assert story.did() == []

    def test_partner_whose_link_is_lost_is_told_apart_from_one_who_left(self) -> None:
        story = Story().three_way()
        story.gone("t1", LOST)
        assert story.call.situation is Situation.TALKING
        assert (story.reason(), story.transfer().q850) == (EndReason.LINK_LOST, 44)

    @pytest.mark.parametrize(("first", "last"), [("k", "t1"), ("t1", "k")])
    def test_caller_leaves_and_taker_and_partner_finish(self, first: str, last: str) -> None:
        story = Story().three_way()
        story.gone("c")
        assert story.did() == []
        assert story.call.situation is Situation.STAFF
        assert story.reason() is EndReason.CALLER_HUNG_UP
        story.wait(20).gone(first)
        assert story.did() == [f"hang up {last}"]
        story.gone(last)
        assert story.call.ended
        assert story.call.ended_at == story.at

    def test_reconciliation_does_not_part_taker_and_partner_who_finish(self) -> None:
        story = Story().staff()
        story.join("t1")
        assert story.did() == []

    @pytest.mark.parametrize(
        "order", list(permutations(["k leaves", "t1 leaves", "k ends", "t1 ends", "freed"]))
    )
    def test_taker_and_partner_both_leave_within_a_second(self, order: tuple[str, ...]) -> None:
        """Whoever goes first, in whatever order it is told: the caller goes back to a seat."""
        story = Story().three_way()
        answers: list[str] = []
        for step in order:
            story.wait(0.15)
            match step.split():
                case [leg, "leaves"]:
                    story.leave(leg)
                case [leg, "ends"]:
                    story.end(leg)
                case _:
                    story.leave("c")
                    story.freed()
            answers += [word for word in story.did() if word.startswith("answer")]
        assert answers == ["answer rescue"]
        assert story.reason() in (EndReason.PARTNER_LEFT, EndReason.RETURNED)

    @pytest.mark.parametrize(
        "order",
        [
            order
            for order in permutations(["k ends", "c leaves", "freed"])
            if order.index("k ends") < order.index("c leaves")
        ],
    )
    def test_taker_ends_an_ordinary_call_and_the_question_comes_at_any_time(
        self, order: tuple[str, ...]
    ) -> None:
        story = Story().taken()
        answers: list[str] = []
        for step in order:
            match step:
                case "k ends":
                    story.end("k")
                case "c leaves":
                    story.leave("c")
                case _:
                    story.freed()
            answers += [word for word in story.did() if word.startswith("answer")]
        assert answers == ["answer end"]

    def test_partner_returns_and_the_taker_ends_the_call_later(self) -> None:
        story = Story().three_way()
        story.gone("t1")
        story.wait(30).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]


class TestHandedOver:
    """The caller is with the partner."""

    def test_partner_ends_and_the_call_ends(self) -> None:
        story = Story().handed_over()
        story.gone("t1")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]
        assert story.reason() is EndReason.COMPLETED
        story.end("c")
        assert story.call.ended

    def test_partners_leg_is_lost_and_the_caller_goes_to_the_queue(self) -> None:
        story = Story().handed_over()
        story.gone("t1", LOST)
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]
        assert story.reason() is EndReason.LINK_LOST

    def test_question_before_the_news_waits_for_it(self) -> None:
        story = Story().handed_over()
        story.freed()
        assert story.did() == ["await news"]
        story.leave("t1")
        story.leave("c")
        assert story.did() == []
        story.end("t1")
        assert story.did() == ["answer end"]

    def test_question_without_news_is_answered_with_a_seat(self) -> None:
        story = Story().handed_over()
        story.freed()
        story.news_is_late()
        assert story.did() == ["answer rescue"]
        story.news_is_late()
        assert story.did() == []

    def test_caller_hangs_up_and_the_partner_is_released(self) -> None:
        story = Story().handed_over()
        story.gone("c")
        assert story.did() == ["hang up t1"]
        assert story.reason() is EndReason.COMPLETED

    def test_caller_hangs_up_and_asterisk_tells_of_the_partner_first(self) -> None:
        story = Story().handed_over()
        story.leave("c")
        story.wait(0.01).leave("t1")
        story.end("t1", Hangup(0))
        assert story.reason() is EndReason.COMPLETED
        story.end("c")
        assert story.call.ended

    def test_two_partners_and_the_last_one_decides(self) -> None:
        story = Story().taken()
        for transfer, name in (("t1", "12345"), ("t2", "119")):
            story.press(name, transfer)
            story.start(transfer, Role.PARTNER)
            story.join(transfer)
        story.wait(5).gone("k")
        assert {t.state for t in story.call.transfers} == {TransferState.HANDED_OVER}
        story.wait(5).gone("t1", LOST)
        assert story.call.situation is Situation.HANDED_OVER
        story.wait(5).gone("t2")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_two_partners_who_are_gone_together_and_one_was_lost(self) -> None:
        story = Story().taken()
        for transfer, name in (("t1", "12345"), ("t2", "119")):
            story.press(name, transfer)
            story.start(transfer, Role.PARTNER)
            story.join(transfer)
        story.wait(5).gone("k")
        story.wait(5).gone("t1")
        story.gone("t2", LOST)
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_takers_channel_that_ends_late_says_nothing_about_the_partner(self) -> None:
        story = Story().three_way()
        story.leave("k")
        story.wait(10).gone("t1")
        story.wait(0.5).end("k", LOST)
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_takers_channel_that_never_ends_does_not_hold_up_the_end(self) -> None:
        story = Story().three_way()
        story.leave("k")
        story.wait(10).gone("t1")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_partners_channel_that_ends_late_left_when_it_left(self) -> None:
        story = Story().three_way()
        story.leave("t1")
        story.wait(3).gone("k")
        story.leave("c")
        story.wait(0.2).freed()
        assert story.did() == ["await news"]
        story.end("t1")
        assert story.did() == ["answer end"]

    def test_partner_who_is_told_to_have_joined_twice_was_handed_the_caller_once(self) -> None:
        story = Story().handed_over()
        before = story.call
        story.join("t1")
        assert story.call == before


class TestCold:
    """The taker is released once the partner has joined, and not before."""

    def test_taker_is_released_when_the_partner_has_joined(self) -> None:
        story = Story().inviting(Mode.COLD)
        story.answer("t1")
        assert story.did() == []
        story.join("t1")
        assert story.did() == ["hang up k"]
        story.gone("k")
        assert story.call.situation is Situation.HANDED_OVER

    def test_partner_who_fails_leaves_the_taker_with_the_caller(self) -> None:
        story = Story().inviting(Mode.COLD)
        story.end("t1", BUSY)
        assert story.did() == []
        assert story.call.situation is Situation.TALKING

    def test_partner_who_is_lost_while_the_taker_is_released_rescues_the_caller(self) -> None:
        story = Story().inviting(Mode.COLD)
        story.join("t1")
        story.wait(0.1).gone("t1", LOST)
        story.wait(2).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]


class TestCrossings:
    """Two things at the same moment: nobody is lost, whichever is told first."""

    def test_taker_hangs_up_a_moment_after_the_partner_turned_out_busy(self) -> None:
        """The taker left the caller to a ringing phone, and cannot have seen that it no longer rings."""
        story = Story().inviting()
        story.end("t1", BUSY)
        story.wait(0.3).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_taker_who_saw_that_the_partner_is_busy_may_end_the_call(self) -> None:
        story = Story().inviting()
        story.end("t1", BUSY)
        story.wait(5).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]

    def test_taker_who_cancels_and_hangs_up_ends_the_call(self) -> None:
        story = Story().inviting()
        story.cancel()
        story.wait(0.2).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]
        story.end("t1", Hangup(16, 487))
        assert story.did() == []

    def test_leave_that_crosses_the_partners_failure_rescues_the_caller(self) -> None:
        """Asterisk hangs the taker up as a person would; it was not meant as the end of the call."""
        story = Story().inviting()
        story.leave_key()
        story.end("t1", BUSY)
        story.wait(3).gone("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_failure_after_the_taker_left_and_before_the_question(self) -> None:
        story = Story().inviting()
        story.gone("k")
        story.wait(0.05).invite_fails("t1")
        story.end("t1", BUSY)
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_failure_that_is_told_before_the_takers_hangup_still_rescues(self) -> None:
        """The caller is in the music already; that the taker looks alive must not leave it there."""
        story = Story().inviting()
        story.leave("c")
        story.freed()
        assert story.did() == ["answer wait"]
        story.end("t1", BUSY)
        assert story.did() == ["rescue"]
        story.gone("k")
        assert story.did() == []

    def test_answer_that_crosses_the_takers_hangup(self) -> None:
        """The partner joins in the moment in which the caller is alone in the dialplan."""
        story = Story().inviting()
        story.gone("k")
        story.leave("c")
        story.join("t1", "b2")
        assert story.transfer().state is TransferState.JOINED
        story.freed()
        assert story.did() == ["await news"]
        story.join("c", "b2")
        assert story.call.situation is Situation.HANDED_OVER
        assert story.transfer().state is TransferState.HANDED_OVER
        story.news_is_late()
        assert story.did() == []
        story.wait(30).leave("t1", "b2")
        story.leave("c", "b2")
        story.end("t1")
        story.freed()
        assert story.did() == ["answer end"]

    def test_question_that_is_heard_after_the_partner_took_the_caller(self) -> None:
        story = Story().inviting()
        story.gone("k")
        story.leave("c")
        story.join("t1", "b2")
        story.join("c", "b2")
        story.freed()
        story.news_is_late()
        assert story.call.situation is Situation.HANDED_OVER
        assert story.call.rescues == 0
        story.wait(30).leave("t1", "b2")
        story.leave("c", "b2")
        story.end("t1")
        story.freed()
        assert story.did() == ["answer end"]

    def test_question_that_is_heard_late_while_another_partner_still_rings(self) -> None:
        """The caller talks to one partner; that the other fails must not look like being left alone."""
        story = Story().inviting()
        story.press("119", "t2")
        story.gone("k")
        story.leave("c")
        story.join("t1", "b2")
        story.join("c", "b2")
        story.freed()
        assert story.did() == ["await news"]
        story.news_is_late()
        story.wait(5).invite_fails("t2")
        assert story.did() == []
        story.wait(30).leave("t1", "b2")
        story.end("t1")
        assert story.did() == []

    def test_failure_that_is_told_before_the_callers_leaving_still_rescues(self) -> None:
        story = Story().inviting()
        story.gone("k")
        story.freed()
        story.news_is_late()
        assert story.did() == ["answer wait"]
        story.end("t1", BUSY)
        assert story.did() == []
        story.leave("c")
        assert story.did() == ["rescue"]

    def test_how_the_taker_left_is_awaited(self) -> None:
        story = Story().taken()
        story.leave("k")
        story.leave("c")
        story.freed()
        assert story.did() == ["await news"]
        story.end("k", LOST)
        assert story.did() == ["answer rescue"]

    def test_caller_who_asks_did_not_hang_up_though_it_left_first(self) -> None:
        story = Story().three_way()
        story.gone("k")
        story.wait(0.1).leave("c")
        story.wait(0.1).gone("t1")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_cancel_crosses_answer_while_the_caller_waits_alone(self) -> None:
        """The rescue is under way when the partner's leg takes the caller: only the partner goes."""
        story = Story().waiting()
        story.cancel()
        assert story.did() == ["hang up t1", "rescue"]
        story.join("t1", "b2")
        assert story.did() == ["hang up t1"]
        story.join("c", "b2")
        story.leave("t1", "b2")
        story.leave("c", "b2")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_asked_twice_before_the_news(self) -> None:
        story = Story().taken()
        story.leave("c")
        story.freed()
        story.freed()
        assert story.did() == ["await news"]
        story.gone("k")
        assert story.did() == ["answer end"]
        story.news_is_late()
        assert story.did() == []

    def test_asked_again_after_the_answer_is_answered_again_alike(self) -> None:
        story = Story().taken()
        story.gone("k", LOST)
        story.leave("c")
        for _ in range(2):
            story.freed()
            assert story.did() == ["answer rescue"]

    def test_late_news_cannot_turn_a_rescue_into_an_end(self) -> None:
        story = Story().taken()
        story.leave("c")
        story.freed()
        story.news_is_late()
        assert story.did() == ["answer rescue"]
        story.gone("k")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_news_that_is_late_does_not_forget_a_partner_who_rings(self) -> None:
        story = Story().taken()
        story.leave("c")
        story.freed()
        story.press()
        story.news_is_late()
        assert story.did() == ["answer wait"]

    def test_seat_that_only_rang_does_not_end_a_rescued_callers_call(self) -> None:
        story = Story().taken()
        story.gone("k", LOST)
        story.leave("c")
        story.freed()
        story.start("k2", Role.TAKER, "1002")
        story.end("k2", NORMAL)
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_caller_who_hangs_up_while_asking_is_told_the_end(self) -> None:
        story = Story().taken()
        story.leave("c")
        story.freed()
        story.end("c")
        assert story.did() == ["answer end"]


class TestRestart:
    """The controller comes back in the middle: what Asterisk has counts."""

    def test_partner_whom_nobody_remembers_is_a_transfer_and_is_not_cut_off(self) -> None:
        story = Story()
        story.start("p", Role.PARTNER, "12345")
        story.join("p")
        story.join("c")
        assert story.did() == []
        assert story.call.situation is Situation.HANDED_OVER
        assert story.transfer("p").line == "12345"
        story.wait(60).gone("p")
        story.leave("c")
        story.freed()
        assert story.did() == ["answer end"]
        assert story.reason("p") is EndReason.COMPLETED

    def test_partner_whom_the_dialplans_own_key_called_fails_like_any_other(self) -> None:
        story = Story().taken()
        story.start("p", Role.PARTNER, "12345")
        story.ring("p")
        story.end("p", BUSY)
        assert story.reason("p") is EndReason.BUSY
        assert story.call.situation is Situation.TALKING

    def test_taker_and_partner_gone_while_away(self) -> None:
        story = Story().three_way()
        story.wait(30).end("k", Hangup(38))
        story.end("t1", Hangup(38))
        story.leave("c")
        story.freed()
        assert story.did() == ["answer rescue"]

    def test_pending_partner_that_asterisk_does_not_know_rescues_the_waiting_caller(self) -> None:
        story = Story().taken()
        story.press()
        story.gone("k")
        story.leave("c")
        story.freed()
        story.invite_fails("t1")
        assert story.did() == ["rescue"]

    def test_call_that_is_over_stays_over_when_a_late_leg_comes(self) -> None:
        story = Story().taken()
        story.press()
        story.gone("c")
        story.gone("k")
        assert story.call.ended
        story.start("t1", Role.PARTNER)
        assert story.did() == ["hang up t1"]
        assert story.call.ended
        story.end("t1")
        assert story.did() == []
