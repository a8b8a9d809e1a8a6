"""A number's calls in a real Redis: bounded, expiring, once each, and readable whatever else stands there."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from telephony.core.call import (
    Call,
    Caller,
    Diversion,
    DiversionKind,
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
from telephony.history import NOTE, Outcome, PastCall, PastDiversion, PastTransfer, past_call
from telephony.settings import HistorySettings
from telephony.store import RedisHistory, RedisLink, RedisStore
from telephony.store.history import LIMIT
from tests.adapters.store.server import KEYS, RedisServer, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "redis-server is there")

NUMBER = "13800138000"
KEY = KEYS.history(NUMBER)
DAY = 24 * 3600.0
NOW = 1732430000.125
LIMITS = HistorySettings(days=90, most=5)


@pytest.fixture
def store(link: RedisLink) -> RedisStore:
    return RedisStore(link, KEYS, LIMITS)


@pytest.fixture
def history(link: RedisLink) -> RedisHistory:
    return RedisHistory(link, KEYS, LIMITS)


def a_call(call_id: str = "1", at: float = NOW, number: str = NUMBER, *, withheld: bool = False) -> Call:
    """A parking-fee quarrel: 12345 had nobody free, and the matter was handed on as a case."""
    return Call(
        id=call_id,
        caller=Caller(number, withheld=withheld),
        via="carrier",
        arrived_at=at,
        legs=(Leg(call_id, "PJSIP/c", Role.CALLER, "carrier", LegState.ENDED, hangup=Hangup(16)),),
        transfers=(
            Transfer(
                "t1",
                "12345",
                Mode.WARM,
                TransferState.ENDED,
                "1001",
                at + 5,
                note="停车费",
                reason=EndReason.UNREACHABLE,
            ),
        ),
        seat="1001",
        case_id=f"J{call_id}",
        answered_at=at + 2,
        ended_at=at + 60,
        diversions=(Diversion("d1", DiversionKind.PLATFORM, "12345", "1001", at + 30, "停车费纠纷"),),
    )


async def ids(history: RedisHistory, since: float = 0.0) -> list[str]:
    return [call.call for call in await history.read(NUMBER, since)]


async def test_a_call_that_ends_is_in_its_numbers_history_with_what_it_was_about(
    store: RedisStore, history: RedisHistory
) -> None:
    await store.finish(a_call())
    assert await history.read(NUMBER, 0.0) == [
        PastCall(
            call="1",
            arrived_at=NOW,
            ended_at=NOW + 60,
            via="carrier",
            seat="1001",
            outcome=Outcome.FINISHED,
            case_id="J1",
            transfers=[PastTransfer("12345", EndReason.UNREACHABLE, "停车费")],
            diversions=[PastDiversion(DiversionKind.PLATFORM, "12345", "停车费纠纷")],
        )
    ]


async def test_history_is_newest_first_even_when_older_calls_are_written_later(
    store: RedisStore, history: RedisHistory
) -> None:
    for call_id, at in (("b", NOW), ("a", NOW - DAY), ("c", NOW + DAY)):
        await store.finish(a_call(call_id, at))
    assert await ids(history) == ["c", "b", "a"]


async def test_only_the_newest_are_kept_and_they_expire(
    store: RedisStore, history: RedisHistory, redis: Redis
) -> None:
    for n in range(8):
        await store.finish(a_call(str(n), NOW + n))
    assert await ids(history) == ["7", "6", "5", "4", "3"]
    assert await redis.zcard(KEY) == LIMITS.most
    assert 90 * DAY - 5 < await redis.ttl(KEY) <= 90 * DAY


async def test_calls_older_than_the_limit_are_gone_though_the_number_still_calls(
    store: RedisStore, history: RedisHistory, redis: Redis
) -> None:
    await store.finish(a_call("old", NOW - 91 * DAY))
    await store.finish(a_call("new"))
    assert await redis.zcard(KEY) == 1
    assert await ids(history) == ["new"]


async def test_calls_before_the_time_asked_for_are_left_out(store: RedisStore, history: RedisHistory) -> None:
    await store.finish(a_call("old", NOW - 10 * DAY))
    await store.finish(a_call("new"))
    assert await ids(history, NOW - 9 * DAY) == ["new"]


async def test_call_that_is_written_again_is_there_once_as_it_was_last(
    store: RedisStore, history: RedisHistory
) -> None:
    await store.finish(replace(a_call(), diversions=()))
    await store.finish(a_call())
    (past,) = await history.read(NUMBER, 0.0)
    assert [diversion.note for diversion in past.diversions] == ["停车费纠纷"]


@pytest.mark.parametrize(
    "call",
    [a_call(withheld=True), a_call(number=""), a_call(number="12\r\nX: y"), a_call(number="1" * 33)],
    ids=["withheld", "empty", "no number", "too long"],
)
async def test_withheld_and_impossible_numbers_have_no_history(
    store: RedisStore, redis: Redis, call: Call
) -> None:
    await store.finish(call)
    assert await redis.keys(f"{KEYS.history_prefix}*") == []
    assert await store.recent() == [call]


async def test_end_of_a_call_with_its_history_is_one_round_trip(store: RedisStore, redis: Redis) -> None:
    await store.finish(a_call("1"))
    before = (await redis.info("stats"))["total_reads_processed"]
    await store.finish(a_call("2", NOW + 1))
    after = (await redis.info("stats"))["total_reads_processed"]
    assert after - before == 2  # the end, and this INFO


async def test_what_ended_while_redis_was_away_is_in_the_history_later_in_its_last_shape(
    server: RedisServer, link: RedisLink, store: RedisStore, history: RedisHistory
) -> None:
    await server.stop()
    for call in (replace(a_call(), diversions=()), a_call()):
        with pytest.raises(StoreDown):
            await store.finish(call)
    with pytest.raises(StoreDown):
        await history.read(NUMBER, 0.0)
    await server.start()
    assert await link.probe()
    await store.settle()
    (past,) = await history.read(NUMBER, 0.0)
    assert len(past.diversions) == 1


async def test_later_record_is_not_undone_by_an_earlier_one_that_was_kept(
    server: RedisServer, link: RedisLink, store: RedisStore, history: RedisHistory
) -> None:
    await server.stop()
    with pytest.raises(StoreDown):
        await store.finish(replace(a_call(), diversions=()))
    await server.start()
    assert await link.probe()
    await store.finish(a_call())
    await store.settle()
    (past,) = await history.read(NUMBER, 0.0)
    assert len(past.diversions) == 1


BAD = {
    "not JSON": b"hello",
    "not UTF-8": b'{"version":1,"call":"\xff\xfe"}',
    "a foreign program's": b"\x80\x04\x95\x10",
    "of another version": b'{"version":2,"call":{}}',
    "deep": b'{"x":' * 40_000,
    "too large": msgspec.json.encode({"version": 1, "call": past_call(replace(a_call(), seat="1" * LIMIT))}),
}


@pytest.mark.parametrize("record", BAD.values(), ids=BAD.keys())
async def test_broken_record_is_skipped_and_reported(
    store: RedisStore, history: RedisHistory, redis: Redis, record: bytes
) -> None:
    await store.finish(a_call())
    await redis.zadd(KEY, {record: NOW + 1})
    with capture_logs() as logs:
        assert await ids(history) == ["1"]
    assert [line["event"] for line in logs] == ["record_broken"]
    assert NUMBER not in str(logs)


async def test_key_of_another_type_is_set_aside_and_the_call_is_kept(
    store: RedisStore, history: RedisHistory, redis: Redis
) -> None:
    await redis.set(KEY, "not yours")
    await store.finish(a_call())
    assert await ids(history) == ["1"]
    assert await redis.get(f"{KEY}:set-aside") == b"not yours"


async def test_longest_notes_and_most_transfers_stay_within_bounds(
    store: RedisStore, history: RedisHistory, redis: Redis
) -> None:
    note = "警" * 1000
    transfers = tuple(replace(a_call().transfers[0], id=str(n), note=note) for n in range(40))
    diversions = tuple(replace(a_call().diversions[0], id=str(n), note=note) for n in range(20))
    await store.finish(replace(a_call(), transfers=transfers, diversions=diversions))
    (past,) = await history.read(NUMBER, 0.0)
    assert (len(past.transfers), len(past.diversions)) == (20, 20)
    assert {len(one.note) for one in (*past.transfers, *past.diversions)} == {NOTE}
    (record,) = await redis.zrange(KEY, 0, -1)
    assert len(record) < LIMIT / 3
