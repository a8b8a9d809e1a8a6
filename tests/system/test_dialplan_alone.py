"""Without a controller the dialplan alone keeps callers safe: stopped, killed or frozen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_errors import CallFailedError, PhoneError
from tests.lab.stage import BOTH_LEFT, CALLER, PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab, ring_partner

MOVED = 40.0  # ms between the last of the music and the first of the partner, which nobody notices


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at 110's seat 1001, and the agent at 12345's seat 1001, all registered."""
    return await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.seat("1001", site="12345", tone=PARTNER)
    )


@pytest.fixture
def stopped(lab: Lab, cast) -> None:
    """Neither hotline has a controller."""
    for site in lab.sites.values():
        site.stop_controller()


@pytest.fixture
async def frozen(lab: Lab, cast) -> AsyncIterator[None]:
    """110's controller neither answers nor dies."""
    with lab.sites["110"].controller.frozen():
        yield


async def talk(citizen: Softphone, taker: Softphone) -> tuple:
    caller = await citizen.dial(f"sip:110@{SIP['110']}", number="13800138000")
    dialled = time.time()
    ring = await taker.incoming()
    rang = time.time()
    await ring.answer()
    await caller.answered()
    return caller, ring, rang - dialled


async def test_call_reaches_a_seat_and_ends_normally(stage: Stage, cast, stopped) -> None:
    citizen, taker, _ = cast
    caller, ring, _ = await talk(citizen, taker)
    await stage.hears(caller, TAKER)
    await stage.hears(ring, CALLER)

    await ring.hangup()

    await caller.ended()


async def test_dtmf_key_joins_12345_and_the_taker_may_leave(stage: Stage, cast, stopped) -> None:
    citizen, taker, agent = cast
    caller, ring, _ = await talk(citizen, taker)
    await stage.hears(caller, TAKER)

    await ring.dtmf("*1")

    partner = await agent.incoming()
    assert partner.remote_number == "13800138000"
    await partner.answer()
    await stage.hears(caller, TAKER, PARTNER)
    await stage.hears(partner, CALLER, TAKER)
    await ring.hangup()
    await stage.hears(caller, PARTNER)
    await stage.hears(partner, CALLER)
    await stage.goes_on_hearing(partner, CALLER, seconds=BOTH_LEFT)
    await partner.hangup()
    await caller.ended()


async def test_dialplans_invite_is_the_same_as_the_controllers(stage: Stage, lab: Lab, cast) -> None:
    citizen, taker, agent = cast

    async def invite() -> dict[str, object]:
        caller, ring, _ = await talk(citizen, taker)
        await ring.dtmf("*1")
        partner = await agent.incoming()
        message = stage.line_invite("12345").message
        await caller.hangup()
        await ring.ended()
        # With nobody there to cancel the ringing, who picks up finds the caller gone.
        with suppress(CallFailedError, PhoneError):
            await partner.answer()
        await partner.ended()
        names = ("P-Asserted-Identity", "Privacy", "Diversion")
        found: dict[str, object] = {name: message.header(name) for name in names}
        found["From"] = message.address("From").user
        found["has a case"] = bool(message.header("User-to-User"))
        return found

    with_controller = await invite()
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    assert await invite() == with_controller | {"has a case": False}


async def test_caller_who_waits_alone_gets_the_partner_or_the_seat_again(stage: Stage, cast, stopped) -> None:
    citizen, taker, _ = cast
    unit = await stage.unit("119")
    caller, ring, partner = await ring_partner(stage, (citizen, taker, unit))
    await ring.hangup()
    await stage.hears_music(caller)

    await partner.reject(486)

    back = await taker.incoming()
    await back.answer()
    await stage.hears(caller, TAKER)
    await back.dtmf("*2")
    partner = await unit.incoming()
    await partner.ring()
    await back.hangup()
    await stage.hears_music(caller)
    await partner.answer()
    await stage.hears(caller, PARTNER)
    await stage.hears(partner, CALLER)
    await partner.hangup()
    await caller.ended()


@pytest.mark.parametrize("first", ["taker", "partner"])
async def test_caller_whose_partner_refuses_as_the_taker_leaves_comes_back(
    stage: Stage, cast, stopped, first: str
) -> None:
    citizen, taker, _ = cast
    unit = await stage.unit("119")
    caller, ring, partner = await ring_partner(stage, (citizen, taker, unit))

    if first == "taker":
        await ring.hangup()
        await partner.reject(486)
    else:
        await partner.reject(486)
        await ring.hangup()

    back = await taker.incoming()
    await back.answer()
    await stage.hears(caller, TAKER)
    await stage.goes_on_hearing(caller, TAKER, seconds=BOTH_LEFT)
    await back.hangup()
    await caller.ended()


async def test_three_way_call_goes_on_when_the_controller_is_killed(stage: Stage, lab: Lab, cast) -> None:
    citizen, taker, agent = cast
    caller, ring, _ = await talk(citizen, taker)
    await stage.api["110"].call_with(situation="talking")
    status, _ = await stage.api["110"].press("1001", "12345")
    assert status == 202
    partner = await agent.incoming()
    await partner.answer()
    await stage.hears(caller, TAKER, PARTNER)
    killed = time.time()

    await asyncio.to_thread(lab.sites["110"].kill_controller)

    await stage.goes_on_hearing(caller, TAKER, PARTNER, seconds=0.5)
    await ring.hangup()
    await stage.hears(caller, PARTNER)
    await stage.hears(partner, CALLER)
    done = time.time()
    heard = stage.wire.received(citizen.bind, caller.call_id).between(killed, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(killed, done, ring, partner)
    await stage.goes_on_hearing(partner, CALLER, seconds=BOTH_LEFT)
    await partner.hangup()
    await caller.ended()


async def test_caller_is_not_lost_when_the_controller_dies_while_the_partner_rings(
    stage: Stage, lab: Lab, cast
) -> None:
    citizen, taker, _ = cast
    unit = await stage.unit("119")
    caller, ring, _ = await talk(citizen, taker)
    await stage.api["110"].call_with(situation="talking")
    status, _ = await stage.api["110"].press("1001", "119")
    assert status == 202
    partner = await unit.incoming()
    await partner.ring()
    await asyncio.to_thread(lab.sites["110"].kill_controller)

    await ring.hangup()

    music = await stage.hears_music(caller)
    await partner.answer()
    done = await stage.hears(caller, PARTNER)
    heard = stage.wire.received(citizen.bind, caller.call_id).between(music, done)
    assert heard.largest_gap_ms <= stage.allowed_gap(music, done) + MOVED
    await partner.hangup()
    await caller.ended()


async def test_frozen_controller_delays_a_caller_by_its_limit_only(stage: Stage, cast, frozen) -> None:
    citizen, taker, agent = cast

    caller, ring, waited = await talk(citizen, taker)

    assert waited < 3.0
    await stage.hears(caller, TAKER)
    await ring.dtmf("*1")
    partner = await agent.incoming()
    await partner.answer()
    await stage.hears(caller, TAKER, PARTNER)
    await ring.hangup()
    await stage.hears(partner, CALLER)
    await stage.hears(caller, PARTNER)
    await caller.hangup()
    await partner.ended()
