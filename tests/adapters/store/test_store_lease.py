"""The lease and the fence in a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from telephony.core.call import Call, Caller
from telephony.core.lease import HIGHEST, TTL, Hold, Lease
from telephony.errors import Deposed, StoreDown
from telephony.feed import Feed
from telephony.settings import HistorySettings, RedisSettings
from telephony.store import FeedLog, FencedLink, RedisClosedLines, RedisLease, RedisLink, RedisStore
from tests.adapters.store.server import KEYS, RedisServer, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ME = ("110-a", "127.0.0.1:8110", "127.0.0.1:4573")
OTHER = ("110-b", "127.0.0.1:8115", "127.0.0.1:4999")
CALL = Call("110-a-1.1", Caller("13800138000", withheld=False), "carrier", 1.0)


@pytest.fixture
def lease(link: RedisLink) -> RedisLease:
    return RedisLease(link, KEYS)


@pytest.fixture
async def fenced(server: RedisServer) -> AsyncIterator[FencedLink]:
    link = FencedLink(RedisSettings(url=server.url, deadline=2.0), "", KEYS, interval=0.05)
    assert await link.probe()
    yield link
    await link.close()


async def taken(lease: RedisLease, who: tuple[str, str, str] = ME, raw: bytes = b"", above: int = 0) -> Lease:
    found = await lease.take(raw, above, *who)
    assert found is not None
    return found


async def test_first_to_take_it_has_it_and_the_next_sees_whose_it_is(lease: RedisLease) -> None:
    mine = await taken(lease)
    assert await lease.take(b"", 0, *OTHER) is None
    found = await lease.look()
    assert (found.lease, found.fence) == (mine, mine.token)
    assert found.ttl is not None
    assert 0 < found.ttl <= TTL


async def test_of_many_that_take_it_at_once_one_gets_it(lease: RedisLease) -> None:
    got = await asyncio.gather(*(lease.take(b"", 0, f"n{n}", ME[1], ME[2]) for n in range(12)))
    assert len([one for one in got if one is not None]) == 1


async def test_every_holder_has_a_higher_token_than_all_before_and_than_asterisk_knows(
    lease: RedisLease, redis: Redis
) -> None:
    first = await taken(lease, above=41)
    await redis.delete(KEYS.lease)
    second = await taken(lease)
    await redis.flushall()
    third = await taken(lease, above=second.token)
    assert (first.token, second.token, third.token) == (42, 43, 44)


async def test_it_is_renewed_while_it_is_ours_and_no_longer(lease: RedisLease, redis: Redis) -> None:
    mine = await taken(lease)
    await redis.pexpire(KEYS.lease, 100)
    assert await lease.renew(mine, Hold.HELD) == mine
    assert await redis.pttl(KEYS.lease) > 1000
    offered = await lease.renew(mine, Hold.OFFERED)
    assert isinstance(offered, Lease)
    theirs = await taken(lease, OTHER, (await lease.look()).raw)
    found = await lease.renew(offered, Hold.HELD)
    assert not isinstance(found, Lease)
    assert found.lease == theirs


async def test_an_offer_that_was_taken_back_cannot_be_taken(lease: RedisLease) -> None:
    mine = await taken(lease)
    offered = await lease.renew(mine, Hold.OFFERED)
    assert isinstance(offered, Lease)
    seen = (await lease.look()).raw
    await lease.renew(offered, Hold.HELD)
    assert await lease.take(seen, 0, *OTHER) is None


async def test_a_lease_that_is_gone_is_not_renewed(lease: RedisLease, redis: Redis) -> None:
    mine = await taken(lease)
    await redis.delete(KEYS.lease)
    found = await lease.renew(mine, Hold.HELD)
    assert not isinstance(found, Lease)
    assert (found.raw, await redis.exists(KEYS.lease)) == (b"", 0)


GOOD = '{"token":%s,"node":"n","api":"%s","agi":"127.0.0.1:1","hold":"held"}'
HOSTILE = {
    "garbage": b"\xff\x00garbage",
    "huge": b"x" * 5_000_000,
    "an empty object": b"{}",
    "deeply nested": b"[" * 100_000,
    "a huge token": (GOOD % ("1" + "0" * 30, "127.0.0.1:1")).encode(),
    "a token one too high": (GOOD % (HIGHEST + 1, "127.0.0.1:1")).encode(),
    "a negative token": (GOOD % ("-1", "127.0.0.1:1")).encode(),
    "a broken token": (GOOD % ("1.5", "127.0.0.1:1")).encode(),
    "no token": (GOOD % ('"7"', "127.0.0.1:1")).encode(),
    "a path in the address": (GOOD % (7, "127.0.0.1:80/../x?")).encode(),
    "a user in the address": (GOOD % (7, "me@evil.example:80")).encode(),
    "a line end in the address": (GOOD % (7, r"127.0.0.1:80\r\nX: y")).encode(),
    "no port": (GOOD % (7, "127.0.0.1")).encode(),
    "a control character in the name": (GOOD % (7, "127.0.0.1:1")).replace('"n"', '"a\\r\\nb"').encode(),
    "a name of a million characters": (GOOD % (7, "127.0.0.1:1")).replace('"n"', f'"{"a" * 10**6}"').encode(),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_lease_is_nobodys_and_can_be_replaced(
    lease: RedisLease, redis: Redis, value: bytes
) -> None:
    await redis.set(KEYS.lease, value)
    found = await lease.look()
    assert (found.lease, found.ttl) == (None, None)
    assert 0 < len(found.raw) <= 1100
    mine = await taken(lease, raw=found.raw)
    assert (await lease.look()).lease == mine


async def test_a_key_of_another_type_is_nobodys_and_can_be_replaced(lease: RedisLease, redis: Redis) -> None:
    await redis.lpush(KEYS.lease, "x")
    await redis.lpush(KEYS.fence, "x")
    found = await lease.look()
    assert (found.lease, found.fence) == (None, 0)
    assert (await taken(lease, raw=found.raw, above=5)).token == 6


@pytest.mark.parametrize("fence", ["garbage", "1" + "0" * 30, "-5", "1e400", "nan", "7.5", ""])
async def test_a_fence_that_is_no_token_fences_nothing(
    lease: RedisLease, redis: Redis, fenced: FencedLink, fence: str
) -> None:
    await redis.set(KEYS.fence, fence)
    assert (await lease.look()).fence == 0
    fenced.token = 1
    await RedisStore(fenced, KEYS, HistorySettings()).save(CALL)
    assert (await taken(lease, above=1)).token == 2


# -- what is written under a token -----------------------------------------------------------


async def test_leader_writes_calls_and_reads_them_back(lease: RedisLease, fenced: FencedLink) -> None:
    fenced.token = (await taken(lease)).token
    store = RedisStore(fenced, KEYS, HistorySettings())
    await store.save(CALL)
    assert await store.load_all() == ([CALL], [])


async def test_a_write_that_was_on_its_way_while_the_lease_was_taken_again_deposes_nobody(
    lease: RedisLease, redis: Redis, fenced: FencedLink
) -> None:
    fenced.token = (await taken(lease)).token
    store, told = RedisStore(fenced, KEYS, HistorySettings()), []
    fenced.on_fenced = lambda: told.append("deposed")
    await redis.delete(KEYS.lease)
    again = await taken(lease)

    async def settled() -> None:
        """The answer to our own taking comes after the refusal of a write that was older."""
        fenced.token = again.token

    fenced.settled = settled
    await store.save(CALL)

    assert told == []
    assert await redis.exists(KEYS.call(CALL.id))


async def test_whoever_has_led_before_can_write_nothing_and_is_told_at_once(
    lease: RedisLease, redis: Redis, fenced: FencedLink
) -> None:
    fenced.token = (await taken(lease)).token
    store, told = RedisStore(fenced, KEYS, HistorySettings()), []
    fenced.on_fenced = lambda: told.append("deposed")
    await store.save(CALL)
    await redis.delete(KEYS.lease)
    await taken(lease, OTHER)
    before = {key: await redis.dump(key) for key in await redis.keys()}

    for write in (store.save(CALL), store.finish(CALL)):
        with pytest.raises(Deposed):
            await write
    await RedisClosedLines(fenced, KEYS, ["119"]).set("119", closed=True)
    feed = Feed()
    feed.publish(1.0, "call", {})
    assert not await FeedLog(fenced, KEYS).flush(feed)

    assert told
    assert {key: await redis.dump(key) for key in await redis.keys()} == before


async def test_a_fenced_write_of_a_key_of_another_type_still_sets_it_aside(
    redis: Redis, fenced: FencedLink
) -> None:
    await redis.set(KEYS.calls, "no set")
    await RedisStore(fenced, KEYS, HistorySettings()).save(CALL)
    assert await redis.get(f"{KEYS.calls}:set-aside") == b"no set"
    assert await redis.smembers(KEYS.calls) == {CALL.id.encode()}


async def test_a_full_redis_opens_the_breaker_for_fenced_writes_too(redis: Redis, fenced: FencedLink) -> None:
    await redis.config_set("maxmemory", "1")
    with pytest.raises(StoreDown):
        await RedisStore(fenced, KEYS, HistorySettings()).save(CALL)
    assert not fenced.up
