"""The one-key transfer 110 -> 12345 in warm mode, heard and measured in what each phone receives."""

from __future__ import annotations

import time

import pytest

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import CALLER, PARTNER, TAKER, Stage, Talk


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at 110's seat 1001, and the agent at 12345's seat 1001."""
    citizen = await stage.citizen()
    taker = await stage.seat("1001")
    agent = await stage.seat("1001", site="12345", tone=PARTNER)
    return citizen, taker, agent


async def hand_over(stage: Stage, talk: Talk, agent: Softphone, key: str) -> tuple[Call, str]:
    """Press, answer, three-way, leave: every step checked by ear. Returns the agent's call and the transfer's id."""
    if key == "api":
        status, answer = await stage.api["110"].press("1001", "12345")
        assert status == 202, answer
        transfer = str(answer["id"])
    else:
        await talk.taker.dtmf("*1")
    ring = await agent.incoming()
    await stage.hears(talk.caller, TAKER)
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(talk.taker, CALLER, PARTNER)
    await stage.hears(ring, CALLER, TAKER)
    call = await stage.api["110"].call_with(situation="three_way")
    if key != "api":
        transfer = call["transfers"][0]["id"]
    await talk.taker.hangup()
    await stage.hears(ring, CALLER)
    await stage.hears(talk.caller, PARTNER)
    # A partner who left within a second of the taker would not have taken the caller over.
    await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)
    await stage.api["110"].call_with(situation="handed_over")
    assert (await talk.taker.ended()).status == 200
    return ring, transfer


async def test_api_key_hands_the_caller_over_without_losing_a_packet(stage: Stage, cast) -> None:
    citizen, taker, agent = cast
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    pressed = time.time()

    ring, transfer = await hand_over(stage, talk, agent, "api")
    done = time.time()
    await ring.hangup()
    await talk.caller.ended()

    heard = stage.wire.received(citizen.bind, talk.caller.call_id).between(pressed, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(pressed, done, talk.taker, ring)
    over = await stage.api["110"].transfer_in(talk.id, transfer, "ended")
    assert over["reason"] == "completed"


async def test_dtmf_key_does_the_same_and_adds_only_the_phones_own_holes(stage: Stage, cast) -> None:
    citizen, taker, agent = cast
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)

    ring, transfer = await hand_over(stage, talk, agent, "dtmf")
    done = time.time()
    await ring.hangup()
    await talk.caller.ended()

    heard = stage.wire.received(citizen.bind, talk.caller.call_id)
    dialled = heard.between(stage.line_invite("12345").at, done)
    assert dialled.lost == 0
    assert dialled.largest_gap_ms <= stage.allowed_gap(dialled.since, done, talk.taker, ring)
    over = await stage.api["110"].transfer_in(talk.id, transfer, "ended")
    assert (over["reason"], over["seat"], over["line"]) == ("completed", "1001", "12345")


async def test_partners_phone_shows_the_callers_own_number_and_the_case(stage: Stage, cast) -> None:
    citizen, taker, agent = cast
    talk = await stage.talk(citizen, taker, number="13912345678")
    assert talk.taker.remote_number == "13912345678"
    await stage.api["110"].press("1001", "12345")

    ring = await agent.incoming()

    assert ring.remote_number == "13912345678"
    case = (await stage.api["110"].get(f"/v1/calls/{talk.id}"))["case_id"]
    arrived = await stage.api["12345"].calls()
    assert [call["case_id"] for call in arrived] == [case]
    assert arrived[0]["via"] == "110"
    invite = stage.line_invite("12345").message
    assert invite.header("User-to-User") == case
    assert invite.address("P-Asserted-Identity").user == "13912345678"
    assert invite.address("Diversion").user == "110"
    await talk.caller.hangup()
    await ring.ended()
    await talk.taker.ended()


async def test_withheld_number_goes_to_the_trusted_line_and_stays_withheld_on_the_seat(
    stage: Stage, cast
) -> None:
    citizen, taker, agent = cast
    talk = await stage.talk(citizen, taker, number="13912345678", privacy=True)
    assert "13912345678" not in str(talk.taker.headers)
    await stage.api["110"].press("1001", "12345")

    ring = await agent.incoming()

    assert "13912345678" not in str(ring.headers)
    invite = stage.line_invite("12345").message
    assert invite.address("P-Asserted-Identity").user == "13912345678"
    assert invite.header("Privacy") == "id"
    assert invite.address("From").user == "anonymous"
    (arrived,) = await stage.api["12345"].calls()
    assert arrived["caller"]["withheld"] is True
    await talk.caller.hangup()
    await ring.ended()
    await talk.taker.ended()
