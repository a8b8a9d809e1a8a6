"""Over the dedicated line, both ways: 12345's emergencies reach 110 ahead of everything, and callers come back."""

from __future__ import annotations

import asyncio
import time

from tests.lab.softphone_call import Call
from tests.lab.stage import CALLER, PARTNER, SIP, TAKER, Stage, Talk
from tests.system.conftest import Lab


async def emergency(stage: Stage, number: str = "13800138000") -> tuple[Talk, str]:
    """A citizen talks with 12345's seat 1001, who presses 110. The talk, and the transfer's id at 12345."""
    citizen, taker = await asyncio.gather(stage.citizen("12345"), stage.seat("1001", "12345"))
    talk = await stage.talk(citizen, taker, site="12345", number=number)
    await stage.hears(talk.caller, TAKER)
    status, answer = await stage.api["12345"].press("1001", "110")
    assert status == 202, answer
    return talk, str(answer["id"])


async def finish(talk: Talk, *others: Call) -> None:
    await talk.caller.hangup()
    for other in others:
        await other.hangup()
    await talk.taker.ended()


async def test_emergency_reaches_the_dedicated_seat_with_number_and_case(stage: Stage) -> None:
    dedicated, ordinary = await asyncio.gather(
        stage.seat("1009", tone=PARTNER), stage.seat("1002", on_invite=486)
    )
    talk, transfer = await emergency(stage, number="13912345678")

    ring = await dedicated.incoming(within=2.0)

    assert ring.remote_number == "13912345678"
    assert not ordinary.calls
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    call = await stage.api["110"].call_with(situation="talking")
    here = await stage.api["12345"].get(f"/v1/calls/{talk.id}")
    assert (call["via"], call["seat"], call["case_id"]) == ("12345", "1009", here["case_id"])
    assert call["caller"]["number"] == "13912345678"
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.goes_on_hearing(ring, CALLER, seconds=1.0)
    await ring.hangup()
    await talk.caller.ended()
    over = await stage.api["12345"].transfer_in(talk.id, transfer, "ended")
    assert over["reason"] == "completed"


async def test_emergency_that_the_dedicated_seat_does_not_take_rings_any_seat_after_five_seconds(
    stage: Stage,
) -> None:
    dedicated, other = await asyncio.gather(
        stage.seat("1009", on_invite=180), stage.seat("1002", tone=PARTNER)
    )
    talk, _ = await emergency(stage)
    await dedicated.incoming()
    rang = time.time()

    ring = await other.incoming(within=8.0)

    assert 4.0 <= time.time() - rang <= 7.0
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await finish(talk, ring)


async def test_emergency_goes_to_any_seat_at_once_when_the_dedicated_seat_has_no_phone(stage: Stage) -> None:
    other = await stage.seat("1002", tone=PARTNER)
    talk, _ = await emergency(stage)

    ring = await other.incoming(within=2.0)

    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await finish(talk, ring)


async def test_emergency_when_nobody_is_at_110_is_told_at_once(stage: Stage) -> None:
    talk, transfer = await emergency(stage)

    over = await stage.api["12345"].transfer_in(talk.id, transfer, "ended", within=2.0)

    assert over["reason"] == "unreachable"
    await stage.hears(talk.caller, TAKER)
    await finish(talk)


async def test_emergency_is_ahead_of_every_ordinary_call(stage: Stage) -> None:
    seat = await stage.seat("1002", tone=PARTNER)
    first = await stage.talk(await stage.citizen(), seat, number="13800000001")
    waiting = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13800000002")
    await waiting.ringing()
    talk, _ = await emergency(stage, number="13800000003")
    await stage.api["110"].calls_waiting(2)

    await first.taker.hangup()

    ring = await seat.incoming(within=20.0)
    assert ring.remote_number == "13800000003"
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await waiting.hangup()
    await first.caller.ended()
    await finish(talk, ring)


async def test_return_key_at_12345s_seat_brings_the_caller_back_to_110(stage: Stage) -> None:
    citizen, taker, agent = await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.seat("1001", "12345", tone=PARTNER)
    )
    talk = await stage.talk(citizen, taker)
    _, answer = await stage.api["110"].press("1001", "12345")
    ring = await agent.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.taker.hangup()
    await stage.api["110"].transfer_in(talk.id, answer["id"], "handed_over")
    status, refused = await stage.api["110"].press("1001", "return")
    assert (status, refused["error"]["code"]) == (409, "no_call")

    status, _ = await stage.api["12345"].press("1001", "return")

    assert status == 202
    back = await taker.incoming()
    await ring.ended()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    assert (await stage.api["110"].transfer_in(talk.id, answer["id"], "ended"))["reason"] == "returned"
    await stage.hears(back, CALLER)
    await stage.goes_on_hearing(back, CALLER, seconds=1.0)
    await talk.caller.hangup()
    await back.ended()


async def test_partner_whose_phone_loses_its_power_is_noticed_and_the_caller_comes_back(
    stage: Stage, lab: Lab
) -> None:
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    talk = await stage.talk(citizen, taker)
    _, answer = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.taker.hangup()
    await stage.api["110"].transfer_in(talk.id, answer["id"], "handed_over")
    await stage.hears(talk.caller, PARTNER)
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)

    await unit.kill()

    back = await taker.incoming(within=10.0)
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    assert (await stage.api["110"].transfer_in(talk.id, answer["id"], "ended"))["reason"] == "link_lost"
    await stage.hears(back, CALLER)
    await stage.goes_on_hearing(back, CALLER, seconds=1.0)
    await talk.caller.hangup()
    await back.ended()


async def test_taker_whose_phone_loses_its_power_does_not_lose_the_caller(stage: Stage) -> None:
    citizen, taker = await asyncio.gather(stage.citizen(), stage.seat("1001"))
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)

    await taker.kill()

    other = await stage.seat("1001")  # the seat's next phone takes over its name
    back = await other.incoming(within=15.0)
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    await stage.hears(back, CALLER)
    await stage.goes_on_hearing(back, CALLER, seconds=1.0)
    await talk.caller.hangup()
    await back.ended()
