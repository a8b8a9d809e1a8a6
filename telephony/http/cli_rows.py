"""What the Asterisk CLI prints of lines, calls, seats and transfers: rows of a name and a text.

The CLI gives a name 30 columns and its text as many as it wants, so lists are a row for each thing under a
row of headings. What has Chinese letters in it stands last: they are two columns wide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from telephony.core.call import Call
from telephony.switchboard import LineStatus, SeatStatus
from telephony.views import CallView, LegView, TransferView, call_view

Row = tuple[str, str]
MOST = 500  # rows of one list; who has more calls than that has other means to read them


def line_rows(lines: Sequence[LineStatus]) -> list[Row]:
    head = ("line", f"{'state':<8}{'live':<12}{'key':<6}{'digits':<8}{'modes':<24}label")
    return [head, *((line.line, _line(line)) for line in lines)]


def _line(line: LineStatus) -> str:
    live, modes = f"{line.live} of {line.capacity}", " ".join(line.modes)
    return f"{line.state:<8}{live:<12}{line.key:<6}{line.dtmf:<8}{modes:<24}{line.label}"


def line_row(line: LineStatus, calls: Sequence[Call], now: float) -> list[Row]:
    """One line, and what is on it: calls that came in over it, transfers that use it."""
    rows = [
        ("line", line.line),
        ("label", line.label),
        ("state", str(line.state)),
        ("live", f"{line.live} of {line.capacity}"),
        ("key", f"{line.key}, digits {line.dtmf}"),
        ("modes", " ".join(line.modes)),
    ]
    for view in map(call_view, calls):
        if view.via == line.line:
            rows.append(("call", f"{view.id} came in over it"))
        rows += [transfer_row(t, now) for t in view.transfers if t.line == line.line and t.reason is None]
    return rows


def call_rows(calls: Sequence[Call], now: float) -> list[Row]:
    if not calls:
        return [("calls", "none")]
    head = ("call", f"{'situation':<13}{'caller':<18}{'seat':<8}{'for':<10}lines")
    rows = [head, *((call.id, _call(call_view(call), now)) for call in calls[:MOST])]
    if len(calls) > MOST:
        rows.append(("more", f"{len(calls) - MOST} calls: telephony calls"))
    return rows


def _call(call: CallView, now: float) -> str:
    lines = ", ".join(f"{t.line} {t.state}" for t in call.transfers if t.reason is None)
    since = _span(now - call.arrived_at)
    return f"{call.situation:<13}{_caller(call):<18}{call.seat or '-':<8}{since:<10}{lines or '-'}"


def call_row(call: Call, now: float) -> list[Row]:
    """One call, its legs and its transfers, those that are over too."""
    view = call_view(call)
    return [
        ("call", view.id),
        ("situation", str(view.situation)),
        ("caller", _caller(view)),
        ("came over", view.via),
        ("seat", view.seat or "-"),
        ("case", view.case_id),
        ("arrived", _when(view.arrived_at, now)),
        ("answered", "-" if view.answered_at is None else _when(view.answered_at, now)),
        *(("leg", _leg(leg)) for leg in view.legs),
        *(transfer_row(transfer, now) for transfer in view.transfers),
    ]


def transfer_row(transfer: TransferView, now: float) -> Row:
    how = f"ended: {transfer.reason}" if transfer.reason else str(transfer.state)
    sip = f", SIP {transfer.sip_code}" if transfer.sip_code else ""
    cause = f", Q.850 {transfer.q850}" if transfer.q850 else ""
    asked = f"asked for by {transfer.seat or '-'} {_span(now - transfer.asked_at)} ago"
    return "transfer", f"{transfer.id} to {transfer.line}, {transfer.mode}, {how}{sip}{cause}; {asked}"


def seat_rows(seats: Sequence[SeatStatus]) -> list[Row]:
    head = ("seat", f"{'state':<10}{'queue':<12}call")
    return [head, *((seat.seat, f"{seat.state:<10}{seat.queue:<12}{seat.call or '-'}") for seat in seats)]


def seat_row(seat: SeatStatus, call: Call | None, now: float) -> list[Row]:
    """One seat, and what can be said in short of the call that it has."""
    rows = [("seat", seat.seat), ("state", str(seat.state)), ("queue", seat.queue)]
    if call is None:
        return [*rows, ("call", "none")]
    view = call_view(call)
    return [
        *rows,
        ("call", view.id),
        ("situation", str(view.situation)),
        ("caller", _caller(view)),
        ("arrived", _when(view.arrived_at, now)),
    ]


def _leg(leg: LegView) -> str:
    party, muted = f" {leg.party}" if leg.party else "", ", muted" if leg.muted else ""
    return f"{leg.role}{party}: {leg.state}{muted}"


def _caller(call: CallView) -> str:
    return "withheld" if call.caller.withheld else call.caller.number or "unknown"


def _when(at: float, now: float) -> str:
    """A moment in this machine's time, and how long ago that was."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC).astimezone():%F %T} ({_span(now - at)} ago)"


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
