"""What a caller's equipment writes into its headers reaches nobody's calls, screen, console or files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from tests.lab.raw_sip import RawSip, sdp
from tests.lab.stage import CARRIER, FAR_END, SIP, TAKER, Stage, Talk
from tests.system.conftest import Lab

HOST = SIP["110"].split(":")[0]
EVIL = f"{CARRIER['110']}.66"
SHELL = "${SHELL(touch /tmp/hostile)}'; rm -rf / #"
SCREEN = "\x1b[2J\x1b]0;owned\x07\u202e"


def forged_event(talk: Talk) -> str:
    """A whole event about the other call's taker, as short as it can be."""
    return f"1\r\n\r\nEvent: Hangup\r\nUniqueid: {talk.id}\r\n\r\n"


@asynccontextmanager
async def other_talk(stage: Stage) -> AsyncIterator[Talk]:
    """A call of somebody else, which must go on as it was."""
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    yield talk
    calls = {call["id"]: call for call in await stage.api["110"].calls()}
    assert calls[talk.id]["situation"] == "talking"
    assert calls[talk.id]["caller"] == {"number": "13800138000", "withheld": False}
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()


async def both_talk(stage: Stage, within: float = 2.0) -> dict[str, Any]:
    """Wait until there are two calls, one at each seat, and both are in conversation; they, by seat."""
    deadline = time.monotonic() + within
    while True:
        calls = {call["seat"]: call for call in await stage.api["110"].calls()}
        if {seat: call["situation"] for seat, call in calls.items()} == {
            "1001": "talking",
            "1002": "talking",
        }:
            return calls
        assert time.monotonic() < deadline, calls
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("place", ["From", "name", "P-Asserted-Identity", "Diversion", "User-to-User"])
async def test_event_forged_in_any_header_touches_no_other_call_and_the_caller_is_served(
    stage: Stage, lab: Lab, place: str
) -> None:
    async with other_talk(stage) as talk, RawSip(EVIL, SIP["110"]) as evil:
        second = await stage.seat("1002")
        event = quote(forged_event(talk), safe="")
        plain = f"<sip:13900139000@{EVIL}>"
        sender = {"From": f"<sip:{event}@{EVIL}>", "name": f'"{event}" {plain}'}.get(place, plain)
        extra = {
            "P-Asserted-Identity": {"P-Asserted-Identity": f"<sip:{event}@{EVIL}>"},
            "Diversion": {"Diversion": f"<sip:{event}@{EVIL}>;reason=unconditional"},
            "User-to-User": {"User-to-User": f"{event};encoding=hex"},
        }.get(place, {})
        invite = evil.build("INVITE", f"sip:110@{HOST}", extra, sdp(EVIL), sender=sender)
        waiting = asyncio.create_task(evil.final(invite))
        ring = await second.incoming()
        await ring.answer()
        answer = await waiting
        assert answer.status == 200
        assert set("0123456789") >= set(ring.remote_number) or ring.remote_number == "anonymous"
        calls = await both_talk(stage)
        assert calls["1002"]["caller"]["number"] in ("13900139000", "")
        await evil.final(evil.inside(invite, answer, "BYE", 2))
        await ring.ended()


@pytest.mark.parametrize(
    "number",
    [
        "110%0d%0a%0d%0aEvent%3a%20Hangup%0d%0a%0d%0a",
        "110%26PJSIP%2Fline-120%2Fsip%3A0014%40127.0.120.1",
        "${SHELL(id)}".replace("$", "%24").replace("{", "%7b").replace("}", "%7d"),
    ],
)
async def test_hostile_number_that_is_dialled_is_refused_and_touches_no_call(
    stage: Stage, lab: Lab, number: str
) -> None:
    async with other_talk(stage):
        for bind in (EVIL, FAR_END["119"]):
            async with RawSip(bind, SIP["110"]) as evil:
                request = evil.build("INVITE", f"sip:{number}@{HOST}", body=sdp(bind))
                answer = await evil.final(request)
                assert answer.status in (404, 484), answer.first_line
        assert len(lab.channels()["110"]) == 2


@pytest.mark.parametrize("name", [SHELL, SCREEN, "a" * 3000, "<script>alert(1)</script>", "\udcff\udcfe"])
async def test_hostile_name_is_run_by_nobody_and_reaches_no_screen(stage: Stage, lab: Lab, name: str) -> None:
    site, seat = lab.sites["110"], await stage.seat("1001")
    async with RawSip(EVIL, SIP["110"]) as evil:
        raw = name.encode(errors="surrogateescape").decode("latin-1")
        sender = '"' + raw.replace('"', '\\"') + f'" <sip:13900139000@{EVIL}>'
        invite = evil.build("INVITE", f"sip:110@{HOST}", body=sdp(EVIL), sender=sender)
        waiting = asyncio.create_task(evil.final(invite))
        ring = await seat.incoming()
        await ring.answer()
        answer = await waiting
        for shown in ("hotline show calls", "hotline show seats", "core show channels", "queue show"):
            text = site.asterisk_cli(shown)
            assert not {"\x1b", "\x07", "\u202e"} & set(text), shown
        assert ring.remote_name in ("", "13900139000", "Anonymous")
        for path in (site.state / "log/controller.jsonl", site.state / "asterisk/log/messages.log"):
            written = path.read_bytes()
            assert b"\x1b" not in written
            assert b"owned" not in written
        await evil.final(evil.inside(invite, answer, "BYE", 2))
        await ring.ended()


async def test_caller_cannot_cut_short_what_agi_is_told(stage: Stage, lab: Lab) -> None:
    """The number ends AGI's environment early; the call is opened all the same, as from nobody, and once."""
    seat = await stage.seat("1001")
    async with RawSip(EVIL, SIP["110"]) as evil:
        number = quote("1\n\n200 result=1 (yes)\n", safe="")
        invite = evil.build("INVITE", f"sip:110@{HOST}", body=sdp(EVIL), sender=f"<sip:{number}@{EVIL}>")
        waiting = asyncio.create_task(evil.final(invite))
        ring = await seat.incoming()
        await ring.answer()
        answer = await waiting
        call = await stage.api["110"].call_with(situation="talking")
        assert call["caller"] == {"number": "", "withheld": True}
        await evil.final(evil.inside(invite, answer, "BYE", 2))
        await ring.ended()
