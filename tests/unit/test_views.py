"""What people outside see of a call: JSON shapes, what has changed, and how long each step took."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from telephony.core.call import Call, Caller, EndReason, Mode, Transfer, TransferState
from telephony.core.events import LegEnded, LegJoined, LegStarted, LinePressed, Role
from telephony.core.transitions import decide
from telephony.views import call_view, changes, latencies, transfer_view
from tests.unit.story import BUSY, line, new_call

DONE = Transfer(
    id="t",
    line="12345",
    mode=Mode.COLD,
    state=TransferState.ENDED,
    seat="1001",
    asked_at=1003.0,
    note="噪音",
    ringing_at=1003.25,
    joined_at=1004.5,
    handed_over_at=1004.53,
    ended_at=1100.0,
    reason=EndReason.COMPLETED,
)


def three_steps() -> tuple[Call, Call, Call]:
    """A call in the queue, with a taker, and with a partner invited."""
    queued = new_call()
    started = decide(queued, LegStarted(1001.0, "k", "PJSIP/k", Role.TAKER, "1001")).call
    talking = decide(decide(started, LegJoined(1002.0, "k", "b")).call, LegJoined(1002.0, "c", "b")).call
    return queued, talking, decide(talking, LinePressed(1003.0, "1001", line("12345"), "t")).call


class TestCallView:
    def test_a_call_is_shown_with_its_legs_and_transfers(self) -> None:
        view = msgspec.to_builtins(call_view(three_steps()[2]))
        assert view["id"] == "c"
        assert view["situation"] == "inviting"
        assert view["caller"] == {"number": "02012345678", "withheld": False}
        assert (view["via"], view["seat"], view["case_id"]) == ("carrier", "1001", "J1")
        assert [(leg["role"], leg["party"], leg["state"]) for leg in view["legs"]] == [
            ("caller", "carrier", "talking"),
            ("taker", "1001", "talking"),
        ]
        assert [(t["id"], t["line"], t["state"]) for t in view["transfers"]] == [("t", "12345", "inviting")]

    def test_a_withheld_number_is_shown_to_nobody(self) -> None:
        call = replace(three_steps()[2], caller=Caller("02012345678", withheld=True))
        shown = msgspec.json.encode(call_view(call)) + msgspec.json.encode(list(changes(None, call)))
        assert b'"caller":{"number":"","withheld":true}' in shown
        assert b"02012345678" not in shown

    def test_channel_names_and_bridges_stay_inside(self) -> None:
        shown = msgspec.json.encode(call_view(three_steps()[2]))
        assert b"PJSIP" not in shown
        assert b"bridge" not in shown

    def test_codes_that_were_not_given_are_null_and_not_nought(self) -> None:
        view = msgspec.to_builtins(transfer_view("c", DONE))
        assert (view["sip_code"], view["q850"], view["reason"]) == (None, None, "completed")
        busy = replace(DONE, reason=EndReason.BUSY, sip_code=486, q850=17)
        view = msgspec.to_builtins(transfer_view("c", busy))
        assert (view["sip_code"], view["q850"], view["reason"]) == (486, 17, "busy")


class TestChanges:
    def test_a_new_call_is_told_once(self) -> None:
        assert [kind for kind, _ in changes(None, new_call())] == ["call"]

    def test_where_nothing_has_changed_nothing_is_told(self) -> None:
        for call in three_steps():
            assert list(changes(call, call)) == []

    def test_a_press_is_told_as_its_transfer_and_then_the_call(self) -> None:
        _, talking, inviting = three_steps()
        told = list(changes(talking, inviting))
        assert [kind for kind, _ in told] == ["transfer", "call"]
        assert (told[0][1]["id"], told[0][1]["call"]) == ("t", "c")

    def test_of_two_transfers_only_the_one_that_moved_is_told(self) -> None:
        inviting = three_steps()[2]
        both = decide(inviting, LinePressed(1004.0, "1001", line("119"), "t2")).call
        ringing = decide(both, LegStarted(1004.1, "t2", "PJSIP/t2", Role.PARTNER, "119")).call
        busy = decide(ringing, LegEnded(1005.0, "t2", BUSY)).call
        told = list(changes(ringing, busy))
        assert [(kind, data["id"]) for kind, data in told] == [("transfer", "t2"), ("call", "c")]
        assert told[0][1]["reason"] == "busy"

    def test_what_is_told_is_plain_json(self) -> None:
        for _, data in changes(None, three_steps()[2]):
            assert msgspec.json.decode(msgspec.json.encode(data)) == data


class TestLatencies:
    def test_each_step_is_told_in_whole_milliseconds(self) -> None:
        call = replace(new_call(), transfers=(DONE,), answered_at=1002.0, ended_at=1100.0, seat="1001")
        told = latencies(call)
        assert (told["to_answer_ms"], told["total_ms"], told["rescues"]) == (2000, 100_000, 0)
        assert told["transfers"] == [
            {
                "id": "t",
                "line": "12345",
                "reason": EndReason.COMPLETED,
                "to_ringing_ms": 250,
                "to_joined_ms": 1500,
                "to_handed_over_ms": 1530,
            }
        ]

    def test_steps_that_never_came_are_none(self) -> None:
        told = latencies(three_steps()[2])
        assert told["total_ms"] is None
        (transfer,) = told["transfers"]
        assert {value for name, value in transfer.items() if name.endswith("_ms")} == {None}

    def test_a_callers_number_is_not_in_the_log_line(self) -> None:
        assert "02012345678" not in str(latencies(three_steps()[2]))
