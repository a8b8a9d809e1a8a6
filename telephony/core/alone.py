"""The caller alone: nobody is left without an answer, a partner on the way, or a way back to a seat.

When a conversation ends, the dialplan asks where the caller goes on. The news that decides it
(who left, and how) comes over another connection and in any order, so the answer may have to wait.
"""

from __future__ import annotations

from dataclasses import replace

from telephony.core.call import Call, EndReason, Leg, LegState, Next, Role, Transfer
from telephony.core.commands import AnswerFreed, AwaitFreed, Decision, HangUp, RescueCaller
from telephony.core.events import CallerFreed

FREED_GRACE = 0.5  # s; how long the dialplan's question waits for news of the other legs
BOTH_LEFT = 1.0  # s; a taker and a partner who are lost this close together have not agreed on it
_NEVER = float("-inf")


def caller_freed(call: Call, event: CallerFreed) -> Decision:
    """The dialplan's question: answered at once if enough is known, and within FREED_GRACE at the latest."""
    if call.caller_leg is None:
        return Decision(call, "caller_already_gone", (AnswerFreed(Next.END),))
    call = replace(call, freed_at=call.freed_at or event.at, held=False)
    decision = settle(Decision(call, "caller_freed"), event.at)
    if decision.call.freed_at is None:
        return decision
    return replace(decision, commands=(*decision.commands, AwaitFreed(FREED_GRACE)))


def freed_timeout(call: Call) -> Decision:
    if call.freed_at is None:
        return Decision(call, "no_change")
    return _answer(Decision(call, "freed_without_news"), Next.WAIT if call.pending else Next.RESCUE)


def settle(decision: Decision, at: float) -> Decision:
    """What follows when somebody is gone, whoever it was: for the caller, or for those who are left."""
    call = decision.call
    caller = call.caller_leg
    if caller is None:
        return closed(_release_last(decision), at)
    if call.freed_at is not None:
        place = _place_of(call, caller)
        return decision if place is None else _answer(decision, place)
    if _waits_for_nobody(call, caller):
        rescued = replace(call, rescues=call.rescues + 1, told=Next.RESCUE, held=False)
        commands = (*decision.commands, RescueCaller(caller.channel))
        return replace(decision, call=rescued, outcome=f"{decision.outcome}_rescued", commands=commands)
    return decision


def closed(decision: Decision, at: float) -> Decision:
    """Mark the end of the call once its last leg is gone."""
    call = decision.call
    if call.ended_at is None and call.ended:
        return replace(decision, call=replace(call, ended_at=at))
    return decision


def _release_last(decision: Decision) -> Decision:
    """Without the caller, the one of taker and partner who is left is released too.

    Except a partner who was only expected: `partners.cancel` has seen to that one.
    """
    left = [leg for leg in decision.call.legs if leg.alive]
    if len(left) != 1 or left[0].expected:
        return decision
    return replace(decision, commands=(*decision.commands, HangUp(left[0].id, left[0].channel)))


def _answer(decision: Decision, place: Next) -> Decision:
    call = replace(decision.call, freed_at=None)
    caller = call.caller_leg
    # A question that was overtaken by the caller's next conversation has nobody left to hear the answer.
    if place is not Next.RESCUE or (caller is not None and not caller.talking):
        call = replace(call, told=place, rescues=call.rescues + (place is Next.RESCUE))
    commands = (*decision.commands, AnswerFreed(place))
    return replace(decision, call=call, outcome=f"{decision.outcome}_{place}", commands=commands)


def _place_of(call: Call, caller: Leg) -> Next | None:
    """Where the caller goes on; None while news of somebody's leaving has still to come."""
    if caller.talking:
        return None
    if call.pending:
        return Next.WAIT
    if any(_counts(call, leg) for leg in call.legs if leg.alive and leg.joined_at is not None):
        return None
    if call.told in (Next.WAIT, Next.RESCUE):
        return Next.RESCUE  # There has been no conversation since, so nobody can have ended it.
    return _verdict(call)


def _counts(call: Call, leg: Leg) -> bool:
    """Whether what becomes of `leg` still tells how the caller's conversation ended."""
    if leg.role is Role.TAKER:
        return leg.talking
    transfer = call.transfer(leg.id)
    return leg.role is Role.PARTNER and transfer is not None and transfer.live


def _verdict(call: Call) -> Next | None:
    """END if the last party who had the caller meant to end the call, and taker and partner have not each
    believed that the other stays. None: the last was a taker, and how its channel ends is not known yet."""
    over = [(_gone_at(call, transfer), transfer) for transfer in call.transfers]
    last = max((at for at, _ in over), default=_NEVER)
    takers = [leg for leg in call.legs if leg.role is Role.TAKER and leg.left_at is not None]
    taker = max(takers, key=_left_at, default=None)
    if taker is None or last >= _left_at(taker):
        ended = bool(over) and all(_completed(call, transfer) for at, transfer in over if at == last)
        return Next.END if ended else Next.RESCUE
    both = (transfer for at, transfer in over if _left_at(taker) - at < BOTH_LEFT)
    if taker.released or any(transfer.reason is not EndReason.CANCELLED for transfer in both):
        return Next.RESCUE
    if taker.hangup is None:
        return None
    return Next.END if taker.hangup.normal and _had_last(call, taker) else Next.RESCUE


def _had_last(call: Call, taker: Leg) -> bool:
    """Whether the taker was in the caller's last conversation, and left it by putting the phone down.

    Whoever is put on hold leaves first; a taker who stays, and puts the phone down later, has not ended a talk.
    """
    caller = call.caller_leg
    if caller is None or caller.left_bridge != taker.left_bridge:
        return False
    return not _left_at(caller) <= _left_at(taker) < taker.since


def _left_at(leg: Leg) -> float:
    return _NEVER if leg.left_at is None else leg.left_at


def _completed(call: Call, transfer: Transfer) -> bool:
    """Whether the partner had taken the caller over, and then put the phone down."""
    leg = call.leg(transfer.id)
    if leg is None or leg.hangup is None or not leg.hangup.normal or transfer.handed_over_at is None:
        return False
    if leg.released:
        return False  # It was dropped, in the belief that somebody else was still there.
    took_over = _gone_at(call, transfer) - transfer.handed_over_at >= BOTH_LEFT
    return took_over and transfer.reason is EndReason.COMPLETED


def _gone_at(call: Call, transfer: Transfer) -> float:
    """When the partner was lost to the caller: its leaving counts, its channel may end later."""
    leg = call.leg(transfer.id)
    if leg is not None and leg.left_at is not None and transfer.joined_at is not None:
        return leg.left_at
    return _NEVER if transfer.ended_at is None else transfer.ended_at


def _waits_for_nobody(call: Call, caller: Leg) -> bool:
    """The caller was sent to the music for a partner, or by a taker, and nobody is coming back any more."""
    if call.held and caller.state is LegState.WAITING:
        return not call.takers and not any(transfer.live for transfer in call.transfers)
    if call.told is not Next.WAIT or caller.state is not LegState.WAITING or call.pending:
        return False
    return not any(_counts(call, leg) for leg in call.talking(Role.PARTNER))
