"""The verdict of `make chaos` finds the caller who was lost and the action that was carried out twice, and excuses
only what no controller can help."""

from __future__ import annotations

from typing import Any

from tests.chaos.fingers import Push
from tests.chaos.judge import Finding, Tally, judge
from tests.chaos.report import Struck, Verdict, text
from tests.chaos.world import Outage
from tests.traffic.judge import Record
from tests.traffic.phone_logs import Deed
from tests.traffic.planned import PlannedCall, Press

NUMBER = "13800000001"
PLAN = PlannedCall(NUMBER, "110", 0.0)
CALLS = Deed(0.0, "citizens-110", NUMBER, "calls")
ANSWERED = (
    CALLS,
    Deed(0.5, "seats-110", NUMBER, "answered", "1001"),
    Deed(0.5, "citizens-110", NUMBER, "answered"),
)
TAKER_LEAVES = Deed(8.9, "seats-110", NUMBER, "hangs_up", "1001")
HUNG_UP = Deed(9.0, "citizens-110", NUMBER, "was_hung_up")


def ring(dialog: str, at: float = 2.0) -> Deed:
    return Deed(at, "119", NUMBER, "rings", "119", dialog)


def push(key: str = "119", status: int = 202, tries: int = 1, *, over: bool = False) -> Push:
    answer = {"error": {"code": "no_call"}} if status >= 400 else {}
    return Push(1.0, "c1", NUMBER, "1001", Press(1000, key), tries, 0.1, status, answer, over)


def judged(
    *deeds: Deed,
    outages: tuple[Outage, ...] = (),
    transfers: tuple[str, ...] = (),
    pushes: tuple[Push, ...] = (),
    far_calls: int = 0,
    line: str = "119",
) -> Finding:
    view: dict[str, Any] = {"transfers": [{"id": each, "line": line, "reason": "busy"} for each in transfers]}
    return judge(PLAN, Record(list(deeds), "c1", view, [], []), outages, pushes, {"12345": far_calls})


def test_caller_who_is_hung_up_though_nobody_put_the_phone_down_is_lost() -> None:
    found = judged(*ANSWERED, HUNG_UP)
    assert found.end == "lost"
    verdict = Verdict([found], [])
    assert not verdict.good
    assert "BROKEN   callers lost: 1" in text(verdict)
    assert NUMBER in text(verdict)


def test_caller_whose_taker_or_partner_hung_up_is_not_lost() -> None:
    assert judged(*ANSWERED, TAKER_LEAVES, HUNG_UP).end == "taker"
    assert judged(*ANSWERED, Deed(8.9, "119", NUMBER, "hangs_up", "119"), HUNG_UP).end == "partner"
    assert Verdict([judged(*ANSWERED, TAKER_LEAVES, HUNG_UP)], []).good


def test_hang_up_long_before_does_not_explain_the_end() -> None:
    early = Deed(2.0, "seats-110", NUMBER, "hangs_up", "1001")
    assert judged(*ANSWERED, early, HUNG_UP).end == "lost"


def test_caller_is_lost_when_a_partner_was_still_there() -> None:
    partner = (
        Deed(3.0, "119", NUMBER, "answered", "119"),
        Deed(9.1, "119", NUMBER, "was_hung_up", "119"),
    )
    found = judged(*ANSWERED, partner[0], TAKER_LEAVES, HUNG_UP, partner[1])
    assert found.end == "lost"
    assert "119 119 was still there" in found.why


def test_partner_of_another_caller_who_withholds_the_number_is_nobodys_partner() -> None:
    other = (
        Deed(3.0, "seats-12345", "", "answered", "9001"),
        Deed(9.1, "seats-12345", "", "was_hung_up", "9001"),
    )
    assert judged(*ANSWERED, other[0], TAKER_LEAVES, HUNG_UP, other[1]).end == "taker"


def test_partner_who_had_just_answered_may_have_crossed_the_end() -> None:
    partner = (
        Deed(8.5, "119", NUMBER, "answered", "119"),
        Deed(9.1, "119", NUMBER, "was_hung_up", "119"),
    )
    assert judged(*ANSWERED, partner[0], TAKER_LEAVES, HUNG_UP, partner[1]).end == "taker"


def test_caller_whose_own_asterisk_was_killed_meanwhile_is_excused_and_counted() -> None:
    found = judged(*ANSWERED, HUNG_UP, outages=(Outage("asterisk", "110", 8.0, 10.0),))
    assert (found.end, found.wrong) == ("excused", False)
    verdict = Verdict([found], [])
    assert verdict.good
    assert "no seat had a phone: 1" in text(verdict)


def test_another_hotlines_asterisk_or_another_time_or_our_own_controller_is_no_excuse() -> None:
    for outage in (
        Outage("asterisk", "12345", 8.0, 10.0),
        Outage("asterisk", "110", 20.0, 22.0),
        Outage("controller", "110", 8.0, 10.0),
        Outage("redis", "110", 8.0, 10.0),
        Outage("119", "", 8.0, 10.0),
    ):
        assert judged(*ANSWERED, HUNG_UP, outages=(outage,)).end == "lost"


def test_caller_who_is_refused_is_lost_unless_asterisk_was_away() -> None:
    refused = Deed(1.0, "citizens-110", NUMBER, "was_refused")
    assert judged(CALLS, refused).end == "lost"
    assert judged(CALLS, refused, outages=(Outage("asterisk", "110", 0.5, 3.0),)).end == "excused"


def test_caller_who_waits_a_minute_and_gives_up_was_left_waiting() -> None:
    late = Deed(60.0, "citizens-110", NUMBER, "gives_up")
    assert judged(CALLS, late).end == "unanswered"
    assert judged(CALLS, late, outages=(Outage("seats", "110", 5.0, 50.0),)).end == "excused"
    assert judged(CALLS, Deed(0.1, "citizens-110", NUMBER, "gives_up")).end == "nobody_answered"


def test_caller_who_was_in_an_asterisk_that_was_killed_is_counted_though_the_caller_hung_up() -> None:
    hung_up = Deed(20.0, "citizens-110", NUMBER, "hangs_up")
    assert judged(*ANSWERED, hung_up, outages=(Outage("asterisk", "110", 8.0, 10.0),)).end == "excused"
    assert judged(*ANSWERED, hung_up).end == "caller"


def test_caller_who_hangs_up_after_a_long_time_with_nobody_was_left_alone() -> None:
    hung_up = Deed(25.0, "citizens-110", NUMBER, "hangs_up")
    found = judged(*ANSWERED, TAKER_LEAVES, hung_up)
    assert (found.end, found.wrong) == ("alone", True)
    assert "BROKEN   callers left alone until they hung up: 1" in text(Verdict([found], []))
    rescued = (
        Deed(12.0, "seats-110", NUMBER, "rings", "1002"),
        Deed(12.5, "seats-110", NUMBER, "answered", "1002"),
    )
    assert judged(*ANSWERED, TAKER_LEAVES, *rescued, hung_up).end == "caller"
    assert judged(*ANSWERED, TAKER_LEAVES, ring("a", 20.0), hung_up).end == "caller"
    refused = Deed(10.0, "119", NUMBER, "refuses", "119")
    assert judged(*ANSWERED, TAKER_LEAVES, ring("a", 9.5), refused, hung_up).end == "alone"


def test_two_invites_for_one_press_are_found() -> None:
    ends = (TAKER_LEAVES, HUNG_UP)
    twice = judged(*ANSWERED, ring("a"), ring("b", 4.0), *ends, transfers=("t1",), pushes=(push(),))
    assert twice.doubles
    assert not Verdict([twice], []).good
    assert "BROKEN   actions carried out twice: 1" in text(Verdict([twice], []))


def test_invite_that_a_restarted_far_end_sees_again_is_one() -> None:
    ends = (TAKER_LEAVES, HUNG_UP)
    once = judged(*ANSWERED, ring("a"), ring("a", 4.0), *ends, transfers=("t1",), pushes=(push(),))
    assert not once.doubles


def test_two_presses_may_bring_two_invites() -> None:
    two = judged(*ANSWERED, ring("a"), ring("b"), transfers=("t1", "t2"), pushes=(push(), push()))
    assert not two.doubles


def test_two_transfers_of_one_press_are_found_though_no_phone_rang() -> None:
    assert judged(*ANSWERED, transfers=("t1", "t2"), pushes=(push(tries=2),)).doubles


def test_transfer_of_a_press_that_was_refused_is_found() -> None:
    assert judged(*ANSWERED, transfers=("t1",), pushes=(push(status=409),)).doubles
    assert not judged(*ANSWERED, transfers=("t1",), pushes=(push(status=409, tries=2),)).doubles
    assert not judged(*ANSWERED, transfers=("t1",), pushes=(push(status=0),)).doubles


def test_two_calls_at_the_other_hotline_for_one_press_are_found() -> None:
    one = {"transfers": ("t1",), "line": "12345", "pushes": (push("12345"),)}
    assert not judged(*ANSWERED, far_calls=1, **one).doubles  # type: ignore[arg-type]
    assert judged(*ANSWERED, far_calls=2, **one).doubles  # type: ignore[arg-type]
    away = (Outage("asterisk", "12345", 1.0, 3.0),)
    assert not judged(*ANSWERED, far_calls=2, outages=away, **one).doubles  # type: ignore[arg-type]


def test_two_seats_with_one_caller_are_found() -> None:
    second = Deed(5.0, "seats-110", NUMBER, "answered", "1002")
    both = (Deed(8.0, "seats-110", NUMBER, "was_hung_up", "1002"), TAKER_LEAVES, HUNG_UP)
    assert judged(*ANSWERED, second, *both).doubles
    gone = Deed(4.9, "seats-110", NUMBER, "was_hung_up", "1001")
    assert not judged(*ANSWERED, gone, second, *both).doubles
    killed = (Outage("seats", "110", 3.0, 4.0),)
    assert not judged(*ANSWERED, second, *both, outages=killed).doubles


def test_press_counts_as_answered_by_a_name_and_not_by_silence_or_an_internal_error() -> None:
    assert push(status=202).answered
    assert push(status=409).answered
    assert push(status=503).answered
    assert push(status=0, over=True).answered
    assert not push(status=0).answered
    assert not push(status=500).answered


def test_faults_are_counted_by_kind_with_their_recoveries() -> None:
    struck = [Struck(1.0 + n, "AMI cut", "110", "", n / 10) for n in range(1, 11)]
    struck.append(Struck(20.0, "Redis killed", "110", "", None))
    lines = text(Verdict([], struck, Tally(unmended=["Redis killed"]))).splitlines()
    assert "    AMI cut                       10   0.60   1.00   1.00 |     0      -      -      -" in lines
    assert any(line.startswith("    Redis killed") and line.endswith("-      -      -") for line in lines)
    assert "BROKEN   faults that the hotline did not recover from: 1" in lines


def test_recovery_from_faults_that_no_other_has_met_stands_by_itself() -> None:
    struck = [
        Struck(at, "AMI cut", site, "", at / 10) for at, site in ((10, "110"), (12, "110"), (20, "110"))
    ]
    struck.append(Struck(20.5, "AMI cut", "12345", "", 0.1))
    lines = text(Verdict([], struck)).splitlines()
    assert "    AMI cut                        4   1.20   2.00   2.00 |     2   2.00   2.00   2.00" in lines
