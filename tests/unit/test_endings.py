"""From causes and codes to the reason why a partner could not be had."""

from __future__ import annotations

import pytest

from telephony.core.call import EndReason, Hangup
from telephony.core.endings import why_not_joined

# Q.850 cause, SIP code (0: none): the reason if the phone had rung, and if nobody had said that it rings.
WHY = [
    (17, 486, "busy", "busy"),
    (17, 600, "busy", "busy"),
    (17, 0, "busy", "busy"),
    (18, 0, "no_answer", "unreachable"),
    (19, 0, "no_answer", "unreachable"),
    (16, 0, "no_answer", "unreachable"),
    (16, 487, "no_answer", "unreachable"),
    (127, 487, "no_answer", "unreachable"),
    (0, 0, "no_answer", "unreachable"),
    (3, 408, "no_answer", "unreachable"),
    (19, 480, "no_answer", "unreachable"),
    (21, 403, "rejected", "rejected"),
    (21, 603, "rejected", "rejected"),
    (21, 607, "rejected", "rejected"),
    (21, 0, "rejected", "rejected"),
    (1, 404, "unreachable", "unreachable"),
    (1, 0, "unreachable", "unreachable"),
    (41, 503, "unreachable", "unreachable"),
    (34, 503, "unreachable", "unreachable"),
    (38, 0, "link_lost", "link_lost"),
    (38, 500, "unreachable", "unreachable"),
    (58, 488, "unreachable", "unreachable"),
    (999, 999, "unreachable", "unreachable"),
]


@pytest.mark.parametrize(("cause", "code", "rang", "silent"), WHY)
def test_reason_of_a_partner_who_did_not_answer(cause: int, code: int, rang: str, silent: str) -> None:
    hangup = Hangup(cause, code)
    assert (why_not_joined(hangup, rang=True), why_not_joined(hangup, rang=False)) == (rang, silent)


@pytest.mark.parametrize("rang", [True, False])
def test_partner_who_answered_and_hung_up_has_left(rang: bool) -> None:
    assert why_not_joined(Hangup(16), rang=rang, answered=True) is EndReason.PARTNER_LEFT


@pytest.mark.parametrize("hangup", [Hangup(0), Hangup(44), Hangup(17, 486)])
def test_partner_who_answered_and_was_lost_has_a_lost_link(hangup: Hangup) -> None:
    assert why_not_joined(hangup, rang=True, answered=True) is EndReason.LINK_LOST


def test_sip_code_says_more_than_the_cause() -> None:
    assert why_not_joined(Hangup(19, 603), rang=True) is EndReason.REJECTED


def test_every_cause_and_code_has_a_reason_that_a_partner_who_never_joined_can_have() -> None:
    possible = {EndReason.BUSY, EndReason.NO_ANSWER, EndReason.REJECTED, EndReason.UNREACHABLE}
    possible.add(EndReason.LINK_LOST)  # found gone
    reasons = {
        why_not_joined(Hangup(cause, code), rang=rang)
        for cause in range(128)
        for code in (0, *range(300, 700))
        for rang in (True, False)
    }
    assert reasons == possible
