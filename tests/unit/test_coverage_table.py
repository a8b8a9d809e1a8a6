"""Which test covers which situation: every row of design §5, and what others' transfers must survive.

The situations of the second and third part are those of the Asterisk testsuite (`tests/bridge`, `tests/manager/
redirect`, `tests/channels/pjsip/transfers`, `connected_line`) and of wazo-calld's integration suites
(`test_transfers.py`, `test_adhoc_conferences.py`), in our own words. A test named here that does not exist
fails this file; so does a row without a test.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

DESIGN = {
    "partner ringing: partner answers, warm": "test_api_key_hands_the_caller_over_without_losing_a_packet",
    "partner ringing: partner answers, cold": "test_cold_transfer_releases_the_taker_once_the_partner_has_joined",
    "partner ringing: busy, rejected, unreachable": "test_refusals_have_their_reason_with_sip_code_and_cause",
    "partner ringing: no answer": "test_phone_that_nobody_picks_up_is_no_answer_after_the_lines_own_limit",
    "partner ringing: far end away": "test_far_end_that_is_not_there_is_unreachable",
    "partner ringing: try again after a failure": "test_press_can_be_tried_again_after_a_failure",
    "partner ringing: taker hangs up, partner answers": "test_caller_hears_music_when_the_taker_hangs_up_while_the_"
    "partner_rings_and_then_the_partner",
    "partner ringing: taker hangs up, partner fails": "test_caller_who_waits_alone_comes_back_to_the_same_seat_when_"
    "the_partner_refuses",
    "partner ringing: taker's phone dies": "test_taker_whose_phone_loses_its_power_does_not_lose_the_caller",
    "partner ringing: caller hangs up": "test_caller_who_hangs_up_cancels_the_ringing",
    "partner ringing: answer crosses the caller's hang-up": "test_answer_that_crosses_the_callers_hang_up_is_released",
    "partner ringing: an answer that crosses the caller's hang-up is told": "test_partner_whose_answer_crosses_the_"
    "callers_hang_up_is_told_and_released",
    "partner ringing: cancel": "test_cancel_key_stops_the_ringing_and_the_caller_hears_nothing_of_it",
    "partner ringing: answer crosses cancel": "test_answer_that_crosses_the_cancel_key_is_released",
    "partner ringing: same key again": "test_second_press_of_the_same_key_is_the_same_transfer",
    "partner ringing: another line's key": "test_two_partners_and_the_taker_are_one_conversation",
    "three-way: taker leaves": "test_leave_key_hands_the_caller_over",
    "three-way: partner leaves": "test_partner_who_leaves_a_three_way_call_gives_the_caller_back_to_the_taker",
    "three-way: caller leaves": "test_taker_and_partner_may_finish_when_the_caller_has_left",
    "three-way: taker and partner leave at once": "test_caller_comes_back_when_taker_and_partner_leave_at_once",
    "handed over: partner ends normally": "test_dtmf_key_does_the_same_and_adds_only_the_phones_own_holes",
    "handed over: partner's leg is lost": "test_partner_whose_phone_loses_its_power_is_noticed_and_the_caller_comes_"
    "back",
    "handed over: partner presses return": "test_partners_return_key_brings_the_caller_back_to_the_seat_which_then_"
    "stays",
    "consult: merge": "test_consult_then_merge_is_a_three_way_call",
    "consult: taker hangs up": "test_taker_who_hangs_up_in_a_consultation_hands_the_caller_over",
    "consult: cancel": "test_cancel_ends_the_consultation_and_caller_and_taker_are_together_again",
    "consult: caller hangs up": "test_caller_who_hangs_up_in_a_consultation_lets_the_two_finish",
    "any: line closed by an administrator": "test_closed_line_refuses_at_once_and_nothing_is_dialled",
    "group key": "test_group_key_calls_the_fire_brigade_and_the_gas_company_at_once",
    "inbound over a line: number and case, dedicated seat": "test_emergency_reaches_the_dedicated_seat_with_number_and_"
    "case",
    "inbound over a line: after 5 s any seat": "test_emergency_that_the_dedicated_seat_does_not_take_rings_any_seat_"
    "after_five_seconds",
    "inbound over a line: ahead of ordinary calls": "test_emergency_is_ahead_of_every_ordinary_call",
    "inbound over a line: not refused while any seat is free": "test_emergency_goes_to_any_seat_at_once_when_the_"
    "dedicated_seat_has_no_phone",
    "the dedicated number takes calls from known lines only": "test_call_from_an_unknown_address_is_refused",
    "without a controller": "test_dtmf_key_joins_12345_and_the_taker_may_leave",
}

ASTERISK_TESTSUITE = {
    "a plain two-party bridge ends with either party": "test_call_reaches_a_seat_and_ends_normally",
    "attended transfer, nominal": "test_consult_then_merge_is_a_three_way_call",
    "attended transfer with three in it": "test_consult_then_merge_is_a_three_way_call",
    "attended transfer whose target fails": "test_partner_who_leaves_a_consultation_gives_the_taker_back_to_the_"
    "caller",
    "blonde transfer: the transferrer hangs up while the target rings": "test_caller_hears_music_when_the_taker_hangs_"
    "up_while_the_partner_rings_and_then_the_partner",
    "blonde transfer whose target fails": "test_caller_who_waits_alone_comes_back_to_the_same_seat_when_the_partner_"
    "refuses",
    "blind transfer to a target that answers": "test_cold_transfer_releases_the_taker_once_the_partner_has_joined",
    "transfer to a target that does not exist": "test_refusals_have_their_reason_with_sip_code_and_cause",
    "who may use a feature code": "test_seat_may_not_dial_out_by_itself",
    "hold and redirect of a held channel": "test_hold_gives_the_caller_music_and_resume_the_taker",
    "redirect of one bridged channel": "test_hold_gives_the_caller_music_and_resume_the_taker",
    "redirect of both bridged channels": "test_consult_then_merge_is_a_three_way_call",
    "bridge action on channels that are already bridged": "test_partner_called_while_the_caller_is_on_hold_talks_with_"
    "the_taker_first",
    "caller id across the transfer": "test_partners_phone_shows_the_callers_own_number_and_the_case",
    "presentation across the transfer": "test_withheld_number_goes_to_the_trusted_line_and_stays_withheld_on_the_seat",
    "a feature code that comes slowly or not whole": "test_dtmf_key_does_the_same_and_adds_only_the_phones_own_holes",
}

WAZO_CALLD = {
    "start by API: ringing, answered, completed": "test_api_key_hands_the_caller_over_without_losing_a_packet",
    "start when the call is not the starter's": "test_keys_without_a_call_are_refused",
    "start for a line that is not there": "test_keys_without_a_call_are_refused",
    "start while a transfer is under way": "test_second_press_of_the_same_key_is_the_same_transfer",
    "transferred hangs up while the recipient rings": "test_caller_who_hangs_up_cancels_the_ringing",
    "transferred hangs up once the recipient has answered": "test_caller_who_hangs_up_in_a_consultation_lets_the_two_"
    "finish",
    "initiator hangs up while the recipient rings": "test_caller_hears_music_when_the_taker_hangs_up_while_the_partner_"
    "rings_and_then_the_partner",
    "initiator hangs up once the recipient has answered": "test_taker_who_hangs_up_in_a_consultation_hands_the_caller_"
    "over",
    "recipient is busy": "test_refusals_have_their_reason_with_sip_code_and_cause",
    "recipient hangs up once it has answered": "test_partner_who_leaves_a_consultation_gives_the_taker_back_to_the_"
    "caller",
    "recipient does not answer": "test_phone_that_nobody_picks_up_is_no_answer_after_the_lines_own_limit",
    "cancel while the recipient rings": "test_cancel_key_stops_the_ringing_and_the_caller_hears_nothing_of_it",
    "cancel once the recipient has answered": "test_cancel_ends_the_consultation_and_caller_and_taker_are_together_"
    "again",
    "complete while the recipient rings": "test_caller_hears_music_when_the_taker_hangs_up_while_the_partner_rings_and_"
    "then_the_partner",
    "complete once the recipient has answered": "test_leave_key_hands_the_caller_over",
    "everything again after a restart of the service": "test_restarted_controller_knows_the_three_way_call_and_its_"
    "transfer",
    "Asterisk is not there": "test_asterisk_that_is_killed_ends_its_calls_with_link_lost_and_new_calls_work",
    "events of each step": "test_nothing_is_lost_or_told_twice_across_reconnects_while_events_keep_coming",
    "conference of a call's parties: all hear all": "test_two_partners_and_the_taker_are_one_conversation",
    "conference: a participant hangs up, the others go on": "test_two_partners_and_the_taker_are_one_conversation",
    "conference: the host hangs up": "test_leave_key_hands_the_caller_over",
    "conference: remove a participant, not the last": "test_muted_taker_is_not_heard_and_hears",
    "conference: participants on hold": "test_partner_called_while_the_caller_is_on_hold_talks_with_the_taker_first",
}

OURS = {
    "failed transfer after the taker has left": "test_caller_who_waits_alone_comes_back_to_the_same_seat_when_the_"
    "partner_refuses",
    "controller killed while the partner rings": "test_caller_is_not_lost_when_the_controller_dies_while_the_partner_"
    "rings",
    "controller frozen": "test_frozen_controller_delays_a_caller_by_its_limit_only",
    "Redis gone": "test_calls_and_keys_go_on_without_redis_which_is_told",
    "a call that came without a controller is adopted": "test_call_that_came_and_was_joined_without_a_controller_is_"
    "adopted",
}


def _tests() -> set[str]:
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = (
            node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        names |= {node.name for node in functions if node.name.startswith("test_")}
    return names


EXISTING = _tests()


@pytest.mark.parametrize(
    ("situation", "test"), [*DESIGN.items(), *ASTERISK_TESTSUITE.items(), *WAZO_CALLD.items(), *OURS.items()]
)
def test_situation_has_a_test(situation: str, test: str) -> None:
    assert test in EXISTING, situation
