"""The joint room's rules without Asterisk: a caller is always with somebody, and nobody is left alone for long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telephony import rooms as rules
from telephony.errors import LinkDown, Refusal
from telephony.feed import Feed
from telephony.room_book import Called, Ended, Joined, Left, MemberKind
from telephony.rooms import Guest, Parties, Rooms
from tests.adapters.http_hotline import MemoryRooms, settings

PARTIES = Parties("c-1", "caller", "taker", ("fire", "gas"))


class Moving(MemoryRooms):
    """Whoever is moved arrives, but for those in `lost`; `pair_fails` refuses the last move."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: Rooms | None = None
        self.lost: set[str] = set()
        self.apart = False
        self.pair_fails: Exception | None = None
        self.now: list[Joined | Called] = []

    async def together(self, channels: list[str]) -> bool:
        return not self.apart

    async def move(self, room: str, channel: str) -> None:
        await super().move(room, channel)
        self.arrive(channel, MemberKind.LINE)

    async def move_pair(self, room: str, official: str, caller: str) -> None:
        if self.pair_fails:
            raise self.pair_fails
        await super().move_pair(room, official, caller)
        self.arrive(official, MemberKind.SEAT)
        self.arrive(caller, MemberKind.CALLER)

    async def found(self) -> list[Joined | Called]:
        return self.now

    def arrive(self, channel: str, kind: MemberKind) -> None:
        assert self.rooms is not None
        if channel not in self.lost:
            self.rooms.on_event(joined(channel, kind))


def joined(name: str, kind: MemberKind = MemberKind.LINE) -> Joined:
    return Joined(1.0, "room", name, name, kind, name, "", muted=False)


@pytest.fixture
async def asterisk(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(rules, "MOVED", 0.05)
    monkeypatch.setattr(rules, "LEFT_OVER", 0.02)
    monkeypatch.setattr(rules, "FIRST_COMER", 0.2)
    asterisk = Moving()
    asterisk.rooms = Rooms(settings(), asterisk, Feed(), iter("abcdefgh").__next__, lambda: 1.0)
    yield asterisk
    await asterisk.rooms.close()


async def until_asked(asterisk: Moving, what: tuple[str, ...]) -> None:
    async with asyncio.timeout(2):
        while what not in asterisk.asked:  # noqa: ASYNC110  # the fake has no event to wait for
            await asyncio.sleep(0.001)


async def test_partners_go_first_and_the_caller_last_together_with_the_taker(asterisk: Moving) -> None:
    await asterisk.rooms.bring("room", PARTIES)
    assert asterisk.asked == [
        ("move", "room", "fire"),
        ("move", "room", "gas"),
        ("move_pair", "taker", "caller"),
    ]


async def test_parties_who_are_not_in_one_conversation_stay_where_they_are(asterisk: Moving) -> None:
    asterisk.apart = True
    with pytest.raises(Refusal) as refused:
        await asterisk.rooms.bring("room", PARTIES)
    assert (refused.value.code, asterisk.asked) == ("not_together", [])


@pytest.mark.parametrize("error", [LinkDown("gone"), Refusal("asterisk_refused", "no such channel")])
async def test_partners_are_brought_back_when_caller_and_taker_cannot_be_moved(
    asterisk: Moving, error: Exception
) -> None:
    asterisk.pair_fails = error
    with pytest.raises(Refusal) as refused:
        await asterisk.rooms.bring("room", PARTIES)
    assert refused.value.code == "not_moved"
    assert asterisk.asked[-2:] == [("move_back", "fire"), ("move_back", "gas")]


async def test_a_partner_who_does_not_arrive_leaves_the_call_as_it_was(asterisk: Moving) -> None:
    asterisk.lost = {"gas"}
    with pytest.raises(Refusal):
        await asterisk.rooms.bring("room", PARTIES)
    assert asterisk.asked[-2:] == [("move_back", "fire"), ("move_back", "gas")]
    assert ("move_pair", "taker", "caller") not in asterisk.asked


async def test_a_caller_alone_in_a_room_is_put_out_to_go_back_to_a_seat(asterisk: Moving) -> None:
    asterisk.rooms.on_event(joined("caller", MemberKind.CALLER))
    await asterisk.rooms.call_in("room", [Guest(MemberKind.LINE, "119")])
    await until_asked(asterisk, ("end", "room"))


async def test_the_one_who_is_left_is_put_out_and_one_who_waits_for_others_is_not_yet(
    asterisk: Moving,
) -> None:
    asterisk.rooms.on_event(joined("fire"))
    await asterisk.rooms.call_in("room", [Guest(MemberKind.LINE, "119")])
    await asyncio.sleep(0.05)  # longer than the one who is left may stay
    assert ("end", "room") not in asterisk.asked
    asterisk.rooms.on_event(joined("a"))
    asterisk.rooms.on_event(Left(2.0, "room", "a"))
    await until_asked(asterisk, ("end", "room"))


async def test_when_the_conference_is_over_nobody_is_called_into_it_any_more(asterisk: Moving) -> None:
    asterisk.rooms.on_event(joined("fire"))
    await asterisk.rooms.call_in("room", [Guest(MemberKind.LINE, "119")])
    asterisk.rooms.on_event(Ended(2.0, "room"))
    await until_asked(asterisk, ("stop_calling", "a"))
    assert asterisk.rooms.view("room").since is None


async def test_after_the_link_was_down_the_room_is_as_asterisk_says(asterisk: Moving) -> None:
    asterisk.rooms.on_event(joined("fire"))
    asterisk.rooms.on_event(joined("gas"))
    asterisk.now = [joined("gas"), Called(1.0, "room", "b", MemberKind.LINE, "119")]
    await asterisk.rooms.recover()
    states = {member.party: member.state for member in asterisk.rooms.view("room").members}
    assert states == {"gas": "present", "119": "calling"}
    asterisk.now = []
    await asterisk.rooms.recover()
    assert (asterisk.rooms.view("room").since, asterisk.rooms.view("room").members) == (None, [])
