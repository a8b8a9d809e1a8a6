"""A transfer's partner: called, in the conversation, gone. Every transfer ends here, once, with a reason."""

from __future__ import annotations

from dataclasses import replace

from telephony.core.alone import BOTH_LEFT, settle
from telephony.core.call import (
    Call,
    EndReason,
    Hangup,
    Leg,
    LegState,
    Mode,
    Role,
    Situation,
    Transfer,
    TransferState,
)
from telephony.core.commands import AwaitInvite, Command, Decision, HangUp
from telephony.core.endings import why_not_joined
from telephony.core.events import InviteFailed, InviteTimeout, LegEnded
from telephony.core.phone_hold import partner_came, to_music

GOODBYE = 10.0  # s; within this time a partner has been told that the caller is gone, and is gone too


def called(call: Call, leg: Leg) -> Decision:
    """A partner's phone is being called: by us, by the dialplan's own key, or before a restart."""
    transfer = call.transfer(leg.id)
    if transfer is not None and transfer.live:
        return Decision(call.with_leg(replace(leg, party=transfer.line)), "partner_called")
    if transfer is not None or call.caller_leg is None:
        return Decision(call, "late_partner_released", (HangUp(leg.id, leg.channel),))
    transfer = Transfer(leg.id, leg.party, Mode.WARM, TransferState.INVITING, call.seat, leg.since)
    return Decision(call.with_transfer(transfer), "partner_adopted")


def ringing(call: Call, transfer_id: str, at: float) -> Call:
    transfer = call.transfer(transfer_id)
    if transfer is None or not transfer.pending:
        return call
    return call.with_transfer(replace(transfer, state=TransferState.RINGING, ringing_at=at))


def joined(call: Call, leg: Leg, at: float) -> Decision:
    """The partner is in. Cold: whoever took the call is released now, and not before."""
    transfer = call.transfer(leg.id)
    if transfer is None or (not transfer.live and transfer.joined_at is None):
        return Decision(call, "late_answer_released", (HangUp(leg.id, leg.channel),))
    if transfer.pending:
        transfer = replace(transfer, state=TransferState.JOINED, joined_at=at)
        call = call.with_transfer(transfer)
    if transfer.live and transfer.mode is Mode.COLD and call.takers:
        return Decision(*release_takers(call, call.takers, "partner_joined_taker_released"))
    return Decision(*partner_came(note_handovers(call, at), transfer, "partner_joined"))


def release_takers(
    call: Call, takers: tuple[Leg, ...], outcome: str
) -> tuple[Call, str, tuple[Command, ...]]:
    """Hang up those who leave the caller to a partner, and remember that they did not end the call."""
    for taker in takers:
        call = call.with_leg(replace(taker, released=True))
    return call, outcome, tuple(HangUp(taker.id, taker.channel) for taker in takers)


def ended(call: Call, was: Leg, event: LegEnded) -> Decision:
    """The partner's channel is gone; `was` is its leg before that, `call` knows it already."""
    transfer = call.transfer(was.id)
    if transfer is None or not transfer.live:
        return settle(Decision(call, "partner_gone"), event.at)
    if transfer.pending:
        answered = was.state is LegState.WAITING
        reason = why_not_joined(event.hangup, rang=transfer.ringing_at is not None, answered=answered)
        return failed(call, transfer, reason, event.at, event.hangup)
    reason = _why_left(call, transfer, event)
    call = end(call, transfer, reason, event.at, event.hangup)
    return settle(to_music(Decision(call, f"partner_ended_{reason}")), event.at)


def _why_left(call: Call, transfer: Transfer, event: LegEnded) -> EndReason:
    """The reason for a partner who had joined: who left first, who is left, how it went, and how soon."""
    leg, caller = call.leg(event.leg_id), call.caller_leg
    left_at = leg.left_at if leg is not None and leg.left_at is not None else event.at
    handed_over = transfer.handed_over_at is not None
    if handed_over and call.freed_at is None and caller is not None and _left_before(caller, left_at):
        return EndReason.COMPLETED  # The caller hung up; Asterisk has only told the partner's end first.
    if not event.hangup.normal and not (leg is not None and leg.released):
        return EndReason.LINK_LOST
    if call.held:
        return EndReason.PARTNER_LEFT
    if call.talking(Role.TAKER):
        return EndReason.RETURNED
    if transfer.handed_over_at is None or left_at - transfer.handed_over_at < BOTH_LEFT:
        return EndReason.PARTNER_LEFT
    return EndReason.COMPLETED


def _left_before(leg: Leg, at: float) -> bool:
    return not leg.talking and leg.left_at is not None and leg.left_at < at


def note_handovers(call: Call, at: float) -> Call:
    """When caller and partner talk without a taker, every partner who is in it has been handed the caller."""
    caller = call.caller_leg
    if caller is None or not caller.talking or call.situation is not Situation.HANDED_OVER:
        return call
    for transfer in call.transfers:
        leg = call.leg(transfer.id)
        if transfer.state is TransferState.JOINED and leg is not None and leg.talking:
            call = call.with_transfer(replace(transfer, state=TransferState.HANDED_OVER, handed_over_at=at))
    return call


def end(call: Call, transfer: Transfer, reason: EndReason, at: float, hangup: Hangup | None = None) -> Call:
    hangup = hangup or Hangup()
    return call.with_transfer(
        replace(
            transfer,
            state=TransferState.ENDED,
            reason=reason,
            ended_at=at,
            sip_code=hangup.sip_code,
            q850=hangup.cause,
        )
    )


def failed(
    call: Call, transfer: Transfer, reason: EndReason, at: float, hangup: Hangup | None = None
) -> Decision:
    """A partner could not be had. With a taker nothing changes; a caller who waits alone is rescued."""
    return settle(Decision(end(call, transfer, reason, at, hangup), f"invite_{reason}"), at)


def invite_failed(call: Call, event: InviteFailed) -> Decision:
    transfer = call.transfer(event.transfer_id)
    if transfer is None or not transfer.pending:
        return Decision(call, "no_change")
    if call.leg(transfer.id) is not None:
        return Decision(call, "leg_will_tell")  # It is being called after all, and its end says why.
    return failed(call, transfer, EndReason.UNREACHABLE, event.at)


def invite_timeout(call: Call, event: InviteTimeout) -> Decision:
    transfer = call.transfer(event.transfer_id)
    if transfer is None:
        return Decision(call, "no_change")
    leg = call.leg(transfer.id)
    if not transfer.pending:
        if call.caller_leg is None and leg is not None and leg.expected:
            return Decision(call, "goodbye_cut_off", release(call, transfer))
        return Decision(call, "no_change")
    if leg is not None and leg.state is LegState.WAITING:
        reason = EndReason.ERROR  # It answered, and we could not bring it to the caller.
    else:
        reason = EndReason.NO_ANSWER if transfer.ringing_at is not None else EndReason.UNREACHABLE
    ended = end(call, transfer, reason, event.at)
    return settle(Decision(ended, f"invite_{reason}", release(call, transfer)), event.at)


def cancel(leg_id: str, channel: str) -> tuple[Command, ...]:
    """The caller is gone: stop the ringing. A partner who has just answered is told so by the dialplan (`join`)."""
    return (HangUp(leg_id, channel, unless_answered=True), AwaitInvite(leg_id, GOODBYE))


def release(call: Call, transfer: Transfer) -> tuple[Command, ...]:
    """Hang up the transfer's leg; before Asterisk has told its channel, the id alone names it."""
    leg = call.leg(transfer.id)
    if leg is not None and not leg.alive:
        return ()
    return (HangUp(transfer.id, leg.channel if leg is not None else ""),)
