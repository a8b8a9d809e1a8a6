"""What the controller does not know, or Asterisk has left over, does not stay so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from telephony.ami import verbs
from tests.lab.manager import as_controller
from tests.lab.softphone import Softphone
from tests.lab.stage import PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab

TWO_LOOKS = 15.0  # s; the sweep acts on what it has seen twice, 5 s apart


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


async def becomes(true: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline, f"not after {within} s"
        await asyncio.sleep(0.1)


async def test_caller_who_came_while_the_controller_was_frozen_has_keys_once_the_seat_has_answered(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    with lab.sites["110"].controller.frozen():
        caller = await citizen.dial(f"sip:110@{SIP['110']}", number="13800138000")
        ring = await taker.incoming()
    await ring.answer()
    await caller.answered()
    call = await stage.api["110"].call_with(situation="talking")
    assert call["caller"]["number"] == "13800138000"
    await stage.api["110"].ready()

    status, pressed = await stage.api["110"].press("1001", "119")

    assert status == 202, pressed
    partner = await unit.incoming()
    await partner.answer()
    await stage.hears(caller, TAKER, PARTNER)
    await caller.hangup()
    await partner.hangup()
    await ring.ended()
    await stage.api["110"].no_calls()


async def test_leg_that_is_left_over_from_a_call_is_ended(stage: Stage, lab: Lab) -> None:
    async with as_controller(lab.sites["110"]) as link:
        ghost = {"TEL_CALL": "110-a-1.1", "TEL_ROLE": "partner", "TEL_PARTY": "119"}
        await verbs.originate(link, "ghost", "Local/*43@from-seat", "hold", 5, ghost)
        await becomes(lambda: bool(lab.sites["110"].channels()), 3.0)

        await becomes(lambda: not lab.sites["110"].channels(), TWO_LOOKS)


async def test_caller_who_waits_in_the_dialplan_for_nobody_gets_a_seat(stage: Stage, lab: Lab, cast) -> None:
    citizen, taker, _ = cast
    talk = await stage.talk(citizen, taker)
    async with as_controller(lab.sites["110"]) as link:
        # On hold for somebody who never goes: the caller's own channel stands for the taker's.
        await verbs.set_variable(link, talk.id, "SHARED(TEL_HELD)", "hold")
        await verbs.set_variable(link, talk.id, "SHARED(TEL_TAKER)", talk.id)
        await verbs.redirect(link, talk.id, "hold")
        await talk.taker.hangup()
        await stage.api["110"].call_with(situation="queued")

        ring = await taker.incoming(within=TWO_LOOKS)

    await ring.answer()
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await ring.ended()


async def test_leg_that_is_too_long_is_ended_and_its_caller_has_a_seat_afresh(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, unit = cast
    site = lab.sites["110"]
    usual = site.asterisk_cli("dialplan show globals").split("LONGEST_LEG=")[1].split()[0]
    site.asterisk_cli("dialplan set global LONGEST_LEG 4")
    try:
        talk = await stage.talk(citizen, taker)
        await stage.api["110"].press("1001", "119")
        partner = await unit.incoming()
        await partner.answer()
        await stage.hears(talk.caller, TAKER, PARTNER)

        ring = await taker.incoming(within=6)

        await ring.answer()
        await stage.hears(talk.caller, TAKER)
        await partner.ended()
    finally:
        site.asterisk_cli(f"dialplan set global LONGEST_LEG {usual}")
    await talk.caller.hangup()
    await ring.ended()


async def test_call_over_the_line_that_rings_for_too_long_is_given_back(stage: Stage, lab: Lab) -> None:
    agent, citizen, _ = await asyncio.gather(
        stage.seat("1001", site="12345"), stage.citizen(site="12345"), stage.seat("1001")
    )
    site = lab.sites["110"]
    usual = site.asterisk_cli("dialplan show globals").split("RING_LIMIT=")[1].split()[0]
    site.asterisk_cli("dialplan set global RING_LIMIT 2")
    try:
        talk = await stage.talk(citizen, agent, site="12345")
        _, pressed = await stage.api["12345"].press("1001", "110")
        over = await stage.api["12345"].transfer_in(talk.id, pressed["id"], "ended", within=15)
    finally:
        site.asterisk_cli(f"dialplan set global RING_LIMIT {usual}")
    assert over["reason"] == "no_answer"
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()
