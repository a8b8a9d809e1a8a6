"""The joint rooms at work: call people in, bring a call in, mute, put out, end.

Rooms are Asterisk's conferences and go on without us. A call that is brought in stays a live call of the
dispatcher: its caller, taker and partners are then in one conversation that happens to be the room's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from telephony.core.call import EndReason, Hangup
from telephony.errors import LinkDown, NotFound, Refusal
from telephony.feed import Feed
from telephony.room_book import (
    Called,
    Ended,
    Joined,
    Member,
    MemberKind,
    NotHad,
    Room,
    RoomBook,
    RoomEvent,
)
from telephony.room_views import RoomView, room_view
from telephony.settings import RoomSettings, Settings
from telephony.tasks import end_all

log = structlog.get_logger("room")

MOVED = 2.0  # s within which somebody who is moved must be in the room
LEFT_OVER = (
    1.0  # s after which the one who is left is put out; for a caller, who waits alone, and after talks
)
FIRST_COMER = 60.0  # s that somebody may wait in a room in which nobody else has been


@dataclass(frozen=True, slots=True)
class Guest:
    """Who is to be called in, or, if `refused`, is only shown as not to be had."""

    kind: MemberKind
    party: str
    refused: EndReason | None = None


@dataclass(frozen=True, slots=True)
class Parties:
    """A call that is to be brought in, by its channels. `official` is moved together with the caller."""

    call: str
    caller: str
    official: str
    others: tuple[str, ...] = ()

    @property
    def channels(self) -> list[str]:
        return [self.caller, self.official, *self.others]


class RoomAsterisk(Protocol):
    """What rooms ask of Asterisk. LinkDown when it cannot be asked, Refusal when it says no."""

    async def call_in(self, room: RoomSettings, kind: MemberKind, party: str, member_id: str) -> None: ...

    async def together(self, channels: list[str]) -> bool: ...

    async def move(self, room: str, channel: str) -> None: ...

    async def move_pair(self, room: str, official: str, caller: str) -> None: ...

    async def move_back(self, channel: str) -> None: ...

    async def kick(self, room: str, channel: str) -> None: ...

    async def end(self, room: str) -> None: ...

    async def mute(self, room: str, channel: str, *, muted: bool) -> None: ...

    async def stop_calling(self, member_id: str) -> None: ...

    async def found(self) -> list[Joined | Called]: ...


class Rooms:
    """`new_id` makes ids for channels of ours; `clock` is seconds since the epoch."""

    def __init__(
        self,
        settings: Settings,
        asterisk: RoomAsterisk,
        feed: Feed,
        new_id: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._asterisk = asterisk
        self._feed = feed
        self._new_id = new_id
        self._clock = clock
        self._book = RoomBook(room.room for room in settings.rooms)
        self._moving = asyncio.Lock()
        self._news = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- looking -----------------------------------------------------------------------------

    def settings(self, name: str) -> RoomSettings:
        """The configured room; NotFound if there is none of this name."""
        room = self._settings.room(name)
        if room is None:
            raise NotFound("unknown_room", f"there is no room {name}")
        return room

    def get(self, name: str) -> Room:
        self.settings(name)
        room = self._book.get(name)
        assert room is not None, name
        return room

    def view(self, name: str) -> RoomView:
        """NotFound if there is no such room."""
        return self._view(self.get(name))

    def views(self) -> list[RoomView]:
        return [self._view(room) for room in self._book.all()]

    def uses(self, party: str) -> int:
        """How many channels of the seat or line the rooms have; those of calls brought in are the calls'."""
        members = (member for room in self._book.all() for member in room.members)
        return sum(m.party == party and not m.call and (m.present or m.pending) for m in members)

    def _view(self, room: Room) -> RoomView:
        return room_view(self.settings(room.name), room)

    # -- steering ----------------------------------------------------------------------------

    async def call_in(self, name: str, guests: Iterable[Guest]) -> None:
        """Call all of them at once, without waiting for anybody; who is in or being called is left alone."""
        room = self.settings(name)
        calls = []
        for guest in guests:
            if self.get(name).has(guest.party):
                continue
            member_id = self._new_id()
            self.on_event(
                Called(self._clock(), name, member_id, guest.kind, guest.party, refused=guest.refused)
            )
            if guest.refused is None:
                calls.append(self._call_in(room, guest, member_id))
        await asyncio.gather(*calls)

    async def _call_in(self, room: RoomSettings, guest: Guest, member_id: str) -> None:
        try:
            await self._asterisk.call_in(room, guest.kind, guest.party, member_id)
        except (LinkDown, Refusal) as error:
            log.warning("not_called_in", room=room.room, party=guest.party, error=str(error))
            self.on_event(NotHad(self._clock(), member_id, Hangup()))

    async def bring(self, name: str, parties: Parties) -> None:
        """Move a call's parties into the room, so that its caller is with somebody at every moment.

        Partners beyond the one go first, one after the other, while caller and official go on talking; those
        two come last and at once. If one does not arrive, who has moved is brought back to the caller.
        Refusal: `not_together`, before anything is done; `not_moved`, after all is as it was.
        """
        async with self._moving:
            if not await self._asterisk.together(parties.channels):
                raise Refusal("not_together", "the call's parties are not in one conversation now")
            moved: list[str] = []
            try:
                for channel in parties.others:
                    moved.append(channel)
                    await self._asterisk.move(name, channel)
                    await self._arrives(name, channel)
                await self._asterisk.move_pair(name, parties.official, parties.caller)
            except (LinkDown, Refusal) as error:
                log.warning("call_not_moved", room=name, call=parties.call, error=str(error))
                for channel in moved:
                    await self._move_back(channel)
                raise Refusal("not_moved", "the call could not be moved; it goes on as it was") from error
            for channel in (parties.official, parties.caller):
                await self._arrives(name, channel)

    async def _move_back(self, channel: str) -> None:
        try:
            await self._asterisk.move_back(channel)
        except (LinkDown, Refusal) as error:
            log.warning("partner_not_moved_back", error=str(error))  # it has hung up

    async def _arrives(self, name: str, channel: str) -> None:
        """Wait for Asterisk's word that the channel is in the room. Refusal (`not_moved`) if it does not come."""
        try:
            async with asyncio.timeout(MOVED):
                while not any(member.channel == channel for member in self.get(name).present):
                    await self._news.wait()
        except TimeoutError:
            raise Refusal("not_moved", "somebody who was to be moved did not arrive in the room") from None

    async def mute(self, name: str, member_id: str, *, muted: bool) -> None:
        """NotFound: nobody with this id is in the room."""
        member = self._member(name, member_id)
        if not member.present:
            raise NotFound("unknown_member", "there is nobody with this id in the room")
        await self._asterisk.mute(name, member.channel, muted=muted)

    async def put_out(self, name: str, member_id: str) -> None:
        """Put a member out, or stop calling one. A caller goes back to a seat. NotFound as for `mute`."""
        member = self._member(name, member_id)
        if member.present:
            await self._asterisk.kick(name, member.channel)
        else:
            await self._asterisk.stop_calling(member.id)

    async def end(self, name: str) -> None:
        """Put everybody out and stop calling. Refusal (`room_not_open`) if there is nobody."""
        room = self.get(name)
        if not room.present and not room.pending:
            raise Refusal("room_not_open", f"nobody is in room {name}")
        if room.present:
            await self._asterisk.end(name)
        await self._stop_calling(room)

    async def _stop_calling(self, room: Room) -> None:
        for member in room.pending:
            try:
                await self._asterisk.stop_calling(member.id)
            except (LinkDown, Refusal) as error:
                log.info("not_called_any_more", room=room.name, party=member.party, error=str(error))

    def _member(self, name: str, member_id: str) -> Member:
        member = self.get(name).member(member_id)
        if member is None or not (member.present or member.pending):
            raise NotFound("unknown_member", "there is nobody with this id in the room")
        return member

    # -- what Asterisk says ------------------------------------------------------------------

    def on_event(self, event: RoomEvent) -> None:
        """Take in what has happened, tell those who watch, and look after who is left alone."""
        room = self._book.apply(event)
        if room is None:
            return
        self._tell(room, type(event).__name__)
        if isinstance(event, Ended) and room.pending:
            self._start(self._stop_calling(room))

    async def recover(self) -> None:
        """Find out who is in the rooms now: on every (re)connection to Asterisk."""
        for room in self._book.renew(await self._asterisk.found(), self._clock()):
            self._tell(room, "Recovered")

    async def close(self) -> None:
        """Stop watching; the rooms go on in Asterisk."""
        for timer in self._timers.values():
            timer.cancel()
        await end_all(self._tasks)

    def _tell(self, room: Room, happened: str) -> None:
        log.info(
            "room", room=room.name, happened=happened, present=len(room.present), called=len(room.pending)
        )
        self._feed.publish(self._clock(), "room", msgspec.to_builtins(self._view(room)))
        self._news.set()
        self._news = asyncio.Event()
        self._watch(room)

    def _watch(self, room: Room) -> None:
        """The dialplan ends a room that somebody has left; this is for who is alone for any other reason."""
        if (timer := self._timers.pop(room.name, None)) is not None:
            timer.cancel()
        lone = room.lone
        if lone is not None:
            soon = room.peopled or lone.kind is MemberKind.CALLER
            self._timers[room.name] = asyncio.get_running_loop().call_later(
                LEFT_OVER if soon else FIRST_COMER, lambda: self._start(self._end_for(room.name, lone.id))
            )

    async def _end_for(self, name: str, lone_id: str) -> None:
        lone = self.get(name).lone
        if lone is None or lone.id != lone_id:
            return
        try:
            await self._asterisk.end(name)
        except (LinkDown, Refusal) as error:
            log.warning("lone_member_not_put_out", room=name, error=str(error))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
