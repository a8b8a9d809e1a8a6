"""The verdict of `make traffic` finds the caller who was lost, and nobody else."""

from __future__ import annotations

from typing import Any

from tests.traffic.judge import Judgement, Record, judge
from tests.traffic.keys import Pressed
from tests.traffic.phone_logs import Deed, read
from tests.traffic.planned import Phone, PlannedCall, Press
from tests.traffic.report import Verdict, put_right, ringing_times, text

NUMBER = "13800000001"
PLAN = PlannedCall(
    NUMBER,
    "110",
    0.0,
    scene="leave_key",
    partners={"119": Phone()},
    presses=(Press(1000, "119"),),
    ends=frozenset({"partner"}),
    reasons={"119": frozenset({"completed"})},
)
ANSWERED = (
    Deed(0.0, "citizens-110", NUMBER, "calls"),
    Deed(0.5, "seats-110", NUMBER, "answered", "1001"),
    Deed(0.5, "citizens-110", NUMBER, "answered"),
)
PARTNER_LEAVES = Deed(9.0, "119", NUMBER, "hangs_up", "119")
HUNG_UP = Deed(9.1, "citizens-110", NUMBER, "was_hung_up")


def view(reason: str | None = "completed") -> dict[str, Any]:
    return {"transfers": [{"line": "119", "reason": reason}], "diversions": []}


def judged(
    *deeds: Deed,
    plan: PlannedCall = PLAN,
    reason: str | None = "completed",
    pressed: tuple[Pressed, ...] = (),
) -> Judgement:
    return judge(plan, Record([*ANSWERED, *deeds], "c1", view(reason), [(0.2, "queued")], pressed))


def test_call_that_the_partner_ends_as_planned_is_right() -> None:
    found = judged(PARTNER_LEAVES, HUNG_UP)
    assert (found.end, found.wrong) == ("partner", {})
    assert Verdict([found]).good


def test_caller_whose_call_ends_though_nobody_hung_up_is_lost() -> None:
    found = judged(HUNG_UP)
    assert (found.end, set(found.wrong)) == ("lost", {"lost"})
    verdict = Verdict([found])
    assert not verdict.good
    shown = text(verdict)
    assert "BROKEN   callers lost: 1" in shown
    assert NUMBER in shown
    assert "hotline: queued" in shown


def test_hang_up_long_before_is_no_excuse() -> None:
    assert judged(Deed(2.0, "seats-110", NUMBER, "hangs_up", "1001"), HUNG_UP).end == "lost"


def test_caller_who_is_refused_is_lost() -> None:
    assert judged(Deed(1.0, "citizens-110", NUMBER, "was_refused")).end == "lost"


def test_caller_who_should_have_come_back_to_a_seat_is_lost_when_the_call_just_ends() -> None:
    plan = PlannedCall(NUMBER, "110", 0.0, scene="both_leave", answers=2)
    found = judged(Deed(9.0, "seats-110", NUMBER, "hangs_up", "1001"), HUNG_UP, plan=plan)
    assert "lost" in found.wrong


def test_call_that_another_ends_than_planned_is_named() -> None:
    found = judged(Deed(9.0, "seats-110", NUMBER, "hangs_up", "1001"), HUNG_UP)
    assert (found.end, set(found.wrong)) == ("taker", {"end"})


def test_call_without_an_end_is_unclear_and_not_good() -> None:
    found = judged()
    assert (found.end, set(found.wrong)) == ("unclear", {"unclear"})
    assert not Verdict([found]).good


def test_wrong_reason_and_transfer_without_a_reason_are_named() -> None:
    for reason, word in (("no_answer", "no_answer"), (None, "live")):
        found = judged(PARTNER_LEAVES, HUNG_UP, reason=reason)
        assert found.wrong == {"reason": f"119: {word}, planned completed"}


def test_slow_machine_excuses_another_order_but_no_loss() -> None:
    late = (Pressed(1.5, NUMBER, "119", 0.9, 0.0, 202, {}),)
    excused = judged(PARTNER_LEAVES, HUNG_UP, reason="no_answer", pressed=late)
    assert excused.excused
    assert Verdict([excused, *[judged(PARTNER_LEAVES, HUNG_UP)] * 99]).good
    assert not Verdict(
        [excused, judged(PARTNER_LEAVES, HUNG_UP)]
    ).good  # half the calls: the run says nothing
    assert not judged(HUNG_UP, pressed=late).excused


def test_matter_that_is_not_recorded_as_handed_on_is_named() -> None:
    plan = PlannedCall(NUMBER, "110", 0.0, presses=(Press(1000, "guidance"),))
    found = judged(Deed(9.0, "seats-110", NUMBER, "hangs_up", "1001"), HUNG_UP, plan=plan)
    assert set(found.wrong) == {"diversion"}


def test_legs_left_over_and_stores_that_differ_fail_the_run() -> None:
    right = judged(PARTNER_LEAVES, HUNG_UP)
    assert not Verdict([right], left=["110: leg x"]).good
    assert not Verdict([right], differences=["110: call x: Redis lacks it"]).good
    assert not Verdict([right], unended=["110: x is queued"]).good


def test_run_in_which_the_sweep_had_to_put_something_right_is_not_good() -> None:
    verdict = Verdict([judged(PARTNER_LEAVES, HUNG_UP)], put_right={"lonely": 1})
    assert not verdict.good
    assert "BROKEN   put right by the sweep: 1" in text(verdict)


def test_what_the_sweep_has_put_right_is_read_from_the_controllers_logs(tmp_path) -> None:
    log = tmp_path / "controller.jsonl"
    log.write_text('{"event": "put_right", "fault": "lonely"}\n{"event": "started"}\n', encoding="utf-8")
    assert put_right([log]) == {"lonely": 1}


def test_timeline_has_phones_hotline_and_keys_in_order() -> None:
    refused = Pressed(1.5, NUMBER, "119", 0.01, 0.0, 409, {"error": {"code": "no_call"}})
    lines = judged(PARTNER_LEAVES, HUNG_UP, pressed=(refused,)).timeline()
    assert [line.split()[0] for line in lines] == [
        "0.000",
        "0.200",
        "0.500",
        "0.500",
        "1.500",
        "9.000",
        "9.100",
    ]
    assert lines[4].endswith("key 119 pressed: 409 no_call")


def test_log_of_a_phone_that_was_not_told_the_number_is_read(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "1.5 13800000001 answered 1001\n2.5  rings 1002 7-1@127.0.110.1 1.000000 200\n", encoding="utf-8"
    )
    assert list(read("seats-110", log)) == [
        Deed(1.5, "seats-110", "13800000001", "answered", "1001"),
        Deed(2.5, "seats-110", "", "rings", "1002", "7-1@127.0.110.1"),
    ]
    assert list(read("gas", tmp_path / "none")) == []


def test_ringing_times_are_those_of_the_controllers_log(tmp_path) -> None:
    log = tmp_path / "controller.jsonl"
    log.write_text(
        '{"event": "call_opened"}\n'
        '{"transfers": [{"to_ringing_ms": 12}, {"to_ringing_ms": null}], "event": "call_ended"}\n',
        encoding="utf-8",
    )
    assert ringing_times([log]) == [12]
