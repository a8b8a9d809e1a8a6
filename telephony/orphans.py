"""What Asterisk has and the controller does not know, or the other way round, while the link between them is up.

It should never happen: a question that the dialplan gave up, an event that was lost. Pure; `sweep` looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from enum import StrEnum

from telephony.core.call import Call, Role, Situation
from telephony.core.events import Event
from telephony.reconciler import ChannelNow, missed, unknown_calls

ALONE = frozenset({"after", "hold", "meet"})
"""The dialplan's contexts in which a caller waits for somebody who has been called, or has gone."""


class Fault(StrEnum):
    """`unknown_call`: Asterisk has a caller whom nobody remembers. `disagrees`: a call is not as it is
    remembered. `lonely`: the caller waits for nobody. `left_over`: a leg whose call is over."""

    UNKNOWN_CALL = "unknown_call"
    DISAGREES = "disagrees"
    LONELY = "lonely"
    LEFT_OVER = "left_over"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the call, or for `left_over` the leg, of this id. What lasts is equal from look to look."""

    fault: Fault
    id: str
    channel: str = ""
    detail: tuple[str, ...] = ()


def find(calls: Iterable[Call], channels: Iterable[ChannelNow], at: float) -> frozenset[Finding]:
    """Everything that is wrong at this moment; much of it may only be on its way."""
    known = {call.id: call for call in calls}
    channels = list(channels)
    found = {Finding(Fault.UNKNOWN_CALL, call.id) for call in unknown_calls(known.values(), channels, at)}
    for call in known.values():
        events = missed(call, channels, at)
        if events:
            detail = tuple(sorted(map(_without_time, events)))
            found.add(Finding(Fault.DISAGREES, call.id, detail=detail))
    found.update(_lonely(known, channels))
    found.update(_left_over(known, channels))
    return frozenset(found)


def _without_time(event: Event) -> str:
    return f"{type(event).__name__} {astuple(event)[1:]}"


def _lonely(known: dict[str, Call], channels: list[ChannelNow]) -> Iterator[Finding]:
    for channel in channels:
        call = known.get(channel.id)
        if call is None or channel.bridge or channel.context not in ALONE:
            continue
        if call.situation is Situation.QUEUED:
            yield Finding(Fault.LONELY, call.id, channel.name)


def _left_over(known: dict[str, Call], channels: list[ChannelNow]) -> Iterator[Finding]:
    callers = {channel.id for channel in channels if channel.role is Role.CALLER}
    for channel in channels:
        if channel.call_id not in known and channel.call_id not in callers:
            yield Finding(Fault.LEFT_OVER, channel.id, channel.name)
