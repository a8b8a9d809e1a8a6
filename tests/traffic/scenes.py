"""What can happen in a call that asks for a partner, in either direction; times in milliseconds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.traffic import figures
from tests.traffic.planned import (
    FAR_HOTLINE,
    KNOWS,
    LAST_RESORT,
    NO_ANSWER,
    SETTLE,
    Phone,
    PlannedCall,
    Press,
)


@dataclass(frozen=True, slots=True)
class Scene:
    """`needs_number`: the seat's phone has to know who calls. `refuses`: only a unit's own phone can do it.
    `far_only`: only an agent at the other hotline can."""

    weight: float
    play: Callable[[PlannedCall, str, random.Random], PlannedCall]
    needs_number: bool = False
    refuses: bool = False
    far_only: bool = False

    def can_be(self, call: PlannedCall, line: str) -> bool:
        """Whether it can be played in this call, with the partner on this line."""
        far = line == FAR_HOTLINE[call.site]
        return not (self.needs_number and call.withheld) and not (self.refuses if far else self.far_only)


def _one(
    call: PlannedCall, line: str, partner: Phone, reasons: str, *more: Press, mode: str = "", pressed: int
) -> PlannedCall:
    presses = (Press(pressed, line, mode), *more)
    return replace(
        call, partners={line: partner}, presses=presses, reasons={line: frozenset(reasons.split())}
    )


def _rings(draw: random.Random) -> tuple[int, int]:
    """When the key is pressed, and how long the partner's phone rings."""
    return draw.randint(600, 1_500), draw.randint(400, 1_200)


def _handed_over(call: PlannedCall, line: str, draw: random.Random, *, key: bool) -> PlannedCall:
    """The taker introduces and leaves, by key or by hanging up; later the partner or the caller hangs up."""
    pressed, ring = _rings(draw)
    together = SETTLE + draw.randint(700, 1_500)
    left = pressed + ring + together
    partner = Phone(ring, talk=together + 1_800 + draw.randint(0, 2_000))
    presses = (Press(left, "leave"),) if key else ()
    call = _one(call, line, partner, "completed", *presses, pressed=pressed)
    call = replace(call, ends=frozenset({"partner"}), taker=Phone(talk=LAST_RESORT if key else left))
    if draw.random() < 0.3 and not call.withheld:
        talk = left + 1_800 + draw.randint(0, 1_000)
        partner = replace(partner, talk=LAST_RESORT)
        call = replace(call, talk=talk, partners={line: partner}, ends=frozenset({"caller"}))
    return call


def _leave_key(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    return _handed_over(call, line, draw, key=True)


def _taker_hangs_up(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    return _handed_over(call, line, draw, key=False)


def _cold(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, ring = _rings(draw)
    partner = Phone(ring, talk=1_800 + draw.randint(0, 2_000))
    call = _one(call, line, partner, "completed", mode="cold", pressed=pressed)
    return replace(call, ends=frozenset({"partner"}))


def _partner_leaves_first(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, ring = _rings(draw)
    partner = Phone(ring, talk=draw.randint(800, 1_600))
    call = _one(call, line, partner, "returned", pressed=pressed)
    return replace(call, taker=Phone(talk=pressed + ring + partner.talk + 2_000 + draw.randint(0, 1_000)))


def _caller_leaves_three_way(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, ring = _rings(draw)
    talk = pressed + ring + SETTLE + draw.randint(500, 1_500)
    call = _one(call, line, Phone(ring), "caller_hung_up", pressed=pressed)
    return replace(
        call, talk=talk, taker=Phone(talk=talk + draw.randint(500, 1_500)), ends=frozenset({"caller"})
    )


def _refusal(code: int, reason: str) -> Callable[[PlannedCall, str, random.Random], PlannedCall]:
    def play(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
        pressed, ring = _rings(draw)
        call = _one(call, line, Phone(ring, code), reason, pressed=pressed)
        return replace(call, taker=Phone(talk=pressed + ring + KNOWS + draw.randint(0, 1_500)))

    return play


def _silent(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, _ = _rings(draw)
    call = _one(call, line, Phone(LAST_RESORT), "no_answer", pressed=pressed)
    return replace(call, taker=Phone(talk=pressed + NO_ANSWER * 1_000 + KNOWS + draw.randint(0, 1_000)))


def platform(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """Nobody comes at the unit, and the taker hands the matter on as a case without a call."""
    call = _silent(call, line, draw)
    handed_on = Press(call.presses[0].at + NO_ANSWER * 1_000 + SETTLE, "platform")
    return replace(call, presses=(*call.presses, handed_on))


def _cancelled(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, _ = _rings(draw)
    cancel = pressed + draw.randint(700, 2_000)
    call = _one(call, line, Phone(LAST_RESORT), "cancelled", Press(cancel, "cancel"), pressed=pressed)
    return replace(call, taker=Phone(talk=cancel + SETTLE + draw.randint(500, 1_500)))


def _answer_crosses_cancel(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """Whichever comes first: then the partner is gone, or stays for two seconds."""
    pressed, ring = _rings(draw)
    cancel = Press(pressed + ring + draw.randint(0, 200), "cancel")
    call = _one(call, line, Phone(ring, talk=2_000), "cancelled returned", cancel, pressed=pressed)
    return replace(call, taker=Phone(talk=cancel.at + 4_000))


def _caller_leaves_ringing(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, _ = _rings(draw)
    call = _one(call, line, Phone(LAST_RESORT), "caller_hung_up", pressed=pressed)
    return replace(call, talk=pressed + draw.randint(600, 2_500), ends=frozenset({"caller"}))


def _answer_crosses_caller(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, ring = _rings(draw)
    call = _one(call, line, Phone(ring, talk=3_000), "caller_hung_up", pressed=pressed)
    talk = pressed + ring + draw.randint(0, 200)
    return replace(call, talk=talk, taker=Phone(talk=talk + 1_500), ends=frozenset({"caller"}))


def _taker_leaves_ringing(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, _ = _rings(draw)
    partner = Phone(2_500, talk=1_800 + draw.randint(0, 2_000))
    call = _one(call, line, partner, "completed", pressed=pressed)
    return replace(
        call, taker=Phone(talk=pressed + SETTLE + draw.randint(0, 800)), ends=frozenset({"partner"})
    )


def _left_with_nobody(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """The taker leaves while the partner rings, and the partner does not come: back to a seat."""
    pressed, _ = _rings(draw)
    taker = Phone(talk=pressed + SETTLE + draw.randint(0, 800))
    if line == FAR_HOTLINE[call.site]:
        call = _one(call, line, Phone(LAST_RESORT), "no_answer", pressed=pressed)
    else:
        code, reason = draw.choice([(486, "busy"), (603, "rejected"), (503, "unreachable")])
        call = _one(call, line, Phone(2_500, code), reason, pressed=pressed)
    return replace(call, taker=taker, answers=2)


def _both_leave(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """Taker and partner hang up within a second, in either order: neither means to leave the caller."""
    pressed, ring = _rings(draw)
    partner = Phone(ring, talk=draw.randint(1_200, 1_800))
    call = _one(call, line, partner, "partner_left returned", pressed=pressed)
    return replace(call, taker=Phone(talk=pressed + ring + partner.talk + draw.randint(-250, 350)), answers=2)


def _two_partners(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """Two units in one call; both go, the taker ends it."""
    other = draw.choice([unit for unit in figures.UNITS if unit != line])
    pressed, ring = _rings(draw)
    second = pressed + draw.randint(100, 900)
    partners = {line: Phone(ring, talk=2_000), other: Phone(ring, talk=2_500)}
    returned = frozenset({"returned"})
    return replace(
        call,
        partners=partners,
        presses=(Press(pressed, line), Press(second, other)),
        reasons=dict.fromkeys(partners, returned),
        taker=Phone(talk=second + ring + 2_500 + 1_500),
    )


def _pressed_twice(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    call = _partner_leaves_first(call, line, draw)
    return replace(call, presses=(*call.presses, replace(call.presses[0], at=call.presses[0].at + 200)))


def _gas_leak(call: PlannedCall, _: str, draw: random.Random) -> PlannedCall:
    """One key for fire brigade and gas company; both go, the taker ends it."""
    pressed, ring = _rings(draw)
    partners = {"119": Phone(ring, talk=1_500), "gas": Phone(ring + 500, talk=2_500)}
    return replace(
        call,
        partners=partners,
        presses=(Press(pressed, "gas-leak"),),
        reasons=dict.fromkeys(partners, frozenset({"returned"})),
        taker=Phone(talk=pressed + ring + 3_000 + 1_500),
    )


def _consult(call: PlannedCall, line: str, draw: random.Random, *, merge: bool) -> PlannedCall:
    """Taker and partner talk alone first; then all three and the taker leaves, or the taker just hangs up."""
    pressed, ring = _rings(draw)
    alone = SETTLE + draw.randint(700, 1_500)
    merged = pressed + ring + alone
    left = merged + (SETTLE + draw.randint(500, 1_000) if merge else 0)
    partner = Phone(ring, talk=left - pressed - ring + 1_800 + draw.randint(0, 2_000))
    presses = (Press(merged, "merge"), Press(left, "leave")) if merge else ()
    call = _one(call, line, partner, "completed", *presses, mode="consult", pressed=pressed)
    taker = Phone(talk=LAST_RESORT if merge else left)
    return replace(call, taker=taker, ends=frozenset({"partner"}))


def _consult_merge(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    return _consult(call, line, draw, merge=True)


def _consult_hand_over(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    return _consult(call, line, draw, merge=False)


def _consult_and_back(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """The partner is asked and goes; the taker is back with the caller."""
    pressed, ring = _rings(draw)
    partner = Phone(ring, talk=draw.randint(1_000, 2_000))
    call = _one(call, line, partner, "returned partner_left", mode="consult", pressed=pressed)
    return replace(call, taker=Phone(talk=pressed + ring + partner.talk + 2_500))


def _agent_gives_back(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    """Handed over; then the agent at the other hotline presses the return key: back to a seat."""
    call = _handed_over(call, line, draw, key=True)
    (partner,) = call.partners.values()
    return replace(
        call,
        talk=LAST_RESORT,
        partners={line: replace(partner, talk=LAST_RESORT)},
        far_presses=(Press(call.presses[-1].at - call.presses[0].at - partner.ring + 1_500, "return"),),
        reasons={line: frozenset({"returned"})},
        ends=frozenset({"taker"}),
        answers=2,
    )


SCENES = {
    "leave_key": Scene(26, _leave_key),
    "taker_hangs_up": Scene(18, _taker_hangs_up, needs_number=True),
    "cold": Scene(10, _cold),
    "partner_leaves_first": Scene(8, _partner_leaves_first, needs_number=True),
    "caller_leaves_three_way": Scene(5, _caller_leaves_three_way, needs_number=True),
    "partner_busy": Scene(4, _refusal(486, "busy"), refuses=True),
    "partner_refuses": Scene(3, _refusal(603, "rejected"), refuses=True),
    "partner_unreachable": Scene(2, _refusal(503, "unreachable"), refuses=True),
    "partner_silent": Scene(4, _silent, needs_number=True),
    "cancelled": Scene(4, _cancelled, needs_number=True),
    "answer_crosses_cancel": Scene(2, _answer_crosses_cancel, needs_number=True),
    "caller_leaves_ringing": Scene(4, _caller_leaves_ringing, needs_number=True),
    "answer_crosses_caller": Scene(2, _answer_crosses_caller, needs_number=True),
    "taker_leaves_ringing": Scene(4, _taker_leaves_ringing, needs_number=True),
    "left_with_nobody": Scene(4, _left_with_nobody, needs_number=True),
    "both_leave": Scene(3, _both_leave, needs_number=True),
    "two_partners": Scene(3, _two_partners, needs_number=True, refuses=True),
    "gas_leak": Scene(2, _gas_leak, needs_number=True, refuses=True),
    "consult_merge": Scene(4, _consult_merge),
    "consult_hand_over": Scene(3, _consult_hand_over, needs_number=True),
    "consult_and_back": Scene(3, _consult_and_back, needs_number=True),
    "agent_gives_back": Scene(3, _agent_gives_back, needs_number=True, far_only=True),
    "pressed_twice": Scene(2, _pressed_twice, needs_number=True),
}
"""By name; the weights are assumptions, high enough for each to be there in a few hundred calls."""
