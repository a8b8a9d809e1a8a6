"""Nobody makes the hotline call a number that is not a line's, through whatever door."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from urllib.parse import quote

import pytest

from tests.lab.raw_sip import RawSip, sdp
from tests.lab.sip import SipMessage
from tests.lab.stage import CARRIER, FAR_END, SIP, TAKER, Stage
from tests.system.conftest import Lab
from tests.system.test_rooms import members

HOST = SIP["110"].split(":")[0]
EXPENSIVE = "0088213800138000"
TRAP = FAR_END["120"]  # an INVITE that comes here has been led here by somebody
MOVED = (
    f"<sip:{EXPENSIVE}@{TRAP}:5060>",
    "<sip:PJSIP/line-120@x>",
    f"<sip:PJSIP%2Fline-gas%2Fsip%3A{EXPENSIVE}%40{TRAP}%3A5060@x>",
    f"<sip:PJSIP%2F1009%2Fsip%3A{EXPENSIVE}%40{TRAP}%3A5060@x>",
    f"<sip:PJSIP%2Fcarrier%2Fsip%3A{EXPENSIVE}%40{TRAP}%3A5060@x>",
    "<sip:Local%2Fs%40rescue@x>",
    "<sip:1100@x>",
    f"<tel:{EXPENSIVE}>",
)
OUTSIDE = (EXPENSIVE, "13800138000", "1002", "1100", "s", "h", "T", "110%26PJSIP%2Fline-120")


@asynccontextmanager
async def seat_peer(lab: Lab, seat: str, bind: str = "127.0.0.91") -> AsyncIterator[RawSip]:
    """A seat's phone that says what the test wants, registered."""
    async with RawSip(bind, SIP["110"], seat, lab.password("110", seat)) as peer:
        assert (await register(peer, seat, 60)).status == 200
        try:
            yield peer
        finally:
            await register(peer, seat, 0)


async def register(peer: RawSip, seat: str, seconds: int) -> SipMessage:
    own = {"Contact": f"<sip:{seat}@{peer.bind}:{peer.port}>;expires={seconds}", "To": f"<sip:{seat}@{HOST}>"}
    return await peer.ask("REGISTER", f"sip:{HOST}", own)


async def answer_all(peer: RawSip, *answers: tuple[str, str]) -> None:
    """Answer every INVITE: with these statuses and Contacts in turn, and then by declining."""
    for status, contact in chain(answers, repeat(("603 Decline", ""))):
        invite = await peer.request("INVITE", within=60)
        peer.answer(invite, status, **({"Contact": contact} if contact else {}))


async def refused(peer: RawSip, request: SipMessage) -> None:
    """Asterisk says no, or nothing at all (it has no module for REFER)."""
    try:
        answer = await peer.final(request, within=0.5)
    except TimeoutError:
        return
    assert (answer.status or 0) >= 400


@asynccontextmanager
async def trap(stage: Stage) -> AsyncIterator[RawSip]:
    """Whom an INVITE reaches that should have gone nowhere: at the end, none may have come."""
    async with RawSip(TRAP, SIP["110"]) as trap:
        await stage.line_becomes("120", "open", within=8)  # it can be reached
        yield trap
        assert [request.first_line for request in trap.unread if request.method == "INVITE"] == []


async def test_partner_who_has_moved_is_not_followed_to_anybody(stage: Stage) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    async with RawSip(FAR_END["119"], SIP["110"]) as partner, trap(stage):
        await stage.line_becomes("119", "open", within=8)
        for contact in MOVED:
            answering = asyncio.create_task(answer_all(partner, ("302 Moved Temporarily", contact)))
            _, transfer = await stage.api["110"].press("1001", "119")
            ended = await stage.api["110"].transfer_in(talk.id, transfer["id"], "ended")
            answering.cancel()
            assert ended["reason"] in ("rejected", "unreachable"), contact
        await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_seat_that_has_moved_is_not_followed_and_the_caller_reaches_another(
    stage: Stage, lab: Lab
) -> None:
    async with trap(stage), seat_peer(lab, "1001") as moved:
        moves = [("302 Moved Temporarily", contact) for contact in MOVED[:4]]
        answering = asyncio.create_task(answer_all(moved, *moves))
        caller = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13800138000")
        for _ in moves:
            await moved.answered("INVITE", within=8)
        taker = await stage.seat("1002")
        ring = await taker.incoming(within=8)
        await ring.answer()
        await caller.answered()
        await stage.hears(caller, TAKER)
        answering.cancel()
        await caller.hangup()
        await ring.ended()


async def test_seat_that_has_moved_brings_no_stranger_into_the_joint_room(stage: Stage, lab: Lab) -> None:
    """Nothing can be set against Asterisk's calling it; it is out as soon as it has answered."""
    async with RawSip(TRAP, SIP["110"]) as stranger, seat_peer(lab, "1009") as moved:
        await stage.line_becomes("120", "open", within=8)
        await stage.seat_is_there("1009")
        answering = asyncio.create_task(answer_all(moved, ("302 Moved Temporarily", MOVED[1])))
        status, answer = await stage.api["110"].request("POST", "/v1/rooms/room", {"seats": ["1009"]})
        assert status == 202, answer
        invite = await stranger.request("INVITE")
        stranger.answer(invite, "200 OK", sdp(TRAP), Contact=f"<sip:x@{TRAP}:5060>")
        bye = await stranger.request("BYE", within=1)
        stranger.answer(bye, "200 OK")
        assert members(await stage.api["110"].get("/v1/rooms/room")) == set()
        answering.cancel()
        await stage.api["110"].request("DELETE", "/v1/rooms/room")


@pytest.mark.parametrize("who", ["seat", "line", "carrier"])
async def test_nothing_but_the_own_numbers_can_be_dialled(stage: Stage, lab: Lab, who: str) -> None:
    numbers = {"seat": OUTSIDE, "line": (*OUTSIDE, "110"), "carrier": (*OUTSIDE, "12345", "8000")}[who]
    bind = {"seat": "127.0.0.92", "line": FAR_END["119"], "carrier": f"{CARRIER['110']}.77"}[who]
    user, password = ("1003", lab.password("110", "1003")) if who == "seat" else ("", "")
    async with RawSip(bind, SIP["110"], user, password) as peer:
        for number in numbers:
            if (who, number) == ("line", "1100"):
                continue
            for extra in ({}, {"Replaces": "abc;to-tag=1;from-tag=2"}, {"Referred-By": "<sip:1001@x>"}):
                answer = await peer.ask("INVITE", f"sip:{number}@{HOST}", extra, sdp(bind))
                assert answer.status in (404, 484), (number, extra, answer.first_line)
    assert lab.channels() == {}


@pytest.mark.parametrize("who", ["seat", "line", "carrier", "stranger"])
async def test_no_request_moves_a_call_or_takes_anothers_place(stage: Stage, lab: Lab, who: str) -> None:
    bind = {"seat": "127.0.0.92", "line": FAR_END["119"], "carrier": f"{CARRIER['110']}.77"}
    user, password = ("1003", lab.password("110", "1003")) if who == "seat" else ("", "")
    before = _contacts(lab)
    async with RawSip(bind.get(who, "127.0.66.6"), SIP["110"], user, password) as peer:
        for method, extra in (
            ("REFER", {"Refer-To": f"<sip:{EXPENSIVE}@{TRAP}>"}),
            ("MESSAGE", {"Content-Type": "text/plain"}),
            ("PUBLISH", {"Event": "presence", "Expires": "60"}),
            ("SUBSCRIBE", {"Event": "dialog", "Expires": "60"}),
            ("SUBSCRIBE", {"Event": "message-summary", "Expires": "60"}),
            ("NOTIFY", {"Event": "refer", "Subscription-State": "active"}),
            ("INFO", {}),
            ("REGISTER", {"To": f"<sip:1001@{HOST}>", "Expires": "60"}),
        ):
            uri = f"sip:{HOST}" if method == "REGISTER" else f"sip:1001@{HOST}"
            answer = await peer.ask(method, uri, extra)
            assert (answer.status or 0) >= 400, (method, answer.first_line)
    assert _contacts(lab) == before


def _contacts(lab: Lab) -> set[str]:
    """Who is registered where."""
    return set(re.findall(r"Contact:\s+(\S+)", lab.sites["110"].asterisk_cli("pjsip show contacts")))


@pytest.mark.parametrize("who", ["carrier", "line"])
async def test_refer_in_a_call_is_refused_and_the_call_goes_on(stage: Stage, lab: Lab, who: str) -> None:
    taker = await stage.seat("1009" if who == "line" else "1001")
    bind = FAR_END["119"] if who == "line" else f"{CARRIER['110']}.77"
    number = "1100" if who == "line" else "110"
    async with RawSip(bind, SIP["110"]) as peer:
        invite = peer.build("INVITE", f"sip:{number}@{HOST}", body=sdp(bind))
        waiting = asyncio.create_task(peer.final(invite))
        ring = await taker.incoming()
        await ring.answer()
        answer = await waiting
        assert answer.status == 200

        for number, headers in enumerate(
            ({"Refer_To": f"<sip:{EXPENSIVE}@{TRAP}>"}, {"Refer_To": "<sip:1002@x?Replaces=a%3Bto-tag%3Db>"})
        ):
            await refused(peer, peer.inside(invite, answer, "REFER", 2 + number, **headers))
        update = peer.inside(invite, answer, "UPDATE", 4, P_Asserted_Identity="<sip:119@x>")
        await peer.final(update)
        call = await stage.api["110"].call_with(situation="talking")
        assert call["caller"]["number"] == "13800138000"
        assert ring.ending is None
        assert (await peer.final(peer.inside(invite, answer, "BYE", 5))).status == 200
        await ring.ended()


async def test_refer_from_a_seat_in_a_call_is_refused_and_the_call_goes_on(stage: Stage, lab: Lab) -> None:
    async with trap(stage), seat_peer(lab, "1001") as seat:
        caller = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13800138000")
        invite = await seat.request("INVITE")
        seat.answer(invite, "200 OK", sdp(seat.bind), Contact=f"<sip:1001@{seat.bind}:5060>")
        await caller.answered()
        for number, target in enumerate((f"<sip:{EXPENSIVE}@{TRAP}>", "<sip:12345@x>", "<sip:1002@x>")):
            await refused(seat, seat.back(invite, "REFER", 1 + number, Refer_To=target))
        assert caller.ending is None
        assert (await stage.api["110"].call_with(situation="talking"))["transfers"] == []
        assert (await seat.final(seat.back(invite, "BYE", 9))).status == 200
        await caller.ended()


@pytest.mark.parametrize(
    "line",
    [EXPENSIVE, "line-120", f"sip:{EXPENSIVE}@{TRAP}", f"120/sip:{EXPENSIVE}@{TRAP}", "120&119", "1002", ""],
)
async def test_transfers_go_to_configured_lines_only(stage: Stage, lab: Lab, line: str) -> None:
    api = stage.api["110"]
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    status, answer = await api.request("POST", f"/v1/calls/{talk.id}/transfers", {"line": line})
    assert status in (400, 422), answer
    status, answer = await api.press("1001", quote(line or " ", safe=""))
    assert status in (404, 422), answer
    assert len(lab.channels()["110"]) == 2
    await talk.caller.hangup()
    await talk.taker.ended()
