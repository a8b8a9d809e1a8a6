"""The feed: numbered without holes, resumed without loss, or said to be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from telephony.feed import Feed, FeedEvent, FeedGap


def filled(events: int, *, capacity: int = 10) -> Feed:
    feed = Feed(capacity=capacity)
    for number in range(1, events + 1):
        feed.publish(float(number), "call", {"n": number})
    return feed


def numbers(events: list[FeedEvent]) -> list[int]:
    return [event.seq for event in events]


async def take(watcher: AsyncGenerator[FeedEvent, None], count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(watcher)).seq for _ in range(count)]


class TestSince:
    def test_events_are_numbered_from_one_without_holes(self) -> None:
        assert numbers(filled(3).since(0)) == [1, 2, 3]

    def test_only_what_came_after_the_number_is_given(self) -> None:
        feed = filled(5)
        assert numbers(feed.since(3)) == [4, 5]
        assert feed.since(5) == []

    def test_what_is_no_longer_kept_is_a_gap_and_not_a_shorter_list(self) -> None:
        feed = filled(12, capacity=10)
        assert feed.oldest_seq == 2
        assert numbers(feed.since(2)) == list(range(3, 13))
        with pytest.raises(FeedGap):
            feed.since(1)

    def test_a_number_that_was_never_given_is_a_gap(self) -> None:
        with pytest.raises(FeedGap):
            filled(3).since(4)

    def test_an_empty_feed_has_nothing_and_misses_nothing(self) -> None:
        feed = Feed()
        assert (feed.since(0), feed.last_seq, feed.oldest_seq) == ([], 0, 0)


class TestRestore:
    def test_numbers_go_on_and_old_events_can_be_read(self) -> None:
        feed = Feed()
        feed.restore(filled(3).since(0), 3)
        assert feed.publish(9.0, "call", {}).seq == 4
        assert numbers(feed.since(1)) == [2, 3, 4]

    def test_after_a_jump_an_old_number_is_a_gap(self) -> None:
        feed = Feed()
        feed.restore([], 1_000_000)
        feed.publish(9.0, "call", {})
        assert numbers(feed.since(1_000_000)) == [1_000_001]
        with pytest.raises(FeedGap):
            feed.since(3)

    def test_numbers_never_go_back(self) -> None:
        feed = Feed(last_seq=7)
        feed.restore([], 3)
        assert feed.publish(1.0, "call", {}).seq == 8


class TestWatch:
    async def test_a_watcher_gets_what_was_and_then_what_comes(self) -> None:
        feed = filled(3)
        watcher = feed.watch(1)
        assert await take(watcher, 2) == [2, 3]
        waiting = asyncio.create_task(take(watcher, 2))
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.publish(4.0, "call", {})
        feed.publish(5.0, "leg", {})
        assert await waiting == [4, 5]

    async def test_watchers_get_the_same_in_the_same_order(self) -> None:
        feed = Feed()
        watching = [asyncio.create_task(take(feed.watch(0), 20)) for _ in range(3)]
        for number in range(20):
            feed.publish(float(number), "call", {})
            if number % 3 == 0:
                await asyncio.sleep(0)
        assert await asyncio.gather(*watching) == [list(range(1, 21))] * 3

    async def test_what_is_published_while_a_watcher_is_busy_with_one_event_is_not_lost(self) -> None:
        feed = filled(1)
        watcher = feed.watch(0)
        assert await take(watcher, 1) == [1]
        feed.publish(2.0, "call", {})
        feed.publish(3.0, "call", {})
        assert await take(watcher, 2) == [2, 3]

    async def test_a_watcher_who_is_too_slow_is_told_of_the_gap(self) -> None:
        feed = filled(2, capacity=3)
        watcher = feed.watch(1)
        assert await take(watcher, 1) == [2]
        for number in range(4):
            feed.publish(float(number), "call", {})
        with pytest.raises(FeedGap):
            await take(watcher, 1)

    async def test_a_watcher_who_goes_away_disturbs_no_other(self) -> None:
        feed = Feed()
        leaving, staying = (
            asyncio.create_task(take(feed.watch(0), 1)),
            asyncio.create_task(take(feed.watch(0), 1)),
        )
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        feed.publish(1.0, "call", {})
        assert await staying == [1]
