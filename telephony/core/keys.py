"""A key that is pressed: what it starts or stops in this call, or the named reason why it does not."""

from __future__ import annotations

from dataclasses import replace

from telephony.core.alone import settle
from telephony.core.call import Call, EndReason, Leg, Mode, Role, Situation, Transfer, TransferState
from telephony.core.commands import (
    Accepted,
    AwaitInvite,
    BringBack,
    Command,
    Decision,
    HangUp,
    HoldCaller,
    InvitePartner,
    Mute,
    Refused,
    RescueCaller,
    SendDigits,
)
from telephony.core.events import (
    CancelPressed,
    DropPressed,
    GiveBackPressed,
    GroupPressed,
    HoldPressed,
    LeavePressed,
    LinePressed,
    MutePressed,
    ResumePressed,
    ReturnPressed,
)
from telephony.core.partners import end, release, release_takers

COMING_BACK = 2.0  # s; within this time a caller on hold who was asked to come back has come
INVITE_GRACE = 3.0  # s; beyond the line's own limit, before Asterisk's silence counts as an answer
MAX_TRANSFERS = 100  # per call, and as many refused presses; a key held down must not grow a record for ever

CARRIER = "carrier"  # what a call is `via` that came over no line
RETURN_DIGITS = "*0"  # the partner's key on a line's leg

_REFUSED = (EndReason.LINE_CLOSED, EndReason.LINE_FULL)


# -- partners ----------------------------------------------------------------------------------


def line_pressed(call: Call, event: LinePressed) -> Decision:
    caller = call.caller_leg
    if caller is None or not _has_caller(call, event.seat):
        return _no_call(call)
    line = event.line
    same = next((t for t in call.transfers if t.line == line.name and t.live), None)
    same = same or call.transfer(event.transfer_id)
    if same is not None:
        return Decision(call, "same_transfer", reply=Accepted((same.id,)))
    if event.mode not in line.modes:
        return _refuse(call, "unknown_mode", f"line {line.name} does not allow {event.mode} transfers")
    if event.mode is not Mode.WARM and call.returned_from(line.name):
        return _refuse(call, "returned_once", f"{line.name} has sent this caller back: three-way only")
    patience = line.answer_timeout + INVITE_GRACE
    transfer = Transfer(
        event.transfer_id,
        line.name,
        event.mode,
        TransferState.INVITING,
        event.seat,
        event.at,
        event.note,
        answer_by=event.at + patience,
    )
    if line.closed:
        return _refuse_at_once(call, transfer, EndReason.LINE_CLOSED, f"line {line.name} is closed")
    if line.full:
        return _refuse_at_once(call, transfer, EndReason.LINE_FULL, f"line {line.name} is full")
    if len(call.transfers) - _refused(call) >= MAX_TRANSFERS:
        return _refuse(call, "too_many_transfers", f"this call has had {MAX_TRANSFERS} transfers")
    # A partner who answers while the caller is on hold talks with the taker first too; the dialplan sees to that.
    invite = InvitePartner(
        call.id,
        transfer.id,
        line.name,
        caller.channel,
        call.caller,
        call.case_id,
        line.answer_timeout,
        consult=event.mode is Mode.CONSULT,
    )
    watch = AwaitInvite(transfer.id, patience)
    return Decision(call.with_transfer(transfer), "invited", (invite, watch), Accepted((transfer.id,)))


def group_pressed(call: Call, event: GroupPressed) -> Decision:
    """Every line of the group is pressed; refused only if every line is."""
    commands: tuple[Command, ...] = ()
    accepted: tuple[str, ...] = ()
    refused: Refused | None = None
    for press in event.presses:
        decision = line_pressed(call, press)
        call = decision.call
        commands += decision.commands
        if isinstance(decision.reply, Accepted):
            accepted += decision.reply.transfer_ids
        elif isinstance(decision.reply, Refused) and refused is None:
            refused = decision.reply
    if accepted:
        return Decision(call, "group_invited", commands, Accepted(accepted))
    refused = refused or Refused("unknown_line", "the group has no lines")
    return Decision(call, f"refused_{refused.code}", commands, refused)


def cancel_pressed(call: Call, event: CancelPressed) -> Decision:
    """Stop who is being called; in a consultation, end it: the taker goes back to the caller."""
    consulted = call.situation is Situation.CONSULT
    stopped = tuple(
        t
        for t in call.transfers
        if event.transfer_id in ("", t.id) and (t.pending or (consulted and t.state is TransferState.JOINED))
    )
    if not stopped:
        return _refuse(call, "nothing_to_cancel", "no partner is being called")
    released: tuple[Command, ...] = ()
    for transfer in stopped:
        released += release(call, transfer)
        call = end(call, transfer, EndReason.CANCELLED, event.at)
    reply = Accepted(tuple(transfer.id for transfer in stopped))
    return settle(Decision(call, "cancelled", released, reply), event.at)


def leave_pressed(call: Call, event: LeavePressed) -> Decision:
    mine = tuple(leg for leg in call.takers if leg.party == event.seat)
    if not mine:
        return _no_call(call)
    live = tuple(t for t in call.transfers if t.live)
    if not call.pending and not call.talking(Role.PARTNER):
        return _refuse(call, "nobody_to_leave_with", "no partner is in the call or being called")
    if live and all(call.returned_from(t.line) for t in live):
        return _refuse(
            call, "returned_once", "this partner has sent the caller back: the first receiver stays"
        )
    reply = Accepted(tuple(t.id for t in live))
    return Decision(*release_takers(call, mine, "taker_leaves"), reply)


# -- the caller's place ------------------------------------------------------------------------


def hold_pressed(call: Call, event: HoldPressed) -> Decision:
    caller = call.caller_leg
    if caller is None or not _has_caller(call, event.seat):
        return _no_call(call)
    if call.held:
        return Decision(call, "already_held", reply=Accepted())
    if not caller.talking:
        return _refuse(call, "no_call", "the caller is in no conversation")
    return Decision(call, "hold_asked", (HoldCaller(caller.channel),), Accepted())


def resume_pressed(call: Call, event: ResumePressed) -> Decision:
    caller = call.caller_leg
    if caller is None or not _has_caller(call, event.seat):
        return _no_call(call)
    if not call.held:
        return _refuse(call, "not_held", "the caller is not on hold")
    taker = next(leg for leg in call.takers if leg.party == event.seat and not leg.released)
    live = tuple(t.id for t in call.transfers if t.live)
    if call.recalled_at is not None and event.at - call.recalled_at < COMING_BACK:
        # To send the caller again would take it out of the conversation that it may have come into by now.
        return Decision(call, "comes_back_already", reply=Accepted(live))
    call = replace(call, recalled_at=event.at)
    return Decision(call, "brought_back", (BringBack(caller.channel, taker.channel),), Accepted(live))


def bring_to_partners(call: Call) -> tuple[Command, ...]:
    """The taker has left a caller on hold to partners who talk with each other. (One alone takes the caller itself.)"""
    caller, partners = call.caller_leg, call.talking(Role.PARTNER)
    if caller is None or not call.held or call.takers or len(partners) < 2:
        return ()
    return (BringBack(caller.channel, partners[0].channel),)


def return_pressed(call: Call, event: ReturnPressed) -> Decision:
    """The partner gives the caller back: to the taker who is still there, or to a seat."""
    leg, transfer, caller = call.leg(event.leg_id), call.transfer(event.leg_id), call.caller_leg
    if leg is None or transfer is None or not leg.talking or not transfer.live or caller is None:
        return _refuse(call, "no_call", "no partner with this leg is in the conversation")
    call = end(call, transfer, EndReason.RETURNED, event.at)
    reply = Accepted((transfer.id,))
    others = [other for other in call.talking(Role.PARTNER) if other.id != leg.id]
    if call.takers or others:
        return Decision(call, "partner_returns", (HangUp(leg.id, leg.channel),), reply)
    call = replace(call, rescues=call.rescues + 1)
    commands = (RescueCaller(caller.channel, from_talk=True), HangUp(leg.id, leg.channel))
    return Decision(call, "caller_returned", commands, reply)


def give_back_pressed(call: Call, event: GiveBackPressed) -> Decision:
    """The other hotline knows the partner's key by its digits."""
    caller = call.caller_leg
    if caller is None or not _has_caller(call, event.seat):
        return _no_call(call)
    if call.via == CARRIER:
        return _refuse(call, "not_over_a_line", "this caller came from no other hotline")
    return Decision(call, "given_back", (SendDigits(caller.channel, RETURN_DIGITS),), Accepted())


# -- parties -----------------------------------------------------------------------------------


def mute_pressed(call: Call, event: MutePressed) -> Decision:
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive or call.ended:
        return _refuse(call, "unknown_leg", "the call has no such party")
    # Also where it is so already: whether a press that Asterisk did not answer was carried out, nobody knows.
    asked = Mute(leg.id, leg.channel, event.muted)
    return Decision(call, "mute_asked" if event.muted else "unmute_asked", (asked,), Accepted())


def drop_pressed(call: Call, event: DropPressed) -> Decision:
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive:
        return _refuse(call, "unknown_leg", "the call has no such party")
    match leg.role:
        case Role.CALLER:
            return _refuse(call, "never_the_caller", "a caller is never dropped")
        case Role.TAKER:
            return _drop_taker(call, leg)
        case Role.PARTNER:
            transfer = call.transfer(leg.id)
            if transfer is not None and transfer.pending:
                return cancel_pressed(call, CancelPressed(event.at, transfer.id))
            staying = [taker for taker in call.takers if not taker.released]
            if not staying and len(call.talking(Role.PARTNER)) < 2 and call.caller_leg is not None:
                return _refuse(call, "last_with_caller", "nobody else is with the caller")
            call = call.with_leg(replace(leg, released=True))
            return Decision(call, "partner_dropped", (HangUp(leg.id, leg.channel),), Accepted())


def _drop_taker(call: Call, leg: Leg) -> Decision:
    if leg.joined_at is not None and not call.talking(Role.PARTNER) and call.caller_leg is not None:
        return _refuse(call, "last_with_caller", "nobody else is with the caller")
    return Decision(*release_takers(call, (leg,), "taker_dropped"), Accepted())


# -- refusals ----------------------------------------------------------------------------------


def _has_caller(call: Call, seat: str) -> bool:
    """Whether the seat may decide about the caller: it has the caller, and has not just let go."""
    return any(leg.party == seat and not leg.released for leg in call.takers)


def _refused(call: Call) -> int:
    return sum(transfer.reason in _REFUSED for transfer in call.transfers)


def _no_call(call: Call) -> Decision:
    return _refuse(call, "no_call", "the seat has no caller on the line")


def _refuse(call: Call, code: str, message: str) -> Decision:
    return Decision(call, f"refused_{code}", reply=Refused(code, message))


def _refuse_at_once(call: Call, transfer: Transfer, reason: EndReason, message: str) -> Decision:
    """The press is on record as a transfer that ended before it began."""
    outcome = f"refused_{reason}"
    if _refused(call) >= MAX_TRANSFERS:
        return Decision(call, outcome, reply=Refused(reason, message))
    call = end(call, transfer, reason, transfer.asked_at)
    return Decision(call, outcome, reply=Refused(reason, message, transfer.id))
