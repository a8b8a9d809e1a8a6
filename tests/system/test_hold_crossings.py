"""While the caller is on hold somebody else comes, goes or presses: nobody is lost, and nobody waits for nobody."""

from __future__ import annotations

import asyncio

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import BOTH_LEFT, CALLER, PARTNER, TAKER, Stage, Talk


@pytest.fixture
async def cast(stage: Stage) -> tuple[Talk, Softphone]:
    """A citizen and a taker in conversation, and the fire brigade's phone."""
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    return talk, unit


async def press(stage: Stage, key: str, **body: str) -> dict[str, object]:
    status, answer = await stage.api["110"].press("1001", key, **body)
    assert status == 202, answer
    return answer


async def hold(stage: Stage, talk: Talk) -> None:
    await press(stage, "hold")
    await stage.hears_music(talk.caller)
    await stage.api["110"].call_with(situation="held")


async def answered(unit: Softphone) -> Call:
    ring = await unit.incoming()
    await ring.answer()
    return ring


async def test_resume_pressed_twice_brings_the_caller_back_once(stage: Stage, cast) -> None:
    talk, _ = cast
    await hold(stage, talk)

    await asyncio.gather(*(stage.api["110"].press("1001", "resume") for _ in range(2)))

    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await stage.api["110"].call_with(situation="talking")
    await talk.taker.hangup()
    await talk.caller.ended()


async def test_partner_who_was_called_during_hold_joins_both_if_the_caller_is_back(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    await hold(stage, talk)
    await press(stage, "119")
    ring = await unit.incoming()
    await press(stage, "resume")
    await stage.hears(talk.caller, TAKER)

    await ring.answer()

    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(ring, TAKER, CALLER)
    await stage.api["110"].call_with(situation="three_way")
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()


async def test_taker_who_leaves_a_held_caller_to_a_ringing_partner_has_handed_over(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    await hold(stage, talk)
    transfer = await press(stage, "119")
    ring = await unit.incoming()
    await talk.taker.hangup()
    await stage.hears_music(talk.caller)

    await ring.answer()

    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.api["110"].transfer_in(talk.id, str(transfer["id"]), "handed_over")
    await stage.goes_on_hearing(ring, CALLER, seconds=BOTH_LEFT)
    await ring.hangup()
    await talk.caller.ended()
    ended = await stage.api["110"].transfer_in(talk.id, str(transfer["id"]), "ended")
    assert ended["reason"] == "completed"


async def test_taker_who_hangs_up_while_a_three_way_caller_is_on_hold_hands_over(stage: Stage, cast) -> None:
    talk, unit = cast
    await press(stage, "119")
    ring = await answered(unit)
    await stage.hears(talk.caller, TAKER, PARTNER)
    await press(stage, "hold")
    await stage.hears_music(talk.caller)
    await stage.hears(ring, TAKER)

    await talk.taker.hangup()

    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await talk.caller.hangup()
    await ring.ended()


async def test_held_caller_who_was_rescued_has_an_ordinary_call_again(stage: Stage, cast) -> None:
    talk, unit = cast
    await hold(stage, talk)
    await talk.taker.hangup()
    back = await answered(talk.taker.phone)
    await stage.hears(talk.caller, TAKER)

    await press(stage, "119")
    ring = await answered(unit)

    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(ring, TAKER, CALLER)
    await talk.caller.hangup()
    await ring.hangup()
    await back.ended()


async def test_two_partners_of_a_held_caller_talk_with_the_taker_and_then_with_the_caller(
    stage: Stage, cast
) -> None:
    talk, fire = cast
    gas = await stage.unit("gas", tone=PARTNER)
    await hold(stage, talk)
    await press(stage, "gas-leak")
    first = await answered(fire)
    await stage.hears(first, TAKER)

    second = await answered(gas)

    await stage.hears(first, TAKER, PARTNER)
    await stage.hears(second, TAKER, PARTNER)
    await stage.hears_music(talk.caller)
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(first, CALLER, PARTNER)
    await stage.hears(second, CALLER, PARTNER)
    await first.hangup()
    await stage.hears(second, CALLER)
    await stage.goes_on_hearing(second, CALLER, seconds=BOTH_LEFT)
    await second.hangup()
    await talk.caller.ended()


async def test_partner_who_answers_a_cold_press_during_hold_gets_the_caller(stage: Stage, cast) -> None:
    talk, unit = cast
    await hold(stage, talk)
    await press(stage, "119", mode="cold")

    ring = await answered(unit)

    await talk.taker.ended()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await talk.caller.hangup()
    await ring.ended()
