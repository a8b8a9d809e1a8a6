"""decide(call, event) -> Decision: every event in every situation has a named outcome.

The function is total: it never raises for a well-formed event and knows no event that cannot
happen. A caller's safety comes first: whatever is not understood ends with the caller at a seat.
What happens to legs is here; presses are in `keys`, partners in `partners`, lonely callers in `alone`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from telephony.core import alone, diversions, keys, partners, phone_hold
from telephony.core.bounds import bounded
from telephony.core.call import Call, EndReason, Hangup, Leg, LegState, Next, Role, Transfer, TransferState
from telephony.core.commands import AnswerFreed, Command, Decision, HangUp
from telephony.core.events import (
    CallerFreed,
    CancelPressed,
    DiversionRecorded,
    DropPressed,
    Event,
    FreedTimeout,
    GiveBackPressed,
    GroupPressed,
    HistoryRead,
    HoldPressed,
    InviteFailed,
    InviteTimeout,
    LeavePressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegJoined,
    LegLeft,
    LegMuted,
    LegRinging,
    LegStarted,
    LegUnheld,
    LinePressed,
    MutePressed,
    ResumePressed,
    ReturnPressed,
)

_BEFORE = {
    LegState.RINGING: (LegState.DIALLING,),
    LegState.WAITING: (LegState.DIALLING, LegState.RINGING),
}


def decide(call: Call, event: Event) -> Decision:
    """What `event` makes of `call`, and what is to be done about it."""
    decision = _decide(call, event)
    kept = bounded(decision.call)
    return decision if kept is decision.call else replace(decision, call=kept)


def _decide(call: Call, event: Event) -> Decision:
    match event:
        case LegStarted():
            return _leg_started(call, event)
        case LegRinging():
            return _leg_moved(call, event.leg_id, LegState.RINGING, event.at)
        case LegAnswered():
            return _leg_moved(call, event.leg_id, LegState.WAITING, event.at)
        case LegJoined():
            return _leg_joined(call, event)
        case LegLeft():
            return _leg_left(call, event)
        case LegEnded():
            return _leg_ended(call, event)
        case LegHeld():
            return phone_hold.held(call, event)
        case LegUnheld():
            return phone_hold.unheld(call, event)
        case LegMuted():
            return _leg_muted(call, event)
        case InviteFailed():
            return partners.invite_failed(call, event)
        case InviteTimeout():
            return partners.invite_timeout(call, event)
        case CallerFreed():
            return alone.caller_freed(call, event)
        case FreedTimeout():
            return alone.freed_timeout(call)
        case LinePressed():
            return keys.line_pressed(call, event)
        case CancelPressed():
            return keys.cancel_pressed(call, event)
        case LeavePressed():
            return keys.leave_pressed(call, event)
        case GroupPressed():
            return keys.group_pressed(call, event)
        case HoldPressed():
            return keys.hold_pressed(call, event)
        case ResumePressed():
            return keys.resume_pressed(call, event)
        case MutePressed():
            return keys.mute_pressed(call, event)
        case DropPressed():
            return keys.drop_pressed(call, event)
        case ReturnPressed():
            return keys.return_pressed(call, event)
        case GiveBackPressed():
            return keys.give_back_pressed(call, event)
        case DiversionRecorded():
            return diversions.recorded(call, event)
        case HistoryRead():
            return Decision(replace(call, earlier_calls=event.earlier_calls), "history_read")
        case _:
            assert_never(event)


def _leg_started(call: Call, event: LegStarted) -> Decision:
    if call.leg(event.leg_id) is not None:
        return Decision(call, "known_leg")
    leg = Leg(event.leg_id, event.channel, event.role, event.party, LegState.DIALLING, since=event.at)
    call = call.with_leg(leg)
    if event.role is Role.PARTNER:
        return partners.called(call, leg)
    return Decision(call, f"{event.role}_called")


def _leg_moved(call: Call, leg_id: str, state: LegState, at: float) -> Decision:
    leg = call.leg(leg_id)
    if leg is None or leg.state not in _BEFORE[state]:
        return Decision(call, "no_change")
    call = call.with_leg(replace(leg, state=state, since=at))
    if leg.role is Role.PARTNER and state is LegState.RINGING:
        call = partners.ringing(call, leg.id, at)
    return Decision(call, f"{leg.role}_{state}")


def _leg_joined(call: Call, event: LegJoined) -> Decision:
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive:
        return Decision(call, "unknown_leg")
    if not leg.talking or leg.bridge != event.bridge:
        joined_at = event.at if leg.joined_at is None else leg.joined_at
        leg = replace(leg, state=LegState.TALKING, bridge=event.bridge, since=event.at, joined_at=joined_at)
        call = call.with_leg(leg)
    match leg.role:
        case Role.CALLER:
            return _caller_joined(call, event.at)
        case Role.TAKER:
            answered_at = event.at if call.answered_at is None else call.answered_at
            return Decision(replace(call, seat=leg.party, answered_at=answered_at), "taker_joined")
        case Role.PARTNER:
            return partners.joined(call, leg, event.at)


def _caller_joined(call: Call, at: float) -> Decision:
    """Whoever took the caller out of the dialplan has ended its question too; to answer it is safe."""
    answer: tuple[Command, ...] = (AnswerFreed(Next.RESCUE),) if call.freed_at is not None else ()
    call = replace(call, freed_at=None, told=None, held=False, recalled_at=None)
    return Decision(partners.note_handovers(call, at), "caller_joined", answer)


def _leg_left(call: Call, event: LegLeft) -> Decision:
    leg = call.leg(event.leg_id)
    if leg is None or not leg.talking or leg.bridge != event.bridge:
        return Decision(call, "no_change")
    if leg.role is Role.CALLER and any(taker.bridge == leg.bridge for taker in call.talking(Role.TAKER)):
        # Asterisk tells first who is the cause of a conversation's end: a taker who is still in it has not left.
        call = replace(call, held=True)
    leg = replace(
        leg, state=LegState.WAITING, bridge="", since=event.at, left_at=event.at, left_bridge=leg.bridge
    )
    decision = Decision(call.with_leg(leg), f"{leg.role}_left")
    match leg.role:
        case Role.CALLER:
            call, outcome, back = phone_hold.bring_back(decision.call, decision.outcome)
            return alone.settle(Decision(call, outcome, back), event.at)
        case Role.TAKER:
            return replace(decision, call=partners.note_handovers(decision.call, event.at))
        case Role.PARTNER:
            return decision


def _leg_ended(call: Call, event: LegEnded) -> Decision:
    was = call.leg(event.leg_id)
    if was is None or not was.alive:
        return Decision(call, "unknown_leg")
    leg = replace(was, state=LegState.ENDED, bridge="", since=event.at, hangup=event.hangup)
    if was.talking:
        leg = replace(leg, left_at=event.at, left_bridge=was.bridge)
    call = call.with_leg(leg)
    match leg.role:
        case Role.CALLER:
            return _caller_ended(call, event)
        case Role.TAKER:
            call, brought = partners.note_handovers(call, event.at), keys.bring_to_partners(call)
            return alone.settle(Decision(call, "taker_ended", brought), event.at)
        case Role.PARTNER:
            return partners.ended(call, was, event)


def _leg_muted(call: Call, event: LegMuted) -> Decision:
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive or leg.muted is event.muted:
        return Decision(call, "no_change")
    outcome = f"{leg.role}_{'muted' if event.muted else 'unmuted'}"
    return Decision(call.with_leg(replace(leg, muted=event.muted)), outcome)


def _caller_ended(call: Call, event: LegEnded) -> Decision:
    """The citizen is gone: stop what rings; taker and partner who are talking may finish."""
    commands: tuple[Command, ...] = (AnswerFreed(Next.END),) if call.freed_at is not None else ()
    staff_go_on = sum(leg.talking for leg in call.legs) > 1
    for leg in call.alive(Role.PARTNER):
        if leg.expected:
            commands += partners.cancel(leg.id, leg.channel)
        elif not leg.talking or not staff_go_on:
            commands += (HangUp(leg.id, leg.channel),)
    for transfer in call.transfers:
        if not transfer.live:
            continue
        if call.leg(transfer.id) is None:
            commands += partners.cancel(transfer.id, "")
        call = partners.end(call, transfer, _why_without_caller(transfer, event.hangup), event.at)
    return alone.closed(Decision(replace(call, freed_at=None), "caller_ended", commands), event.at)


def _why_without_caller(transfer: Transfer, hangup: Hangup) -> EndReason:
    if hangup.link_lost:
        return EndReason.LINK_LOST
    handed_over = transfer.state is TransferState.HANDED_OVER
    return EndReason.COMPLETED if handed_over else EndReason.CALLER_HUNG_UP
