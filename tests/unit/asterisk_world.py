"""A small Asterisk for random tests: who really is where, and the events that it tells of it.

Manager events come in order, but late; the dialplan's question comes over a connection of its own, and may
overtake the news of how a conversation ended, though not the news that it began: people are not that quick.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from telephony.core.call import Hangup, Next, Role
from telephony.core.commands import (
    AnswerFreed,
    AwaitFreed,
    AwaitInvite,
    Command,
    HangUp,
    InvitePartner,
    RescueCaller,
)
from telephony.core.events import (
    CallerFreed,
    Event,
    FreedTimeout,
    InviteFailed,
    InviteTimeout,
    LegAnswered,
    LegEnded,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
)

NORMAL = Hangup(16)


class Place(StrEnum):
    """Where the caller really is."""

    QUEUE = "queue"
    BRIDGE = "bridge"
    ASKING = "asking"
    MUSIC = "music"
    GONE = "gone"


@dataclass
class Channel:
    id: str
    role: Role
    party: str
    bridge: str = ""
    released: bool = False


@dataclass
class Loss:
    """Somebody left a conversation."""

    at: float
    channel: Channel
    normal: bool


class World:
    """`events` are on their way from the manager, `questions` from the dialplan, `due` from our timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.place = Place.QUEUE
        self.caller_bridge = ""
        self.channels: dict[str, Channel] = {}
        self.invites: deque[InvitePartner] = deque()
        self.events: deque[Event] = deque()
        self.questions: deque[tuple[CallerFreed, list[Event]]] = deque()
        self.asked = self.heard = 0
        self.due: list[Event] = []
        self.released: set[str] = set()
        self.losses: list[Loss] = []
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def some(self, role: Role, *, bridged: bool | None = None) -> list[Channel]:
        return [
            channel
            for channel in self.channels.values()
            if channel.role is role and (bridged is None or bool(channel.bridge) == bridged)
        ]

    def ringing(self) -> list[Channel]:
        """The seats that the queue calls."""
        return self.some(Role.TAKER, bridged=False)

    def may_ask(self) -> bool:
        """Whether the next question can be heard: the conversations that it comes after have been told."""
        if not self.questions:
            return False
        return not any(event is begun for begun in self.questions[0][1] for event in self.events)

    def question(self) -> CallerFreed:
        """The next question is heard. Only an answer after that is an answer to it."""
        self.heard += 1
        return self.questions.popleft()[0]

    def wanted(self) -> list[Loss]:
        """Who has left, not counting partners whom nobody wanted any more."""
        return [
            loss
            for loss in self.losses
            if loss.channel.role is Role.TAKER or loss.channel.id not in self.released
        ]

    def tell(self, event: Event) -> None:
        self.events.append(event)

    # -- what people do ----------------------------------------------------------------------

    def call_seat(self, seat: str) -> None:
        channel = Channel(self.new("k"), Role.TAKER, seat)
        self.channels[channel.id] = channel
        self.tell(LegStarted(self.now, channel.id, f"PJSIP/{channel.id}", Role.TAKER, seat))
        self.tell(LegRinging(self.now, channel.id))

    def take(self, channel: Channel) -> None:
        """A seat answers: queue and seat are one conversation."""
        self.tell(LegAnswered(self.now, channel.id))
        for other in self.ringing():
            if other is not channel:
                self.hang_up(other, Hangup(26))
        bridge = self.new("b")
        self._enter(channel, bridge)
        self._caller_enters(bridge)

    def partner_comes(self, invite: InvitePartner) -> None:
        channel = Channel(invite.transfer_id, Role.PARTNER, invite.line)
        self.channels[channel.id] = channel
        self.tell(LegStarted(self.now, channel.id, f"PJSIP/{channel.id}", Role.PARTNER, invite.line))

    def partner_answers(self, channel: Channel) -> None:
        """Its dialplan takes it into the caller's conversation, or to the caller who is alone, or nowhere."""
        self.tell(LegAnswered(self.now, channel.id))
        if self.place is Place.GONE:
            self.hang_up(channel, NORMAL)
        elif self.place is Place.BRIDGE:
            self._enter(channel, self.caller_bridge)
        else:
            bridge = self.new("b")
            self._enter(channel, bridge)
            self._caller_enters(bridge)

    def hang_up(self, channel: Channel, hangup: Hangup) -> None:
        bridge, channel.bridge = channel.bridge, ""
        del self.channels[channel.id]
        if bridge:
            self.losses.append(Loss(self.now, channel, hangup.normal))
            self.tell(LegLeft(self.now, channel.id, bridge))
        self.tell(LegEnded(self.now, channel.id, hangup))
        self._dissolve(bridge)

    def caller_hangs_up(self) -> None:
        bridge, self.caller_bridge = self.caller_bridge, ""
        self.place = Place.GONE
        if bridge:
            self.tell(LegLeft(self.now, "c", bridge))
        self.tell(LegEnded(self.now, "c", NORMAL))
        for ringing in self.ringing():
            self.hang_up(ringing, Hangup(26))
        self._dissolve(bridge)

    def _enter(self, channel: Channel, bridge: str) -> None:
        channel.bridge = bridge
        self.tell(LegJoined(self.now, channel.id, bridge))

    def _caller_enters(self, bridge: str) -> None:
        for ringing in self.ringing():
            self.hang_up(ringing, Hangup(26))
        self.place, self.caller_bridge = Place.BRIDGE, bridge
        self.tell(LegJoined(self.now, "c", bridge))

    def _dissolve(self, bridge: str) -> None:
        """A conversation of one is none: the caller asks what comes next, anybody else is done."""
        left = [channel for channel in self.channels.values() if bridge and channel.bridge == bridge]
        with_caller = bool(bridge) and self.caller_bridge == bridge
        if len(left) + with_caller != 1:
            return
        if with_caller:
            self.caller_bridge, self.place = "", Place.ASKING
            self.tell(LegLeft(self.now, "c", bridge))
            begun = [event for event in self.events if isinstance(event, LegJoined) and event.leg_id == "c"]
            self.questions.append((CallerFreed(self.now), begun))
            self.asked += 1
        for channel in left:
            self.hang_up(channel, NORMAL)

    # -- what the controller does --------------------------------------------------------------

    def perform(self, command: Command) -> None:
        match command:
            case InvitePartner():
                self.invites.append(command)
            case HangUp():
                self._asked_to_hang_up(command.leg_id)
            case RescueCaller():
                if self.place in (Place.MUSIC, Place.QUEUE):
                    self.place = Place.QUEUE
            case AnswerFreed():
                self._answered(command.next)
            case AwaitFreed():
                self.due.append(FreedTimeout(self.now + command.seconds))
            case AwaitInvite():
                self.due.append(InviteTimeout(self.now + command.seconds, command.transfer_id))

    def _asked_to_hang_up(self, leg_id: str) -> None:
        self.released.add(leg_id)
        channel = self.channels.get(leg_id)
        if channel is not None:
            channel.released = True
            self.hang_up(channel, NORMAL)

    def _answered(self, place: Next) -> None:
        if not self.waits_for_answer():
            return
        match place:
            case Next.END:
                self.caller_hangs_up()
            case Next.WAIT:
                self.place = Place.MUSIC
            case Next.RESCUE:
                self.place = Place.QUEUE

    def waits_for_answer(self) -> bool:
        return self.place is Place.ASKING and self.heard == self.asked

    def refuse(self, invite: InvitePartner) -> None:
        self.tell(InviteFailed(self.now, invite.transfer_id, "refused"))

    def close(self) -> None:
        """Everybody goes home."""
        self.invites.clear()
        if self.place is not Place.GONE:
            self.caller_hangs_up()
        for channel in list(self.channels.values()):
            if channel.id in self.channels:
                self.hang_up(channel, NORMAL)
