"""What is known of the joint rooms: who is in, who is being called, who could not be had.

Pure data: events go in, as `ami.rooms` translates them, and a new `Room` comes out. Asterisk's conferences
are the truth; this is their picture, renewed whenever the link to Asterisk comes up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from telephony.core.call import EndReason, Hangup
from telephony.core.endings import why_not_joined


class MemberKind(StrEnum):
    SEAT = "seat"
    LINE = "line"
    CALLER = "caller"


class MemberState(StrEnum):
    """`failed`: was called and is not coming; `Member.reason` says why."""

    CALLING = "calling"
    RINGING = "ringing"
    PRESENT = "present"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a room or on the way. `id` is its channel's; `party` a seat's or a line's name.

    `call` is the id of the call with which the member was brought in, or empty. `since`: in this state.
    """

    id: str
    kind: MemberKind
    party: str
    state: MemberState
    since: float
    channel: str = ""
    call: str = ""
    muted: bool = False
    reason: EndReason | None = None

    @property
    def present(self) -> bool:
        return self.state is MemberState.PRESENT

    @property
    def pending(self) -> bool:
        return self.state in (MemberState.CALLING, MemberState.RINGING)


@dataclass(frozen=True, slots=True)
class Room:
    """`since`: when the conference began, None while there is none. `peopled`: has had two members or more."""

    name: str
    since: float | None = None
    peopled: bool = False
    members: tuple[Member, ...] = ()

    @property
    def present(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.present)

    @property
    def pending(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.pending)

    @property
    def lone(self) -> Member | None:
        """The only one in it while nobody else is being called; a caller counts as lone even then."""
        present = self.present
        if len(present) != 1 or (self.pending and present[0].kind is not MemberKind.CALLER):
            return None
        return present[0]

    def member(self, member_id: str) -> Member | None:
        return next((member for member in self.members if member.id == member_id), None)

    def has(self, party: str) -> bool:
        """Whether the seat or line is in the room or being called."""
        return any(member.party == party for member in self.members if member.present or member.pending)

    def put(self, member: Member) -> Room:
        """This room with `member`; an earlier failure of the same party is forgotten."""
        others = tuple(
            old
            for old in self.members
            if old.id != member.id and not (old.party == member.party and old.state is MemberState.FAILED)
        )
        room = replace(self, members=(*others, member))
        return replace(room, peopled=room.peopled or len(room.present) > 1)

    def without(self, member_id: str) -> Room:
        return replace(self, members=tuple(member for member in self.members if member.id != member_id))


@dataclass(frozen=True, slots=True)
class Called:
    """A seat or line is about to be called into the room; `refused` if it is not even tried."""

    at: float
    room: str
    member_id: str
    kind: MemberKind
    party: str
    refused: EndReason | None = None


@dataclass(frozen=True, slots=True)
class Ringing:
    at: float
    member_id: str


@dataclass(frozen=True, slots=True)
class Joined:
    at: float
    room: str
    member_id: str
    channel: str
    kind: MemberKind
    party: str
    call: str
    muted: bool


@dataclass(frozen=True, slots=True)
class Left:
    at: float
    room: str
    member_id: str


@dataclass(frozen=True, slots=True)
class Muted:
    at: float
    room: str
    member_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class NotHad:
    """The channel of somebody who was called has ended, or never came to be."""

    at: float
    member_id: str
    hangup: Hangup


@dataclass(frozen=True, slots=True)
class Ended:
    """The conference is over."""

    at: float
    room: str


RoomEvent = Called | Ringing | Joined | Left | Muted | NotHad | Ended


class RoomBook:
    """The rooms by name; only those of the configuration exist."""

    def __init__(self, names: Iterable[str]) -> None:
        self._rooms = {name: Room(name) for name in names}

    def all(self) -> list[Room]:
        """The rooms in the order of the configuration."""
        return list(self._rooms.values())

    def get(self, name: str) -> Room | None:
        return self._rooms.get(name)

    def renew(self, found: Iterable[Joined | Called], at: float) -> list[Room]:
        """Forget what was known, and take in what Asterisk has now; the rooms that are different for it."""
        before = dict(self._rooms)
        self._rooms = {name: Room(name, peopled=room.peopled) for name, room in before.items()}
        for event in found:
            self.apply(event)
        for name, room in self._rooms.items():
            old = before[name]
            if room.since is None:
                self._rooms[name] = replace(room, peopled=False)
            elif old.since is not None:
                self._rooms[name] = replace(room, since=old.since)
        return [room for name, room in self._rooms.items() if room != before[name]]

    def apply(self, event: RoomEvent) -> Room | None:
        """What has become of the room that `event` concerns; None if nothing has changed."""
        room = self._concerned(event)
        if room is None:
            return None
        after = _after(room, event)
        if after == room:
            return None
        self._rooms[room.name] = after
        return after

    def _concerned(self, event: RoomEvent) -> Room | None:
        if isinstance(event, Ringing | NotHad):
            return next((room for room in self._rooms.values() if room.member(event.member_id)), None)
        return self._rooms.get(event.room)


def _after(room: Room, event: RoomEvent) -> Room:
    match event:
        case Called():
            state = MemberState.FAILED if event.refused else MemberState.CALLING
            return room.put(
                Member(event.member_id, event.kind, event.party, state, event.at, reason=event.refused)
            )
        case Joined():
            member = Member(
                event.member_id,
                event.kind,
                event.party,
                MemberState.PRESENT,
                event.at,
                channel=event.channel,
                call=event.call,
                muted=event.muted,
            )
            return replace(room.put(member), since=event.at if room.since is None else room.since)
        case Left():
            return room.without(event.member_id)
        case Ended():
            return Room(room.name, members=room.pending)
        case Ringing() | Muted() | NotHad():
            member_now = room.member(event.member_id)
            return room if member_now is None else _after_news(room, member_now, event)


def _after_news(room: Room, member: Member, event: Ringing | Muted | NotHad) -> Room:
    match event:
        case Ringing() if member.state is MemberState.CALLING:
            return room.put(replace(member, state=MemberState.RINGING, since=event.at))
        case Muted() if member.present:
            return _changed(room, replace(member, muted=event.muted))
        case NotHad() if member.pending:
            reason = why_not_joined(event.hangup, rang=member.state is MemberState.RINGING)
            return room.put(replace(member, state=MemberState.FAILED, reason=reason, since=event.at))
        case NotHad() if member.present:
            return room.without(member.id)
    return room


def _changed(room: Room, member: Member) -> Room:
    """`room` with `member` at the place that it had."""
    return replace(room, members=tuple(member if old.id == member.id else old for old in room.members))
