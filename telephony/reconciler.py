"""After the link to Asterisk was down: what is remembered against what Asterisk has now.

Nothing is replayed. What happened meanwhile is told to each call as events, as if they had just come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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

LOST = Hangup(cause=38)  # Q.850 network out of order: how a leg ended that was gone when we looked

_NUMBER = re.compile(r"[0-9+*#]{1,32}")


@dataclass(frozen=True, slots=True)
class ChannelNow:
    """A channel of a call, as Asterisk has it now."""

    id: str
    name: str
    call_id: str
    role: Role
    party: str
    state: LegState
    bridge: str
    number: str


def unknown_calls(known: Iterable[Call], channels: Iterable[ChannelNow], at: float) -> Iterator[Call]:
    """Calls that Asterisk has and that nobody remembers: they came, or went on, while we were away."""
    ids = {call.id for call in known}
    for channel in channels:
        if channel.role is Role.CALLER and channel.id == channel.call_id and channel.id not in ids:
            number = channel.number if _NUMBER.fullmatch(channel.number) else ""
            leg = Leg(channel.id, channel.name, Role.CALLER, channel.party, LegState.WAITING, since=at)
            yield Call(channel.id, Caller(number, withheld=not number), channel.party, at, legs=(leg,))


def missed(call: Call, channels: Iterable[ChannelNow], at: float) -> list[Event]:
    """What has happened to `call` since it was remembered, in an order that makes sense.

    First who ended, so that a caller who is gone does not look left alone; then who is new, who came, who left.
    """
    now = {channel.id: channel for channel in channels if channel.call_id == call.id}
    gone = [leg for leg in call.legs if leg.alive and leg.id not in now]
    gone.sort(key=lambda leg: leg.role is not Role.CALLER)
    events: list[Event] = [LegEnded(at, leg.id, LOST) for leg in gone]
    for channel in now.values():
        events += _channel_events(call.leg(channel.id), channel, at)
    for transfer in call.pending:
        if transfer.id not in now and call.leg(transfer.id) is None:
            events.append(InviteFailed(at, transfer.id, "Asterisk does not know it"))
    return events


def _channel_events(leg: Leg | None, channel: ChannelNow, at: float) -> list[Event]:
    events: list[Event] = []
    if leg is None:
        events.append(LegStarted(at, channel.id, channel.name, channel.role, channel.party))
    if leg is not None and leg.talking and leg.bridge != channel.bridge:
        events.append(LegLeft(at, leg.id, leg.bridge))
    if channel.bridge and (leg is None or leg.bridge != channel.bridge):
        events.append(LegJoined(at, channel.id, channel.bridge))
    elif channel.state is LegState.RINGING:
        events.append(LegRinging(at, channel.id))
    elif channel.state is LegState.WAITING:
        events.append(LegAnswered(at, channel.id))
    return events
