"""Torture, scans and floods at every door: Asterisk and the controller stay up and ready, and calls go on."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import aiohttp
import pytest

from tests.lab.raw_sip import RawSip, sdp, written
from tests.lab.stage import API, CALLER, CARRIER, SIP, TAKER, Stage
from tests.lab.torture import messages
from tests.system.conftest import Lab

HOST = SIP["110"].split(":")[0]
DOORS = {
    "HTTP": ("127.0.0.1", 8110),
    "AGI": (HOST, 4573),
    "AMI": (HOST, 5038),
    "WebSocket of the seats": (HOST, 8088),
}
HALVES = {
    "HTTP": b"POST /v1/seats/1001/keys/12345 HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{",
    "AGI": b"agi_network: yes\nagi_network_script: arri",
    "AMI": b"Action: Login\r\nUsername: contro",
    "WebSocket of the seats": b"GET /ws HTTP/1.1\r\nUpgrade: webso",
}
CROWD = 100


@pytest.fixture
async def steady(stage: Stage, lab: Lab) -> AsyncIterator[None]:
    """The same processes before and after, ready, and one more call is answered within a second."""
    site = lab.sites["110"]
    before = site.asterisk.pid, site.controller.pid
    yield
    async with aiohttp.ClientSession() as session, session.get(f"{API['110']}/health/ready") as answer:
        assert answer.status == 200, await answer.text()
    seat = await stage.seat("1002")
    began = time.monotonic()
    caller = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13800138000")
    ring = await seat.incoming()
    await ring.answer()
    await caller.answered()
    assert time.monotonic() - began < 2
    await stage.hears(caller, TAKER)
    await caller.hangup()
    await ring.ended()
    assert (site.asterisk.pid, site.controller.pid) == before


@pytest.mark.parametrize("who", [f"{CARRIER['110']}.66", "127.0.66.6"], ids=["carrier", "stranger"])
async def test_torture_messages_harm_nobody(stage: Stage, lab: Lab, steady: None, who: str) -> None:
    async with RawSip(who, SIP["110"]) as peer:
        for name, packet in messages(HOST, who).items():
            peer.send(packet)
            answer = await peer.ask("OPTIONS", f"sip:{HOST}", within=2)
            assert answer.status in (200, 401, 404), name
    await asyncio.to_thread(lab.hang_up)  # whatever of it was a call
    assert await asyncio.to_thread(lab.channels_left) == {}
    await stage.api["110"].no_calls()


@contextmanager
def crowd(address: tuple[str, int], said: bytes, count: int) -> Iterator[None]:
    """So many connections that say this, or as much of it as is taken, and then nothing."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(address, timeout=2))
            connection.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                connection.send(said)
        yield


@pytest.mark.parametrize("door", DOORS)
async def test_crowd_at_one_door_keeps_nobody_else_waiting(stage: Stage, door: str) -> None:
    """A crowd that says nothing, one that stops half way, one that does not stop."""
    for words in (b"", HALVES[door], b"a" * 200_000):
        with crowd(DOORS[door], words, CROWD):
            began = time.monotonic()
            assert await stage.api["110"].get("/v1/lines")
            assert time.monotonic() - began < 1
            async with aiohttp.ClientSession() as session, session.get(f"{API['110']}/health/ready") as ready:
                assert ready.status == 200


async def test_call_is_made_and_answered_while_crowds_stand_at_all_doors(
    stage: Stage, lab: Lab, steady: None
) -> None:
    seat = await stage.seat("1001")
    with ExitStack() as crowds:
        for door, address in DOORS.items():
            crowds.enter_context(crowd(address, HALVES[door], CROWD // 2))
        talk = await stage.talk(await stage.citizen(), seat)
        await stage.hears(talk.caller, TAKER)
        await stage.hears(talk.taker, CALLER)
        await talk.caller.hangup()
        await talk.taker.ended()


async def test_sip_scan_and_flood_from_a_stranger_does_not_stop_a_call(
    stage: Stage, lab: Lab, steady: None
) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    async with RawSip("127.0.66.6", SIP["110"]) as stranger:
        for packet in _scan(stranger):
            stranger.send(packet)
            await asyncio.sleep(0)
        await stage.hears(talk.caller, TAKER)
        await stage.hears(talk.taker, CALLER)
    assert len(lab.channels()["110"]) == 2
    assert len(await stage.api["110"].calls()) == 1
    await talk.caller.hangup()
    await talk.taker.ended()


def _scan(peer: RawSip, count: int = 1000) -> Iterable[bytes]:
    """INVITE, REGISTER and OPTIONS to every number there might be."""
    for number in range(count):
        method = ("INVITE", "REGISTER", "OPTIONS")[number % 3]
        body = sdp(peer.bind) if method == "INVITE" else ""
        yield written(peer.build(method, f"sip:{1000 + number}@{HOST}", body=body))
