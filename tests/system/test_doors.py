"""Who may come in: carriers, seats and lines by SIP, and nobody else."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import time
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from tests.lab import recordings
from tests.lab.digest import answer_to
from tests.lab.softphone_errors import CallFailedError, RegistrationFailedError
from tests.lab.stage import SIP, TAKER, Stage
from tests.system.conftest import Lab


async def test_call_from_an_unknown_address_is_refused(stage: Stage, lab: Lab) -> None:
    await stage.seat("1001")
    stranger = await stage.phones.add("stranger", bind="127.0.66.6", tone=530)

    call = await stranger.dial(f"sip:110@{SIP['110']}", number="13800138000")

    with pytest.raises(CallFailedError) as refused:
        await call.answered()
    assert refused.value.status in (401, 403)
    assert lab.channels() == {}


async def test_line_may_dial_the_dedicated_number_and_nothing_else(stage: Stage, lab: Lab) -> None:
    await stage.seat("1001")
    unit = await stage.unit("119")

    call = await unit.dial(f"sip:1001@{SIP['110']}", number="13800138000")

    with pytest.raises(CallFailedError) as refused:
        await call.answered()
    assert refused.value.status == 404


async def test_seat_may_not_dial_out_by_itself(stage: Stage) -> None:
    seat = await stage.seat("1001")
    for number in ("13800138000", "12345", "119", "1002"):
        call = await seat.dial(f"sip:{number}@{SIP['110']}")
        with pytest.raises(CallFailedError) as refused:
            await call.answered()
        assert refused.value.status == 404


async def test_wrong_password_does_not_register(stage: Stage) -> None:
    phone = await stage.phones.add(
        "thief", bind="127.0.0.99", tone=530, user="1001", password="guess", registrar=SIP["110"]
    )

    with pytest.raises(RegistrationFailedError):
        await phone.registered()


async def test_number_with_line_ends_forges_nothing_and_the_caller_reaches_a_seat(stage: Stage) -> None:
    citizen, taker = await stage.citizen(), await stage.seat("1001")
    forged = "1%0d%0aEvent%3a%20Hangup%0d%0a%0d%0a"

    caller = await citizen.dial(f"sip:110@{SIP['110']}", number=forged)
    ring = await taker.incoming()
    await ring.answer()
    await caller.answered()

    await stage.hears(caller, TAKER)
    call = await stage.api["110"].call_with(situation="talking")
    assert call["caller"] == {"number": "", "withheld": True}
    await caller.hangup()
    await ring.ended()


async def test_caller_cannot_end_another_callers_call_by_an_event_forged_in_the_number(stage: Stage) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    other = await stage.seat("1002")
    event = f"1\r\n\r\nEvent: Hangup\r\nUniqueid: {talk.id}\r\n\r\n"
    assert len(event) < 80, "Asterisk would cut it"

    evil = await stage.citizen()
    caller = await evil.dial(f"sip:110@{SIP['110']}", number=quote(event, safe=""))
    ring = await other.incoming()
    await ring.answer()
    await caller.answered()
    await stage.hears(
        caller, TAKER
    )  # so Asterisk's events about this call, the forged one too, have been read

    calls = await stage.api["110"].calls()
    assert {call["seat"]: call["situation"] for call in calls} == {"1001": "talking", "1002": "talking"}
    await caller.hangup()
    await ring.ended()
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_administrator_sees_the_seats_in_queue_show(stage: Stage, lab: Lab) -> None:
    await stage.seat("1001")
    shown = lab.sites["110"].asterisk_cli("queue show 110")
    assert re.search(r"PJSIP/1001 .*\(Not in use\)", shown)
    assert re.search(r"PJSIP/1002 .*\(Unavailable\)", shown)


async def test_conversation_is_recorded_on_the_callers_channel(stage: Stage, lab: Lab) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    began = await stage.hears(talk.caller, TAKER)
    await stage.goes_on_hearing(talk.caller, TAKER, seconds=1.0)
    heard = time.time() - began
    await talk.caller.hangup()
    await talk.taker.ended()

    assert await recordings.length(lab.sites["110"], f"{talk.id}.wav") > heard - 0.2


async def test_seat_registers_over_secure_websocket(lab: Lab, no_channel_left: None) -> None:
    site = lab.sites["110"]
    password = _password(site.state, "1001")

    async with aiohttp.ClientSession() as session:
        tls = ssl.create_default_context(cafile=str(site.state / "secrets" / "tls.crt"))
        url = "wss://127.0.110.1:8089/ws"
        async with session.ws_connect(url, protocols=("sip",), ssl=tls) as socket:
            challenge = await _register(socket, "1001-web")
            assert challenge.startswith("SIP/2.0 401")
            answer = await _register(socket, "1001-web", _answer_to(challenge, password))
            assert answer.startswith("SIP/2.0 200")
            shown = site.asterisk_cli("pjsip show contacts")
    assert "1001-web" in shown


async def _register(socket: aiohttp.ClientWebSocketResponse, user: str, authorization: str = "") -> str:
    """Send a REGISTER (RFC 7118) and return the answer."""
    lines = [
        "REGISTER sip:127.0.110.1 SIP/2.0",
        f"Via: SIP/2.0/WSS test.invalid;branch=z9hG4bK{secrets.token_hex(6)}",
        "Max-Forwards: 70",
        f"From: <sip:{user}@127.0.110.1>;tag={secrets.token_hex(4)}",
        f"To: <sip:{user}@127.0.110.1>",
        f"Call-ID: {secrets.token_hex(8)}",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:{user}@test.invalid;transport=ws>;expires=60",
        "Content-Length: 0",
    ]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    await socket.send_str("\r\n".join([*lines, "", ""]))
    while True:
        message = await socket.receive(timeout=5)
        text = message.data if isinstance(message.data, str) else bytes(message.data).decode()
        if text.startswith("SIP/2.0"):  # and not the OPTIONS by which Asterisk asks whether we are there
            return text


def _answer_to(challenge: str, password: str) -> str:
    header = next(line for line in challenge.split("\r\n") if line.lower().startswith("www-authenticate"))
    return answer_to(header.split(" ", 1)[1], "REGISTER", "sip:127.0.110.1", "1001-web", password)


def _password(state: Path, seat: str) -> str:
    return str(json.loads((state / "secrets" / "seats.json").read_text(encoding="utf-8"))[seat])
