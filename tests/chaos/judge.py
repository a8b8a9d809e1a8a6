"""Judges each call of a chaos run. The plan's own expectations no longer hold; what holds is that nobody is lost.

A caller is lost whose phone was hung up although nobody who was in the call put the phone down, or although somebody
else was still in the call. No controller can help whose Asterisk was killed, and who called while it was away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.fingers import Push
from tests.chaos.world import Outage
from tests.lab.stage import FAR_END
from tests.traffic.judge import Record
from tests.traffic.phone_logs import Deed
from tests.traffic.planned import FAR_HOTLINE, PlannedCall

CAUSE = 6.0  # s; the dialplan has waited for a dead controller, on a busy machine, within this time
CROSSING = 1.0  # s; what happens closer together than this may have crossed
PATIENT = 20.0  # s; who gives up after waiting so long has been left waiting
ALONE = (
    10.0  # s; who hangs up after so long with nobody in the call, and nobody's phone ringing, was left alone
)
RINGS = 15.0  # s; a phone that is called rings no longer
_WRONG = frozenset({"lost", "unanswered", "alone", "unclear"})
_ENDS = frozenset({"hangs_up", "was_hung_up", "no_reply"})


@dataclass(frozen=True, slots=True)
class Finding:
    """`end`: who ended the call; or `lost`, `unanswered` (gave up after a long wait), `alone` (hung up after a long
    time with nobody), `unclear`; or `excused`: its Asterisk was killed, or no phone was there. `why`: in words."""

    call: PlannedCall
    record: Record
    end: str
    why: str = ""
    doubles: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        return bool(self.doubles) or self.end in _WRONG


@dataclass(frozen=True, slots=True)
class Talk:
    """A phone's part in a call, from its answer to its end (infinity: none was seen); `said`: its last word."""

    role: str
    phone: str
    began: float
    ended: float = float("inf")
    said: str = ""


def judge(
    call: PlannedCall,
    record: Record,
    outages: Sequence[Outage],
    pushes: Iterable[Push] = (),
    far_calls: Mapping[str, int] | None = None,
) -> Finding:
    """`pushes`: those in this caller's calls. `far_calls`: by line, the calls that came of it at the other hotline."""
    citizen = [deed for deed in record.deeds if deed.role == f"citizens-{call.site}"]
    doubles = (
        *_invited_twice(call, record, list(pushes), far_calls or {}, outages),
        *_two_seats(call, record, outages),
    )
    end, why = _end(call, record, citizen)
    excuse = _excuse(call, end, citizen, outages)
    if excuse:
        end, why = "excused", f"{excuse}; {end} {why}"
    return Finding(call, record, end, why, doubles)


def _excuse(call: PlannedCall, end: str, citizen: Sequence[Deed], outages: Iterable[Outage]) -> str:
    """What no controller can help: live in an Asterisk that was killed; come while it was away; no phone there."""
    if not citizen:
        return ""
    began, ended = citizen[0].at, citizen[-1].at
    for outage in outages:
        if outage.site != call.site or not outage.meets(began, ended):
            continue
        if outage.what == "asterisk" and outage.began >= began:
            return "the call was live when its Asterisk was killed"
        if outage.what == "asterisk" and end in _WRONG:
            return "the call came while its Asterisk was away"
        if outage.what == "seats" and end in ("unanswered", "alone"):
            return "no seat had a phone"
    return ""


def _end(call: PlannedCall, record: Record, citizen: Sequence[Deed]) -> tuple[str, str]:
    last = citizen[-1] if citizen else None
    if last is None or last.word in ("calls", "answered"):
        return "unclear", f"the citizen's phone says {last.word if last else 'nothing'} and no more"
    if last.word in ("hangs_up", "no_answer_to_bye"):
        answered = any(deed.word == "answered" for deed in citizen)
        gave_up = any(deed.word == "gives_up" for deed in citizen)
        alone = _alone(call, record, last) if answered else 0.0
        if alone > ALONE:
            return "alone", f"the citizen hung up after {alone:.0f} s with nobody"
        return ("caller" if answered or not gave_up else "nobody_answered"), ""
    if last.word == "gives_up":
        waited = last.at - citizen[0].at
        if waited > PATIENT:
            return "unanswered", f"the citizen gave up after {waited:.0f} s"
        return "nobody_answered", ""
    if last.word != "was_hung_up":
        return "lost", f"the citizen's phone says {last.word}"
    return _who_hung_up(call, record, last)


def _who_hung_up(call: PlannedCall, record: Record, last: Deed) -> tuple[str, str]:
    staff = [
        deed
        for deed in record.deeds
        if deed.word == "hangs_up" and deed.role != last.role and -0.2 <= last.at - deed.at <= CAUSE
    ]
    if not staff:
        return "lost", "the citizen was hung up, and nobody else put the phone down"
    there = [
        talk
        for talk in talks(call, record.deeds)
        if talk.said == "was_hung_up"
        and talk.began < last.at - CROSSING
        and last.at - 0.2 <= talk.ended <= last.at + CAUSE
    ]
    if there:
        return "lost", f"the citizen was hung up although {there[0].role} {there[0].phone} was still there"
    taker = max(staff, key=lambda deed: deed.at).role == f"seats-{call.site}"
    return ("taker" if taker else "partner"), ""


def talks(call: PlannedCall, deeds: Iterable[Deed]) -> list[Talk]:
    """The parts of all who were called; of those who were not told the number nobody can say whose call it was."""
    found: list[Talk] = []
    for deed in deeds:
        if deed.role.startswith("citizens-") or deed.number != call.number:
            continue
        if deed.word == "answered":
            found.append(Talk(deed.role, deed.phone, deed.at))
        elif deed.word in _ENDS:
            for index, talk in enumerate(found):
                if (talk.role, talk.phone) == (deed.role, deed.phone) and not talk.said:
                    found[index] = Talk(talk.role, talk.phone, talk.began, deed.at, deed.word)
                    break
    return found


def _alone(call: PlannedCall, record: Record, last: Deed) -> float:
    """For how many seconds nobody had been in the call, and nobody's phone had rung, when the citizen hung up. Of a
    phone that was killed nothing more is heard: it counts as being there. 0 where phones are not told the number."""
    if call.withheld:
        return 0.0
    there = [talk.ended for talk in talks(call, record.deeds) if talk.began <= last.at]
    rang = [deed.at + RINGS for deed in record.deeds if deed.word == "rings" and deed.at <= last.at]
    answered = [deed.at for deed in record.deeds if deed.role == last.role and deed.word == "answered"]
    ended = [deed.at for deed in record.deeds if deed.word in ("refuses", "cancelled") and deed.at <= last.at]
    quiet = max([*answered, *there, *(min([at, *(e for e in ended if e > at - RINGS)]) for at in rang)])
    return max(0.0, last.at - quiet)


def _two_seats(call: PlannedCall, record: Record, outages: Iterable[Outage]) -> list[str]:
    """Two seats in conversation with the caller at once: two calls for one rescue. A phone that was killed, and a
    call that Asterisk has forgotten, do not count: both sit there and nobody hears them."""
    role = f"seats-{call.site}"
    down = [o for o in outages if o.site == call.site and (o.what == "asterisk" or o.what.startswith("seat"))]
    mine = sorted((t for t in talks(call, record.deeds) if t.role == role), key=_began)
    found = []
    for earlier, later in pairwise(mine):
        both = earlier.ended - later.began
        if both > CROSSING and not any(o.meets(earlier.began, later.began) for o in down):
            found.append(f"seats {earlier.phone} and {later.phone} both talk with the caller")
    return found


def _began(talk: Talk) -> float:
    return talk.began


def _unreachable(record: Record, line: str) -> int:
    transfers = record.view["transfers"] if record.view else ()
    return sum(t["line"] == line and t["reason"] == "unreachable" for t in transfers)


def _invited_twice(
    call: PlannedCall,
    record: Record,
    pushes: Sequence[Push],
    far_calls: Mapping[str, int],
    outages: Iterable[Outage],
) -> list[str]:
    """More INVITEs at a far end than transfers, or more transfers than presses."""
    invites: defaultdict[str, set[str]] = defaultdict(set)
    for deed in record.deeds:
        if deed.role in FAR_END and deed.word == "rings":
            invites[deed.role].add(deed.dialog)
    far = FAR_HOTLINE[call.site]
    restarted = any(o.what == "asterisk" and o.site == far for o in outages)
    counts = {line: len(dialogs) for line, dialogs in invites.items()}
    if not restarted:  # else an INVITE that is sent again to the new Asterisk is a new call there
        counts[far] = far_calls.get(far, 0)
    transfers: defaultdict[str, set[str]] = defaultdict(set)
    for transfer in record.view["transfers"] if record.view else ():
        transfers[transfer["line"]].add(transfer["id"])
    found = []
    for line in sorted({*counts, *transfers}):
        pressed = sum(push.taken and line in lines_of(push.press.key) for push in pushes)
        known = max(len(transfers[line]), pressed)
        if counts.get(line, 0) > known:
            found.append(
                f"{line}: {counts[line]} INVITEs, {len(transfers[line])} transfers, {pressed} presses"
            )
        # One that a controller wrote down, and then had no right to carry out any more, has called nobody.
        if len(transfers[line]) - _unreachable(record, line) > pressed:
            found.append(f"{line}: {len(transfers[line])} transfers of {pressed} presses")
    return found


def lines_of(key: str) -> tuple[str, ...]:
    """The lines that a key of the plan asks for."""
    return ("119", "gas") if key == "gas-leak" else (key,)


@dataclass(slots=True)
class Tally:
    """Everything that a run has found besides its calls. Each list is of lines that should not be there."""

    differences: list[str] = field(default_factory=list)
    comparisons: int = 0
    left: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    unmended: list[str] = field(default_factory=list)
    put_right: Mapping[str, int] = field(default_factory=dict)
    presses: Mapping[str, int] = field(default_factory=dict)
    complaints: Sequence[Any] = ()
