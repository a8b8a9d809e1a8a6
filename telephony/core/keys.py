"""A key that is pressed: what it starts or stops in this call, or the named reason why it does not."""

from __future__ import annotations

from telephony.core.alone import settle
from telephony.core.call import Call, EndReason, Role, Transfer, TransferState
from telephony.core.commands import Accepted, AwaitInvite, Command, Decision, InvitePartner, Refused
from telephony.core.events import CancelPressed, LeavePressed, LinePressed
from telephony.core.partners import end, release, release_takers

INVITE_GRACE = 3.0  # s; beyond the line's own limit, before Asterisk's silence counts as an answer
MAX_TRANSFERS = 100  # per call, and as many refused presses; a key held down must not grow a record for ever

_REFUSED = (EndReason.LINE_CLOSED, EndReason.LINE_FULL)


def line_pressed(call: Call, event: LinePressed) -> Decision:
    caller = call.caller_leg
    if caller is None or not _has_caller(call, event.seat):
        return _refuse(call, "no_call", "the seat has no caller on the line")
    line = event.line
    same = next((t for t in call.transfers if t.line == line.name and t.live), None)
    same = same or call.transfer(event.transfer_id)
    if same is not None:
        return Decision(call, "same_transfer", reply=Accepted((same.id,)))
    if event.mode not in line.modes:
        return _refuse(call, "unknown_mode", f"line {line.name} does not allow {event.mode} transfers")
    transfer = Transfer(
        event.transfer_id, line.name, event.mode, TransferState.INVITING, event.seat, event.at, event.note
    )
    if line.closed:
        return _refuse_at_once(call, transfer, EndReason.LINE_CLOSED, f"line {line.name} is closed")
    if line.full:
        return _refuse_at_once(call, transfer, EndReason.LINE_FULL, f"line {line.name} is full")
    if len(call.transfers) - _refused(call) >= MAX_TRANSFERS:
        return _refuse(call, "too_many_transfers", f"this call has had {MAX_TRANSFERS} transfers")
    invite = InvitePartner(
        call.id,
        transfer.id,
        line.name,
        caller.channel,
        call.caller,
        call.case_id,
        line.answer_timeout,
    )
    watch = AwaitInvite(transfer.id, line.answer_timeout + INVITE_GRACE)
    return Decision(call.with_transfer(transfer), "invited", (invite, watch), Accepted((transfer.id,)))


def cancel_pressed(call: Call, event: CancelPressed) -> Decision:
    pending = tuple(t for t in call.pending if event.transfer_id in ("", t.id))
    if not pending:
        return _refuse(call, "nothing_to_cancel", "no partner is being called")
    released: tuple[Command, ...] = ()
    for transfer in pending:
        released += release(call, transfer)
        call = end(call, transfer, EndReason.CANCELLED, event.at)
    reply = Accepted(tuple(transfer.id for transfer in pending))
    return settle(Decision(call, "cancelled", released, reply), event.at)


def leave_pressed(call: Call, event: LeavePressed) -> Decision:
    if not _has_caller(call, event.seat):
        return _refuse(call, "no_call", "the seat has no caller on the line")
    if not call.pending and not call.talking(Role.PARTNER):
        return _refuse(call, "nobody_to_leave_with", "no partner is in the call or being called")
    mine = tuple(leg for leg in call.talking(Role.TAKER) if leg.party == event.seat)
    live = tuple(t.id for t in call.transfers if t.live)
    return Decision(*release_takers(call, mine, "taker_leaves"), Accepted(live))


def _has_caller(call: Call, seat: str) -> bool:
    return any(leg.party == seat for leg in call.talking(Role.TAKER))


def _refused(call: Call) -> int:
    return sum(transfer.reason in _REFUSED for transfer in call.transfers)


def _refuse(call: Call, code: str, message: str) -> Decision:
    return Decision(call, f"refused_{code}", reply=Refused(code, message))


def _refuse_at_once(call: Call, transfer: Transfer, reason: EndReason, message: str) -> Decision:
    """The press is on record as a transfer that ended before it began."""
    outcome = f"refused_{reason}"
    if _refused(call) >= MAX_TRANSFERS:
        return Decision(call, outcome, reply=Refused(reason, message))
    call = end(call, transfer, reason, transfer.asked_at)
    return Decision(call, outcome, reply=Refused(reason, message, transfer.id))
