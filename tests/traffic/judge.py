"""Judges each call of a run: what was planned, what phones and hotline say happened, and what is wrong with it.

A caller is lost whose call ended although neither the caller, nor the taker or partner who was last with the
caller, put the phone down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.stage import FAR_END
from tests.traffic.keys import Pressed
from tests.traffic.phone_logs import Deed
from tests.traffic.planned import PlannedCall

LATE = 0.3  # s; later than this and the order of things is no longer the planned one
# s; a call that ends later than this after somebody hung up has not ended because of it (later still on a machine
# that is behind by seconds).
CAUSE = 3.0
_BY_CITIZEN = {"gives_up": "nobody_answered", "hangs_up": "caller"}


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of one call besides its plan; `view` is its last state in the feed."""

    deeds: Sequence[Deed]
    call_id: str
    view: Mapping[str, Any] | None
    history: Sequence[tuple[float, str]]
    pressed: Sequence[Pressed]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`end`: who ended the call, or `lost`, or `unclear` where the citizen's phone does not say.
    `wrong`: what is wrong, by kind (lost, unclear, end, reason, answers, diversion). `late`: by how many seconds the
    machine was behind the plan in this call."""

    call: PlannedCall
    record: Record
    end: str
    reasons: Mapping[str, str]
    wrong: Mapping[str, str]
    late: float = 0.0

    @property
    def excused(self) -> bool:
        """Something else came of it than planned, and the machine was too slow for the plan. No excuse for a loss."""
        return bool(self.wrong) and not {"lost", "unclear"} & set(self.wrong) and self.late > LATE

    def timeline(self) -> list[str]:
        """What happened, in order; seconds from the first."""
        return timeline(self.record)


def timeline(record: Record) -> list[str]:
    """What happened in a call, in order; seconds from the first."""
    lines = [(deed.at, str(deed)) for deed in record.deeds]
    lines += [(at, f"hotline: {words}") for at, words in record.history]
    lines += [
        (press.at, f"key {press.key} pressed: {press.status} {_refusal(press)}") for press in record.pressed
    ]
    lines.sort()
    return [f"{at - lines[0][0]:8.3f}  {words}" for at, words in lines]


def judge(call: PlannedCall, record: Record) -> Judgement:
    citizen = [deed for deed in record.deeds if deed.role == f"citizens-{call.site}"]
    last = citizen[-1] if citizen else None
    late = _lateness(record, citizen)
    end = _who_ended(call, record, last, CAUSE + 3 * late)
    reasons = _reasons(record)
    answers = sum(deed.word == "answered" and deed.role == f"seats-{call.site}" for deed in record.deeds)
    wrong: dict[str, str] = {}
    if end == "lost":
        wrong["lost"] = f"the citizen's phone says {last.word if last else 'nothing'}, and nobody hung up"
    elif end == "unclear":
        wrong["unclear"] = "the citizen's phone does not say how the call ended"
    elif end not in call.ends:
        wrong["end"] = f"ended by {end}, planned {'/'.join(sorted(call.ends))}"
    if "taker" in call.ends and not call.withheld and answers < call.answers and end == "taker":
        wrong["lost"] = "the caller should have been brought back to a seat, and the call ended"
    elif not call.withheld and end != "nobody_answered" and answers != call.answers:
        wrong["answers"] = f"a seat answered {answers} times, planned {call.answers}"
    keys = {press.key for press in call.presses} & {"guidance", "platform"}
    kept = {each["kind"] for each in record.view["diversions"]} if record.view else set()
    if end != "nobody_answered" and keys != kept:
        wrong["diversion"] = (
            f"handed on by {'/'.join(kept) or 'nothing'}, planned {'/'.join(keys) or 'nothing'}"
        )
    for line, right in call.reasons.items():
        if end != "nobody_answered" and reasons.get(line) not in right:
            wrong["reason"] = f"{line}: {reasons.get(line, 'no transfer')}, planned {'/'.join(sorted(right))}"
    return Judgement(call, record, end, reasons, wrong, late)


def _who_ended(call: PlannedCall, record: Record, last: Deed | None, within: float) -> str:
    if last is None or last.word in ("calls", "answered", "no_answer_to_bye"):
        return "unclear"
    if last.word in _BY_CITIZEN:
        return _BY_CITIZEN[last.word]
    if last.word != "was_hung_up":
        return "lost"
    staff = [
        deed
        for deed in record.deeds
        if deed.word == "hangs_up" and deed.role != last.role and -0.1 <= last.at - deed.at <= within
    ]
    if not staff:
        return "lost"
    return "taker" if max(staff, key=lambda deed: deed.at).role == f"seats-{call.site}" else "partner"


def _lateness(record: Record, citizen: Sequence[Deed]) -> float:
    """How far the hotline was behind the phones, and the presses behind the plan."""
    late = [max(press.took, press.late) for press in record.pressed]
    answered = next((deed.at for deed in citizen if deed.word == "answered"), None)
    talking = next((at for at, words in record.history if words.startswith("talking")), None)
    if answered is not None and talking is not None:
        late.append(talking - answered)
    for deed in record.deeds:
        if deed.word == "answered" and deed.role in FAR_END:
            late += [at - deed.at for at, words in record.history if f"{deed.role}=joined" in words][:1]
    return max(late, default=0.0)


def _reasons(record: Record) -> dict[str, str]:
    """By line, why its transfer ended; `live` where it has not."""
    transfers = record.view["transfers"] if record.view else []
    return {transfer["line"]: transfer["reason"] or "live" for transfer in transfers}


def _refusal(press: Pressed) -> str:
    return str(press.answer["error"]["code"]) if press.status >= 400 else ""


def withheld_deeds(call: PlannedCall, view: Mapping[str, Any] | None, deeds: Iterable[Deed]) -> list[Deed]:
    """What phones did that were not told this caller's number: seat and time say that it was for this call."""
    if view is None or not call.withheld:
        return []
    seats = {leg["party"] for leg in view["legs"] if leg["role"] == "taker"}
    partners = {f"seats-{t['line']}" for t in view["transfers"]}
    until = view["ended_at"] or float("inf")
    return [
        deed
        for deed in deeds
        if view["arrived_at"] <= deed.at <= until + CAUSE
        and ((deed.role == f"seats-{call.site}" and deed.phone in seats) or deed.role in partners)
    ]


def by_number(deeds: Iterable[Deed]) -> dict[str, list[Deed]]:
    """The deeds of each caller's call; under the empty number those of phones that were not told it."""
    found: defaultdict[str, list[Deed]] = defaultdict(list)
    for deed in deeds:
        found[deed.number].append(deed)
    return found
