"""Whoever leaves, the rest go on; and a caller is never left alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import BOTH_LEFT, CALLER, FRAME, PARTNER, TAKER, Stage, Talk
from tests.system.conftest import Lab


@pytest.fixture
async def cast(stage: Stage) -> tuple[Talk, Softphone]:
    """A citizen and a taker in conversation, and the fire brigade's phone, which rings and is answered by hand."""
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    return talk, unit


async def press(stage: Stage, unit: Softphone, key: str = "119", **body: str) -> tuple[str, Call]:
    """Press the key; the transfer's id and the partner's ringing phone."""
    status, answer = await stage.api["110"].press("1001", key, **body)
    assert status == 202, answer
    ring = await unit.incoming()
    await ring.ring()
    await stage.api["110"].transfer_in(answer["call"], answer["id"], "ringing")
    return str(answer["id"]), ring


async def test_cold_transfer_releases_the_taker_once_the_partner_has_joined(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit, mode="cold")
    await stage.hears(talk.caller, TAKER)

    await ring.answer()

    await talk.taker.ended()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.goes_on_hearing(ring, CALLER, seconds=BOTH_LEFT)
    over = await stage.api["110"].transfer_in(talk.id, transfer, "handed_over")
    assert over["mode"] == "cold"
    await ring.hangup()
    await talk.caller.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "completed"


async def test_leave_key_hands_the_caller_over(stage: Stage, cast) -> None:
    talk, unit = cast
    status, answer = await stage.api["110"].press("1001", "leave")
    assert (status, answer["error"]["code"]) == (409, "nobody_to_leave_with")
    transfer, ring = await press(stage, unit)
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)

    status, _ = await stage.api["110"].press("1001", "leave")

    assert status == 202
    await talk.taker.ended()
    await stage.hears(talk.caller, PARTNER)
    await stage.api["110"].transfer_in(talk.id, transfer, "handed_over")
    await talk.caller.hangup()
    await ring.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "completed"


async def test_partner_who_leaves_a_three_way_call_gives_the_caller_back_to_the_taker(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)

    await ring.hangup()

    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "returned"
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await talk.taker.hangup()
    await talk.caller.ended()


async def test_taker_and_partner_may_finish_when_the_caller_has_left(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)
    await ring.answer()
    await stage.hears(ring, CALLER, TAKER)

    await talk.caller.hangup()

    await stage.hears(ring, TAKER)
    await stage.hears(talk.taker, PARTNER)
    await ring.hangup()
    await talk.taker.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "caller_hung_up"


async def test_caller_hears_music_when_the_taker_hangs_up_while_the_partner_rings_and_then_the_partner(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)

    await talk.taker.hangup()
    left = time.time()

    await stage.api["110"].call_with(situation="waiting")
    music = await stage.hears_music(talk.caller)
    assert music - left < 2.0
    await ring.answer()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.api["110"].transfer_in(talk.id, transfer, "handed_over")
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=BOTH_LEFT)
    await ring.hangup()
    await talk.caller.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "completed"


async def test_caller_who_waits_alone_comes_back_to_the_same_seat_when_the_partner_refuses(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)
    await talk.taker.hangup()
    await stage.api["110"].call_with(situation="waiting")

    await ring.reject(486)

    back = await talk.taker.phone.incoming()
    assert back.remote_number == "13800138000"
    await back.answer()
    await stage.hears(talk.caller, TAKER, since=time.time())
    await stage.hears(back, CALLER)
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "busy"
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_seat_that_rings_for_the_caller_already_is_not_rung_again_by_a_controller_that_comes_late(
    stage: Stage, lab: Lab, cast
) -> None:
    talk, unit = cast
    _, ring = await press(stage, unit)
    await talk.taker.hangup()
    await stage.api["110"].call_with(situation="waiting")
    with lab.sites["110"].controller.frozen():
        await ring.reject(486)
        back = await talk.taker.phone.incoming()  # by the dialplan alone

    await stage.api["110"].call_with(situation="queued")

    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        assert back.state == "incoming", "the ringing was cancelled"
        await asyncio.sleep(0.02)
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    assert (await stage.api["110"].call_with(situation="talking"))["id"] == talk.id
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_caller_comes_back_when_taker_and_partner_leave_at_once(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)

    await asyncio.gather(talk.taker.hangup(), ring.hangup())

    back = await talk.taker.phone.incoming()
    await back.answer()
    await stage.hears(talk.caller, TAKER, since=time.time())
    over = await stage.api["110"].transfer_in(talk.id, transfer, "ended")
    assert over["reason"] in ("partner_left", "returned")
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_caller_who_waits_is_joined_without_a_hole_and_the_partners_keys_work(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)
    await talk.taker.hangup()
    await stage.hears_music(talk.caller)
    since = time.time()

    await ring.answer()

    await stage.hears(talk.caller, PARTNER)
    done = time.time()
    heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id).between(since, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(since, done, ring) + FRAME
    await stage.api["110"].transfer_in(talk.id, transfer, "handed_over")
    await ring.dtmf("*0")
    back = await talk.taker.phone.incoming()
    await ring.ended()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_caller_who_hangs_up_cancels_the_ringing(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)

    await talk.caller.hangup()

    await ring.ended()
    await talk.taker.ended()
    over = await stage.api["110"].transfer_in(talk.id, transfer, "ended")
    assert (over["reason"], over["joined_at"]) == ("caller_hung_up", None)


async def test_answer_that_crosses_the_callers_hang_up_is_released(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)

    await asyncio.gather(ring.answer(), talk.caller.hangup(), return_exceptions=True)

    over = await stage.api["110"].transfer_in(talk.id, transfer, "ended")
    assert over["reason"] == "caller_hung_up"
    if over["joined_at"] is not None:  # The answer was first: taker and partner may finish.
        await stage.hears(ring, TAKER)
        await ring.hangup()
    await ring.ended()
    await talk.taker.ended()


async def test_answer_that_crosses_the_cancel_key_is_released(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await press(stage, unit)

    _, (status, _) = await asyncio.gather(
        ring.answer(), stage.api["110"].press("1001", "cancel"), return_exceptions=True
    )

    over = await stage.api["110"].transfer(talk.id, transfer)
    if status == 202:
        assert over["reason"] == "cancelled"
        await ring.ended()
        await stage.hears(talk.caller, TAKER)
    else:
        assert over["state"] == "joined"
        await stage.hears(talk.caller, TAKER, PARTNER)
        await ring.hangup()
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_two_partners_and_the_taker_are_one_conversation(stage: Stage, cast) -> None:
    talk, unit = cast
    other = await stage.unit("120", tone=2310)
    _, fire = await press(stage, unit)
    _, ambulance = await press(stage, other, "120")
    await fire.answer()
    await ambulance.answer()

    await stage.hears(fire, CALLER, TAKER)
    await stage.hears(ambulance, CALLER, TAKER, PARTNER)

    await fire.hangup()
    await stage.hears(ambulance, CALLER, TAKER)
    await talk.caller.hangup()
    await ambulance.hangup()
    await talk.taker.ended()
