"""Calls and closed lines in a real Redis."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from telephony.core.call import (
    Call,
    Caller,
    EndReason,
    Hangup,
    Leg,
    LegState,
    Mode,
    Role,
    Transfer,
    TransferState,
)
from telephony.errors import StoreDown
from telephony.settings import HistorySettings
from telephony.store import RedisClosedLines, RedisLink, RedisStore, records
from telephony.store.calls import LIVE_EXPIRES, RECENT, RECENT_EXPIRES
from telephony.store.link import Command
from tests.adapters.store.server import KEYS, RedisServer, missing
from tests.adapters.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "redis-server is there")

LINES = ("12345", "119", "gas")


@pytest.fixture
def store(link: RedisLink) -> RedisStore:
    return RedisStore(link, KEYS, HistorySettings())


def a_call(call_id: str = "110-a-1732430000.12") -> Call:
    """A call with something in every field."""
    return Call(
        id=call_id,
        caller=Caller("+8613800138000", withheld=True),
        via="carrier",
        arrived_at=1732430000.125,
        legs=(
            Leg(call_id, "PJSIP/carrier-1", Role.CALLER, "carrier", LegState.TALKING, "bridge", 1732430001.5),
            Leg("1.3", "PJSIP/1001-2", Role.TAKER, "1001", LegState.ENDED, "", 3.0, Hangup(16, 487)),
        ),
        transfers=(
            Transfer(
                "t1", "12345", Mode.COLD, TransferState.JOINED, "1001", 4.0, note="漏气 🔥", joined_at=9.0
            ),
            Transfer(
                "t2", "gas", Mode.WARM, TransferState.ENDED, "1001", 5.0, reason=EndReason.BUSY, q850=17
            ),
        ),
        seat="1001",
        case_id="JQ2024-1",
        answered_at=1732430002.0,
        rescues=1,
    )


BAD = {
    "empty object": b"{}",
    "not JSON": b"hello",
    "not UTF-8": records.encode(a_call("bad")).replace(b"carrier", b"carri\xff\xfe"),
    "half a surrogate": records.encode(a_call("bad")).replace(b"carrier", rb"\ud800"),
    "unknown version": records.encode(a_call("bad")).replace(b'"version":1', b'"version":2'),
    "version of a wrong type": records.encode(a_call("bad")).replace(b'"version":1', b'"version":"1"'),
    "number for text": records.encode(a_call("bad")).replace(b'"+8613800138000"', b"8613800138000"),
    "unknown state": records.encode(a_call("bad")).replace(b'"talking"', b'"dreaming"'),
    "another call's": records.encode(a_call("another")),
    "deep": b'{"x":' * 40_000,
    "too large": records.encode(a_call("bad")).replace(b"1001", b"1" * records.LIMIT),
    "a foreign program's": b"\x80\x04\x95\x10\x00\x00\x00\x00",
    "cut off": records.encode(a_call("bad"))[:-10],
}


class TestLiveCalls:
    """What is saved is there after a restart, exactly; what is over is not."""

    async def test_a_saved_call_comes_back_exactly(self, store: RedisStore) -> None:
        await store.save(a_call())
        assert await store.load_all() == ([a_call()], [])

    async def test_a_later_save_replaces_the_earlier_one(self, store: RedisStore) -> None:
        await store.save(a_call())
        later = replace(a_call(), seat="1002", legs=())
        await store.save(later)
        assert await store.load_all() == ([later], [])

    async def test_live_calls_survive_a_restart_of_redis(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        await store.save(a_call())
        await server.stop()
        await server.start()
        assert await store.load_all() == ([a_call()], [])

    async def test_a_live_call_and_the_index_expire_by_themselves(
        self, store: RedisStore, redis: Redis
    ) -> None:
        call = a_call()
        await store.save(call)
        for key in (KEYS.call(call.id), KEYS.calls):
            await redis.expire(key, 100)
        await store.save(call)
        for key in (KEYS.call(call.id), KEYS.calls):
            assert LIVE_EXPIRES - 5 < await redis.ttl(key) <= LIVE_EXPIRES

    async def test_a_call_that_expired_leaves_the_index_when_it_is_looked_for(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await store.save(a_call("1"))
        await store.save(a_call("2"))
        await redis.delete(KEYS.call("1"))
        assert await store.load_all() == ([a_call("2")], [])
        assert await redis.smembers(KEYS.calls) == {b"2"}

    async def test_two_hotlines_in_one_redis_do_not_meet(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        await store.save(a_call())
        other_keys = type(KEYS)("1101")
        other = RedisStore(store._link, other_keys, HistorySettings())
        await other.save(a_call("other"))
        assert await store.load_all() == ([a_call()], [])
        assert await other.load_all() == ([a_call("other")], [])

    async def test_thousands_of_calls_are_loaded_whole(self, store: RedisStore, redis: Redis) -> None:
        wanted = {f"call-{n}": a_call(f"call-{n}") for n in range(3000)}
        await redis.mset({KEYS.call(name): records.encode(call) for name, call in wanted.items()})
        await redis.sadd(KEYS.calls, *wanted)
        calls, broken = await store.load_all()
        assert {call.id: call for call in calls} == wanted
        assert len(calls) == len(wanted)
        assert broken == []

    async def test_thousands_of_saves_at_once_all_arrive(self, store: RedisStore) -> None:
        # Enough to need every connection many times over, few enough for a busy machine's deadline.
        await asyncio.gather(*(store.save(a_call(f"call-{n}")) for n in range(500)))
        calls, _ = await store.load_all()
        assert len(calls) == 500

    async def test_saving_is_one_round_trip(self, store: RedisStore, redis: Redis) -> None:
        await store.save(a_call())
        before = (await redis.info("stats"))["total_reads_processed"]
        await store.save(a_call())
        after = (await redis.info("stats"))["total_reads_processed"]
        assert after - before == 2  # the save, and this INFO


class TestEndedCalls:
    """A call that is over is no longer live, and is kept for a while."""

    async def test_a_finished_call_is_recent_and_not_live(self, store: RedisStore, redis: Redis) -> None:
        call = a_call()
        await store.save(call)
        await store.finish(call)
        assert await store.load_all() == ([], [])
        assert await store.recent() == [call]
        assert await redis.exists(KEYS.call(call.id)) == 0

    async def test_recent_calls_are_newest_first_bounded_and_expiring(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await redis.lpush(KEYS.recent, *([records.encode(a_call("old"))] * RECENT))
        await store.finish(a_call("1"))
        await store.finish(a_call("2"))
        assert [call.id for call in await store.recent(3)] == ["2", "1", "old"]
        assert await redis.llen(KEYS.recent) == RECENT
        assert RECENT_EXPIRES - 5 < await redis.ttl(KEYS.recent) <= RECENT_EXPIRES

    async def test_a_call_that_ended_while_redis_was_away_is_finished_later(
        self, server: RedisServer, link: RedisLink, store: RedisStore
    ) -> None:
        await store.save(a_call())
        await server.stop()
        with pytest.raises(StoreDown):
            await store.finish(a_call())
        await store.settle()  # Redis is still away: it stays to be done
        await server.start()
        assert await link.probe()
        await store.settle()
        assert await store.load_all() == ([], [])
        assert await store.recent() == [a_call()]

    async def test_a_broken_recent_record_hides_no_other(self, store: RedisStore, redis: Redis) -> None:
        await store.finish(a_call("1"))
        await redis.lpush(KEYS.recent, b"\xff\xfe")
        await store.finish(a_call("2"))
        assert [call.id for call in await store.recent()] == ["2", "1"]


class TestHostileRecords:
    """Whatever stands in Redis, the good calls are loaded and the bad ones are named."""

    @pytest.mark.parametrize("record", BAD.values(), ids=BAD.keys())
    async def test_a_bad_record_is_named_and_skipped(
        self, store: RedisStore, redis: Redis, record: bytes
    ) -> None:
        await store.save(a_call("good"))
        await redis.set(KEYS.call("bad"), record)
        await redis.sadd(KEYS.calls, "bad")
        assert await store.load_all() == ([a_call("good")], ["bad"])
        assert await redis.get(KEYS.call("bad")) == record

    async def test_a_record_of_another_redis_type_is_named_and_skipped(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await store.save(a_call("good"))
        await redis.rpush(KEYS.call("list"), "x")
        await redis.hset(KEYS.call("hash"), "x", "y")
        await redis.sadd(KEYS.calls, "list", "hash")
        calls, broken = await store.load_all()
        assert (calls, sorted(broken)) == ([a_call("good")], ["hash", "list"])

    async def test_a_record_of_another_redis_type_can_be_saved_over(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await redis.rpush(KEYS.call("1"), "x")
        await store.save(a_call("1"))
        assert await store.load_all() == ([a_call("1")], [])

    async def test_an_id_that_is_no_text_is_named_and_skipped(self, store: RedisStore, redis: Redis) -> None:
        await store.save(a_call("good"))
        await redis.sadd(KEYS.calls, b"\xff")
        await redis.set(KEYS.call_prefix + b"\xff", records.encode(a_call("good")))
        assert await store.load_all() == ([a_call("good")], ["\\xff"])

    async def test_a_gigantic_record_does_not_cost_the_others_their_deadline(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await store.save(a_call("good"))
        await redis.setrange(KEYS.call("huge"), 200 * 1024 * 1024, "x")
        await redis.sadd(KEYS.calls, "huge")
        before = (await redis.info("stats"))["total_net_output_bytes"]
        assert await store.load_all() == ([a_call("good")], ["huge"])
        sent = (await redis.info("stats"))["total_net_output_bytes"] - before
        assert sent < 2 * records.LIMIT

    async def test_an_index_of_a_wrong_type_is_set_aside_and_the_calls_are_found(
        self, store: RedisStore, redis: Redis
    ) -> None:
        await store.save(a_call("1"))
        await redis.delete(KEYS.calls)
        await redis.set(KEYS.calls, "not yours")
        assert await store.load_all() == ([a_call("1")], [])
        assert await redis.get(f"{KEYS.calls}:set-aside") == b"not yours"
        assert await redis.ttl(f"{KEYS.calls}:set-aside") > 0

    async def test_wrong_types_do_not_keep_a_call_from_being_saved_or_finished(
        self, store: RedisStore, redis: Redis, link: RedisLink
    ) -> None:
        await redis.set(KEYS.calls, "not yours")
        await redis.set(KEYS.recent, "not yours")
        await store.save(a_call("1"))
        assert await store.load_all() == ([a_call("1")], [])
        await store.finish(a_call("1"))
        assert await store.recent() == [a_call("1")]
        assert link.up

    @pytest.mark.parametrize(
        "call",
        [replace(a_call(), case_id="\ud800"), replace(a_call(), case_id="x" * records.LIMIT)],
        ids=["half a surrogate", "too large"],
    )
    async def test_a_call_that_could_not_be_read_again_is_refused_and_redis_counts_as_up(
        self, store: RedisStore, link: RedisLink, call: Call
    ) -> None:
        with pytest.raises(StoreDown, match="cannot be written"):
            await store.save(call)
        assert link.up
        assert await store.load_all() == ([], [])


class TestClosedLines:
    """What an administrator says about a line holds at once, and after a restart."""

    async def test_a_closed_line_is_closed_after_a_restart(self, link: RedisLink) -> None:
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.set("119", closed=True)
        assert "119" in lines
        again = RedisClosedLines(link, KEYS, LINES)
        await again.sync()
        assert [line for line in LINES if line in again] == ["119"]

    async def test_an_opened_line_is_open_after_a_restart(self, link: RedisLink) -> None:
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.set("119", closed=True)
        await lines.set("119", closed=False)
        again = RedisClosedLines(link, KEYS, LINES)
        await again.sync()
        assert "119" not in again

    async def test_the_closed_lines_never_expire(self, link: RedisLink, redis: Redis) -> None:
        await RedisClosedLines(link, KEYS, LINES).set("119", closed=True)
        assert await redis.ttl(KEYS.closed_lines) == -1

    async def test_closing_takes_effect_without_redis_and_is_written_when_it_is_back(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.sync()
        await server.stop()
        await lines.set("119", closed=True)
        assert "119" in lines
        await server.start()
        assert await link.probe()
        await lines.sync()
        again = RedisClosedLines(link, KEYS, LINES)
        await again.sync()
        assert "119" in again

    async def test_what_is_said_before_redis_is_there_beats_what_an_earlier_run_wrote(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        earlier = RedisClosedLines(link, KEYS, LINES)
        await earlier.set("119", closed=True)
        await earlier.set("gas", closed=True)
        await server.stop()
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.sync()
        await lines.set("119", closed=False)
        await lines.set("12345", closed=True)
        await server.start()
        assert await link.probe()
        await lines.sync()
        assert [line for line in LINES if line in lines] == ["12345", "gas"]
        again = RedisClosedLines(link, KEYS, LINES)
        await again.sync()
        assert [line for line in LINES if line in again] == ["12345", "gas"]

    async def test_memory_is_the_truth_when_redis_has_lost_everything(
        self, link: RedisLink, redis: Redis
    ) -> None:
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.sync()
        await lines.set("119", closed=True)
        await redis.flushall()
        await lines.sync()
        assert "119" in lines
        assert await redis.smembers(KEYS.closed_lines) == {b"119"}

    async def test_strange_members_are_neither_lines_nor_touched(self, link: RedisLink, redis: Redis) -> None:
        await redis.sadd(KEYS.closed_lines, b"\xff\xfe", "x" * 1000, "119")
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.sync()
        assert [line for line in LINES if line in lines] == ["119"]
        assert await redis.scard(KEYS.closed_lines) == 3

    async def test_a_key_of_a_wrong_type_is_set_aside(self, link: RedisLink, redis: Redis) -> None:
        await redis.set(KEYS.closed_lines, "not yours")
        lines = RedisClosedLines(link, KEYS, LINES)
        await lines.sync()
        await lines.set("119", closed=True)
        assert await redis.smembers(KEYS.closed_lines) == {b"119"}

    async def test_of_two_words_on_one_line_the_later_is_kept_though_the_earlier_is_slow(
        self, link: RedisLink, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exchange = link._exchange
        first_may_go, asked = asyncio.Event(), 0

        async def slow_at_first(commands: tuple[Command, ...]) -> list[Any]:
            nonlocal asked
            asked += 1
            if asked == 1:
                await first_may_go.wait()
            return await exchange(commands)

        monkeypatch.setattr(link, "_exchange", slow_at_first)
        lines = RedisClosedLines(link, KEYS, LINES)
        first = asyncio.create_task(lines.set("119", closed=True))
        await until(lambda: asked == 1)
        second = asyncio.create_task(lines.set("119", closed=False))
        await until(lambda: "119" not in lines)
        first_may_go.set()
        await asyncio.gather(first, second)
        assert "119" not in lines
        assert await redis.smembers(KEYS.closed_lines) == set()


async def test_the_whole_of_an_outage_leaves_nothing_unwritten(server: RedisServer, redis: Redis) -> None:
    """The wiring that the application does: what fails in an outage is written on return."""
    link = server.link()
    store = RedisStore(link, KEYS, HistorySettings())
    lines = RedisClosedLines(link, KEYS, LINES)
    unsaved: list[Call] = []
    ups: list[str] = []

    async def on_up() -> None:
        await lines.sync()
        await store.settle()
        for call in list(unsaved):
            await store.save(call)
            unsaved.remove(call)
        ups.append("up")

    running = asyncio.create_task(link.run(on_up, lambda reason: ups.append(reason)))
    await until(lambda: ups == ["up"])
    await store.save(a_call("ends"))
    server.freeze()
    with pytest.raises(StoreDown):
        await store.save(a_call("lives"))
    unsaved.append(a_call("lives"))
    with pytest.raises(StoreDown):
        await store.finish(a_call("ends"))
    await lines.set("119", closed=True)
    server.thaw()
    await until(lambda: ups[-1] == "up" and not unsaved)
    assert ups[0] == ups[-1] == "up"
    assert await store.load_all() == ([a_call("lives")], [])
    assert await store.recent() == [a_call("ends")]
    assert await redis.smembers(KEYS.closed_lines) == {b"119"}
    running.cancel()
    await link.close()
