"""A line's far end is slow, or answers nonsense: the transfer ends with a reason, and the caller notices nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.lab.rude_unit import Invited, Manners, RudeUnit
from tests.lab.sip import SipMessage
from tests.lab.stage import CALLER, CARRIER, FAR_END, FRAME, SIP, TAKER, Stage, Talk

LINES = ("119", "120", "gas")


def silent(invited: Invited) -> None:
    """Not even 100 Trying."""


def trying(invited: Invited) -> None:
    invited.say("100 Trying")


def late_failure(invited: Invited) -> None:
    invited.say("100 Trying")
    asyncio.get_running_loop().call_later(1.5, lambda: invited.say("500 Server Internal Error"))


def unavailable(invited: Invited) -> None:
    invited.say("480 Temporarily Unavailable")


def garbage(invited: Invited) -> None:
    invited.send(bytes(range(256)) * 4)
    invited.send(b"SIP/2.0 200 OK\r\n\r\n")
    invited.send(b"SIP/2.0 99999 \xff\r\nVia: \r\nCSeq: x\r\n\r\n")


def huge(invited: Invited) -> None:
    invited.say("183 Session Progress", invited.sdp(), "X-Huge: " + "x" * 50_000)
    invited.say("180 Ringing", "", *(f"X-{number}: y" for number in range(150)))


def early_media(invited: Invited) -> None:
    invited.say("183 Session Progress", invited.sdp())


def ok_without_sdp(invited: Invited) -> None:
    invited.say("200 OK")


def ok_in_another_codec(invited: Invited) -> None:
    invited.say("200 OK", invited.sdp(codec=18))


def rings_on(invited: Invited) -> None:
    invited.say("180 Ringing")


def ok_to_the_cancelled(invited: Invited, cancel: SipMessage) -> None:
    invited.say("200 OK", invited.sdp())


def answers_without_a_sound(invited: Invited) -> None:
    invited.say("200 OK", invited.sdp())


# Three lines at a time, each with other manners, and the reason of each transfer.
ROUNDS: list[list[tuple[Manners, str]]] = [
    [(silent, "unreachable"), (trying, "unreachable"), (late_failure, "unreachable")],
    [(unavailable, "unreachable"), (garbage, "unreachable"), (huge, "no_answer|unreachable")],
    [
        (early_media, "unreachable"),
        (ok_without_sdp, "unreachable|partner_left|link_lost|error"),
        (ok_in_another_codec, "unreachable|partner_left|link_lost|error"),
    ],
]


@pytest.fixture
async def talk(stage: Stage) -> Talk:
    """A citizen and the taker at seat 1001, in conversation."""
    citizen, taker = await asyncio.gather(stage.citizen(), stage.seat("1001"))
    talk = await stage.talk(citizen, taker)
    await stage.hears(talk.caller, TAKER)
    return talk


async def press(stage: Stage, line: str) -> str:
    status, answer = await stage.api["110"].press("1001", line)
    assert status == 202, answer
    return str(answer["id"])


async def all_well(stage: Stage, talk: Talk, since: float) -> None:
    """Neither the caller nor the taker has missed anything."""
    until = time.time()
    for listener, speaker in ((talk.caller, talk.taker), (talk.taker, talk.caller)):
        heard = stage.wire.received(listener.phone.bind, listener.call_id).between(since, until)
        assert heard.lost == 0
        assert heard.largest_gap_ms <= stage.allowed_gap(since, until, speaker) + FRAME
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)


@pytest.mark.parametrize("manners", ROUNDS, ids=lambda each: " ".join(deed.__name__ for deed, _ in each))
async def test_each_ends_with_its_reason_and_the_caller_notices_nothing(
    stage: Stage, talk: Talk, manners: list[tuple[Manners, str]]
) -> None:
    async with AsyncExitStack() as stack:
        for line, (deed, _) in zip(LINES, manners, strict=True):
            await stack.enter_async_context(RudeUnit(FAR_END[line], deed))
        since = time.time()
        transfers = [await press(stage, line) for line in LINES]
        over = [
            await stage.api["110"].transfer_in(talk.id, transfer, "ended", within=10.0)
            for transfer in transfers
        ]
        await all_well(stage, talk, since)
        for end, (deed, reasons) in zip(over, manners, strict=True):
            assert end["reason"] in reasons.split("|"), (deed.__name__, end)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_an_answer_to_a_call_that_was_given_up_is_released(stage: Stage, talk: Talk) -> None:
    async with RudeUnit(FAR_END["119"], rings_on, on_cancel=ok_to_the_cancelled) as unit:
        since = time.time()
        transfer = await press(stage, "119")
        over = await stage.api["110"].transfer_in(talk.id, transfer, "ended", within=10.0)
        assert over["reason"] == "no_answer"
        await stage.wire.until(lambda: "BYE" in unit.seen, "the BYE to an answer that nobody wanted")
        await all_well(stage, talk, since)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_a_partner_without_any_sound_is_given_up_and_taker_and_caller_talk_on(
    stage: Stage, talk: Talk
) -> None:
    async with RudeUnit(FAR_END["119"], answers_without_a_sound) as unit:
        since = time.time()
        transfer = await press(stage, "119")
        await stage.api["110"].transfer_in(talk.id, transfer, "joined")
        over = await stage.api["110"].transfer_in(talk.id, transfer, "ended", within=10.0)
        assert over["reason"] == "link_lost"
        await stage.wire.until(lambda: "BYE" in unit.seen, "the BYE to who says nothing")
        await all_well(stage, talk, since)
    await talk.caller.hangup()
    await talk.taker.ended()


@pytest.mark.parametrize("deed", [trying, ok_without_sdp, ok_in_another_codec])
async def test_caller_whose_taker_has_gone_hears_music_and_comes_back_to_the_seat(
    stage: Stage, talk: Talk, deed: Manners
) -> None:
    def later(invited: Invited) -> None:
        invited.say("180 Ringing")
        waiting.append(invited)

    waiting: list[Invited] = []
    async with RudeUnit(FAR_END["119"], later):
        await press(stage, "119")
        await talk.taker.hangup()
        await stage.hears_music(talk.caller)
        deed(waiting[0])
        back = await talk.taker.phone.incoming(within=6.0)
        await back.answer()
        await stage.hears(talk.caller, TAKER)
        await stage.hears(back, CALLER)
    await talk.caller.hangup()
    await back.ended()


async def test_a_line_whose_far_end_has_gone_is_down_before_anybody_presses(stage: Stage) -> None:
    async with RudeUnit(FAR_END["119"], silent):
        await stage.line_becomes("119", "open", within=8.0)
    await stage.line_becomes("119", "down", within=9.0)


async def test_a_caller_cannot_make_a_line_or_a_seat_look_down(stage: Stage) -> None:
    """Line ends in the number reach Asterisk's manager raw, and make an event of the caller's own."""
    await stage.seat("1001")
    async with RudeUnit(FAR_END["119"], silent):
        await stage.line_becomes("119", "open", within=8.0)
        for number, device in enumerate(("PJSIP/line-119", "PJSIP/1001")):
            forger = await stage.phones.add(
                f"forger{number}", bind=f"{CARRIER['110']}.{90 + number}", tone=440
            )
            forged = f"1%0d%0a%0d%0aEvent:DeviceStateChange%0d%0aDevice:{device}%0d%0aState:INVALID%0d%0a"
            call = await forger.dial(f"sip:110@{SIP['110']}", number=forged.replace(":", "%3a%20"))
            await stage.api["110"].call_with(situation="queued")
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                assert (await stage.api["110"].get("/v1/lines/119"))["state"] == "open"
                seats = (await stage.api["110"].get("/v1/seats"))["seats"]
                assert next(seat["state"] for seat in seats if seat["seat"] == "1001") != "offline"
                await asyncio.sleep(0.05)
            await call.hangup()
            await stage.api["110"].no_calls()
