"""After the link to Asterisk was down: what is remembered against what Asterisk has now.

Nothing is replayed. What happened meanwhile is told to each call as events, as if they had just come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from telephony.core.call import Call, Caller, Hangup, Leg, LegState, Role
from telephony.core.events import (
    Event,
    InviteFailed,
    LegAnswered,
    LegEnded,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
)
from telephony.core.number import is_number

LOST = Hangup(cause=38)  # Q.850 network out of order: how a leg ended that was gone when we looked


@dataclass(frozen=True, slots=True)
class ChannelNow:
    """A channel of a call, as Asterisk has it now. `context`: where in the dialplan it is."""

    id: str
    name: str
    call_id: str
    role: Role
    party: str
    state: LegState
    bridge: str
    number: str
    context: str = ""


def unknown_calls(known: Iterable[Call], channels: Iterable[ChannelNow], at: float) -> Iterator[Call]:
    """Calls that Asterisk has and that nobody remembers: they came, or went on, while we were away."""
    ids = {call.id for call in known}
    channels = list(channels)
    for channel in channels:
        if channel.role is Role.CALLER and channel.id == channel.call_id and channel.id not in ids:
            yield _unknown(channel, channels, at)


def _unknown(caller: ChannelNow, channels: list[ChannelNow], at: float) -> Call:
    """A caller who is in no conversation although a taker has answered is on hold."""
    number = caller.number if is_number(caller.number) else ""
    leg = Leg(caller.id, caller.name, Role.CALLER, caller.party, LegState.WAITING, since=at)
    call = Call(caller.id, Caller(number, withheld=not number), caller.party, at, legs=(leg,))
    if caller.bridge:
        return call
    for taker in channels:
        up = taker.bridge or taker.state is LegState.WAITING
        if taker.role is Role.TAKER and taker.call_id == call.id and up:
            leg = Leg(taker.id, taker.name, taker.role, taker.party, LegState.WAITING, since=at, joined_at=at)
            call = replace(call.with_leg(leg), seat=taker.party, answered_at=at, held=True)
    return call


def missed(call: Call, channels: Iterable[ChannelNow], at: float) -> list[Event]:
    """What has happened to `call` since it was remembered, in an order that makes sense.

    First a caller who is gone, so as not to look left alone; then how far everybody's phone has come, so that it
    is known for whom the caller may have been put on hold. A caller who talks to somebody else by now has been
    found before those who are gone can be missed; one who only waits has been left by them first.
    """
    now = {channel.id: channel for channel in channels if channel.call_id == call.id}
    gone = [LegEnded(at, leg.id, LOST) for leg in call.legs if leg.alive and leg.id not in now]
    moves: dict[Role, list[Event]] = {role: [] for role in Role}
    events: list[Event] = [event for event in gone if event.leg_id == call.id]
    for channel in now.values():
        leg = call.leg(channel.id)
        events += _progress(leg, channel, at)
        moves[channel.role] += _moves(leg, channel, at)
    gone = [event for event in gone if event.leg_id != call.id]
    talks = any(isinstance(event, LegJoined) for event in moves[Role.CALLER])
    events += [*moves[Role.CALLER], *gone] if talks else [*gone, *moves[Role.CALLER]]
    events += moves[Role.TAKER] + moves[Role.PARTNER]
    for transfer in call.pending:
        if transfer.id not in now and call.leg(transfer.id) is None:
            events.append(InviteFailed(at, transfer.id, "Asterisk does not know it"))
    return events


def _progress(leg: Leg | None, channel: ChannelNow, at: float) -> Iterator[Event]:
    """How far the phone has come: called, rings, answered."""
    if leg is None:
        yield LegStarted(at, channel.id, channel.name, channel.role, channel.party)
    answered = leg is not None and leg.state in (LegState.WAITING, LegState.TALKING)
    if channel.state is LegState.RINGING:
        if leg is None or leg.state is LegState.DIALLING:
            yield LegRinging(at, channel.id)
    elif not answered and (channel.bridge or channel.state is LegState.WAITING):
        yield LegAnswered(at, channel.id)


def _moves(leg: Leg | None, channel: ChannelNow, at: float) -> Iterator[Event]:
    """Out of one conversation, and into another."""
    was = leg.bridge if leg is not None and leg.talking else ""
    if was and was != channel.bridge:
        yield LegLeft(at, channel.id, was)
    if channel.bridge and was != channel.bridge:
        yield LegJoined(at, channel.id, channel.bridge)
