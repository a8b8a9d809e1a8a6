"""What calls, legs and transfers look like outside: the JSON shapes of the HTTP interface and the feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from telephony.core.call import (
    Call,
    Diversion,
    DiversionKind,
    EndReason,
    Leg,
    LegState,
    Mode,
    Role,
    Situation,
    Transfer,
    TransferState,
)


@dataclass(frozen=True, slots=True)
class CallerView:
    """`number` is empty when it is withheld from those who look, or unknown."""

    number: str
    withheld: bool


@dataclass(frozen=True, slots=True)
class LegView:
    id: str
    role: Role
    party: str
    state: LegState
    muted: bool


@dataclass(frozen=True, slots=True)
class TransferView:
    """Times are seconds since the epoch; `reason`, `sip_code` and `q850` are set once `state` is `ended`."""

    id: str
    call: str
    line: str
    mode: Mode
    state: TransferState
    reason: EndReason | None
    sip_code: int | None
    q850: int | None
    seat: str
    note: str
    asked_at: float
    ringing_at: float | None
    joined_at: float | None
    handed_over_at: float | None
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class DiversionView:
    """A matter handed on without a call; `line` is empty if no unit was named."""

    id: str
    call: str
    kind: DiversionKind
    line: str
    seat: str
    note: str
    at: float


@dataclass(frozen=True, slots=True)
class CallView:
    """`earlier_calls`: how many calls of the number are remembered; null while, or where, that is not known."""

    id: str
    situation: Situation
    caller: CallerView
    via: str
    seat: str
    case_id: str
    arrived_at: float
    answered_at: float | None
    ended_at: float | None
    legs: list[LegView]
    transfers: list[TransferView]
    # With defaults, so that events that an earlier release has kept can still be read.
    diversions: list[DiversionView] = field(default_factory=list)
    earlier_calls: int | None = None


def leg_view(leg: Leg) -> LegView:
    return LegView(leg.id, leg.role, leg.party, leg.state, leg.muted)


def transfer_view(call_id: str, t: Transfer) -> TransferView:
    return TransferView(
        id=t.id,
        call=call_id,
        line=t.line,
        mode=t.mode,
        state=t.state,
        reason=t.reason,
        sip_code=t.sip_code or None,
        q850=t.q850 or None,
        seat=t.seat,
        note=t.note,
        asked_at=t.asked_at,
        ringing_at=t.ringing_at,
        joined_at=t.joined_at,
        handed_over_at=t.handed_over_at,
        ended_at=t.ended_at,
    )


def diversion_view(call_id: str, d: Diversion) -> DiversionView:
    return DiversionView(d.id, call_id, d.kind, d.line, d.seat, d.note, d.at)


def call_view(call: Call) -> CallView:
    return CallView(
        id=call.id,
        situation=call.situation,
        caller=CallerView("" if call.caller.withheld else call.caller.number, call.caller.withheld),
        via=call.via,
        seat=call.seat,
        case_id=call.case_id,
        arrived_at=call.arrived_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        legs=[leg_view(leg) for leg in call.legs],
        transfers=[transfer_view(call.id, t) for t in call.transfers],
        diversions=[diversion_view(call.id, d) for d in call.diversions],
        earlier_calls=call.earlier_calls,
    )


def changes(before: Call | None, after: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    """The feed's events for what has changed: one `transfer` for each that moved, then the `call`."""
    for transfer in after.transfers:
        if before is None or before.transfer(transfer.id) != transfer:
            yield "transfer", msgspec.to_builtins(transfer_view(after.id, transfer))
    if before != after:
        yield "call", msgspec.to_builtins(call_view(after))


def latencies(call: Call) -> dict[str, Any]:
    """One line about a call that is over: how long each step took, in milliseconds, and how it went."""
    line: dict[str, Any] = {
        "seat": call.seat,
        "via": call.via,
        "rescues": call.rescues,
        "to_answer_ms": _ms(call.arrived_at, call.answered_at),
        "total_ms": _ms(call.arrived_at, call.ended_at),
    }
    line["transfers"] = [
        {
            "id": t.id,
            "line": t.line,
            "reason": t.reason,
            "to_ringing_ms": _ms(t.asked_at, t.ringing_at),
            "to_joined_ms": _ms(t.asked_at, t.joined_at),
            "to_handed_over_ms": _ms(t.asked_at, t.handed_over_at),
        }
        for t in call.transfers
    ]
    return line


def _ms(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)
