"""A small Asterisk for random tests: who really is where, and the events that it tells of it.

Manager events come in order, but late; the dialplan's question comes over a connection of its own, and may
overtake the news of how a conversation ended, though not the news that it began: people are not that quick.
What the dialplan does by itself after a wait (the loops of extensions_hold.conf, what a partner's channel does
when its conversation is over) are steps of their own: anything can happen before them.
"""

from __future__ import annotations

from collections import deque

from telephony.core.call import Hangup, Next, Role
from telephony.core.commands import (
    AnswerFreed,
    AwaitFreed,
    AwaitInvite,
    BringBack,
    Command,
    HangUp,
    HoldCaller,
    InvitePartner,
    Mute,
    RescueCaller,
    SendDigits,
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
from tests.unit.asterisk_parts import Channel, Loss, Place, Step

NORMAL = Hangup(16)


class World:
    """`events` are on their way from the manager, `questions` from the dialplan, `due` from our timers.

    `held` and `taker` are the caller's SHARED(TEL_HELD) and SHARED(TEL_TAKER).
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.place = Place.QUEUE
        self.caller_bridge = ""
        self.held = ""
        self.taker = ""
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
        return [channel for channel in self.some(Role.TAKER) if not channel.up]

    def called(self) -> list[Channel]:
        """The partners whose phones ring."""
        return [channel for channel in self.some(Role.PARTNER) if not channel.up]

    def steps(self) -> list[Channel]:
        """Those whose dialplan goes on by itself."""
        return [channel for channel in self.channels.values() if channel.step is not None]

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
        self.now += 0.0001

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
        channel.up, self.taker = True, channel.id
        self._talk(channel)

    def partner_comes(self, invite: InvitePartner) -> None:
        channel = Channel(invite.transfer_id, Role.PARTNER, invite.line, consult=invite.consult)
        self.channels[channel.id] = channel
        self.tell(LegStarted(self.now, channel.id, f"PJSIP/{channel.id}", Role.PARTNER, invite.line))

    def partner_answers(self, channel: Channel) -> None:
        """Its dialplan takes it into the caller's conversation, or to the taker or the caller alone, or nowhere."""
        self.tell(LegAnswered(self.now, channel.id))
        channel.up = True
        if not (channel.consult or self.held):
            self._join(channel)
        elif self.taker not in self.channels:
            self._take(channel)
        elif self.held:
            self._to_taker(channel)
        else:
            self.held = "consult"
            channel.step = Step.TO_TAKER
            self._caller_goes(Place.HOLD)

    def goes_on(self, channel: Channel) -> None:
        """The channel's dialplan has waited, and takes its next step."""
        step, channel.step = channel.step, None
        match step:
            case Step.TO_TAKER:
                self._to_taker(channel)
            case Step.LEFT:
                over = self.place is Place.GONE or self.taker in self.channels
                self.hang_up(channel, NORMAL) if over else self._take(channel)
            case Step.SEAT_AFTER:
                self._seat_after(channel)

    def hold_loop(self) -> None:
        """A turn of the caller's hold is over."""
        if not self.held:
            self._ask()
        elif self.taker not in self.channels and not self.some(Role.PARTNER):
            self.held = ""
            self.place = Place.QUEUE

    def _join(self, channel: Channel) -> None:
        if self.place is Place.GONE:
            self.hang_up(channel, NORMAL)
        elif self.place is Place.BRIDGE:
            self._enter(channel, self.caller_bridge)
        else:
            self._talk(channel)

    def _take(self, channel: Channel) -> None:
        self.held = ""
        self._join(channel)

    def _to_taker(self, channel: Channel) -> None:
        taker = self.channels.get(self.taker)
        if taker is None:
            self._take(channel)
        elif taker.bridge:
            self._enter(channel, taker.bridge)
        else:
            bridge = self.new("b")
            self._enter(taker, bridge)
            self._enter(channel, bridge)

    def _talk(self, channel: Channel) -> None:
        """The channel takes the caller from wherever it is."""
        bridge = self.new("b")
        self._enter(channel, bridge)
        self._caller_enters(bridge)

    def _seat_after(self, channel: Channel) -> None:
        if self.place is Place.GONE or not self.held:
            self.hang_up(channel, NORMAL if self.place is Place.GONE else Hangup(41))
            return
        channel.step = Step.SEAT_AFTER
        if self.held == "consult" and not self.some(Role.PARTNER):
            self._bring_back()

    def _bring_back(self) -> None:
        """The caller is sent to the taker: into its conversation, or out of its wait, or there is none to go to."""
        if self.place is Place.GONE:
            return
        self._caller_goes(Place.HOLD)
        self.held = ""
        taker = self.channels.get(self.taker)
        if taker is None:
            self._ask()
        elif taker.bridge:
            self._caller_enters(taker.bridge)
        else:
            bridge = self.new("b")
            self._enter(taker, bridge)
            self._caller_enters(bridge)

    def _caller_goes(self, place: Place) -> None:
        """The caller's channel is redirected, out of whatever it is in. A question that it had put is void."""
        if self.place is Place.GONE:
            return
        for ringing in self.ringing() if self.place is Place.QUEUE else ():
            self.hang_up(ringing, Hangup(26))
        bridge, self.caller_bridge, self.place = self.caller_bridge, "", place
        if bridge:
            self.tell(LegLeft(self.now, "c", bridge))
        self._dissolve(bridge)

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
        channel.bridge, channel.step = bridge, None
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
            self.caller_bridge = ""
            self.tell(LegLeft(self.now, "c", bridge))
            self._ask()
        for channel in left:
            self._out(channel)

    def _ask(self) -> None:
        """The caller's dialplan asks what comes next."""
        self.place = Place.ASKING
        begun = [event for event in self.events if isinstance(event, LegJoined) and event.leg_id == "c"]
        self.questions.append((CallerFreed(self.now), begun))
        self.asked += 1

    def _out(self, channel: Channel) -> None:
        """The channel's conversation has gone, and its phone has not been hung up."""
        if self.place is Place.GONE or (channel.role is Role.PARTNER and not self.held):
            self.hang_up(channel, NORMAL)
            return
        bridge, channel.bridge = channel.bridge, ""
        channel.step = Step.SEAT_AFTER if channel.role is Role.TAKER else Step.LEFT
        self.tell(LegLeft(self.now, channel.id, bridge))

    # -- what the controller does --------------------------------------------------------------

    def perform(self, command: Command) -> None:
        match command:
            case InvitePartner():
                self.invites.append(command)
            case HangUp(unless_answered=True):
                channel = self.channels.get(command.leg_id)
                if channel is None or not channel.up:
                    self._asked_to_hang_up(command.leg_id)
            case HangUp():
                self._asked_to_hang_up(command.leg_id)
            case RescueCaller():
                self.held = ""
                self._caller_goes(Place.QUEUE)
            case HoldCaller():
                self.held = "hold"
                self._caller_goes(Place.HOLD)
            case BringBack():
                self.taker = command.to.removeprefix("PJSIP/")
                self._bring_back()
            case Mute() | SendDigits():
                pass
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
            self.hang_up(channel, Hangup(31))

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
