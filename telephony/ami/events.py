"""From Asterisk's events to the core's: which call a channel belongs to, and what has happened to it.

Only channels that are known are listened to, and a channel becomes known only by way of its own creation or
of variables that the dialplan has set on it. What is forged outright does not come this far: see `guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from telephony.ami.devices import DeviceBook
from telephony.ami.guard import CHANNEL_EVENTS, GuardedEvents
from telephony.ami.message import AmiMessage
from telephony.core.call import Hangup, Role
from telephony.core.events import (
    Event,
    InviteFailed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
    LegUnheld,
)

log = structlog.get_logger("ami")

_RINGING, _UP = "5", "6"  # Asterisk's channel states
WAITING_BRIDGE = "BridgeWait"  # who has made a bridge in which nobody talks (dialplan [meet])
REFUSED_LATER = 0.5  # s; a Hangup event tells more than OriginateResponse, and comes within this time
_KEPT_ENDS = 1000  # unknown channels, the newest, whose end is remembered


@dataclass(frozen=True, slots=True)
class ChannelTags:
    """What the dialplan has written on a channel: its call, its part in it, and its seat or line."""

    call: str
    role: str
    party: str

    @classmethod
    def of(cls, message: AmiMessage) -> ChannelTags:
        values = message.variables
        return cls(values.get("TEL_CALL", ""), values.get("TEL_ROLE", ""), values.get("TEL_PARTY", ""))


class EventTranslator(GuardedEvents):
    """Hands each event that concerns a call to `post(call_id, event)`.

    `later(seconds, callback)` runs a callback after a while; `clock` is seconds since the epoch. `on_stranger` is
    called when Asterisk tells of a leg whose call nobody has spoken of.
    """

    def __init__(
        self,
        devices: DeviceBook,
        post: Callable[[str, Event], None],
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        super().__init__()
        self._devices = devices
        self._post = post
        self._clock = clock
        self._later = later
        self._calls: dict[str, str] = {}
        self._started: set[str] = set()
        self._ends: dict[str, LegEnded] = {}
        self.on_stranger: Callable[[], None] = lambda: None

    def expect(self, channel_id: str, call_id: str) -> None:
        """The channel with this Uniqueid belongs to the call: its caller, or a leg that we are about to start.

        A caller who hangs up while arriving may have ended here before the dialplan's question was read there (two
        connections): the call, opened by whoever expects it, is told so on the loop's next turn.
        """
        end = self._ends.pop(channel_id, None)
        if end is not None:
            self._later(0.0, lambda: self._post(call_id, end))
            return
        self._calls[channel_id] = call_id

    def renew(self, calls: Mapping[str, str]) -> None:
        """From now on these channels are known, and no others: Uniqueid to call id."""
        self._calls = dict(calls)
        self._started = set(calls)

    def _take(self, message: AmiMessage) -> None:
        if message.event == "DeviceStateChange":
            self._devices.learn(message)
        elif message.event == "OriginateResponse":
            self._originated(message)
        elif message.event in CHANNEL_EVENTS:
            self._channel_event(message)

    def _channel_event(self, message: AmiMessage) -> None:
        channel_id = message.get("Uniqueid")
        call_id = self._calls.get(channel_id) or self._recognise(message, channel_id)
        if not call_id:
            self._remember_end(message, channel_id)
            return
        at = self._clock()
        self._introduce(message, channel_id, call_id, at)
        event = self._translate(message, channel_id, at)
        if event is not None:
            self._post(call_id, event)
        if message.event == "Hangup":
            self._calls.pop(channel_id, None)
            self._started.discard(channel_id)

    def _remember_end(self, message: AmiMessage, channel_id: str) -> None:
        if message.event != "Hangup" or not channel_id:
            return
        self._ends[channel_id] = LegEnded(self._clock(), channel_id, hangup_of(message))
        if len(self._ends) > _KEPT_ENDS:
            del self._ends[next(iter(self._ends))]

    def _recognise(self, message: AmiMessage, channel_id: str) -> str:
        """A channel that is new to us: called by a known call's queue, or marked by the dialplan."""
        tags = ChannelTags.of(message)
        if tags.call and tags.role in ("taker", "partner"):
            if tags.call in self._calls:
                self._calls[channel_id] = tags.call
                return tags.call
            if message.event in ("Newstate", "BridgeEnter"):
                self.on_stranger()
        linked = message.get("Linkedid")
        if message.event == "Newchannel" and tags.role == "taker" and linked in self._calls:
            self._calls[channel_id] = self._calls[linked]
            return self._calls[linked]
        return ""

    def _introduce(self, message: AmiMessage, channel_id: str, call_id: str, at: float) -> None:
        if channel_id in self._started or channel_id == call_id or message.event == "Hangup":
            return
        tags = ChannelTags.of(message)
        role = Role.TAKER if tags.role == "taker" else Role.PARTNER
        self._started.add(channel_id)
        self._post(call_id, LegStarted(at, channel_id, message.get("Channel"), role, tags.party))

    def _translate(self, message: AmiMessage, channel_id: str, at: float) -> Event | None:
        match message.event:
            case "BridgeEnter" | "BridgeLeave" if message.get("BridgeCreator") == WAITING_BRIDGE:
                return None  # the leg waits there for somebody to talk to
            case "Newstate" if message.get("ChannelState") == _RINGING:
                return LegRinging(at, channel_id)
            case "Newstate" if message.get("ChannelState") == _UP:
                return LegAnswered(at, channel_id)
            case "BridgeEnter":
                return LegJoined(at, channel_id, message.get("BridgeUniqueid"))
            case "BridgeLeave":
                return LegLeft(at, channel_id, message.get("BridgeUniqueid"))
            case "Hold":
                return LegHeld(at, channel_id)
            case "Unhold":
                return LegUnheld(at, channel_id)
            case "Hangup":
                return LegEnded(at, channel_id, hangup_of(message))
        return None

    def _originated(self, message: AmiMessage) -> None:
        """A refusal without a channel has no Hangup event; one with a channel has, and that tells more."""
        channel_id = message.get("Uniqueid")
        call_id = self._calls.get(channel_id)
        if message.get("Response") == "Failure" and call_id:
            event = InviteFailed(self._clock(), channel_id, f"originate reason {message.get('Reason')}")
            self._later(REFUSED_LATER, lambda: self._failed(call_id, event))

    def _failed(self, call_id: str, event: InviteFailed) -> None:
        if event.transfer_id not in self._started:
            self._calls.pop(event.transfer_id, None)
        self._post(call_id, event)


def hangup_of(message: AmiMessage) -> Hangup:
    """Q.850 cause and SIP code (`TechCause`) of a Hangup event."""
    return Hangup(_code(message.get("Cause")), _code(message.get("TechCause")))


def _code(text: str) -> int:
    """A cause or a code, which have up to three digits; 0 if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else 0
