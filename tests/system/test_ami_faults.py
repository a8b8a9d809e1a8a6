"""The link to Asterisk's manager is cut, goes dead, is flooded; Asterisk is reloaded: calls go on, nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from tests.lab import log_lines
from tests.lab.ami_proxy import AmiProxy
from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import API, CALLER, PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab

PROXY = ("127.0.110.3", 5038)
FLOOD = 20_000  # events


async def ready(status: int, within: float) -> float:
    """Wait until readiness has this status; how long that took."""
    began = time.monotonic()
    async with aiohttp.ClientSession(API["110"]) as session:
        while True:
            async with session.get("/health/ready") as answer:
                if answer.status == status:
                    assert (await answer.json())["missing"] == ([] if status == 200 else ["asterisk"])
                    return time.monotonic() - began
            assert time.monotonic() - began < within, f"not {status} within {within} s"
            await asyncio.sleep(0.02)


@pytest.fixture
async def proxy(lab: Lab, no_channel_left: None) -> AsyncIterator[AmiProxy]:
    """110's controller reaches Asterisk by a proxy of ours."""
    site = lab.sites["110"]
    text = site.config.read_text(encoding="utf-8")
    config = site.state / "by-proxy.toml"
    config.write_text(text.replace(f'"{site.hotline.ami}"', f'"{PROXY[0]}:{PROXY[1]}"'), encoding="utf-8")
    argv = [str(config) if each == str(site.config) else each for each in site.controller.argv]
    async with AmiProxy(*PROXY, (site.hotline.ami.host, site.hotline.ami.port)) as proxy:
        await asyncio.to_thread(replace(site.controller, argv=argv).ensure)
        yield proxy
        await asyncio.to_thread(site.controller.stop)


@pytest.fixture
async def cast(proxy: AmiProxy, stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


def invites(stage: Stage) -> int:
    """How many calls 119's phone has been sent."""
    ids = [p.message.call_id for p in stage.wire.sip() if p.message.first_line.startswith("INVITE sip:119@")]
    return len(set(ids))


async def three_way(stage: Stage, cast) -> tuple:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    status, transfer = await stage.api["110"].press("1001", "119")
    assert status == 202
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    return talk, ring, transfer


async def end(stage: Stage, talk, ring) -> None:
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()


async def caller_ends(stage: Stage, caller: Call, other: Call) -> None:
    await caller.hangup()
    await other.ended()
    await stage.api["110"].no_calls()


async def test_what_happened_while_the_link_was_cut_is_known_and_nothing_is_sent_again(
    stage: Stage, proxy: AmiProxy, cast
) -> None:
    talk, ring, transfer = await three_way(stage, cast)
    proxy.dead = True
    proxy.cut()
    await ready(503, within=1.0)
    status, answer = await stage.api["110"].press("1001", "120")
    assert (status, answer["error"]["code"]) == (503, "link_down")
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    proxy.dead = False
    proxy.cut()

    await ready(200, within=5.0)

    await stage.api["110"].transfer_in(talk.id, transfer["id"], "handed_over", within=1.0)
    assert invites(stage) == 1
    await caller_ends(stage, talk.caller, ring)


async def test_a_link_that_is_dead_without_a_word_is_noticed_and_a_press_into_it_is_not_made_up_for(
    stage: Stage, proxy: AmiProxy, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    proxy.dead = True
    status, transfer = await stage.api["110"].press("1001", "119")
    assert status == 202
    assert await ready(503, within=6.0) < 5.0
    proxy.dead = False
    proxy.cut()
    await ready(200, within=5.0)

    over = await stage.api["110"].transfer_in(talk.id, transfer["id"], "ended", within=1.0)

    assert over["reason"] == "unreachable"
    assert invites(stage) == 0
    await stage.hears(talk.caller, TAKER)
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    assert invites(stage) == 1
    await end(stage, talk, ring)


async def test_a_press_that_asterisk_has_taken_and_not_answered_is_one_transfer(
    stage: Stage, proxy: AmiProxy, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    proxy.cut_after = b"Action: Originate"

    _, transfer = await stage.api["110"].press("1001", "119")

    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    joined = await stage.api["110"].transfer_in(talk.id, transfer["id"], "joined")
    assert joined["reason"] is None
    assert invites(stage) == 1
    await end(stage, talk, ring)


async def test_a_flood_of_events_delays_no_key_and_loses_no_call(stage: Stage, proxy: AmiProxy, cast) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    event = (
        "Event: Newchannel\r\nPrivilege: call,all\r\nChannel: PJSIP/x-{0}\r\nChannelState: 0\r\n"
        "ChannelStateDesc: Down\r\nCallerIDNum: 1\r\nCallerIDName: <unknown>\r\nConnectedLineNum: \r\n"
        "ConnectedLineName: \r\nLanguage: zh\r\nAccountCode: \r\nContext: from-carrier\r\nExten: 110\r\n"
        "Priority: 1\r\nUniqueid: x-{0}\r\nLinkedid: x-{0}\r\n\r\n"
    )
    hangup = event.replace("Newchannel", "Hangup")
    for part in range(10):
        numbers = range(part * FLOOD // 20, (part + 1) * FLOOD // 20)
        proxy.flood("".join(event.format(n) + hangup.format(n) for n in numbers).encode())
    began = time.monotonic()
    status, _ = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    assert (status, time.monotonic() - began < 3.0) == (202, True)
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await ready(200, within=3.0)
    await stage.api["110"].call_with(situation="three_way")
    assert invites(stage) == 1
    await end(stage, talk, ring)


async def test_reloads_of_asterisk_disturb_no_call_and_seats_and_lines_stay(
    stage: Stage, lab: Lab, cast
) -> None:
    talk, ring, transfer = await three_way(stage, cast)
    since = time.time()
    for command in ("dialplan reload", "manager reload", "module reload", "core reload"):
        await asyncio.to_thread(lab.sites["110"].asterisk_cli, command)
    await stage.goes_on_hearing(talk.caller, TAKER, PARTNER, seconds=0.5)
    await ready(200, within=5.0)
    until = time.time()
    heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id).between(since, until)
    assert heard.lost == 0
    lines = (await stage.api["110"].get("/v1/lines"))["lines"]
    assert next(line["state"] for line in lines if line["line"] == "119") == "open"

    await talk.taker.hangup()

    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.api["110"].transfer_in(talk.id, transfer["id"], "handed_over")
    fresh = await (await stage.citizen()).dial("sip:110@127.0.110.1:5060", number="13800138001")
    again = await talk.taker.phone.incoming()
    await again.answer()
    await stage.hears(fresh, TAKER)
    await fresh.hangup()
    await again.ended()
    await caller_ends(stage, talk.caller, ring)


async def test_leader_that_alone_is_cut_off_from_asterisk_is_followed_by_the_other_controller(
    stage: Stage, lab: Lab, proxy: AmiProxy, cast
) -> None:
    site = lab.sites["110"]
    await asyncio.to_thread(site.second.ensure)
    try:
        talk, ring, _ = await three_way(stage, cast)
        proxy.dead = True
        proxy.cut()
        began = time.monotonic()

        async with aiohttp.ClientSession(f"http://{site.second_api}") as session:
            while True:
                async with session.get("/health/ready") as answer:
                    if answer.status == 200:
                        break
                assert time.monotonic() - began < 3.0, await answer.text()
                await asyncio.sleep(0.02)
        await talk.taker.hangup()
        await stage.hears(talk.caller, PARTNER)
        call = await stage.api["110"].call_with(
            situation="handed_over"
        )  # the first passes on what it is asked
        assert call["id"] == talk.id
        assert invites(stage) == 1
        await talk.caller.hangup()
        await ring.ended()
    finally:
        proxy.dead = False
        proxy.cut()
        await asyncio.to_thread(site.second.kill)


async def test_defect_seat_rings_once_for_a_held_caller_whom_controller_and_dialplan_take_back(
    stage: Stage, proxy: AmiProxy, cast
) -> None:
    """The dialplan looks every 0.1 s whether the taker is there still; the controller knows at once, but acts later."""
    citizen, taker, _ = cast
    talk = await stage.talk(citizen, taker)
    assert (await stage.api["110"].press("1001", "hold"))[0] == 202
    await stage.hears_music(talk.caller)
    proxy.slow, proxy.delay = b"Action: Redirect", 0.15

    await talk.taker.hangup()

    back = await taker.incoming()
    await back.ring()
    await stage.hears_music(talk.caller)
    assert back.ending is None, "rung twice"
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    assert len(taker.calls) == 2
    await caller_ends(stage, talk.caller, back)


async def test_idle_controller_that_was_frozen_finds_out_anew_how_things_stand(
    stage: Stage, lab: Lab, cast
) -> None:
    """What Asterisk has told meanwhile is old: to act on it may part who has come together since."""
    citizen, taker, _ = cast
    log = lab.sites["110"].state / "log" / "controller.jsonl"
    before = log.stat().st_size
    with lab.sites["110"].controller.frozen():
        caller = await citizen.dial(f"sip:110@{SIP['110']}", number="13900139000")
        ring = await taker.incoming(within=5.0)
        await asyncio.sleep(1.2)  # the standstill, with the time that the dialplan has waited for an answer

    await ring.answer()
    await caller.answered()
    await stage.hears(caller, TAKER)
    await ready(200, within=3.0)
    call = await stage.api["110"].call_with(situation="talking")
    assert call["caller"]["number"] == "13900139000"
    lines = await log_lines.until(
        log, lambda lines: any(line["event"] == "ami_down" for line in lines), "ami_down", after=before
    )
    assert ["we stood still" in line["reason"] for line in lines if line["event"] == "ami_down"] == [True]
    await caller_ends(stage, caller, ring)


async def test_a_press_into_a_controller_that_stands_still_is_refused_or_carried_out(
    stage: Stage, lab: Lab, cast
) -> None:
    """What it reads first, once it runs again, is the press; what has happened meanwhile lies in the other socket."""
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    other = await stage.citizen()
    with lab.sites["110"].controller.frozen():
        press = asyncio.create_task(stage.api["110"].press("1001", "119"))
        call = await other.dial(f"sip:110@{SIP['110']}", number="13900139000")
        await asyncio.sleep(1.5)  # the standstill
        await call.hangup()

    status, answer = await press

    if status == 503:
        assert answer["error"]["code"] == "link_down"
        await ready(200, within=3.0)
        status, answer = await stage.api["110"].press("1001", "119")
    assert status == 202, answer
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    assert invites(stage) == 1
    await end(stage, talk, ring)
