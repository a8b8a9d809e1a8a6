"""Scenes from the two hotlines' days, played from the first ring to the last word."""

from __future__ import annotations

import asyncio
import time

from tests.lab.stage import CALLER, PARTNER, TAKER, Stage

AMBULANCE = 2310  # Hz


async def test_scene_wallet_left_in_a_taxi(stage: Stage) -> None:
    """110 -> 12345 by one key: no police matter; the taker introduces the caller, and takes the next call."""
    citizen, taker, agent = await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.seat("1001", "12345", tone=PARTNER)
    )
    talk = await stage.talk(citizen, taker, number="13660001111")
    pressed = time.time()

    status, transfer = await stage.api["110"].press("1001", "12345", note="钱包遗落在出租车上")

    assert (status, transfer["note"]) == (202, "钱包遗落在出租车上")
    ring = await agent.incoming()
    assert ring.remote_number == "13660001111"
    await ring.answer()
    await stage.hears(ring, CALLER, TAKER)
    status, _ = await stage.api["110"].press("1001", "leave")
    assert status == 202
    await talk.taker.ended()
    next_talk = await (await stage.citizen()).dial("sip:110@127.0.110.1:5060", number="13660002222")
    next_ring = await taker.incoming()
    await next_ring.answer()
    await stage.hears(talk.caller, PARTNER)
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)
    done = time.time()
    heard = stage.wire.received(citizen.bind, talk.caller.call_id).between(pressed, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(pressed, done, talk.taker, ring)
    await ring.hangup()
    await talk.caller.ended()
    over = await stage.api["110"].transfer_in(talk.id, transfer["id"], "ended")
    assert over["reason"] == "completed"
    await next_talk.hangup()
    await next_ring.ended()


async def test_scene_suicidal_caller_at_11_04(stage: Stage) -> None:
    """12345 -> 110 by the dedicated number; 110 brings in 119 and 120 while 12345 is still there."""
    citizen, taker12345, dedicated, fire, ambulance = await asyncio.gather(
        stage.citizen("12345"),
        stage.seat("1001", "12345"),
        stage.seat("1009", tone=PARTNER),
        stage.unit("119", tone=2710),
        stage.unit("120", tone=AMBULANCE),
    )
    talk = await stage.talk(citizen, taker12345, site="12345", number="13711104110")
    pressed = time.time()
    status, _ = await stage.api["12345"].press("1001", "110", note="扬言跳楼")
    assert status == 202
    police = await dedicated.incoming(within=2.0)
    assert police.remote_number == "13711104110"
    await police.answer()
    assert time.time() - pressed < 5.0
    await stage.hears(talk.caller, TAKER, PARTNER)

    pressed_keys = [await stage.api["110"].press("1009", line) for line in ("119", "120")]
    assert [status for status, _ in pressed_keys] == [202, 202]
    rescuers = await asyncio.gather(fire.incoming(), ambulance.incoming())
    assert {ring.remote_number for ring in rescuers} == {"13711104110"}
    await rescuers[0].answer()
    await stage.hears(rescuers[0], CALLER, TAKER, PARTNER)
    await rescuers[1].answer()
    for _, transfer in pressed_keys:
        await stage.api["110"].transfer_in(transfer["call"], transfer["id"], "joined")
    await talk.taker.hangup()  # 12345 leaves; the caller stays with the police and the rescuers
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(rescuers[0], CALLER, PARTNER)
    await rescuers[0].hangup()
    await stage.hears(rescuers[1], CALLER, PARTNER)
    await talk.caller.hangup()
    await rescuers[1].hangup()
    await police.ended()


async def test_scene_gas_leak_at_midnight(stage: Stage) -> None:
    """One group key: the fire brigade and the gas company at once; the police seat stays."""
    citizen, taker, fire, gas = await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.unit("119"), stage.unit("gas", tone=AMBULANCE)
    )
    talk = await stage.talk(citizen, taker, number="13800000000")

    await talk.taker.dtmf("*5")

    first, second = await asyncio.gather(fire.incoming(), gas.incoming())
    assert {first.remote_number, second.remote_number} == {"13800000000"}
    await asyncio.gather(first.answer(), second.answer())
    await stage.hears(first, CALLER, TAKER)
    await stage.hears(second, CALLER, TAKER, PARTNER)
    await stage.hears(talk.taker, CALLER, PARTNER)
    call = await stage.api["110"].call_with(situation="three_way")
    assert [leg["party"] for leg in call["legs"] if leg["role"] == "taker" and leg["state"] == "talking"] == [
        "1001"
    ]
    await talk.caller.hangup()
    await first.hangup()
    await second.hangup()
    await talk.taker.ended()
