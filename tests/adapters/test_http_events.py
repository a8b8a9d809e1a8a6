"""The feed over a WebSocket: nothing lost, nothing foreign, nobody waited for."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from telephony.core.call import Hangup
from telephony.core.events import LegEnded, LegJoined
from telephony.tokens import Principal, revoke_principal
from tests.adapters.http_hotline import TOKENS, WAIT, Hotline, hotline
from tests.adapters.waiting import until

PULSE = 1.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path, pulse=PULSE, watchers=3) as house:
        yield house


async def events(watcher: Any, count: int) -> list[dict[str, Any]]:
    """The next `count` messages that are events."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT):
        while len(found) < count:
            message = await watcher.receive_json()
            if message["type"] not in ("hello", "pulse"):
                found.append(message)
    return found


async def close_of(watcher: Any) -> int:
    """The code with which the watcher is closed."""
    async with asyncio.timeout(WAIT):
        async for _ in watcher:
            pass
    assert watcher.close_code is not None
    return int(watcher.close_code)


def publish(house: Hotline, count: int = 1) -> None:
    for _ in range(count):
        house.feed.publish(time.time(), "line", {"line": "119"})


# -- order and resumption ----------------------------------------------------------------------


async def test_the_first_message_tells_where_the_numbering_stands(house: Hotline) -> None:
    publish(house, 3)
    async with house.watch() as watcher:
        assert await watcher.receive_json() == {"type": "hello", "seq": 3}


async def test_without_since_only_what_happens_from_now_on_is_told(house: Hotline) -> None:
    publish(house, 3)
    async with house.watch() as watcher:
        await watcher.receive_json()
        publish(house)
        (event,) = await events(watcher, 1)
        assert event["seq"] == 4


async def test_a_press_is_told_as_a_transfer_and_its_call(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.watch() as watcher:
        await watcher.receive_json()
        _, pressed, _ = await house.ask("POST", "/v1/seats/1001/keys/12345")
        transfer, call = await events(watcher, 2)
        assert (transfer["type"], transfer["data"]["id"]) == ("transfer", pressed["id"])
        assert (call["type"], call["data"]["situation"]) == ("call", "inviting")
        assert call["seq"] == transfer["seq"] + 1
        assert transfer["at"] == pytest.approx(time.time(), abs=WAIT)


async def test_since_the_seq_of_a_list_nothing_is_missing(house: Hotline) -> None:
    await house.call_at("1001")
    _, listed, _ = await house.ask("GET", "/v1/calls")
    await house.ask("POST", "/v1/seats/1001/keys/12345")
    async with house.watch(since=listed["seq"]) as watcher:
        told = await events(watcher, 2)
        assert [event["seq"] for event in told] == [listed["seq"] + 1, listed["seq"] + 2]


async def test_nothing_is_lost_or_told_twice_across_reconnects_while_events_keep_coming(
    house: Hotline,
) -> None:
    total, seen = 3000, 0
    told: list[int] = []

    async def keep_coming() -> None:
        for number in range(total):
            publish(house)
            if number % 7 == 0:
                await asyncio.sleep(0)

    coming = asyncio.create_task(keep_coming())
    while seen < total:
        async with house.watch(since=seen) as watcher:
            for event in await events(watcher, min(217, total - seen)):
                told.append(event["seq"])
            seen = told[-1]
    await coming
    assert told == list(range(1, total + 1))


async def test_who_was_away_too_long_is_told_of_the_gap(tmp_path: Path) -> None:
    async with hotline(tmp_path, capacity=5) as house:
        publish(house, 10)
        async with house.watch(since=3) as watcher:
            assert (await watcher.receive_json())["type"] == "hello"
            gap = await watcher.receive_json()
            assert (gap["type"], gap["seq"]) == ("gap", 10)
            assert gap["message"]
            assert await close_of(watcher) == 4410
        async with house.watch(since=5) as watcher:
            assert [event["seq"] for event in await events(watcher, 5)] == [6, 7, 8, 9, 10]


async def test_a_number_from_before_the_numbering_began_anew_is_a_gap(house: Hotline) -> None:
    publish(house, 2)
    async with house.watch(since=500) as watcher:
        assert (await watcher.receive_json())["seq"] == 2
        assert (await watcher.receive_json())["type"] == "gap"
        assert await close_of(watcher) == 4410


@pytest.mark.parametrize("since", ["-1", "x", "", "1.5", "9" * 19, "٣"])
async def test_a_since_that_is_no_number_is_400(house: Hotline, since: str) -> None:
    status, body, _ = await house.ask("GET", "/v1/events", params={"since": since})
    assert (status, body["error"]["code"]) == (400, "bad_input")


async def test_without_an_upgrade_it_is_400(house: Hotline) -> None:
    status, body, _ = await house.ask("GET", "/v1/events")
    assert (status, body["error"]["code"]) == (400, "bad_request")


# -- who sees what -----------------------------------------------------------------------------


async def test_a_seat_is_told_of_its_own_call_only(house: Hotline) -> None:
    async with house.watch("seat:1001") as watcher:
        await watcher.receive_json()
        await house.call_at("1002", "c-2")
        await house.ask("POST", "/v1/seats/1002/keys/12345")
        await house.call_at("1001", "c-1")
        await house.ask("POST", "/v1/seats/1001/keys/119")
        told = await events(watcher, 4)
        assert {event["data"].get("call", event["data"]["id"]) for event in told} == {"c-1"}
        assert [event["type"] for event in told] == ["call", "call", "transfer", "call"]


async def test_a_seat_that_a_call_has_left_is_told_so_and_no_more(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ring("1002", "c-1")
    async with house.watch("seat:1002", since=house.feed.last_seq) as watcher:
        await watcher.receive_json()
        await house.tell("c-1", LegEnded(time.time(), "c-1-1002", Hangup(16)))
        await house.ask("POST", "/v1/seats/1001/keys/12345")
        publish(house)
        left, line = await events(watcher, 2)
        assert {leg["party"]: leg["state"] for leg in left["data"]["legs"]}["1002"] == "ended"
        assert line["type"] == "line"


async def test_a_line_is_told_of_its_own_transfers_and_calls(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.watch("line:119") as watcher:
        await watcher.receive_json()
        await house.ask("POST", "/v1/seats/1001/keys/12345")
        await house.ask("POST", "/v1/seats/1001/keys/119")
        transfer, call = await events(watcher, 2)
        assert (transfer["type"], transfer["data"]["line"]) == ("transfer", "119")
        assert call["data"]["id"] == "c-1"


async def test_a_pulse_moves_a_watcher_past_what_it_may_not_see(house: Hotline) -> None:
    async with house.watch("line:12345") as watcher:
        await watcher.receive_json()
        publish(house, 5)
        async with asyncio.timeout(WAIT):
            while (message := await watcher.receive_json())["seq"] != 5:
                assert message["type"] == "pulse"


async def test_events_of_an_earlier_release_are_nobodys_but_an_administrators(house: Hotline) -> None:
    house.feed.publish(1.0, "call", {"id": "old"})
    async with house.watch("seat:1001", since=0) as seat, house.watch(since=0) as admin:
        publish(house)
        assert (await events(seat, 1))[0]["type"] == "line"
        assert (await events(admin, 1))[0]["data"] == {"id": "old"}


async def test_a_watcher_whose_token_is_revoked_is_let_go(house: Hotline) -> None:
    async with house.watch("seat:1001") as watcher:
        await watcher.receive_json()
        revoke_principal(house.tokens_file, Principal.parse("seat:1001"))
        assert await close_of(watcher) == 4401


# -- watchers who misbehave --------------------------------------------------------------------


async def test_a_watcher_who_does_not_read_is_dropped_and_others_go_on(tmp_path: Path) -> None:
    async with hotline(tmp_path, watcher_seconds=0.2, pulse=60) as house:
        slow = await stuck_watcher(house)
        with capture_logs() as lines:
            async with house.watch() as quick:
                await quick.receive_json()
                await until(lambda: len(house.context.watchers) == 2)
                big = {"line": "119", "label": "x" * 100_000}
                for _ in range(100):
                    house.feed.publish(time.time(), "line", big)
                assert len(await events(quick, 100)) == 100
            await until(lambda: not house.context.watchers)
        assert [line["code"] for line in lines if line["event"] == "watcher_dropped"] == [4408]
        slow.close()


async def stuck_watcher(house: Hotline) -> socket.socket:
    """A WebSocket whose owner never reads."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", house.port))
    request = (
        f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['admin']}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    await until(lambda: len(house.context.watchers) == 1)
    return raw


async def test_a_watcher_who_falls_behind_the_feed_is_dropped_with_the_reason(tmp_path: Path) -> None:
    async with hotline(tmp_path, capacity=50, pulse=60) as house, house.watch() as watcher:
        await watcher.receive_json()
        publish(house, 100)
        assert await close_of(watcher) == 4408


async def test_a_watcher_who_does_not_answer_pings_is_dropped(house: Hotline) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['admin']}"}
    async with house.session.ws_connect(f"{house.url}/v1/events", headers=headers, autoping=False) as watcher:
        await watcher.receive()
        await until(lambda: not house.context.watchers)


async def test_a_watcher_who_talks_too_much_is_closed(house: Hotline) -> None:
    async with house.watch() as watcher:
        await watcher.receive_json()
        await watcher.send_str("x" * 10_000)
        assert await close_of(watcher) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_what_a_watcher_says_is_not_heeded(house: Hotline) -> None:
    async with house.watch() as watcher:
        await watcher.receive_json()
        await watcher.send_str('{"since": 0}')
        await watcher.send_bytes(b"\x00\xff")
        publish(house)
        assert (await events(watcher, 1))[0]["seq"] == 1


async def test_a_watcher_who_vanishes_leaves_nothing_behind(house: Hotline) -> None:
    watcher = await house.watch()
    await watcher.receive_json()
    await watcher.close()
    await until(lambda: not house.context.watchers)
    publish(house)


async def test_there_is_a_limit_to_watchers(house: Hotline) -> None:
    async with house.watch(), house.watch(), house.watch():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.watch()
        assert refused.value.status == 429
    await until(lambda: not house.context.watchers)
    async with house.watch() as watcher:
        assert (await watcher.receive_json())["type"] == "hello"


async def test_a_fault_of_ours_closes_the_watcher_with_1011(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(seq: int) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(house.feed, "since", broken)
    async with house.watch() as watcher:
        assert await close_of(watcher) == aiohttp.WSCloseCode.INTERNAL_ERROR


async def test_three_way_reaches_a_watcher_in_the_order_it_happened(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.watch("seat:1001") as watcher:
        await watcher.receive_json()
        _, pressed, _ = await house.ask("POST", "/v1/seats/1001/keys/12345", "seat:1001")
        await house.partner_joins("c-1", pressed["id"], "12345")
        await house.tell("c-1", LegJoined(time.time(), "nobody", "b"))
        told = await events(watcher, 5)
        states = [event["data"]["state"] for event in told if event["type"] == "transfer"]
        assert states == ["inviting", "joined"]
        assert told[-1]["data"]["situation"] == "three_way"
