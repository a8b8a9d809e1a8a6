"""Scenes from the work of both hotlines, told from beginning to end: what each person hears, sees and writes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from tests.lab.api import Api
from tests.lab.softphone import Softphone
from tests.lab.stage import API, CALLER, PARTNER, TAKER, Stage
from tests.system.conftest import Lab


def door(lab: Lab, site: str, who: str) -> Api:
    """The site's HTTP interface with the token of `who`."""
    return Api(API[site], lab.token(site, who))


# -- the parking-fee quarrel at 07:12 ----------------------------------------------------------


async def test_parking_fee_quarrel_at_0712_nobody_is_free_at_12345_and_the_matter_goes_on_as_a_case(
    stage: Stage, lab: Lab
) -> None:
    """No agent is logged in at 12345 yet. The taker presses, is told why, and hands the case on without a call."""
    number = "13822220712"
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"), number=number)
    await stage.hears(talk.caller, TAKER)
    began = time.time()

    async with door(lab, "110", "seat:1001") as seat:
        status, pressed = await seat.press("1001", "12345", note="小区停车费纠纷，物业不肯开闸")
        assert status == 202, pressed
        failed = await seat.transfer_in(talk.id, pressed["id"], "ended")
        assert (failed["reason"], failed["sip_code"]) == ("unreachable", 480)
        status, first = await seat.request(
            "POST",
            f"/v1/calls/{talk.id}/diversions",
            {"kind": "platform", "line": "12345", "note": "小区停车费纠纷，请回电"},
        )
        assert status == 201, first
        seen = await seat.get(f"/v1/calls/{talk.id}")

        assert (first["kind"], first["line"], first["seat"]) == ("platform", "12345", "1001")
        assert seen["diversions"] == [first]
        assert seen["situation"] == "talking"
        await stage.hears(talk.taker, CALLER)
        await stage.hears(talk.caller, TAKER)
        await stage.goes_on_hearing(talk.caller, TAKER, seconds=0.5)
        done = time.time()
        heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id).between(began, done)
        assert heard.lost == 0
        assert heard.largest_gap_ms <= stage.allowed_gap(began, done, talk.taker)

        await talk.caller.hangup()
        await talk.taker.ended()
        await stage.api["110"].no_calls()
        status, second = await seat.request(
            "POST",
            f"/v1/calls/{talk.id}/diversions",
            {"kind": "guidance", "note": "已告知八点后可拨打12345"},
        )
        assert status == 201, second

    (past,) = (await past_calls(stage, number, 1))["calls"]
    assert (past["call"], past["seat"], past["outcome"]) == (talk.id, "1001", "finished")
    assert [(t["line"], t["reason"]) for t in past["transfers"]] == [("12345", "unreachable")]
    assert [(d["kind"], d["line"], d["note"]) for d in past["diversions"]] == [
        ("platform", "12345", "小区停车费纠纷，请回电"),
        ("guidance", "", "已告知八点后可拨打12345"),
    ]
    figures = await metrics("110")
    assert 'telephony_diversions_total{hotline="110",kind="platform",line="12345"}' in figures


# -- the man who rings again and again ---------------------------------------------------------


async def test_man_who_rings_again_and_again_is_known_to_seat_and_partner_on_the_fourth_call(
    stage: Stage, lab: Lab
) -> None:
    """Twice he was handed over to 12345, once told where to turn. On the fourth call both centres see it."""
    number = "13933330004"
    citizen, taker = await stage.citizen(), await stage.seat("1001")
    agent = await stage.seat("1001", site="12345", tone=PARTNER)
    await handed_over(stage, citizen, taker, agent, number, "楼上噪音")
    await handed_over(stage, citizen, taker, agent, number, "还是楼上噪音")
    await told_where_to_turn(stage, citizen, taker, number, "噪音，请找居委会")
    await past_calls(stage, number, 3)

    talk = await stage.talk(citizen, taker, number=number)
    async with door(lab, "110", "seat:1001") as seat:
        assert (await known(seat, talk.id))["earlier_calls"] == 3
        history = (await seat.get(f"/v1/calls/{talk.id}"))["history"]
        assert (await seat.get(f"/v1/history/{number}"))["count"] == 3
    assert (history["count"], history["days"], history["more"]) == (3, 90, False)
    assert [about(call) for call in history["calls"]] == [
        ("finished", ["噪音，请找居委会"]),
        ("handed_over", ["还是楼上噪音"]),
        ("handed_over", ["楼上噪音"]),
    ]

    _, pressed = await stage.api["110"].press("1001", "12345", note="第四次来电，噪音")
    ring = await agent.incoming()
    async with door(lab, "110", "line:12345") as unit:
        assert (await unit.get(f"/v1/calls/{talk.id}"))["history"] == history
    await ring.answer()
    await stage.api["110"].transfer_in(talk.id, pressed["id"], "joined")
    theirs = await stage.api["12345"].call_with(situation="talking")
    async with door(lab, "12345", "seat:1001") as seat:
        seen = await known(seat, theirs["id"])
        assert (seen["caller"]["number"], seen["earlier_calls"]) == (number, 2)
        assert (await seat.get(f"/v1/calls/{theirs['id']}"))["history"]["count"] == 2

    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await talk.caller.hangup()
    await ring.ended()


async def handed_over(
    stage: Stage, citizen: Softphone, taker: Softphone, agent: Softphone, number: str, note: str
) -> None:
    """One whole call that 12345 takes over and ends."""
    talk = await stage.talk(citizen, taker, number=number)
    status, pressed = await stage.api["110"].press("1001", "12345", note=note)
    assert status == 202, pressed
    ring = await agent.incoming()
    await ring.answer()
    await stage.api["110"].transfer_in(talk.id, pressed["id"], "joined")
    await talk.taker.hangup()
    await stage.hears(ring, CALLER)
    await stage.hears(talk.caller, PARTNER)
    # A partner who left within a second of the taker would not have taken the caller over.
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.2)
    await ring.hangup()
    await talk.caller.ended()
    await stage.api["110"].no_calls()
    await stage.api["12345"].no_calls()


async def told_where_to_turn(
    stage: Stage, citizen: Softphone, taker: Softphone, number: str, note: str
) -> None:
    """One whole call that the seat ends, having pressed the key `guidance`."""
    talk = await stage.talk(citizen, taker, number=number)
    status, answer = await stage.api["110"].press("1001", "guidance", note=note)
    assert (status, answer["diversion"]["kind"]) == (202, "guidance")
    await talk.taker.hangup()
    await talk.caller.ended()
    await stage.api["110"].no_calls()


# -- what people read --------------------------------------------------------------------------


def about(call: dict[str, Any]) -> tuple[str, list[str]]:
    """How a past call ended, and what was written of it."""
    return call["outcome"], [one["note"] for one in (*call["transfers"], *call["diversions"])]


async def known(api: Api, call_id: str, within: float = 3.0) -> Any:
    """The call, once it is known how often its number has called."""
    deadline = time.monotonic() + within
    while (call := await api.get(f"/v1/calls/{call_id}"))["earlier_calls"] is None:
        assert time.monotonic() < deadline, f"not known within {within} s how often {call_id}'s number called"
        await asyncio.sleep(0.02)
    return call


async def past_calls(stage: Stage, number: str, count: int, within: float = 3.0) -> Any:
    """The number's history at 110, once it has so many calls."""
    deadline = time.monotonic() + within
    while (history := await stage.api["110"].get(f"/v1/history/{number}"))["count"] < count:
        assert time.monotonic() < deadline, f"no {count} calls of {number} within {within} s: {history}"
        await asyncio.sleep(0.02)
    return history


async def metrics(site: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{API[site]}/metrics") as answer:
        return await answer.text()
