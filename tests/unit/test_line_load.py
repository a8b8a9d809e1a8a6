"""Counting legs as calls change gives what counting all calls anew would."""

from __future__ import annotations

import random
from dataclasses import replace

from telephony.core.call import Call, Caller, EndReason, Leg, LegState, Mode, Role, Transfer, TransferState
from telephony.line_load import LineLoad

LINES = ("12345", "119", "gas")


def transfer(number: int, line: str) -> Transfer:
    return Transfer(f"t{number}", line, Mode.WARM, TransferState.INVITING, "1001", asked_at=1.0)


def changed(call: Call, draw: random.Random, number: int) -> Call:
    """A transfer more, a transfer ended, or the call's end."""
    live = [t for t in call.transfers if t.live]
    if draw.random() < 0.2:
        return replace(call, ended_at=2.0)
    if live and draw.random() < 0.5:
        return call.with_transfer(
            replace(draw.choice(live), state=TransferState.ENDED, reason=EndReason.BUSY, ended_at=2.0)
        )
    return call.with_transfer(transfer(number, draw.choice(LINES)))


def test_counts_are_those_of_the_live_calls_after_any_changes() -> None:
    draw = random.Random(5)
    load, calls = LineLoad(), {}
    for number in range(2000):
        call_id = f"c{draw.randrange(30)}"
        leg = Leg(call_id, f"PJSIP/{call_id}", Role.CALLER, "", LegState.WAITING, since=1.0)
        new = Call(call_id, Caller("1"), draw.choice(("carrier", "12345")), 1.0, legs=(leg,))
        before = calls.get(call_id)
        call = new if before is None or before.ended else changed(before, draw, number)
        calls[call_id] = call
        load.note(call)
        live = [each for each in calls.values() if not each.ended]
        for line in LINES:
            on = sum(t.live and t.line == line for each in live for t in each.transfers)
            assert load[line] == on + sum(each.via == line for each in live)
