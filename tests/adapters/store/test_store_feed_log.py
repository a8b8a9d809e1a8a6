"""The feed across restarts of the controller and of Redis: no number is ever used twice."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from telephony.feed import Feed, FeedEvent, FeedGap
from telephony.store import FeedLog, RedisLink
from telephony.store.feed_log import BLOCK, CAPACITY, EXPIRES
from tests.adapters.store.server import KEYS, RedisServer, missing
from tests.adapters.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "redis-server is there")

NOW = 1_732_430_000.0
FIRST = 1_732_430_000_000  # the number before a run's first event: the same in milliseconds


class Run:
    """One run of a controller, as far as the feed is concerned."""

    def __init__(self, link: RedisLink, now: float = NOW, capacity: int = CAPACITY) -> None:
        self.feed = Feed(capacity=capacity)
        self.log = FeedLog(link, KEYS, clock=lambda: now)

    async def start(self) -> Run:
        start = await self.log.load()
        self.feed.restore(start.events, start.last_seq)
        return self

    def publish(self, count: int) -> list[FeedEvent]:
        return [self.feed.publish(NOW + n / 3, "call", {"id": f"呼叫 {n}"}) for n in range(count)]

    async def stop(self) -> None:
        await self.log.close(self.feed)


class TestOrderlyStop:
    """After it a watcher goes on where it was."""

    async def test_numbers_go_on_and_a_watcher_misses_nothing(self, link: RedisLink) -> None:
        first = await Run(link).start()
        seen = first.publish(3)
        await first.stop()
        second = await Run(link, NOW + 60).start()
        later = second.publish(2)
        assert second.feed.since(seen[0].seq) == [*seen[1:], *later]
        assert later[0].seq == seen[-1].seq + 1

    async def test_it_works_over_several_restarts(self, link: RedisLink) -> None:
        events: list[FeedEvent] = []
        for _ in range(4):
            run = await Run(link).start()
            events += run.publish(2)
            await run.stop()
        last = await Run(link).start()
        assert last.feed.since(events[0].seq - 1) == events

    async def test_a_run_without_events_loses_nothing(self, link: RedisLink) -> None:
        first = await Run(link).start()
        seen = first.publish(3)
        await first.stop()
        await (await Run(link).start()).stop()
        third = await Run(link).start()
        assert third.feed.since(seen[0].seq) == seen[1:]

    async def test_more_events_than_one_batch_come_back(self, link: RedisLink) -> None:
        first = await Run(link).start()
        seen = first.publish(1700)
        await first.stop()
        assert (await Run(link).start()).feed.since(seen[0].seq - 1) == seen

    async def test_the_stream_is_bounded_and_expires(self, link: RedisLink, redis: Redis) -> None:
        run = await Run(link).start()
        for _ in range(3):
            run.publish(CAPACITY // 2)
            assert await run.log.flush(run.feed)
        await run.stop()
        assert CAPACITY <= await redis.xlen(KEYS.feed) <= CAPACITY + 200
        assert EXPIRES - 5 < await redis.ttl(KEYS.feed) <= EXPIRES
        second = await Run(link).start()
        assert len(second.feed.since(run.feed.last_seq - CAPACITY)) == CAPACITY


class TestCrash:
    """After it numbers jump, and a watcher is told that it has missed something."""

    async def test_numbers_that_were_seen_and_not_written_are_not_used_again(self, link: RedisLink) -> None:
        first = await Run(link).start()
        first.publish(3)
        assert await first.log.flush(first.feed)
        unwritten = first.publish(100)
        second = await Run(link).start()  # at the same millisecond: the clock does not help
        (event,) = second.publish(1)
        assert event.seq > unwritten[-1].seq + BLOCK / 2
        for seq in (FIRST, FIRST + 2, unwritten[0].seq, unwritten[-1].seq):
            with pytest.raises(FeedGap):
                second.feed.since(seq)

    async def test_a_crash_after_an_orderly_stop_is_known_as_one(self, link: RedisLink) -> None:
        first = await Run(link).start()
        seen = first.publish(3)
        await first.stop()
        second = await Run(link).start()
        second.publish(5)  # and it crashes
        third = await Run(link).start()
        third.publish(1)
        with pytest.raises(FeedGap):
            third.feed.since(seen[-1].seq)

    async def test_a_clock_that_went_back_does_not_bring_numbers_back(self, link: RedisLink) -> None:
        first = await Run(link).start()
        seen = first.publish(3)
        assert await first.log.flush(first.feed)
        second = await Run(link, NOW - 3600).start()
        assert second.publish(1)[0].seq > seen[-1].seq

    async def test_a_redis_that_lost_everything_does_not_bring_numbers_back(
        self, link: RedisLink, redis: Redis
    ) -> None:
        first = await Run(link).start()
        seen = first.publish(50)
        await first.stop()
        await redis.flushall()
        second = await Run(link, NOW + 1).start()
        assert second.publish(1)[0].seq > seen[-1].seq


class TestAway:
    """Redis away: the feed goes on, and what can be written is written later."""

    async def test_a_start_without_redis_takes_its_numbers_from_the_clock(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        await server.stop()
        run = await Run(link).start()
        assert run.publish(1)[0].seq == FIRST + 1
        await run.stop()

    async def test_events_of_an_outage_are_written_when_it_is_over(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        run = await Run(link).start()
        seen = run.publish(3)
        assert await run.log.flush(run.feed)
        await server.stop()
        seen += run.publish(700)
        assert not await run.log.flush(run.feed)
        await server.start()
        assert await link.probe()
        await run.stop()
        assert (await Run(link).start()).feed.since(FIRST) == seen

    async def test_events_that_redis_wrote_without_telling_are_not_written_twice(
        self, server: RedisServer, redis: Redis
    ) -> None:
        link = server.link()
        assert await link.probe()
        run = await Run(link).start()
        run.publish(1)
        assert await run.log.flush(run.feed)
        seen = run.publish(10)
        server.freeze()
        assert not await run.log.flush(run.feed)  # sent, and never answered
        server.thaw()
        async with asyncio.timeout(10):
            while await redis.xlen(KEYS.feed) < 11:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
        assert await link.probe()
        seen += run.publish(2)
        await run.stop()
        again = await Run(link).start()
        assert again.feed.since(FIRST + 1) == seen
        await link.close()

    async def test_a_write_that_was_cancelled_is_finished_by_the_next(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        run = await Run(link).start()
        seen = run.publish(10)
        assert await run.log.flush(run.feed)
        seen += run.publish(10)
        server.freeze()
        writing = asyncio.create_task(run.log.flush(run.feed))
        await until(lambda: not run.log._certain)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        server.thaw()
        assert await run.log.flush(run.feed)
        await run.stop()
        assert (await Run(link).start()).feed.since(FIRST) == seen

    async def test_what_the_feed_no_longer_keeps_is_counted_as_lost(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        run = await Run(link, capacity=100).start()
        run.publish(10)
        assert await run.log.flush(run.feed)
        await server.stop()
        run.publish(300)
        await run.log.flush(run.feed)
        await server.start()
        assert await link.probe()
        later = run.publish(5)
        await run.log.flush(run.feed)
        later += run.publish(5)
        await run.stop()
        assert run.log.lost == 300
        again = await Run(link).start()
        assert again.feed.since(later[4].seq) == later[5:]
        with pytest.raises(FeedGap):
            again.feed.since(FIRST + 10)

    async def test_the_background_task_writes_by_itself(
        self, server: RedisServer, link: RedisLink, redis: Redis
    ) -> None:
        run = await Run(link).start()
        writing = asyncio.create_task(run.log.run(run.feed))
        run.publish(3)
        await until(lambda: run.log.written == run.feed.last_seq)
        assert await redis.xlen(KEYS.feed) == 3
        writing.cancel()


class TestHostileStream:
    """Whatever stands in the stream's place, new events are numbered and written."""

    async def test_a_key_of_a_wrong_type_is_set_aside(self, link: RedisLink, redis: Redis) -> None:
        await redis.set(KEYS.feed, "not yours")
        await redis.set(KEYS.feed_closed, "7")
        run = await Run(link).start()
        seen = run.publish(2)
        await run.stop()
        assert await redis.get(f"{KEYS.feed}:set-aside") == b"not yours"
        assert (await Run(link).start()).feed.since(FIRST) == seen

    async def test_a_wrong_type_that_comes_later_is_set_aside_too(
        self, link: RedisLink, redis: Redis
    ) -> None:
        run = await Run(link).start()
        run.publish(2)
        assert await run.log.flush(run.feed)
        await redis.delete(KEYS.feed)
        await redis.set(KEYS.feed, "not yours")
        run.publish(1)
        assert await run.log.flush(run.feed)
        assert await redis.xlen(KEYS.feed) == 1

    async def test_a_stream_with_the_highest_number_there_is_is_set_aside(
        self, link: RedisLink, redis: Redis
    ) -> None:
        await redis.xadd(KEYS.feed, {"x": "y"}, id="18446744073709551615-18446744073709551615")
        run = await Run(link).start()
        assert run.publish(1)[0].seq == FIRST + 1
        await run.stop()
        assert await redis.xlen(KEYS.feed) == 1

    async def test_a_foreign_entry_ahead_of_ours_does_not_keep_ours_out(
        self, link: RedisLink, redis: Redis
    ) -> None:
        run = await Run(link).start()
        run.publish(1)
        assert await run.log.flush(run.feed)
        await redis.xadd(KEYS.feed, {"x": "y"}, id=f"{FIRST * 2}-0")
        seen = run.publish(2)
        assert not await run.log.flush(run.feed)
        assert await run.log.flush(run.feed)
        await run.stop()
        assert (await Run(link).start()).feed.since(FIRST + 1) == seen

    @pytest.mark.parametrize(
        "fields",
        [
            {"at": "1.0", "type": "call", "data": b"\xff\xfe"},
            {"at": "1.0", "type": "call", "data": "[]"},
            {"at": "soon", "type": "call", "data": "{}"},
            {"at": "1.0", "type": b"\xff", "data": "{}"},
            {"x": "y"},
        ],
        ids=["not UTF-8", "not an object", "not a time", "not a type", "nothing of ours"],
    )
    async def test_of_a_stream_with_a_broken_entry_the_events_after_it_are_taken_over(
        self, link: RedisLink, redis: Redis, fields: dict[str, str | bytes]
    ) -> None:
        first = await Run(link).start()
        first.publish(2)
        assert await first.log.flush(first.feed)
        await redis.xadd(KEYS.feed, fields, id=f"{FIRST + 3}-0")
        first.feed.publish(NOW, "call", {})
        seen = first.publish(2)
        await first.stop()
        second = await Run(link).start()
        assert second.feed.since(FIRST + 3) == seen
        with pytest.raises(FeedGap):
            second.feed.since(FIRST + 2)

    @pytest.mark.parametrize("mark", [b"\xff\xfe", b"-1", b"12", b"", b"9" * 1000])
    async def test_a_false_mark_of_an_orderly_stop_is_not_believed(
        self, link: RedisLink, redis: Redis, mark: bytes
    ) -> None:
        first = await Run(link).start()
        seen = first.publish(2)
        assert await first.log.flush(first.feed)
        await redis.set(KEYS.feed_closed, mark)
        second = await Run(link).start()
        assert second.publish(1)[0].seq > seen[-1].seq + 1

    async def test_an_event_that_cannot_be_written_costs_no_other(self, link: RedisLink) -> None:
        run = await Run(link).start()
        run.feed.publish(NOW, "call", {"note": "\ud800"})
        seen = run.publish(2)
        await run.stop()
        assert run.log.lost == 1
        assert (await Run(link).start()).feed.since(FIRST + 1) == seen
