"""What every translator of Asterisk's events does before it reads one: keep it back, or drop it as forged.

A caller can forge headers, even whole events, through line ends in a number (Asterisk writes them raw). So an
event with a repeated header is dropped, and an event about a channel without the headers that every such event
has: they do not fit into a number and a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import structlog

from telephony.ami.message import AmiMessage

log = structlog.get_logger("ami")

CHANNEL_EVENTS = frozenset(
    {"Newchannel", "Newstate", "BridgeEnter", "BridgeLeave", "Hold", "Unhold", "Hangup"}
)
# ast_manager_build_channel_state_string of Asterisk 22: what every event about a channel says.
_ALWAYS = frozenset(
    {"Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName", "ConnectedLineNum"}
    | {"ConnectedLineName", "Language", "AccountCode", "Context", "Exten", "Priority", "Uniqueid", "Linkedid"}
)


class GuardedEvents(ABC):
    """Takes events in the order of the wire, and hands on those that can be believed."""

    def __init__(self) -> None:
        self._kept: list[AmiMessage] | None = None

    def pause(self) -> None:
        """Keep events back from now on: the truth is being looked up, and what comes meanwhile comes after it."""
        if self._kept is None:
            self._kept = []

    def resume(self) -> None:
        """Take the events that were kept back, and go on."""
        kept, self._kept = self._kept or [], None
        for message in kept:
            self.on_event(message)

    def on_event(self, message: AmiMessage) -> None:
        """Take one event, in the order of the wire."""
        if self._kept is not None:
            self._kept.append(message)
        elif message.repeated:
            log.warning("event_with_repeated_headers_dropped", headers=sorted(message.repeated))
        elif message.event in CHANNEL_EVENTS and (missing := _ALWAYS - set(message)):
            log.warning("event_with_missing_headers_dropped", headers=sorted(missing))
        else:
            self._take(message)

    @abstractmethod
    def _take(self, message: AmiMessage) -> None:
        """Read an event that can be believed."""
