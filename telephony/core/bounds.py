"""How large a call may grow. A call can always be written down, whatever its people do for however long.

What is given up is what matters least: phones that rang in vain long ago, then the oldest notes. A press is
never refused for it.
"""

from __future__ import annotations

from dataclasses import replace

from telephony.core.call import Call, Leg, Role

MOST_LEGS = 100  # beyond these, seats that rang and never talked are forgotten, the oldest first
MOST_NOTES = 20_000  # characters in all notes together; a single one has 2,000 at most


def bounded(call: Call) -> Call:
    """`call`, or as much of it as is kept."""
    if len(call.legs) > MOST_LEGS:
        call = _without_vain_legs(call)
    if sum(len(note) for _, _, note in _notes(call)) > MOST_NOTES:
        call = _without_old_notes(call)
    return call


def _without_vain_legs(call: Call) -> Call:
    vain = [leg.id for leg in call.legs if _in_vain(leg)]
    forgotten = frozenset(vain[: len(call.legs) - MOST_LEGS])
    return replace(call, legs=tuple(leg for leg in call.legs if leg.id not in forgotten))


def _in_vain(leg: Leg) -> bool:
    return leg.role is Role.TAKER and not leg.alive and leg.joined_at is None


def _notes(call: Call) -> list[tuple[float, str, str]]:
    """When each note was made, whose it is, and the note."""
    notes = [(t.asked_at, t.id, t.note) for t in call.transfers]
    return notes + [(d.at, d.id, d.note) for d in call.diversions]


def _without_old_notes(call: Call) -> Call:
    """Of the notes, the newest that fit."""
    room, kept = MOST_NOTES, set[str]()
    for _, owner, note in sorted(_notes(call), reverse=True):
        room -= len(note)
        if room < 0:
            break
        kept.add(owner)
    transfers = tuple(t if t.id in kept else replace(t, note="") for t in call.transfers)
    diversions = tuple(d if d.id in kept else replace(d, note="") for d in call.diversions)
    return replace(call, transfers=transfers, diversions=diversions)
