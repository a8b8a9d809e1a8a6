"""Two controllers of one hotline: one leads, the other stands by and takes over in the middle of anything."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.lab import log_lines
from tests.lab.api import Api
from tests.lab.site import Site
from tests.lab.softphone import Softphone
from tests.lab.stage import API, CALLER, PARTNER, TAKER, Stage
from tests.lab.stalls import Stalls
from tests.system.conftest import Lab

TAKEOVER = 3.0  # s


@dataclass
class Pair:
    """The hotline 110 with its second controller; `second` is that one's API."""

    site: Site
    second: Api
    stalls: Stalls
    frozen: list[int] = field(default_factory=list)

    async def ready(self, base: str) -> tuple[int, dict[str, Any]]:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{base}/health/ready") as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {}

    async def second_leads(self, since: float) -> float:
        """Wait until the second says that it leads and is ready; the seconds it took since `since`."""
        return await self.leads(f"http://{self.site.second_api}", since, TAKEOVER)

    async def leads(self, base: str, since: float, within: float) -> float:
        began = time.time()
        while True:
            status, body = await self.ready(base)
            took = time.monotonic() - since
            if status == 200 and body["role"] == "leader":
                return took
            lost = self.stalls.longest_ms(began, time.time()) / 1000
            assert took < within + lost, f"{base} does not lead after {within} s: {status} {body}"
            await asyncio.sleep(0.02)

    async def becomes_standby(self, base: str, within: float = 5.0) -> None:
        deadline = time.monotonic() + within
        while (found := await self.ready(base))[1].get("role") != "standby" or not found[1]["leader"]:
            assert time.monotonic() < deadline, f"{base} does not stand by after {within} s: {found}"
            await asyncio.sleep(0.02)

    async def stands_by_again(self, started: int, within: float = 5.0) -> None:
        """Wait until the first has been deposed, and has begun anew in the same process."""
        pid, deadline = self.site.controller.pid, time.monotonic() + within
        while len(self.logged("started", "controller.jsonl")) == started:
            assert time.monotonic() < deadline, f"the first has not begun anew after {within} s"
            await asyncio.sleep(0.02)
        assert self.logged("deposed", "controller.jsonl")
        assert (self.site.controller.pid, pid is None) == (pid, False)

    def freeze(self) -> None:
        """Stop the first where it is."""
        pid = self.site.controller.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        self.frozen.append(pid)

    def thaw(self) -> None:
        for pid in self.frozen:
            os.kill(pid, signal.SIGCONT)
        self.frozen.clear()

    def logged(self, event: str, log: str = "second.jsonl") -> list[dict[str, Any]]:
        lines = log_lines.read(self.site.state / "log" / log)
        return [line for line in lines if line["event"] == event]


@pytest.fixture
async def pair(lab: Lab, stage: Stage) -> AsyncIterator[Pair]:
    site = lab.sites["110"]
    await asyncio.to_thread(site.second.ensure)
    async with Api(f"http://{site.second_api}", lab.token("110", "admin")) as second:
        pair = Pair(site, second, lab.stalls)
        await pair.becomes_standby(f"http://{site.second_api}")
        try:
            yield pair
        finally:
            pair.thaw()
            await asyncio.to_thread(site.second.kill)
            await pair_is_over(pair)


async def pair_is_over(pair: Pair) -> None:
    """The first leads again, for the tests that come."""
    await asyncio.to_thread(pair.site.controller.ensure)
    await pair.leads(API["110"], time.monotonic(), 10.0)


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


@pytest.fixture
async def patient_cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """With an agent of 12345, whose phone may ring for longer than a takeover takes."""
    return await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.seat("1001", site="12345", tone=PARTNER)
    )


def invites(stage: Stage, number: str = "119") -> int:
    """How many calls to the unit the wire has seen, repeated packets counted once."""
    packets = [p for p in stage.wire.sip() if p.message.first_line.startswith(f"INVITE sip:{number}@")]
    return len({p.message.header("Call-ID") for p in packets})


async def test_standby_answers_reads_and_presses_by_the_leader_and_says_so(
    stage: Stage, lab: Lab, cast, pair: Pair
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    base, token = f"http://{pair.site.second_api}", lab.token("110", "admin")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    async with (
        aiohttp.ClientSession(base, headers=headers) as session,
        session.ws_connect("/v1/events") as events,
    ):
        assert (await events.receive_json(timeout=2.0))["type"] == "hello"
        async with session.get("/v1/calls") as answer:
            assert answer.headers["Hotline-Leader"] == "110-a"
            assert [call["id"] for call in (await answer.json())["calls"]] == [talk.id]
        for _ in range(2):
            async with session.post("/v1/seats/1001/keys/119") as answer:
                assert answer.status == 202, await answer.text()
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert (await events.receive_json(timeout=2.0))["type"] in ("transfer", "call", "line", "seat")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    status, body = await pair.ready(base)
    assert (status, body["role"], body["leader"]) == (503, "standby", "110-a")
    async with aiohttp.ClientSession(base) as session:
        async with session.get("/v1/calls", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
        async with session.get("/metrics") as answer:
            assert 'telephony_leader{hotline="110"} 0.0' in await answer.text()
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()


async def test_leader_killed_while_the_partner_rings_is_followed_within_three_seconds(
    stage: Stage, patient_cast, pair: Pair
) -> None:
    citizen, taker, agent = patient_cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "12345")
    ring = await agent.incoming()
    since = time.monotonic()
    await asyncio.to_thread(pair.site.kill_controller)

    took = await pair.second_leads(since)

    print(f"leader killed: the second led after {took:.2f} s")
    assert (await pair.second.transfer(talk.id, pressed["id"]))["state"] in ("inviting", "ringing")
    status, again = await pair.second.press("1001", "12345")
    assert (status, again["id"]) == (202, pressed["id"])
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    assert (await pair.second.transfer_in(talk.id, pressed["id"], "joined"))["id"] == pressed["id"]
    assert invites(stage, "12345") == 1
    await pair.leads(API["110"], time.monotonic(), 3.0)  # it serves there too
    status, left = await pair.second.press("1001", "leave")
    assert status == 202, left
    await talk.taker.ended()
    await stage.hears(talk.caller, PARTNER)
    await talk.caller.hangup()
    await ring.ended()


async def test_leader_killed_while_the_partner_rings_is_followed_by_one_that_cancels(
    stage: Stage, patient_cast, pair: Pair
) -> None:
    citizen, taker, agent = patient_cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "12345")
    ring = await agent.incoming()
    await asyncio.to_thread(pair.site.kill_controller)

    status, answer = await pair.second.press("1001", "cancel")  # held until somebody leads

    assert status == 202, answer
    await ring.ended()
    assert (await pair.second.transfer_in(talk.id, pressed["id"], "ended"))["reason"] == "cancelled"
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_leader_frozen_in_a_three_way_call_is_followed_and_once_thawed_does_nothing(
    stage: Stage, lab: Lab, cast, pair: Pair
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    started = len(pair.logged("started", "controller.jsonl"))
    since = time.monotonic()
    pair.freeze()
    waiting = asyncio.create_task(stage.api["110"].press("1001", "gas"))  # lies in the frozen one's socket

    took = await pair.second_leads(since)

    print(f"leader frozen: the second led after {took:.2f} s")
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    assert (await pair.second.call_with(situation="handed_over"))["id"] == talk.id
    pair.thaw()
    status, answer = await waiting
    assert (status, answer["error"]["code"]) == (
        409,
        "no_call",
    )  # the leader's word: the seat has left the call
    await pair.stands_by_again(started)
    assert [call["id"] for call in await stage.api["110"].calls()] == [talk.id]  # whoever has the address now
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)
    assert (invites(stage), invites(stage, "96833")) == (1, 0)
    await ring.hangup()
    await talk.caller.ended()
    assert (await pair.second.transfer_in(talk.id, pressed["id"], "ended"))["reason"] == "completed"


async def test_nobody_is_refused_while_a_deposed_leader_begins_anew_as_standby(pair: Pair) -> None:
    """Who comes in that tenth of a second waits for an answer."""
    started = len(pair.logged("started", "controller.jsonl"))
    since = time.monotonic()
    pair.freeze()
    await pair.second_leads(since)
    pair.thaw()
    beginning = asyncio.create_task(pair.stands_by_again(started))
    answers = 0

    while not beginning.done():
        _, writer = await asyncio.open_connection(
            pair.site.hotline.api.host, pair.site.hotline.api.port
        )  # refused: an error
        writer.close()
        answers += (await pair.ready(API["110"]))[0] > 0
    await beginning

    assert answers > 0
    await pair.becomes_standby(API["110"], within=1.0)


async def test_leader_that_is_told_to_stop_hands_over_and_no_press_is_lost(
    stage: Stage, cast, pair: Pair
) -> None:
    citizen, taker, _ = cast
    talk = await stage.talk(citizen, taker)
    answers: list[tuple[int, Any]] = []

    async def press_often() -> None:
        for number in range(30):
            answers.append(await pair.second.press("1001", "119" if number % 2 == 0 else "cancel"))
            await asyncio.sleep(0.05)

    pressing = asyncio.create_task(press_often())
    await asyncio.sleep(0.4)
    since = time.monotonic()
    stopping = asyncio.create_task(asyncio.to_thread(pair.site.stop_controller))
    took = await pair.second_leads(since)
    await pressing
    await stopping

    print(f"leader told to stop: the second led after {took:.2f} s")
    assert took < 2.0
    assert {status for status, _ in answers} <= {202, 409}, answers
    assert all(status == 202 for status, _ in answers[::2]), answers[::2]
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_without_redis_the_leader_goes_on_and_the_other_does_not_take_over(
    stage: Stage, cast, pair: Pair
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    await asyncio.to_thread(pair.site.redis.kill)
    await asyncio.sleep(3.0)  # longer than a lease lasts

    status, _ = await stage.api["110"].press("1001", "119")

    assert status == 202
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await asyncio.to_thread((pair.site.state / "redis" / "appendonlydir").rename, pair.site.state / "lost")
    await asyncio.to_thread(pair.site.redis.ensure)  # empty
    await pair.leads(API["110"], time.monotonic(), 5.0)
    await asyncio.sleep(2.5)  # longer than a standby waits for a leader to write its lease again
    await pair.becomes_standby(f"http://{pair.site.second_api}")
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await talk.caller.hangup()
    await ring.ended()


async def test_of_two_that_start_at_once_one_leads(stage: Stage, pair: Pair) -> None:
    await asyncio.to_thread(pair.site.second.kill)
    await asyncio.to_thread(pair.site.kill_controller)
    led = len(pair.logged("leads") + pair.logged("leads", "controller.jsonl"))
    started = pair.logged("started")[-1]
    pair.site.controller.process.start(
        pair.site.controller.argv, environment=pair.site.controller.environment
    )
    pair.site.second.process.start(pair.site.second.argv, environment=pair.site.second.environment)
    bases = (API["110"], f"http://{pair.site.second_api}")
    deadline = time.monotonic() + 10.0
    leaders: set[str] = set()
    while not leaders or pair.logged("started")[-1] == started or pair.site.controller.pid is None:
        assert time.monotonic() < deadline, leaders
        for status, body in [await pair.ready(base) for base in bases]:
            # The address of one that stands by may be the other's too.
            leaders |= {body["leader"]} if status == 200 else set()
        await asyncio.sleep(0.05)
    await asyncio.sleep(2.5)  # longer than a lease lasts
    leaders |= {
        body["leader"] for status, body in [await pair.ready(base) for base in bases] if status == 200
    }
    assert len(leaders) == 1
    assert len(pair.logged("leads") + pair.logged("leads", "controller.jsonl")) == led + 1
    assert pair.site.controller.pid is not None
    assert pair.site.second.pid is not None


async def test_controller_that_starts_while_redis_is_frozen_and_its_place_is_taken_waits_and_stands_by(
    stage: Stage, lab: Lab, pair: Pair
) -> None:
    """The first was stopped, the second serves at its address, and nobody can say who leads."""
    site = pair.site
    await asyncio.to_thread(site.controller.stop)
    await pair.leads(API["110"], time.monotonic(), 5.0)  # by the second, which has claimed the address
    redis = site.redis.pid
    assert redis is not None
    os.kill(redis, signal.SIGSTOP)
    pair.frozen.append(redis)
    started = len(pair.logged("started", "controller.jsonl"))
    looked = len(pair.logged("address_taken", "controller.jsonl"))
    service = site.controller
    pid = await asyncio.to_thread(service.process.start, service.argv, service.version(), service.environment)
    deadline = time.monotonic() + 10.0
    while len(pair.logged("address_taken", "controller.jsonl")) == looked:
        assert time.monotonic() < deadline, "the first has not looked for its place"
        await asyncio.sleep(0.05)
    pair.thaw()

    while len(pair.logged("started", "controller.jsonl")) == started:
        assert time.monotonic() < deadline, "the first does not stand by"
        await asyncio.sleep(0.05)
    assert site.controller.pid == pid


async def test_controller_that_starts_while_the_one_in_its_place_stands_still_leads_beside_it(
    stage: Stage, cast, pair: Pair
) -> None:
    """The first is frozen with its addresses; the second was deposed or restarted in that very moment."""
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    service = pair.site.second
    await asyncio.to_thread(service.kill)
    pair.freeze()
    await asyncio.sleep(2.5)  # longer than a lease lasts: nothing in Redis says who leads
    started = len(pair.logged("started", "controller.jsonl"))
    since = time.monotonic()
    await asyncio.to_thread(service.launch)

    took = await pair.leads(f"http://{pair.site.second_api}", since, 6.0)

    print(f"started beside a frozen one: led after {took:.2f} s")
    status, pressed = await pair.second.press("1001", "119")
    assert status == 202, pressed
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    pair.thaw()
    await pair.stands_by_again(started)
    await stage.goes_on_hearing(talk.caller, TAKER, PARTNER, seconds=1.0)
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
