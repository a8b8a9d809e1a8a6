"""The script of a run: when which fault strikes which hotline, and how hard, drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

FIRST = 3.0  # s after the first call
BETWEEN_CALMS = 12  # faults
CALM = 9.0  # s without a new fault, so that the three views can be compared while calls go on


class Kind(StrEnum):
    CONTROLLER_KILLED = "controller killed"
    CONTROLLER_FROZEN = "controller frozen"
    CONTROLLER_STOPPED = "controller stopped"
    LEADER_KILLED = "leader killed"
    LEADER_FROZEN = "leader frozen"
    REDIS_KILLED = "Redis killed"
    REDIS_FROZEN = "Redis frozen"
    REDIS_EMPTIED = "Redis emptied"
    AMI_CUT = "AMI cut"
    ASTERISK_RELOADED = "Asterisk reloaded"
    ASTERISK_KILLED = "Asterisk killed"
    FAR_END_KILLED = "far end killed"
    SEATS_KILLED = "all seats killed"
    SEAT_MOVED = "seat unregistered"
    MACHINE_BUSY = "machine busy"


WEIGHTS = {
    Kind.CONTROLLER_KILLED: 12.0,
    Kind.CONTROLLER_FROZEN: 8.0,
    Kind.CONTROLLER_STOPPED: 6.0,
    Kind.LEADER_KILLED: 10.0,
    Kind.LEADER_FROZEN: 8.0,
    Kind.REDIS_KILLED: 10.0,
    Kind.REDIS_FROZEN: 8.0,
    Kind.REDIS_EMPTIED: 6.0,
    Kind.AMI_CUT: 12.0,
    Kind.ASTERISK_RELOADED: 5.0,
    Kind.ASTERISK_KILLED: 2.0,
    Kind.FAR_END_KILLED: 5.0,
    Kind.SEATS_KILLED: 2.0,
    Kind.SEAT_MOVED: 4.0,
    Kind.MACHINE_BUSY: 4.0,
}

RARE = {Kind.ASTERISK_KILLED: 50, Kind.SEATS_KILLED: 70}
"""At most one (begun) in so many faults: each costs every call that there is."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """`at`: seconds after the first call. `severity`: 0 to 1, what the kind makes of it."""

    at: float
    kind: Kind
    site: str
    severity: float


def draw_script(faults: int, seconds: float, seed: int) -> list[PlannedFault]:
    """So many faults within so many seconds, in order; the same seed gives the same script."""
    draw = random.Random(f"{seed} faults")
    calms = (faults - 1) // BETWEEN_CALMS
    calm = min(CALM, max(0.0, seconds - FIRST) / (2 * calms)) if calms else 0.0
    span = max(0.0, seconds - FIRST - calms * calm)
    times = sorted(draw.uniform(0, span) for _ in range(faults))
    left = {kind: -(-faults // each) for kind, each in RARE.items()}
    script = []
    for number, at in enumerate(times):
        kinds = {kind: weight for kind, weight in WEIGHTS.items() if left.get(kind, 1)}
        kind = draw.choices(list(kinds), list(kinds.values()))[0]
        if kind in left:
            left[kind] -= 1
        at = FIRST + at + calm * (number // BETWEEN_CALMS)
        script.append(PlannedFault(at, kind, draw.choice(["110", "110", "12345"]), draw.random()))
    return script
