"""The caller on music while the taker keeps the call: on hold, or while taker and partner talk alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import NotSeenError
from tests.lab.stage import BOTH_LEFT, CALLER, PARTNER, SIP, TAKER, Stage, Talk


@pytest.fixture
async def cast(stage: Stage) -> tuple[Talk, Softphone]:
    """A citizen and a taker in conversation, and the fire brigade's phone."""
    citizen, taker, unit = await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    return talk, unit


async def consult(stage: Stage, talk: Talk, unit: Softphone) -> tuple[str, Call]:
    """The taker talks with the partner alone; the caller hears music and neither of them."""
    status, answer = await stage.api["110"].press("1001", "119", mode="consult")
    assert status == 202, answer
    ring = await unit.incoming()
    await ring.ring()
    await stage.hears(talk.caller, TAKER)
    answered = time.time()
    await ring.answer()
    await stage.hears(ring, TAKER)
    await stage.hears(talk.taker, PARTNER)
    await stage.hears_music(talk.caller)
    heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id)
    assert heard.first_heard(PARTNER, since=answered) is None
    await stage.api["110"].call_with(situation="consult")
    return str(answer["id"]), ring


async def test_consult_then_merge_is_a_three_way_call(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await consult(stage, talk, unit)

    status, _ = await stage.api["110"].press("1001", "merge")

    assert status == 202
    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(talk.taker, CALLER, PARTNER)
    await stage.hears(ring, CALLER, TAKER)
    await stage.api["110"].call_with(situation="three_way")
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.goes_on_hearing(ring, CALLER, seconds=BOTH_LEFT)
    await ring.hangup()
    await talk.caller.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "completed"


async def test_taker_who_hangs_up_in_a_consultation_hands_the_caller_over(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await consult(stage, talk, unit)

    await talk.taker.hangup()

    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.api["110"].transfer_in(talk.id, transfer, "handed_over")
    await talk.caller.hangup()
    await ring.ended()
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "completed"


async def test_cancel_ends_the_consultation_and_caller_and_taker_are_together_again(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await consult(stage, talk, unit)

    status, _ = await stage.api["110"].press("1001", "cancel")

    assert status == 202
    await ring.ended()
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    await stage.api["110"].call_with(situation="talking")
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "cancelled"
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_partner_who_leaves_a_consultation_gives_the_taker_back_to_the_caller(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    transfer, ring = await consult(stage, talk, unit)

    await ring.hangup()

    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "partner_left"
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=BOTH_LEFT)
    await talk.taker.hangup()
    await talk.caller.ended()


async def test_taker_who_has_the_caller_back_after_a_consultation_has_all_keys(stage: Stage, cast) -> None:
    talk, unit = cast
    _, ring = await consult(stage, talk, unit)
    await ring.hangup()
    await stage.hears(talk.caller, TAKER)

    await talk.taker.dtmf("*2")

    again = await unit.incoming()
    await again.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.caller.hangup()
    await again.hangup()
    await talk.taker.ended()


async def test_caller_who_hangs_up_in_a_consultation_lets_the_two_finish(stage: Stage, cast) -> None:
    talk, unit = cast
    transfer, ring = await consult(stage, talk, unit)

    await talk.caller.hangup()

    assert (await stage.api["110"].transfer_in(talk.id, transfer, "ended"))["reason"] == "caller_hung_up"
    await stage.hears(ring, TAKER)
    await stage.goes_on_hearing(ring, TAKER, seconds=0.5)
    await talk.taker.hangup()
    await ring.ended()


async def test_hold_gives_the_caller_music_and_resume_the_taker(stage: Stage, cast) -> None:
    talk, _ = cast
    began = time.time()
    status, _ = await stage.api["110"].press("1001", "hold")
    assert status == 202
    await stage.hears_music(talk.caller)
    await stage.api["110"].call_with(situation="held")

    status, _ = await stage.api["110"].press("1001", "resume")

    assert status == 202
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    done = time.time()
    heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id).between(began, done)
    assert heard.lost == 0
    await stage.api["110"].call_with(situation="talking")
    status, answer = await stage.api["110"].press("1001", "resume")
    assert (status, answer["error"]["code"]) == (409, "not_held")
    await talk.taker.hangup()
    await talk.caller.ended()


async def test_hold_button_of_the_takers_own_phone_gives_the_caller_music_too(stage: Stage, cast) -> None:
    talk, _ = cast
    await talk.taker.hold()
    await stage.hears_music(talk.caller)
    await stage.api["110"].call_with(situation="held")

    await talk.taker.resume()

    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    await stage.api["110"].call_with(situation="talking")
    await talk.taker.hangup()
    await talk.caller.ended()


async def test_partner_called_while_the_caller_is_on_hold_talks_with_the_taker_first(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    await stage.api["110"].press("1001", "hold")
    await stage.hears_music(talk.caller)
    status, answer = await stage.api["110"].press("1001", "119")
    assert status == 202, answer
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(ring, TAKER)
    await stage.hears_music(talk.caller)

    await stage.api["110"].press("1001", "resume")

    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()


async def test_taker_whose_phone_is_put_down_during_hold_does_not_lose_the_caller(stage: Stage, cast) -> None:
    talk, _ = cast
    await stage.api["110"].press("1001", "hold")
    await stage.hears_music(talk.caller)

    await talk.taker.hangup()

    back = await talk.taker.phone.incoming()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    await stage.hears(back, CALLER)
    await stage.goes_on_hearing(back, CALLER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_caller_goes_back_to_the_taker_whose_phone_is_free_only_a_moment_later(
    stage: Stage, cast
) -> None:
    """Asterisk is always a few milliseconds late with that; a second call of the phone makes it longer."""
    talk, _ = cast
    other = await stage.seat("1002")
    await stage.api["110"].press("1001", "hold")
    await stage.hears_music(talk.caller)
    second = await talk.taker.phone.dial(f"sip:*43@{SIP['110']}")
    await second.answered()

    await talk.taker.hangup()
    await asyncio.sleep(0.05)  # the moment
    await second.hangup()

    back = await talk.taker.phone.incoming()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    with pytest.raises(NotSeenError):
        await other.incoming(within=0.1)
    await stage.goes_on_hearing(back, CALLER, seconds=BOTH_LEFT)
    await back.hangup()
    await talk.caller.ended()


async def test_caller_who_hangs_up_on_hold_frees_the_taker(stage: Stage, cast) -> None:
    talk, _ = cast
    await stage.api["110"].press("1001", "hold")
    await stage.hears_music(talk.caller)

    await talk.caller.hangup()

    await talk.taker.ended()
    await stage.api["110"].no_calls()


async def test_muted_taker_is_not_heard_and_hears(stage: Stage, cast) -> None:
    talk, unit = cast
    _, answer = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    call = await stage.api["110"].call_with(situation="three_way")
    leg = next(leg["id"] for leg in call["legs"] if leg["role"] == "taker")
    path = f"/v1/calls/{talk.id}/legs/{leg}"

    status, muted = await stage.api["110"].request("POST", f"{path}/mute")

    assert (status, muted["muted"]) == (202, True)
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(talk.taker, CALLER, PARTNER)
    status, muted = await stage.api["110"].request("POST", f"{path}/unmute")
    assert (status, muted["muted"]) == (202, False)
    await stage.hears(talk.caller, TAKER, PARTNER)
    status, refused = await stage.api["110"].request("DELETE", f"/v1/calls/{talk.id}/legs/{talk.id}")
    assert (status, refused["error"]["code"]) == (409, "never_the_caller")
    status, _ = await stage.api["110"].request("DELETE", f"/v1/calls/{talk.id}/legs/{answer['id']}")
    assert status == 202
    await ring.ended()
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_group_key_calls_the_fire_brigade_and_the_gas_company_at_once(stage: Stage, cast) -> None:
    talk, fire = cast
    gas = await stage.unit("gas", tone=2310)

    status, answer = await stage.api["110"].press("1001", "gas-leak")

    assert status == 202
    assert sorted(transfer["line"] for transfer in answer["transfers"]) == ["119", "gas"]
    first, second = await asyncio.gather(fire.incoming(), gas.incoming())
    await asyncio.gather(first.answer(), second.answer())
    await stage.hears(second, CALLER, TAKER, PARTNER)
    await stage.hears(talk.caller, TAKER, PARTNER)
    await first.hangup()
    await second.hangup()
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    await stage.goes_on_hearing(talk.taker, CALLER, seconds=BOTH_LEFT)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_partners_return_key_brings_the_caller_back_to_the_seat_which_then_stays(
    stage: Stage, cast
) -> None:
    talk, unit = cast
    _, answer = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.taker.hangup()
    await stage.api["110"].transfer_in(talk.id, answer["id"], "handed_over")

    await ring.dtmf("*0")

    back = await talk.taker.phone.incoming()
    await ring.ended()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    assert (await stage.api["110"].transfer_in(talk.id, answer["id"], "ended"))["reason"] == "returned"
    status, refused = await stage.api["110"].press("1001", "119", mode="cold")
    assert (status, refused["error"]["code"]) == (409, "returned_once")
    status, _ = await stage.api["110"].press("1001", "119")
    assert status == 202
    again = await unit.incoming()
    await again.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    status, refused = await stage.api["110"].press("1001", "leave")
    assert (status, refused["error"]["code"]) == (409, "returned_once")
    await talk.caller.hangup()
    await again.hangup()
    await back.ended()
