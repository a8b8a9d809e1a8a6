"""A partner who cannot be had: the taker keeps the caller, who notices nothing, and the reason is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.lab.softphone_call import Call
from tests.lab.stage import CALLER, TAKER, Stage, Talk


@pytest.fixture
async def talk(stage: Stage) -> Talk:
    """A citizen and the taker at seat 1001, in conversation."""
    citizen, taker = await stage.citizen(), await stage.seat("1001")
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    return talk


async def press_and_fail(stage: Stage, talk: Talk, line: str) -> dict[str, object]:
    """Press the line's key and wait for the transfer's end; caller and taker must not notice."""
    pressed = time.time()
    status, answer = await stage.api["110"].press("1001", line)
    assert status == 202, answer
    over = await stage.api["110"].transfer_in(talk.id, answer["id"], "ended", within=10.0)
    done = time.time()
    heard = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id).between(pressed, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= stage.allowed_gap(pressed, done, talk.taker)
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)
    return over


async def end(talk: Talk, partner: Call | None = None) -> None:
    """The caller hangs up; where a partner is in the call, it and the taker may finish, and the partner does."""
    await talk.caller.hangup()
    if partner is not None:
        await partner.hangup()
    await talk.taker.ended()


@pytest.mark.parametrize(
    ("status", "reason", "q850"),
    [
        (486, "busy", 17),
        (603, "rejected", 21),
        (403, "rejected", 21),
        (404, "unreachable", 1),
        (503, "unreachable", 34),
    ],
)
async def test_refusals_have_their_reason_with_sip_code_and_cause(
    stage: Stage, talk: Talk, status: int, reason: str, q850: int
) -> None:
    await stage.unit("119", on_invite=status)

    over = await press_and_fail(stage, talk, "119")

    assert (over["reason"], over["sip_code"], over["q850"]) == (reason, status, q850)
    await end(talk)


async def test_phone_that_nobody_picks_up_is_no_answer_after_the_lines_own_limit(
    stage: Stage, talk: Talk
) -> None:
    unit = await stage.unit("119", on_invite=180)

    over = await press_and_fail(stage, talk, "119")

    assert over["reason"] == "no_answer"
    assert over["ringing_at"] is not None
    await (await unit.incoming()).ended()
    await end(talk)


async def test_far_end_that_is_not_there_is_unreachable(stage: Stage, talk: Talk) -> None:
    over = await press_and_fail(stage, talk, "120")

    assert over["reason"] == "unreachable"
    await end(talk)


async def test_press_can_be_tried_again_after_a_failure(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=486)
    await press_and_fail(stage, talk, "119")
    await (await unit.incoming()).ended()
    await unit.on_invite(200)

    status, answer = await stage.api["110"].press("1001", "119")

    assert status == 202
    await stage.api["110"].transfer_in(talk.id, answer["id"], "joined")
    await talk.caller.hangup()  # and the partner only when that has been noticed: who was first is told apart
    assert (await stage.api["110"].transfer_in(talk.id, answer["id"], "ended"))["reason"] == "caller_hung_up"
    await (await unit.incoming()).hangup()
    await talk.taker.ended()


async def test_closed_line_refuses_at_once_and_nothing_is_dialled(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=200)
    api = stage.api["110"]
    status, line = await api.request("PATCH", "/v1/lines/119", {"state": "closed"})
    assert (status, line["state"]) == (200, "closed")

    status, answer = await api.press("1001", "119")

    assert (status, answer["error"]["code"]) == (409, "line_closed")
    await talk.taker.dtmf("*2")  # the phone's key is the same key
    async with asyncio.timeout(3.0):
        while len((refused := await api.call_with(situation="talking"))["transfers"]) < 2:  # noqa: ASYNC110 - HTTP
            await asyncio.sleep(0.05)
    await api.request("PATCH", "/v1/lines/119", {"state": "open"})
    status, answer = await api.press("1001", "119")
    assert status == 202, answer
    joined = await api.transfer_in(talk.id, answer["id"], "joined")
    assert joined["line"] == "119"
    assert len(unit.calls) == 1
    assert {t["reason"] for t in refused["transfers"]} == {"line_closed"}
    await end(talk, await unit.incoming())


async def test_second_press_of_the_same_key_is_the_same_transfer(stage: Stage, talk: Talk) -> None:
    unit = await stage.unit("119", on_invite=180)
    api = stage.api["110"]
    _, first = await api.press("1001", "119")
    await unit.incoming()

    status, second = await api.press("1001", "119")

    assert (status, second["id"]) == (202, first["id"])
    assert len(unit.calls) == 1
    await api.press("1001", "cancel")
    assert (await api.transfer_in(talk.id, first["id"], "ended"))["reason"] == "cancelled"
    await end(talk)


async def test_cancel_key_stops_the_ringing_and_the_caller_hears_nothing_of_it(
    stage: Stage, talk: Talk
) -> None:
    unit = await stage.unit("119", on_invite=180)
    api = stage.api["110"]
    _, pressed = await api.press("1001", "119")
    ring = await unit.incoming()

    status, answer = await api.press("1001", "cancel")

    assert (status, answer["id"]) == (202, pressed["id"])
    await ring.ended()
    assert (await api.transfer_in(talk.id, pressed["id"], "ended"))["reason"] == "cancelled"
    await stage.hears(talk.caller, TAKER)
    status, answer = await api.press("1001", "cancel")
    assert (status, answer["error"]["code"]) == (409, "nothing_to_cancel")
    await end(talk)


async def test_keys_without_a_call_are_refused(stage: Stage) -> None:
    await stage.seat("1001")
    api = stage.api["110"]

    for key in ("12345", "cancel", "leave"):
        status, answer = await api.press("1001", key)
        assert (status, answer["error"]["code"]) == (409, "no_call")
    status, answer = await api.press("1001", "fire-brigade")
    assert (status, answer["error"]["code"]) == (422, "unknown_key")
    status, answer = await api.press("4711", "12345")
    assert status == 404
