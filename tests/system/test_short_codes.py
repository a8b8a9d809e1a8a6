"""Speed-dial and BLF keys: a line's short code, dialled during a call, is its key for the call that the seat has."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Ended
from tests.lab.stage import CALLER, PARTNER, SIP, TAKER, Stage, Talk
from tests.system.conftest import Lab

ACCEPTED = 880  # Hz (asterisk-conf/indications.conf)


@pytest.fixture
async def taker(stage: Stage) -> Softphone:
    return await stage.seat("1001")


@pytest.fixture
async def talk(stage: Stage, taker: Softphone) -> Talk:
    """A citizen and the taker at seat 1001, in conversation."""
    talk = await stage.talk(await stage.citizen(), taker)
    await stage.hears(talk.caller, TAKER)
    return talk


async def dial(phone: Softphone, code: str) -> Ended:
    """Dial a code, as a speed-dial key does, and wait until that leg is over."""
    call = await phone.dial(f"sip:{code}@{SIP['110']}")
    return await call.ended()


async def test_code_dialled_while_the_caller_is_held_brings_the_partner_in(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119")
    await talk.taker.hold()

    second = await talk.taker.phone.dial(f"sip:119@{SIP['110']}")

    await second.answered()
    over = await second.ended()
    tone = stage.wire.received(second.phone.bind, second.call_id).first_heard(ACCEPTED)
    assert tone is not None
    assert (over.status, over.at - tone < 2.0) == (200, True)
    ring = await unit.incoming()
    assert ring.remote_number == "13800138000"
    await ring.answer()
    # The taker's phone may take its time: caller and partner talk meanwhile, and nobody is left to music.
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await talk.taker.resume()
    await stage.hears(talk.caller, TAKER, PARTNER)
    call = await stage.api["110"].call_with(situation="three_way")
    assert call["id"] == talk.id
    assert [leg["role"] for leg in call["legs"]] == ["caller", "taker", "partner"]
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await talk.caller.hangup()
    await ring.ended()


async def test_code_dialled_without_hold_does_not_disturb_the_caller(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("gas")

    dialled = asyncio.create_task(dial(talk.taker.phone, "96833"))

    ring = await unit.incoming()
    await stage.hears(talk.caller, TAKER)
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=0.3)
    assert (await dialled).status == 200
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()


async def test_same_code_again_is_the_same_transfer(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=180)

    ends = await asyncio.gather(*(dial(talk.taker.phone, "119") for _ in range(2)))

    assert [end.status for end in ends] == [200, 200]
    (transfer,) = (await stage.api["110"].call_with(situation="inviting"))["transfers"]
    assert (transfer["line"], transfer["seat"], len(unit.calls)) == ("119", "1001", 1)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_code_of_a_closed_line_is_refused_in_words_and_nothing_is_dialled(
    stage: Stage, talk: Talk
) -> None:
    unit = await stage.unit("119")
    await stage.api["110"].request("PATCH", "/v1/lines/119", {"state": "closed"})

    second = await talk.taker.phone.dial(f"sip:119@{SIP['110']}")

    await stage.hears_words(second, "line-out-of-service")  # before any answer
    over = await second.ended()
    await stage.api["110"].request("PATCH", "/v1/lines/119", {"state": "open"})
    assert (over.status, second.answered_at) == (403, None)
    assert unit.calls == {}
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()


@pytest.mark.parametrize("controller", ["with", "without"])
async def test_code_without_a_call_is_refused_and_not_dialled_out(
    stage: Stage, lab: Lab, taker: Softphone, controller: str
) -> None:
    unit = await stage.unit("119", on_invite=200)
    if controller == "without":
        await asyncio.to_thread(lab.sites["110"].stop_controller)

    assert (await dial(taker, "119")).status == 404
    assert unit.calls == {}


async def test_code_is_no_key_for_a_call_that_only_rings(stage: Stage, taker: Softphone) -> None:
    unit = await stage.unit("119", on_invite=200)
    caller = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13800138000")
    ring = await taker.incoming()

    assert (await dial(taker, "119")).status == 404

    assert unit.calls == {}
    await ring.answer()
    await stage.hears(caller, TAKER)
    await caller.hangup()
    await ring.ended()


async def test_code_is_no_key_for_somebody_elses_call(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=200)
    other = await stage.seat("1002")

    assert (await dial(other, "119")).status == 404

    assert unit.calls == {}
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_without_a_controller_the_code_works_all_the_same(stage: Stage, lab: Lab, talk: Talk) -> None:
    unit = await stage.unit("119")
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    await talk.taker.hold()

    assert (await dial(talk.taker.phone, "119")).status == 200

    ring = await unit.incoming()
    assert (await dial(talk.taker.phone, "119")).status == 200  # the same transfer
    assert ring.remote_number == "13800138000"
    await ring.answer()
    await talk.taker.resume()
    await stage.hears(talk.caller, TAKER, PARTNER)
    assert len(unit.calls) == 1
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()


async def test_call_goes_on_when_the_second_leg_is_hung_up_at_once(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119")

    second = await talk.taker.phone.dial(f"sip:119@{SIP['110']}")
    await second.hangup()

    await second.ended()
    await stage.hears(talk.caller, TAKER)
    with suppress(AssertionError):  # whether the press came through is a matter of milliseconds
        await stage.api["110"].call_with(situation="inviting", within=0.5)
        await (await unit.incoming()).reject()
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_what_is_not_exactly_a_code_is_refused(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=200)
    injected = ("119%26PJSIP%2Fcarrier%2F13800138000", "119;phone-context=x%0d%0a", "119%2c1")

    for number in (*injected, "0119", "1190", "1", "gas", "s", "h", "t"):
        over = await dial(talk.taker.phone, number)
        assert over.status in (400, 404, 484), number

    assert unit.calls == {}
    await talk.caller.hangup()
    await talk.taker.ended()
