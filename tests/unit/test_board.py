"""The board tells what has changed, once, and nothing before anybody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Iterable
from dataclasses import replace
from typing import cast

import pytest

from telephony.board import Board
from telephony.feed import Feed
from telephony.switchboard import LineState, LineStatus, SeatState, SeatStatus, Switchboard

LINE = LineStatus("119", "消防", LineState.OPEN, 0, 30, "F6", "*2", ())
SEAT = SeatStatus("1001", "110", SeatState.IDLE, "")
CALL = {"legs": [{"role": "taker", "party": "1001"}, {"role": "caller", "party": "carrier"}]}


class Looks:
    """What the switchboard says of lines and seats, and what the lamps are asked to show."""

    ready = True

    def __init__(self) -> None:
        self.line, self.seat = LINE, SEAT
        self.looks = 0
        self.looked = asyncio.Event()
        self.lamps: list[LineState | None] = []

    def lines(self) -> list[LineStatus]:
        self.looks += 1
        self.looked.set()
        return [self.line]

    def seats(self, names: Container[str] | None = None) -> list[SeatStatus]:
        return [self.seat] if names is None or self.seat.seat in names else []

    async def show(self, lines: Iterable[LineStatus]) -> None:
        self.lamps += [line.state for line in lines]

    def forget(self) -> None:
        self.lamps.append(None)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
async def board(looks: Looks, feed: Feed) -> AsyncIterator[Board]:
    board = Board(cast(Switchboard, looks), feed, looks, lambda: 1.0)
    running = asyncio.create_task(board.run())
    yield board
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def told(feed: Feed, looks: Looks, number: int) -> list[tuple[str, str]]:
    """What the feed's line and seat events say, once the board has looked that many times."""
    async with asyncio.timeout(2):
        while looks.looks < number:
            looks.looked.clear()
            await looks.looked.wait()
    return [(e.type, e.data["state"]) for e in feed.since(feed.oldest_seq) if e.type in ("line", "seat")]


async def test_nothing_is_told_before_the_truth_is_known_and_then_all_of_it(
    board: Board, looks: Looks, feed: Feed
) -> None:
    board.moved()
    feed.publish(1.0, "call", CALL)
    await asyncio.sleep(0.1)
    assert (looks.looks, looks.lamps) == (0, [])

    board.renew()

    assert await told(feed, looks, 1) == [("line", "open"), ("seat", "idle")]
    assert looks.lamps == [None, LineState.OPEN]


async def test_only_what_has_changed_is_told_and_a_call_that_moves_makes_the_board_look(
    board: Board, looks: Looks, feed: Feed
) -> None:
    board.renew()
    await told(feed, looks, 1)
    looks.seat = replace(SEAT, state=SeatState.TALKING, call="c1")
    feed.publish(1.0, "call", CALL)
    await told(feed, looks, 2)
    board.moved()

    events = await told(feed, looks, 3)

    assert events == [("line", "open"), ("seat", "idle"), ("seat", "talking")]


async def test_seats_that_nothing_has_happened_to_are_not_looked_at(
    board: Board, looks: Looks, feed: Feed
) -> None:
    board.renew()
    await told(feed, looks, 1)
    looks.seat = replace(SEAT, state=SeatState.OFFLINE)
    board.moved(["1002"])
    assert await told(feed, looks, 2) == [("line", "open"), ("seat", "idle")]

    board.moved(["1001"])

    assert await told(feed, looks, 3) == [("line", "open"), ("seat", "idle"), ("seat", "offline")]


async def test_many_moves_in_a_moment_are_one_look(board: Board, looks: Looks, feed: Feed) -> None:
    board.renew()
    await told(feed, looks, 1)
    for _ in range(1000):
        feed.publish(1.0, "call", CALL)
        board.moved()

    await told(feed, looks, 2)
    await asyncio.sleep(0.1)

    assert looks.looks <= 3


async def test_lamps_are_left_alone_while_the_link_is_down(board: Board, looks: Looks, feed: Feed) -> None:
    board.renew()
    await told(feed, looks, 1)
    looks.ready, looks.line = False, replace(LINE, state=LineState.DOWN)
    board.moved()

    events = await told(feed, looks, 2)

    assert events[-1] == ("line", "down")
    assert looks.lamps == [None, LineState.OPEN]
