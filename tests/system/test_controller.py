"""The controller comes and goes: it finds out the truth, and says when it cannot."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.lab import log_lines
from tests.lab.softphone import Softphone
from tests.lab.stage import API, CALLER, PARTNER, TAKER, Stage
from tests.system.conftest import Lab


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


async def readiness(site: str = "110") -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.get(f"{API[site]}/health/ready") as answer:
        return answer.status, await answer.json()


async def figures(site: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{API[site]}/metrics") as answer:
        return await answer.text()


async def becomes(site: str, status: int, within: float = 10.0) -> dict[str, object]:
    """Wait until readiness has this status; what it says then."""
    deadline = time.monotonic() + within
    while True:
        found, body = await readiness(site)
        if found == status:
            return body
        assert time.monotonic() < deadline, f"{site} is not {status} after {within} s: {body}"
        await asyncio.sleep(0.05)


async def test_restarted_controller_knows_the_three_way_call_and_its_transfer(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)

    await asyncio.to_thread(lab.sites["110"].kill_controller)
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await asyncio.to_thread(lab.sites["110"].start_controller)

    call = await stage.api["110"].call_with(situation="handed_over")
    assert (call["id"], call["seat"]) == (talk.id, "1001")
    assert call["caller"]["number"] == "13800138000"
    assert call["transfers"][0]["id"] == pressed["id"]
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)
    await ring.hangup()
    await talk.caller.ended()
    assert (await stage.api["110"].transfer_in(talk.id, pressed["id"], "ended"))["reason"] == "completed"


async def test_call_that_came_and_was_joined_without_a_controller_is_adopted(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    caller = await citizen.dial("sip:110@127.0.110.1:5060", number="13800138000")
    ring = await taker.incoming()
    await ring.answer()
    await caller.answered()
    await stage.hears(caller, TAKER)
    await asyncio.to_thread(lab.sites["110"].start_controller)

    call = await stage.api["110"].call_with(situation="talking")

    assert call["caller"] == {"number": "13800138000", "withheld": False}
    status, pressed = await stage.api["110"].press("1001", "119")
    assert status == 202, pressed
    partner = await unit.incoming()
    assert partner.remote_number == "13800138000"
    await partner.answer()
    await stage.hears(caller, TAKER, PARTNER)
    await caller.hangup()
    await partner.hangup()
    await ring.ended()


async def test_asterisk_that_is_killed_ends_its_calls_with_link_lost_and_new_calls_work(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    site = lab.sites["110"]

    await asyncio.to_thread(site.asterisk.kill)
    body = await becomes("110", 503)
    assert body["missing"] == ["asterisk"]
    status, answer = await stage.api["110"].press("1001", "119")
    assert (status, answer["error"]["code"]) == (503, "link_down")
    await asyncio.to_thread(site.asterisk.ensure)

    await becomes("110", 200)
    over = await stage.api["110"].transfer_in(talk.id, pressed["id"], "ended")
    assert over["reason"] == "link_lost"
    await stage.api["110"].no_calls()
    for call in (talk.caller, talk.taker, ring):
        await call.hangup()
    again = await stage.seat("1002")
    fresh = await stage.talk(await stage.citizen(), again)
    await stage.hears(fresh.caller, TAKER)
    await fresh.caller.hangup()
    await fresh.taker.ended()


async def test_calls_and_keys_go_on_without_redis_which_is_told(stage: Stage, lab: Lab, cast) -> None:
    citizen, taker, unit = cast
    await asyncio.to_thread(lab.sites["110"].redis.kill)

    body = await becomes("110", 503)

    assert body["missing"] == ["redis"]
    talk = await stage.talk(citizen, taker)
    status, _ = await stage.api["110"].press("1001", "119")
    assert status == 202
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await asyncio.to_thread(lab.sites["110"].redis.ensure)
    await becomes("110", 200)
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await talk.caller.hangup()
    await ring.ended()


async def test_every_transition_and_the_calls_latency_are_one_json_line_each_without_the_number(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker, number="13912345678")
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()

    log = lab.sites["110"].state / "log" / "controller.jsonl"
    lines = await log_lines.call_ended(log, talk.id)
    assert "13912345678" not in log.read_text(encoding="utf-8")
    mine = [line for line in lines if line.get("call") == talk.id]
    steps = [(line["old"], line["happened"], line["new"]) for line in mine if line["event"] == "transition"]
    assert ("talking", "LinePressed", "inviting") in steps
    assert ("inviting", "LegJoined", "three_way") in steps
    (ended,) = [line for line in mine if line["event"] == "call_ended"]
    assert ended["transfers"][0]["to_joined_ms"] > 0


async def test_figures_count_the_transfer_by_line_and_reason(stage: Stage, cast) -> None:
    citizen, taker, unit = cast
    await unit.on_invite(486)
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "119")
    await stage.api["110"].transfer_in(talk.id, pressed["id"], "ended")
    await talk.caller.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()

    figure = 'telephony_transfers_total{hotline="110",line="119",reason="busy"}'
    deadline = time.monotonic() + 5
    while figure not in (text := await figures("110")):
        assert time.monotonic() < deadline, text
        await asyncio.sleep(0.05)
