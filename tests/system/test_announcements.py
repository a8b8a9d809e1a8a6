"""What people hear as speech: at the right moment, word for word, with the controller and without it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import CALLER, PARTNER, SIP, TAKER, Stage
from tests.lab.words import longest_silence
from tests.system.conftest import Lab, ring_partner

NO_HOLE = 2.0  # s; the longest that a caller may hear nothing
AT_ONCE = 0.5  # s


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone, all registered."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


@pytest.fixture
async def agent(stage: Stage) -> Softphone:
    """The phone of 12345's seat 1001."""
    return await stage.seat("1001", site="12345", tone=PARTNER)


@pytest.fixture(params=["controller", "dialplan alone"])
def guarded(request: pytest.FixtureRequest, lab: Lab, cast) -> None:
    """Once with a controller, once without."""
    if request.param == "dialplan alone":
        lab.sites["110"].stop_controller()


def silence(stage: Stage, call: Call, since: float) -> float:
    """The longest time, from `since` until now, for which the phone of `call` received nothing to hear."""
    return longest_silence(stage.wire.received(call.phone.bind, call.call_id).between(since, time.time()))


def at_once(stage: Stage, since: float) -> float:
    """What counts as at once, in s: more where the machine stood still since."""
    return AT_ONCE + stage.stalls.longest_ms(since, time.time()) / 1000


def leaves(stage: Stage, call: Call) -> float:
    """When the phone of `call`, which has hung up, has said so."""
    goodbyes = [p.at for p in stage.wire.sip(call_id=call.call_id) if p.message.first_line.startswith("BYE ")]
    return goodbyes[0]


def no_hole(stage: Stage, since: float) -> float:
    """The longest time, in s, for which a caller may have heard nothing: more where the machine stood still since."""
    return NO_HOLE + stage.stalls.longest_ms(since, time.time()) / 1000


def only_lines_left(lab: Lab) -> None:
    """Wait until the caller's channel is gone: who answers in the very moment of it is released without a word."""
    deadline = time.monotonic() + 2.0
    while left := [name for name in lab.sites["110"].channels() if "/line-" not in name]:
        assert time.monotonic() < deadline, left


async def end(*calls: Call) -> None:
    await calls[0].hangup()
    for call in calls[1:]:
        await call.ended()


async def test_caller_who_waits_alone_hears_that_the_transfer_goes_on_and_then_music(
    stage: Stage, cast, agent, guarded
) -> None:
    caller, taker, partner = await ring_partner(stage, (*cast[:2], agent), "*1")
    await taker.hangup()

    spoken = await stage.hears_words(caller, "transferring")

    left = leaves(stage, taker)
    assert spoken.began - left < no_hole(stage, left)
    music = await stage.hears_music(caller)
    assert music - spoken.ended < 1.5
    assert len(stage.words(caller, "transferring")) == 1
    assert silence(stage, caller, left) < no_hole(stage, left)
    await partner.answer()
    await stage.hears(caller, PARTNER)
    await stage.hears(partner, CALLER)
    await stage.goes_on_hearing(caller, PARTNER, seconds=1.0)  # who is gone sooner has not taken over
    await end(partner, caller)


async def test_frozen_controller_leaves_no_hole_before_the_announcement(
    stage: Stage, lab: Lab, cast, agent
) -> None:
    caller, taker, partner = await ring_partner(stage, (*cast[:2], agent), "*1")
    with lab.sites["110"].controller.frozen():
        await taker.hangup()

        spoken = await stage.hears_words(caller, "transferring", whole=False)

    left = leaves(stage, taker)
    assert spoken.began - left < no_hole(stage, left)
    assert silence(stage, caller, left) < no_hole(stage, left)
    await caller.hangup()
    await partner.ended()


async def test_partners_answer_cuts_the_announcement_off(stage: Stage, cast, agent, guarded) -> None:
    caller, taker, partner = await ring_partner(stage, (*cast[:2], agent), "*1")
    await taker.hangup()
    await stage.hears_words(caller, "transferring", whole=False)

    answered = time.time()
    await partner.answer()

    talking = await stage.hears(caller, PARTNER)
    (spoken,) = stage.words(caller, "transferring")
    assert not spoken.whole
    assert spoken.ended - answered < at_once(stage, answered)
    assert talking - answered < at_once(stage, answered) + 0.5  # `hears` wants half a second of it
    await stage.hears(caller, PARTNER)
    await stage.goes_on_hearing(caller, PARTNER, seconds=1.0)
    await end(partner, caller)


async def test_caller_who_comes_back_is_told_so_while_the_seat_rings_already(
    stage: Stage, cast, guarded
) -> None:
    caller, taker, partner = await ring_partner(stage, cast)
    await taker.hangup()
    await stage.hears_words(caller, "transferring", whole=False)
    refused = time.time()
    await partner.reject(486)

    back = await taker.phone.incoming()

    assert time.time() - refused < NO_HOLE
    spoken = await stage.hears_words(caller, "back-in-queue")
    await stage.hears_music(caller)
    assert silence(stage, caller, refused) < no_hole(stage, refused)
    assert spoken.began < time.time() < spoken.ended + NO_HOLE
    await back.answer()
    await stage.hears(caller, TAKER)
    await stage.goes_on_hearing(caller, TAKER, seconds=1.0)
    await end(back, caller)


async def test_caller_who_comes_back_to_a_busy_seat_hears_the_same_and_is_the_next(
    stage: Stage, cast, guarded
) -> None:
    others = await asyncio.gather(stage.citizen(), stage.citizen())
    caller, taker, partner = await ring_partner(stage, cast)
    second, third = [
        await each.dial(f"sip:110@{SIP['110']}", number=f"1390013900{n}") for n, each in enumerate(others)
    ]
    await taker.hangup()
    other = await taker.phone.incoming(within=8)
    await other.answer()
    waiting, busy = (second, third) if other.remote_number.endswith("1") else (third, second)
    await busy.answered()

    refused = (await partner.ended()).at
    await stage.hears_words(caller, "back-in-queue")
    await stage.hears_music(caller)
    assert silence(stage, caller, refused) < no_hole(stage, refused)
    await busy.hangup()
    await other.ended()

    back = await taker.phone.incoming(within=8)
    assert back.remote_number == "13800138000"
    await back.answer()
    await stage.hears(caller, TAKER)
    await waiting.hangup()
    await caller.hangup()
    await back.ended()


async def test_partner_who_answers_after_the_caller_has_gone_is_told_and_released(
    stage: Stage, lab: Lab, cast
) -> None:
    # With a controller the ringing is cancelled when the caller goes; without one it goes on.
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    caller, taker, partner = await ring_partner(stage, cast)
    await caller.hangup()
    await taker.ended()
    await asyncio.to_thread(only_lines_left, lab)

    answered = time.time()
    await partner.answer()

    over = await partner.ended()
    (spoken,) = stage.words(partner, "caller-gone")
    assert spoken.whole
    assert spoken.began - answered < at_once(stage, answered)
    assert over.at - spoken.ended < at_once(stage, answered)


async def test_partner_whose_answer_crosses_the_callers_hang_up_is_told_and_released(
    stage: Stage, lab: Lab, cast
) -> None:
    # The controller hears of the hang-up when the partner has answered, and wants to cancel the ringing.
    caller, taker, partner = await ring_partner(stage, cast)
    with lab.sites["110"].controller.frozen():
        await caller.hangup()
        await taker.ended()
        await asyncio.to_thread(only_lines_left, lab)
        await partner.answer()
        await stage.hears_words(partner, "caller-gone", whole=False)

    await partner.ended()

    (spoken,) = stage.words(partner, "caller-gone")
    assert spoken.whole
    await stage.api["110"].no_calls()


@pytest.mark.slow
async def test_caller_whom_nobody_picks_up_hears_that_all_seats_are_busy_and_then_music(stage: Stage) -> None:
    citizen = await stage.citizen()
    caller = await citizen.dial(f"sip:110@{SIP['110']}", number="13800138000")
    since = await caller.answered(within=25)

    spoken = await stage.hears_words(caller, "please-wait")

    assert spoken.began - since < no_hole(stage, since)
    await stage.hears_music(caller)
    assert silence(stage, caller, since) < no_hole(stage, since)
    taker = await stage.seat("1001")
    ring = await taker.incoming()
    await ring.answer()
    await stage.hears(caller, TAKER)
    await end(ring, caller)
