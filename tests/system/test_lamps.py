"""A line's lamp on ordinary phones, and its state in the list, known before anybody presses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.lab.lamp import Lamp, Refused
from tests.lab.softphone import Softphone
from tests.lab.stage import PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab

QUALIFY = 5.0 + 2.0 + 1.0  # s; between two OPTIONS, for an answer, and for a busy machine
SHOWN = {
    "dialog": {"idle": "idle", "ringing": "ringing", "in use": "in use", "out": "held"},
    "presence": {
        "idle": "open: Ready",
        "ringing": "open: Ringing",
        "in use": "open: On the phone",
        "out": "open: On hold",
    },
}


@pytest.fixture(params=["dialog", "presence"])
async def lamp(request: pytest.FixtureRequest, stage: Stage, lab: Lab) -> AsyncIterator[Lamp]:
    """The lamp of line 119, as each kind of phone watches it."""
    async with stage.lamp("119", event=request.param) as lamp:
        yield lamp


@pytest.fixture
async def key(stage: Stage) -> AsyncIterator[Lamp]:
    """The BLF key of line 119."""
    async with stage.lamp("119") as lamp:
        yield lamp


async def shows(lamp: Lamp, what: str, within: float = QUALIFY) -> None:
    await lamp.shows(SHOWN[lamp.event][what], within=within)


async def there(stage: Stage, line: str, on_invite: int | None = None) -> Softphone:
    """The line's far end, up and seen."""
    unit = await stage.unit(line, on_invite=on_invite)
    # Until this phone itself has been asked, the line may still look as the phone before it left it.
    await stage.wire.until(
        lambda: any(
            packet.source[0] == unit.bind and packet.message.cseq_method == "OPTIONS"
            for packet in stage.wire.sip(ip=unit.bind)
        ),
        f"an answer of {line} to OPTIONS",
        within=QUALIFY,
    )
    await stage.line_becomes(line, "open", within=QUALIFY)
    return unit


async def test_lamp_and_list_say_when_the_far_end_goes_away_and_comes_back(stage: Stage, lamp: Lamp) -> None:
    await shows(lamp, "out")

    unit = await stage.unit("119")

    await shows(lamp, "idle")
    await stage.line_becomes("119", "open")
    await unit.kill()
    await shows(lamp, "out")
    await stage.line_becomes("119", "down")


async def test_lamp_follows_the_call_on_the_line(stage: Stage, lamp: Lamp) -> None:
    unit = await there(stage, "119")
    await shows(lamp, "idle")
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()

    await ring.ring()
    await shows(lamp, "ringing")
    await ring.answer()
    await shows(lamp, "in use")
    await stage.line_becomes("119", "open")  # there is room for 29 calls more
    await ring.hangup()
    await shows(lamp, "idle")

    await talk.caller.hangup()
    await talk.taker.ended()


async def test_lamp_of_a_closed_line_is_out_and_stays_so_when_the_controller_is_restarted(
    stage: Stage, lab: Lab, key: Lamp
) -> None:
    await there(stage, "119")
    api = stage.api["110"]

    await api.request("PATCH", "/v1/lines/119", {"state": "closed"})

    await shows(key, "out")
    await stage.line_becomes("119", "closed")
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    await asyncio.to_thread(lab.sites["110"].start_controller)
    await stage.line_becomes("119", "closed")
    await shows(key, "out")
    await api.request("PATCH", "/v1/lines/119", {"state": "open"})
    await shows(key, "idle")


async def test_full_line_is_busy_before_the_press_which_is_refused(stage: Stage) -> None:
    unit = await there(stage, "gas", on_invite=200)
    first = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    await stage.api["110"].press("1001", "gas")
    partner = await unit.incoming()
    await stage.hears(first.caller, TAKER, PARTNER)
    other = await (await stage.citizen()).dial(f"sip:110@{SIP['110']}", number="13900139000")
    ring = await (await stage.seat("1002")).incoming()
    await ring.answer()
    await stage.hears(other, TAKER)

    async with stage.lamp("96833") as lamp:
        await lamp.shows("in use")
        await stage.line_becomes("gas", "busy")
        status, answer = await stage.api["110"].press("1002", "gas")

    assert (status, answer["error"]["code"]) == (409, "line_full")
    assert len(unit.calls) == 1
    await first.caller.hangup()
    await partner.hangup()
    await other.hangup()
    await asyncio.gather(first.taker.ended(), ring.ended())
    await stage.line_becomes("gas", "open")


async def test_without_a_controller_the_lamp_still_shows_who_uses_the_line(
    stage: Stage, lab: Lab, key: Lamp
) -> None:
    unit = await there(stage, "119", on_invite=200)
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    await shows(key, "idle")
    await asyncio.to_thread(lab.sites["110"].stop_controller)

    await talk.taker.dtmf("*2")

    partner = await unit.incoming()
    await shows(key, "in use")
    await stage.hears(talk.caller, TAKER, PARTNER)
    await partner.hangup()
    await shows(key, "idle")
    await talk.caller.hangup()
    await talk.taker.ended()


@pytest.mark.parametrize(
    ("bind", "user", "password", "code", "status"),
    [
        ("127.0.66.7", "1001", "guess", "12345", 401),
        ("127.0.66.7", "nobody", "", "12345", 401),
        ("127.0.111.200", "110", "", "12345", 603),  # the carrier's address
        ("127.0.119.1", "119", "", "12345", 603),  # a linked unit's address
    ],
)
async def test_stranger_sees_no_lamp(
    lab: Lab, bind: str, user: str, password: str, code: str, status: int
) -> None:
    with pytest.raises(Refused) as refused:
        async with Lamp(bind, SIP["110"], user, password, code=code):
            pass
    assert refused.value.status == status


@pytest.mark.parametrize("code", ["1002", "s", "0119", "119;x=y", "*43", "gas"])
async def test_seat_sees_lamps_of_short_codes_only(stage: Stage, code: str) -> None:
    with pytest.raises(Refused) as refused:
        async with stage.lamp(code):
            pass
    assert refused.value.status in (400, 404)
