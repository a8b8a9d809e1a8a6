"""Joint rooms in Asterisk's words: ConfBridge's events, and what the controller asks of ConfBridge.

A channel tells by its variables who it is (TEL_PARTY, TEL_ROLE, TEL_CALL) and which room it is for (TEL_ROOM).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from telephony.ami import verbs
from telephony.ami.devices import DeviceBook
from telephony.ami.errors import AmiRefused
from telephony.ami.events import REFUSED_LATER, hangup_of
from telephony.ami.gate import Sender
from telephony.ami.guard import GuardedEvents
from telephony.ami.message import AmiMessage
from telephony.asterisk_files import line_uri
from telephony.core.call import Hangup
from telephony.room_book import Called, Ended, Joined, Left, MemberKind, Muted, NotHad, Ringing, RoomEvent
from telephony.settings import RoomSettings, Settings

log = structlog.get_logger("ami")

_RINGING = "5"
_SEAT_TIMEOUT = 30.0  # s that a seat's phone is called into a room
_LOOKS = 25
_BETWEEN_LOOKS = 0.02  # s; together how long a conversation that has just begun, or a key, may take to settle
_CAUSE_OF_REASON = {"3": 19, "5": 17, "8": 34}  # AMI's reasons of a failed Originate as Q.850 causes


class RoomTranslator(GuardedEvents):
    """Hands each event that concerns a room to `post`. `clock`, `later`: as for the EventTranslator."""

    def __init__(
        self,
        settings: Settings,
        post: Callable[[RoomEvent], None],
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        super().__init__()
        self._rooms = frozenset(room.room for room in settings.rooms)
        self._seats = frozenset(seat.seat for seat in settings.seats)
        self._post = post
        self._clock = clock
        self._later = later
        self._members: set[str] = set()

    def expect(self, member_id: str) -> None:
        """The channel with this Uniqueid is one that we are about to call into a room."""
        self._members.add(member_id)

    def _take(self, message: AmiMessage) -> None:
        self._conference_event(message)
        self._channel_event(message)

    def joined(self, message: AmiMessage) -> Joined:
        """A member, from ConfbridgeJoin or ConfbridgeList."""
        tags = message.variables
        party, role = tags.get("TEL_PARTY", ""), tags.get("TEL_ROLE", "")
        kind = MemberKind.SEAT if party in self._seats else MemberKind.LINE
        member_id = message.get("Uniqueid")
        self._members.add(member_id)
        return Joined(
            self._clock(),
            message.get("Conference"),
            member_id,
            message.get("Channel"),
            MemberKind.CALLER if role == "caller" else kind,
            party,
            tags.get("TEL_CALL", ""),
            message.get("Muted") == "Yes",
        )

    def called(self, message: AmiMessage) -> Called | None:
        """A channel of CoreShowChannels that is being called into a room; None if it is not one."""
        tags = message.variables
        room, party = tags.get("TEL_ROOM", ""), tags.get("TEL_PARTY", "")
        if room not in self._rooms or tags.get("TEL_ROLE") != "room" or message.get("ChannelState") == "6":
            return None
        kind = MemberKind.SEAT if party in self._seats else MemberKind.LINE
        self._members.add(message.get("Uniqueid"))
        return Called(self._clock(), room, message.get("Uniqueid"), kind, party)

    def _conference_event(self, message: AmiMessage) -> None:
        room, at = message.get("Conference"), self._clock()
        if room not in self._rooms:
            return
        match message.event:
            case "ConfbridgeJoin":
                self._post(self.joined(message))
            case "ConfbridgeLeave":
                self._post(Left(at, room, message.get("Uniqueid")))
            case "ConfbridgeMute" | "ConfbridgeUnmute":
                muted = message.event == "ConfbridgeMute"
                self._post(Muted(at, room, message.get("Uniqueid"), muted))
            case "ConfbridgeEnd":
                self._post(Ended(at, room))

    def _channel_event(self, message: AmiMessage) -> None:
        member_id, at = message.get("Uniqueid"), self._clock()
        if member_id not in self._members:
            return
        match message.event:
            case "Newstate" if message.get("ChannelState") == _RINGING:
                self._post(Ringing(at, member_id))
            case "Hangup":
                self._members.discard(member_id)
                self._post(NotHad(at, member_id, hangup_of(message)))
            case "OriginateResponse" if message.get("Response") == "Failure":
                cause = _CAUSE_OF_REASON.get(message.get("Reason"), 0)
                event = NotHad(at, member_id, Hangup(cause))
                self._later(REFUSED_LATER, lambda: self._post(event))


class RoomCommands:
    """The hands of `rooms.Rooms` on Asterisk. LinkDown when it cannot be asked, Refusal when it says no."""

    def __init__(
        self, link: Sender, settings: Settings, devices: DeviceBook, translator: RoomTranslator
    ) -> None:
        self._link = link
        self._settings = settings
        self._devices = devices
        self._translator = translator

    async def call_in(self, room: RoomSettings, kind: MemberKind, party: str, member_id: str) -> None:
        """Call a seat's phone or a line's far end; on answer it is in the room."""
        target, timeout = self._devices.seat_device(party), _SEAT_TIMEOUT
        if kind is MemberKind.LINE:
            line = self._settings.line(party)
            assert line is not None, party
            target, timeout = line_uri(line), line.answer_timeout
        self._translator.expect(member_id)
        variables = {
            "TEL_ROOM": room.room,
            "TEL_ROLE": "room",
            "TEL_PARTY": party,
            "GROUP(calledin)": room.room,
        }
        caller = f'"{room.label}" <{room.number}>'
        await verbs.originate(
            self._link, member_id, target, "room-member", timeout, variables, CallerID=caller
        )

    async def together(self, channels: list[str]) -> bool:
        """Whether these channels are in one bridge now, by Asterisk's own word, and nobody else is in it.

        A taker whose phone has just pressed a key is in the dialplan for some milliseconds, and a move would
        lose its place there (seen on 22.10.1: "An async goto just messed up our execution location").
        """
        for _ in range(_LOOKS):
            found = {message.get("Channel"): message for message in await self._link.ask("CoreShowChannels")}
            pressing = any(name in found and found[name].get("Context") == "key" for name in channels)
            bridges = {name: message.get("BridgeId") for name, message in found.items()}
            bridge = bridges.get(channels[0], "")
            inside = {name for name, has in bridges.items() if has == bridge}
            if bridge and inside == set(channels) and not pressing:
                return True
            await asyncio.sleep(_BETWEEN_LOOKS)
        return False

    async def move(self, room: str, channel: str) -> None:
        """Take one official out of a conversation and into the room."""
        await self._mark(room, channel)
        await verbs.redirect(self._link, channel, "room-member")

    async def move_pair(self, room: str, official: str, caller: str) -> None:
        """Take a caller and an official out of their conversation and into the room, both at once."""
        await self._mark(room, official)
        await self._mark(room, caller)
        extra = {
            "ExtraChannel": caller,
            "ExtraContext": "room-caller",
            "ExtraExten": "s",
            "ExtraPriority": "1",
        }
        await verbs.redirect(self._link, official, "room-member", **extra)

    async def move_back(self, channel: str) -> None:
        """Bring a partner back into the caller's conversation, as when it joined it first."""
        await verbs.redirect(self._link, channel, "join")

    async def kick(self, room: str, channel: str) -> None:
        """Put one member out of the room."""
        await self._link.send("ConfbridgeKick", {"Conference": room, "Channel": channel})

    async def end(self, room: str) -> None:
        """Put everybody out of the room."""
        await self._link.send("ConfbridgeKick", {"Conference": room, "Channel": "all"})

    async def mute(self, room: str, channel: str, *, muted: bool) -> None:
        action = "ConfbridgeMute" if muted else "ConfbridgeUnmute"
        await self._link.send(action, {"Conference": room, "Channel": channel})

    async def stop_calling(self, member_id: str) -> None:
        await verbs.hang_up(self._link, member_id)

    async def found(self) -> list[Joined | Called]:
        """Who is in the rooms, and who is being called into them, now."""
        channels = await self._link.ask("CoreShowChannels")
        called = [self._translator.called(message) for message in channels]
        joined: list[Joined | Called] = []
        for room in self._settings.rooms:
            try:
                members = await self._link.ask("ConfbridgeList", {"Conference": room.room})
            except AmiRefused:
                continue  # there is no conference of this name now
            joined += [self._translator.joined(message) for message in members]
        return joined + [event for event in called if event is not None]

    async def _mark(self, room: str, channel: str) -> None:
        await verbs.set_variable(self._link, channel, "TEL_ROOM", room)
