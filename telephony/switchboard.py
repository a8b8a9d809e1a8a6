"""The switchboard: everything that people and programs may ask of a hotline, at one place.

A key pressed on a phone, in a console or by HTTP comes in here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from telephony.core.call import Call, Diversion, DiversionKind, Leg, Mode, Role, Transfer
from telephony.core.commands import Accepted
from telephony.core.events import (
    CancelPressed,
    DropPressed,
    Event,
    GiveBackPressed,
    GroupPressed,
    HoldPressed,
    LeavePressed,
    LinePressed,
    LineView,
    MutePressed,
    ResumePressed,
    ReturnPressed,
)
from telephony.diversions import Diversions
from telephony.errors import LinkDown, NotFound, Refusal
from telephony.room_desk import RoomDesk
from telephony.room_views import RoomView
from telephony.rooms import Rooms

if TYPE_CHECKING:
    from telephony.dispatcher import Dispatcher
    from telephony.history import Histories
    from telephony.settings import LineSettings, SeatSettings, Settings


class LineState(StrEnum):
    """`closed` by an administrator; `down`: the far end does not answer; `busy`: every channel in use."""

    OPEN = "open"
    BUSY = "busy"
    DOWN = "down"
    CLOSED = "closed"


class SeatState(StrEnum):
    OFFLINE = "offline"
    IDLE = "idle"
    RINGING = "ringing"
    TALKING = "talking"


@dataclass(frozen=True, slots=True)
class LineStatus:
    """A line as people see it. `live`: legs on it now; `capacity`: how many it takes."""

    line: str
    label: str
    state: LineState
    live: int
    capacity: int
    key: str
    dtmf: str
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class SeatStatus:
    """A seat as people see it; `call` is the id of the call that it has, or empty."""

    seat: str
    queue: str
    state: SeatState
    call: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a press has come to: the call and the transfers that it concerns, what it handed on, the room it opened."""

    call_id: str
    transfers: tuple[Transfer, ...]
    diversion: Diversion | None = None
    room: RoomView | None = None


class Devices(Protocol):
    """What Asterisk knows of phones and lines."""

    def seat_online(self, seat: str) -> bool: ...

    def line_up(self, line: str) -> bool: ...


class ClosedLines(Protocol):
    """Which lines an administrator has closed, remembered across restarts."""

    def __contains__(self, line: str) -> bool: ...

    async def set(self, line: str, *, closed: bool) -> None: ...


class Switchboard:
    """The operations on one hotline. Refusal (with a stable code) says why something cannot be done.

    `on_moved` is told when a line was opened or closed. `diversions`: handing a matter on without a call.
    `histories`: what is remembered of a number. `link_open`: whether there is a link to Asterisk at this moment.
    """

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        devices: Devices,
        closed_lines: ClosedLines,
        new_transfer_id: Callable[[], str],
        clock: Callable[[], float],
        histories: Histories,
        rooms: Rooms,
        link_open: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._devices = devices
        self._closed_lines = closed_lines
        self._new_transfer_id = new_transfer_id
        self._clock = clock
        self.histories = histories
        self.diversions = Diversions(settings, dispatcher, new_transfer_id, clock)
        self.rooms = RoomDesk(self, rooms)
        self._pressing: Counter[tuple[str, str]] = Counter()  # line and call of presses not decided on yet
        self._link_open = link_open
        self.recovered = False
        """Whether Asterisk's truth has been read since the link to it came up."""
        self.on_moved: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """Whether Asterisk can be asked now, and what we know of it is true."""
        return self.recovered and self._link_open()

    # -- keys --------------------------------------------------------------------------------

    async def press(self, seat: str, key: str, *, mode: Mode = Mode.WARM, note: str = "") -> Pressed:
        """Press `key` at `seat`, on the call that it has.

        `key`: a line's, a group's or a room's name (see `RoomDesk.press`), `cancel`, `leave`, `hold`, `resume`,
        `merge` (into the talk with the partner; the same as `resume`), `return` (the caller back to the
        hotline that it came from), or a way to hand the matter on without a call (`platform`, `guidance`;
        see `Diversions.press`).
        Pressing a line's key again is the same transfer. NotFound: no such seat. Refusal: why
        not, by a code such as `no_call` or `line_closed`.
        LinkDown: Asterisk cannot be asked now.
        """
        if key in tuple(DiversionKind):
            call_id, diversion = await self.diversions.press(seat, DiversionKind(key), note=note)
            return Pressed(call_id, (), diversion)
        if self._settings.seat(seat) is None:
            raise NotFound("unknown_seat", f"there is no seat {seat}")
        if self.rooms.has(key):
            return Pressed("", (), room=await self.rooms.press(seat, key))
        event = self._key_event(seat, key, mode, note)
        if not self.ready:
            raise LinkDown("the link to Asterisk is down")
        call = self._dispatcher.call_of_seat(seat)
        if call is None:
            raise Refusal("no_call", f"seat {seat} has no call")
        return await self._ask(call.id, event)

    async def transfer(self, call_id: str, line: str, *, mode: Mode = Mode.WARM, note: str = "") -> Pressed:
        """The same as the line's key, for a call that is named; the seat that has the call is the presser."""
        call = self.call(call_id)
        seat = next((leg.party for leg in call.takers), "")
        if not seat:
            raise Refusal("no_call", "no seat has the caller on the line")
        if self._settings.line(line) is None:
            raise Refusal("unknown_line", f"there is no line {line}")
        return await self._ask(call.id, self._key_event(seat, line, mode, note))

    async def cancel(self, call_id: str, transfer_id: str) -> Pressed:
        """Stop calling the partner of this one transfer."""
        self.get_transfer(call_id, transfer_id)
        return await self._ask(call_id, CancelPressed(self._clock(), transfer_id))

    async def drop(self, call_id: str, leg_id: str) -> Pressed:
        """Take a party out of the call. Refusal: `never_the_caller`, `last_with_caller`. NotFound: no such party."""
        self._leg(call_id, leg_id)
        return await self._ask(call_id, DropPressed(self._clock(), leg_id))

    async def mute(self, call_id: str, leg_id: str, *, muted: bool) -> Leg:
        """Whether the others hear the party; the party as it is then. NotFound: no such party."""
        self._leg(call_id, leg_id)
        await self._ask(call_id, MutePressed(self._clock(), leg_id, muted))
        return self._leg(call_id, leg_id)

    async def partner_returns(self, leg_id: str) -> Pressed:
        """The partner's key, on its leg: the caller back to a seat."""
        call = next((call for call in self._dispatcher if call.leg(leg_id) is not None), None)
        if call is None:
            raise NotFound("unknown_leg", "no call has such a party")
        return await self._ask(call.id, ReturnPressed(self._clock(), leg_id))

    def _leg(self, call_id: str, leg_id: str) -> Leg:
        leg = self.call(call_id).leg(leg_id)
        if leg is None or not leg.alive:
            raise NotFound("unknown_leg", "the call has no such party")
        return leg

    def _key_event(self, seat: str, key: str, mode: Mode, note: str) -> Event:
        now = self._clock()
        match key:
            case "cancel":
                return CancelPressed(now)
            case "leave":
                return LeavePressed(now, seat)
            case "hold":
                return HoldPressed(now, seat)
            case "resume" | "merge":
                return ResumePressed(now, seat)
            case "return":
                return GiveBackPressed(now, seat)
        group = self._settings.group(key)
        if group is not None:
            return GroupPressed(now, tuple(self._press(now, seat, name, mode, note) for name in group.lines))
        if self._settings.line(key) is None:
            raise Refusal("unknown_key", f"no key is called {key}")
        return self._press(now, seat, key, mode, note)

    def _press(self, now: float, seat: str, name: str, mode: Mode, note: str) -> LinePressed:
        view = self._line_view(self._line_settings(name))
        return LinePressed(now, seat, view, self._new_transfer_id(), mode, note)

    async def _ask(self, call_id: str, event: Event) -> Pressed:
        if not self.ready:
            raise LinkDown("the link to Asterisk is down")
        places = Counter((line, call_id) for line in _lines_of(event))
        self._pressing += places
        try:
            reply = await self._dispatcher.ask(call_id, event)
        finally:
            self._pressing -= places
        if isinstance(reply, Accepted):
            transfers = tuple(self._known(call_id, reply.transfer_ids))
            return Pressed(call_id, transfers)
        raise Refusal(reply.code, reply.message, {"transfer": reply.transfer_id} if reply.transfer_id else {})

    def _known(self, call_id: str, transfer_ids: tuple[str, ...]) -> list[Transfer]:
        call = self._dispatcher.get(call_id)
        found = [call.transfer(transfer_id) for transfer_id in transfer_ids] if call else []
        return [transfer for transfer in found if transfer is not None]

    # -- looking -----------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """The live calls, oldest first."""
        return sorted(self._dispatcher, key=lambda call: call.arrived_at)

    def call(self, call_id: str) -> Call:
        """The live call with this id; NotFound if there is none."""
        call = self._dispatcher.get(call_id)
        if call is None:
            raise NotFound("unknown_call", "there is no such call")
        return call

    def get_transfer(self, call_id: str, transfer_id: str) -> Transfer:
        """A transfer of a live call; NotFound if there is none."""
        transfer = self.call(call_id).transfer(transfer_id)
        if transfer is None:
            raise NotFound("unknown_transfer", "the call has no such transfer")
        return transfer

    def call_of_transfer(self, transfer_id: str) -> Call:
        """The live call that has this transfer; NotFound if there is none."""
        for call in self._dispatcher:
            if call.transfer(transfer_id) is not None:
                return call
        raise NotFound("unknown_transfer", "no live call has such a transfer")

    def lines(self) -> list[LineStatus]:
        return [self._line_status(line) for line in self._settings.lines]

    def line(self, name: str) -> LineStatus:
        return self._line_status(self._line_settings(name))

    def seats(self, names: Container[str] | None = None) -> list[SeatStatus]:
        """All seats, or those of these names."""
        seats = self._settings.seats
        return [self._seat_status(seat) for seat in seats if names is None or seat.seat in names]

    def seat(self, name: str) -> SeatStatus:
        """One seat; NotFound."""
        seat = self._settings.seat(name)
        if seat is None:
            raise NotFound("unknown_seat", f"there is no seat {name}")
        return self._seat_status(seat)

    # -- steering ----------------------------------------------------------------------------

    async def set_line(self, name: str, *, closed: bool) -> LineStatus:
        """Close a line to new transfers, or open it; live legs on it go on. NotFound."""
        line = self._line_settings(name)
        await self._closed_lines.set(name, closed=closed)
        self.on_moved()
        return self._line_status(line)

    def _line_settings(self, name: str) -> LineSettings:
        line = self._settings.line(name)
        if line is None:
            raise NotFound("unknown_line", f"there is no line {name}")
        return line

    def _live(self, line: str) -> int:
        """Legs on the line now, and those that presses under way will bring: two may want the last channel."""
        taken = self._dispatcher.line_load[line]
        pressing = (self._dispatcher.get(call_id) for name, call_id in self._pressing if name == line)
        taken += self.rooms.uses(line)
        return taken + sum(call is not None and not self._on(call, line) for call in pressing)

    @staticmethod
    def _on(call: Call, line: str) -> int:
        return sum(t.live and t.line == line for t in call.transfers)

    def _line_view(self, line: LineSettings) -> LineView:
        return LineView(
            line.line,
            closed=line.line in self._closed_lines,
            full=self._live(line.line) >= line.capacity,
            modes=frozenset(line.modes),
            answer_timeout=line.answer_timeout,
        )

    def _line_status(self, line: LineSettings) -> LineStatus:
        live = self._live(line.line)
        state = LineState.OPEN
        if line.line in self._closed_lines:
            state = LineState.CLOSED
        elif not self._devices.line_up(line.line):
            state = LineState.DOWN
        elif live >= line.capacity:
            state = LineState.BUSY
        return LineStatus(
            line.line, line.label, state, live, line.capacity, line.key, line.dtmf, tuple(line.modes)
        )

    def _seat_status(self, seat: SeatSettings) -> SeatStatus:
        call = self._dispatcher.call_of_seat(seat.seat)
        leg = _leg_of(call, seat.seat)
        if leg is not None:
            # Who has had the caller talks, even while the caller is on hold.
            state = SeatState.RINGING if leg.joined_at is None else SeatState.TALKING
        elif self.rooms.uses(seat.seat):
            state = SeatState.TALKING
        else:
            state = SeatState.IDLE if self._devices.seat_online(seat.seat) else SeatState.OFFLINE
        return SeatStatus(seat.seat, seat.queue, state, call.id if call else "")


def _leg_of(call: Call | None, seat: str) -> Leg | None:
    if call is None:
        return None
    return next((leg for leg in call.alive(Role.TAKER) if leg.party == seat), None)


def _lines_of(event: Event) -> list[str]:
    """The lines that a press wants a channel of."""
    match event:
        case LinePressed():
            return [event.line.name]
        case GroupPressed():
            return [press.line.name for press in event.presses]
    return []
