"""The plan of a run: what every citizen, taker and partner will do, drawn from one seed.

Times are milliseconds. A phone's clock starts when it answers, so the plan leaves some hundred milliseconds
between two things whose order matters; where they are meant to cross, several ends are right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.traffic import figures

LAST_RESORT = (
    25_000  # ms; who should not be the one to hang up does so then, sooner than Asterisk misses audio
)
PATIENCE = 60_000  # ms
DEFAULT_TALK = 7_000  # ms; a phone that is not told who calls
NO_ANSWER = 4  # s; the line's answer_timeout
SETTLE = 500  # ms between two things whose order matters
FAR_HOTLINE = {"110": "12345", "12345": "110"}  # the line from a site to the other


@dataclass(frozen=True, slots=True)
class Phone:
    """What a phone does when this caller's call reaches it; `again`: ms of talk in a second call."""

    ring: int = 300
    code: int = 200
    talk: int = LAST_RESORT
    again: int = 2_000


@dataclass(frozen=True, slots=True)
class Press:
    """A key, `at` ms after caller and taker began to talk."""

    at: int
    key: str
    mode: str = ""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One citizen's call. `at`: seconds after the start. `ends`: who ends it: caller, taker, partner,
    nobody_answered. `reasons`: by line, the reasons that are right for the transfer. `answers`: how many
    times a seat answers this caller (2: brought back to one)."""

    number: str
    site: str
    at: float
    withheld: bool = False
    matter: str = "police"
    way: str = ""
    scene: str = "plain"
    patience: int = PATIENCE
    talk: int = LAST_RESORT
    taker: Phone = Phone()
    partners: Mapping[str, Phone] = field(default_factory=dict)
    presses: tuple[Press, ...] = ()
    ends: frozenset[str] = frozenset({"taker"})
    reasons: Mapping[str, frozenset[str]] = field(default_factory=dict)
    answers: int = 1


def draw_plan(calls: int, rate: float, seed: int) -> list[PlannedCall]:
    """The plan for so many calls at `rate` a second on average; the same seed gives the same plan."""
    draw = random.Random(seed)
    return [
        _draw_call(index, at, draw) for index, at in enumerate(figures.arrivals(calls, calls / rate, draw))
    ]


def number_of_calls(hours: float, rate: float, seed: int) -> int:
    """How many come in so many hours: Poisson, by its normal approximation (there are hundreds)."""
    mean = hours * 3600 * rate
    return max(1, round(random.Random(f"{seed} calls").gauss(mean, mean**0.5)))


def _draw_call(index: int, at: float, draw: random.Random) -> PlannedCall:
    site = "12345" if draw.random() < figures.AT_12345 else "110"
    call = PlannedCall(f"{'139' if site == '12345' else '138'}{index:08d}", site, at)
    call = replace(call, withheld=draw.random() < figures.WITHHELD)
    call, line = _draw_matter(call, draw)
    if draw.random() < figures.GIVE_UP:
        return replace(call, scene="gives_up", patience=100, ends=frozenset({"nobody_answered"}))
    if not line:
        return _plain(call, draw)
    scenes = {
        name: scene
        for name, scene in SCENES.items()
        if not (scene.needs_number and call.withheld) and not (scene.refuses and line == FAR_HOTLINE[site])
    }
    name = draw.choices(list(scenes), [scene.weight for scene in scenes.values()])[0]
    call = scenes[name].play(replace(call, scene=name), line, draw)
    return replace(call, taker=replace(call.taker, talk=DEFAULT_TALK)) if call.withheld else call


def _draw_matter(call: PlannedCall, draw: random.Random) -> tuple[PlannedCall, str]:
    """What it is about, and the line that it asks for, if any."""
    dice = draw.random()
    if call.site == "12345":
        emergency = dice < figures.EMERGENCY_AT_12345
        return replace(call, matter="emergency" if emergency else "civic"), "110" if emergency else ""
    if dice < figures.NON_POLICE:
        call = replace(call, matter="non_police")
        if draw.random() < figures.HANDED_ON:
            call = replace(call, way=draw.choices(list(figures.WAYS), list(figures.WAYS.values()))[0])
        return call, "12345" if call.way == "transfer" else ""
    if dice < figures.NON_POLICE + figures.JOINT:
        call = replace(call, matter="joint")
        return call, draw.choices(list(figures.UNITS), list(figures.UNITS.values()))[0]
    return call, ""


def _plain(call: PlannedCall, draw: random.Random) -> PlannedCall:
    talk = draw.randint(1_500, 5_000)
    if draw.random() < 0.3:
        return replace(call, talk=talk, ends=frozenset({"caller"}))
    return replace(call, taker=Phone(talk=DEFAULT_TALK if call.withheld else talk))


# -- scenes with a partner -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """`needs_number`: the seat's phone has to know who calls. `refuses`: only a unit's own phone can do it."""

    weight: float
    play: Callable[[PlannedCall, str, random.Random], PlannedCall]
    needs_number: bool = False
    refuses: bool = False


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
        return replace(call, taker=Phone(talk=pressed + ring + SETTLE + draw.randint(500, 2_000)))

    return play


def _silent(call: PlannedCall, line: str, draw: random.Random) -> PlannedCall:
    pressed, _ = _rings(draw)
    call = _one(call, line, Phone(LAST_RESORT), "no_answer", pressed=pressed)
    return replace(call, taker=Phone(talk=pressed + NO_ANSWER * 1_000 + 1_000 + draw.randint(0, 1_000)))


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
    "pressed_twice": Scene(2, _pressed_twice, needs_number=True),
}
"""By name; the weights are assumptions, high enough for each to be there in a few hundred calls."""
