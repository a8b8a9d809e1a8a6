"""What a joint room looks like outside: the JSON shape of the HTTP interface and the feed."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.core.call import EndReason
from telephony.room_book import MemberKind, MemberState, Room
from telephony.settings import RoomSettings


@dataclass(frozen=True, slots=True)
class MemberView:
    id: str
    kind: MemberKind
    party: str
    state: MemberState
    reason: EndReason | None
    muted: bool
    call: str
    since: float


@dataclass(frozen=True, slots=True)
class RoomView:
    """A joint room as people see it. `since` (seconds since the epoch) is null while no conference is on."""

    room: str
    label: str
    number: str
    key: str
    since: float | None
    members: list[MemberView]


def room_view(settings: RoomSettings, room: Room) -> RoomView:
    members = [
        MemberView(m.id, m.kind, m.party, m.state, m.reason, m.muted, m.call, m.since) for m in room.members
    ]
    return RoomView(room.name, settings.label, settings.number, settings.key, room.since, members)
