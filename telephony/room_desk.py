"""What people and programs may ask of the joint rooms: names checked, lines and seats looked at, calls found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from telephony.core.call import Call, EndReason, Role
from telephony.errors import LinkDown, NotFound, Refusal
from telephony.room_book import MemberKind
from telephony.room_views import RoomView
from telephony.rooms import Guest, Parties, Rooms

if TYPE_CHECKING:
    from telephony.switchboard import Switchboard

_NOT_HAD = {
    "offline": EndReason.UNREACHABLE,
    "ringing": EndReason.BUSY,
    "talking": EndReason.BUSY,
    "closed": EndReason.LINE_CLOSED,
    "busy": EndReason.LINE_FULL,
}


class RoomDesk:
    """Only lines and seats of this hotline's configuration can be called in. NotFound: no such room."""

    def __init__(self, switchboard: Switchboard, rooms: Rooms) -> None:
        self._switchboard = switchboard
        self._rooms = rooms

    def has(self, key: str) -> bool:
        """Whether this is the name of a room, and so of its key."""
        return any(view.room == key for view in self._rooms.views())

    def list(self) -> list[RoomView]:
        return self._rooms.views()

    def get(self, room: str) -> RoomView:
        return self._rooms.view(room)

    def uses(self, party: str) -> int:
        """How many channels of the seat or line the rooms have now, beyond those of live calls."""
        return self._rooms.uses(party)

    async def press(self, seat: str, room: str) -> RoomView:
        """The room's key. A seat with a call brings it in; an idle seat's phone is called in first.

        Refusal: `seat_busy` while a call rings at the seat, and as `open`.
        """
        call = next((c for c in self._switchboard.calls() if _has(c, seat)), None)
        if call is None:
            return await self.open(room, first=seat)
        if not any(leg.party == seat for leg in call.talking(Role.TAKER)):
            raise Refusal("seat_busy", f"a call is ringing at seat {seat}")
        return await self.open(room, call_id=call.id)

    async def open(
        self,
        room: str,
        *,
        lines: Sequence[str] | None = None,
        seats: Sequence[str] | None = None,
        call_id: str = "",
        first: str = "",
    ) -> RoomView:
        """Bring the call in, if one is named, and call everybody in who is not in yet: by default who is configured.

        Refusal: `unknown_line`, `unknown_seat_named`, and of a call `transfer_under_way`, `not_together`,
        `not_moved`; then nothing has been done. NotFound: no such call. LinkDown.
        """
        settings = self._rooms.settings(room)
        guests = [self._seat(first)] if first else []
        guests += [self._line(line) for line in dict.fromkeys(settings.lines if lines is None else lines)]
        guests += [self._seat(seat) for seat in dict.fromkeys(settings.seats if seats is None else seats)]
        self._check_link()
        if call_id:
            await self._bring(room, self._switchboard.call(call_id))
        await self._rooms.call_in(room, guests)
        return self._rooms.view(room)

    async def end(self, room: str) -> RoomView:
        """Refusal: `room_not_open`. LinkDown."""
        self._rooms.settings(room)
        self._check_link()
        await self._rooms.end(room)
        return self._rooms.view(room)

    async def put_out(self, room: str, member: str) -> RoomView:
        """Put a member out of the room, or stop calling one. NotFound, LinkDown."""
        self._check_link()
        await self._rooms.put_out(room, member)
        return self._rooms.view(room)

    async def mute(self, room: str, member: str, *, muted: bool) -> RoomView:
        """NotFound, LinkDown."""
        self._check_link()
        await self._rooms.mute(room, member, muted=muted)
        return self._rooms.view(room)

    async def _bring(self, room: str, call: Call) -> None:
        present = {member.id for member in self._rooms.get(room).present}
        caller = call.caller_leg
        if caller is not None and caller.id in present:
            return
        if call.pending:
            raise Refusal("transfer_under_way", "a partner is being called into the call: cancel, or wait")
        officials = [*call.talking(Role.TAKER), *call.talking(Role.PARTNER)]
        if caller is None or not officials:
            raise Refusal("not_together", "the caller is in no conversation that could be brought in")
        first, *others = officials
        parties = Parties(call.id, caller.channel, first.channel, tuple(leg.channel for leg in others))
        await self._rooms.bring(room, parties)

    def _line(self, name: str) -> Guest:
        try:
            state = self._switchboard.line(name).state
        except NotFound:
            raise Refusal("unknown_line", f"there is no line {name}") from None
        return Guest(MemberKind.LINE, name, _NOT_HAD.get(state))

    def _seat(self, name: str) -> Guest:
        status = next((seat for seat in self._switchboard.seats() if seat.seat == name), None)
        if status is None:
            raise Refusal("unknown_seat_named", f"there is no seat {name}")
        return Guest(MemberKind.SEAT, name, _NOT_HAD.get(status.state))

    def _check_link(self) -> None:
        if not self._switchboard.ready:
            raise LinkDown("the link to Asterisk is down")


def _has(call: Call, seat: str) -> bool:
    return any(leg.party == seat for leg in call.alive(Role.TAKER))
