"""The joint room (会商): opened by one key, joined by PIN, steered by API and console, ends by itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab import recordings
from tests.lab.rtp import Stream
from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import CALLER, PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab

OTHER = 2310  # Hz: the late comer's tone
FIRE = CALLER  # the tone of 119's phone where no citizen is on the stage
ROOM_OPEN = 880  # Hz (asterisk-conf/indications.conf)
DOOR = f"sip:8000@{SIP['110']}"


@pytest.fixture
async def officers(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """110's seat 1001, an agent at 12345's dedicated seat, and 119's phone."""
    return await asyncio.gather(
        stage.seat("1001"), stage.seat("1009", site="12345", tone=PARTNER), stage.unit("119", tone=FIRE)
    )


def pin(lab: Lab) -> str:
    pins = json.loads((lab.sites["110"].state / "secrets" / "rooms.json").read_text(encoding="utf-8"))
    return str(pins["room"])


async def room_is(stage: Stage, true: Callable[[Any], bool], within: float = 5.0) -> Any:
    """Wait until the room as the API shows it is so; returns it."""
    deadline = time.monotonic() + within
    while True:
        room = await stage.api["110"].get("/v1/rooms/room")
        if true(room):
            return room
        assert time.monotonic() < deadline, f"after {within} s the room is {room}"
        await asyncio.sleep(0.02)


def members(room: Any, state: str = "present") -> set[str]:
    return {member["party"] for member in room["members"] if member["state"] == state}


def empty(room: Any) -> bool:
    return room["since"] is None and not members(room)


async def open_by_key(stage: Stage, officers: tuple[Softphone, ...]) -> list[Call]:
    """One key; the three phones ring at once, and all answer. Their calls: seat, 12345, 119."""
    status, answer = await stage.api["110"].press("1001", "room")
    assert status == 202, answer
    calls = await asyncio.gather(*(phone.incoming() for phone in officers))
    await asyncio.gather(*(call.answer() for call in calls))
    return list(calls)


async def say_pin(stage: Stage, phone: Softphone, digits: str, to: str = DOOR) -> Call:
    """Dial in, and send the digits once they have been asked for."""
    call = await phone.dial(to)
    await call.answered()
    await stage.hears_words(call, "room-pin")
    await call.dtmf(digits)
    return call


def hears_other(stage: Stage, call: Call) -> bool:
    now = time.time()
    return OTHER in stage.wire.received(call.phone.bind, call.call_id).between(now - 0.5, now).tones([OTHER])


async def until(true: Callable[[], bool], what: str, within: float = 3.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not after {within} s: {what}"
        await asyncio.sleep(0.05)


async def said(lab: Lab, words: str, within: float = 10.0) -> None:
    """Wait until Asterisk's log says so: there an administrator sees who tries PINs."""
    log = lab.sites["110"].state / "asterisk" / "log" / "messages.log"
    deadline = time.monotonic() + within
    while words not in log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < deadline, f"the log does not say {words!r}"
        await asyncio.sleep(0.05)


async def test_one_key_calls_everybody_in_at_once_and_each_hears_the_others(
    stage: Stage, lab: Lab, officers
) -> None:
    began = time.time()
    seat, agent, fire = await open_by_key(stage, officers)

    await stage.hears(seat, PARTNER, FIRE)
    await stage.hears(agent, TAKER, FIRE)
    await stage.hears(fire, TAKER, PARTNER)
    assert (fire.remote_number, seat.remote_number) == ("8000", "8000")
    room = await room_is(stage, lambda room: members(room) == {"1001", "12345", "119"})
    # 110's dedicated seat is configured, has no phone, and is shown so; nobody has waited for it.
    assert [m["reason"] for m in room["members"] if m["party"] == "1009"] == ["unreachable"]
    assert "PJSIP/line-119" in lab.sites["110"].asterisk_cli("confbridge list room")
    seats = (await stage.api["110"].get("/v1/seats"))["seats"]
    assert next(s["state"] for s in seats if s["seat"] == "1001") == "talking"

    await fire.hangup()
    await stage.hears(seat, PARTNER)
    await agent.hangup()

    await seat.ended()  # one is left: the room ends by itself
    assert await room_is(stage, empty)
    assert await recordings.length(lab.sites["110"], "room-room*.wav", since=began) > 0.5


async def test_the_first_one_hears_that_the_room_is_open_and_then_the_others(stage: Stage, officers) -> None:
    status, answer = await stage.api["110"].press("1001", "room")
    assert status == 202, answer
    seat, agent, _ = await asyncio.gather(*(phone.incoming() for phone in officers))

    await seat.answer()

    def heard() -> Stream:
        return stage.wire.received(seat.phone.bind, seat.call_id)

    await stage.wire.until(lambda: heard().first_heard(ROOM_OPEN), "the tone of an open room")
    await room_is(stage, lambda room: members(room) == {"1001"})
    await agent.answer()
    await stage.hears(seat, PARTNER)
    await stage.hears(agent, TAKER)


async def test_who_is_busy_or_does_not_answer_is_shown_and_nobody_waits_for_them(
    stage: Stage, officers
) -> None:
    seat_phone, agent_phone, fire_phone = officers
    await fire_phone.on_invite(180)  # rings, and nobody answers (3 s in these tests)
    await stage.unit("120", on_invite=486)
    status, answer = await stage.api["110"].request(
        "POST", "/v1/rooms/room", {"lines": ["12345", "119", "120"], "seats": ["1001"]}
    )
    assert status == 202, answer
    seat, agent = await asyncio.gather(seat_phone.incoming(), agent_phone.incoming())
    await asyncio.gather(seat.answer(), agent.answer())

    await stage.hears(seat, PARTNER)
    await room_is(stage, lambda room: members(room, "ringing") == {"119"})
    room = await room_is(stage, lambda room: members(room, "failed") == {"119", "120"})
    reasons = {m["party"]: m["reason"] for m in room["members"] if m["state"] == "failed"}
    assert reasons == {"119": "no_answer", "120": "busy"}
    await agent.hangup()
    await seat.ended()


async def test_late_comer_joins_with_the_pin_over_the_line_and_from_a_seat(
    stage: Stage, lab: Lab, officers
) -> None:
    seat, agent, fire = await open_by_key(stage, officers)
    await stage.hears(seat, PARTNER, FIRE)
    ambulance = await stage.unit("120", tone=OTHER)

    late = await say_pin(stage, ambulance, pin(lab))

    await stage.hears(late, TAKER, PARTNER, FIRE)
    await until(lambda: hears_other(stage, seat), "the seat hears the late comer")
    await room_is(stage, lambda room: "120" in members(room))
    await late.hangup()
    second = await stage.seat("1002", tone=OTHER)
    from_seat = await say_pin(stage, second, pin(lab))
    await stage.hears(from_seat, TAKER, PARTNER, FIRE)
    await room_is(stage, lambda room: "1002" in members(room))
    for call in (from_seat, agent, fire):
        await call.hangup()
    await seat.ended()


async def test_wrong_pin_three_times_ends_the_call_and_is_never_in_the_room(
    stage: Stage, lab: Lab, officers
) -> None:
    seat, agent, fire = await open_by_key(stage, officers)
    await stage.hears(seat, PARTNER, FIRE)
    wrong = "".join(str((int(digit) + 1) % 10) for digit in pin(lab))
    stranger = await stage.unit("120", tone=OTHER)

    late = await say_pin(stage, stranger, wrong)
    for tries in (1, 2):
        await said(lab, f"wrong PIN for room room from 120 ({tries})")
        await stage.hears_words(late, "room-wrong-pin", times=tries, whole=False)
        await stage.hears_words(late, "room-pin", times=tries + 1)
        await late.dtmf(wrong)
    await late.ended(within=20)

    await said(lab, "wrong PIN for room room from 120 (3)")
    room = await stage.api["110"].get("/v1/rooms/room")
    assert members(room) == {"1001", "12345", "119"}
    assert not hears_other(stage, seat)
    for call in (agent, fire):
        await call.hangup()
    await seat.ended()


async def test_citizens_cannot_dial_the_room(stage: Stage) -> None:
    citizen = await stage.citizen()
    call = await citizen.dial(DOOR)
    assert (await call.ended()).status == 404


async def test_mute_and_kick_by_api_and_console_are_heard_in_what_phones_receive(
    stage: Stage, lab: Lab, officers
) -> None:
    seat, agent, fire = await open_by_key(stage, officers)
    await stage.hears(seat, PARTNER, FIRE)
    room = await room_is(stage, lambda room: len(members(room)) == 3)
    ids = {member["party"]: member["id"] for member in room["members"]}
    base, cli = "/v1/rooms/room/members", lab.sites["110"].asterisk_cli

    assert (await stage.api["110"].request("POST", f"{base}/{ids['119']}/mute"))[0] == 202
    await stage.hears(seat, PARTNER)
    await stage.hears(fire, TAKER, PARTNER)
    await room_is(stage, lambda room: [m["party"] for m in room["members"] if m["muted"]] == ["119"])
    assert (await stage.api["110"].request("POST", f"{base}/{ids['119']}/unmute"))[0] == 202
    await stage.hears(seat, PARTNER, FIRE)

    listed = await asyncio.to_thread(cli, "confbridge list room")
    line = next(word for word in listed.split() if word.startswith("PJSIP/line-12345"))
    await asyncio.to_thread(cli, f"confbridge mute room {line}")
    await stage.hears(seat, FIRE)
    await room_is(stage, lambda room: [m["party"] for m in room["members"] if m["muted"]] == ["12345"])
    await asyncio.to_thread(cli, f"confbridge unmute room {line}")
    await stage.hears(seat, PARTNER, FIRE)

    assert (await stage.api["110"].request("DELETE", f"{base}/{ids['119']}"))[0] == 202
    await fire.ended()
    await stage.hears(seat, PARTNER)
    await asyncio.to_thread(cli, f"confbridge kick room {line}")
    await agent.ended()
    await seat.ended()


async def test_running_call_is_brought_in_and_its_caller_is_never_without_somebody(
    stage: Stage, lab: Lab, officers
) -> None:
    taker, agent_phone, fire_phone = officers
    citizen = await stage.citizen()
    talk = await stage.talk(citizen, taker)
    status, answer = await stage.api["110"].press("1001", "12345")
    assert status == 202, answer
    agent = await agent_phone.incoming()
    await agent.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    moved = time.time()

    status, answer = await stage.api["110"].request(
        "POST", "/v1/rooms/room", {"call": talk.id, "lines": ["119"], "seats": []}
    )

    assert status == 202, answer
    assert {member["kind"] for member in answer["members"] if member["call"]} == {"caller", "seat", "line"}
    await stage.hears(talk.caller, TAKER, PARTNER)
    done = time.time()
    heard = stage.wire.received(citizen.bind, talk.caller.call_id).between(moved, done)
    assert heard.lost == 0
    assert heard.largest_gap_ms <= 60 + stage.stalls.longest_ms(moved, done)
    await stage.hears(talk.taker, CALLER, PARTNER)
    await stage.hears(agent, CALLER, TAKER)
    fire = await fire_phone.incoming()
    await fire.answer()
    await stage.hears(fire, CALLER, TAKER, PARTNER)
    # The taker goes, the partner goes: the caller is with 119 still.
    # (119's phone has the citizen's tone, so the citizen's phone hears its like from somebody else.)
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER, FIRE)
    await stage.goes_on_hearing(talk.caller, PARTNER, FIRE, seconds=1.0)
    await agent.hangup()
    await stage.hears(talk.caller, FIRE)
    await stage.goes_on_hearing(talk.caller, FIRE, seconds=1.0)
    await fire.hangup()
    await talk.caller.ended()
    await room_is(stage, empty)
    await stage.api["110"].no_calls()


async def test_key_in_a_call_brings_it_in_and_a_caller_put_out_is_back_at_a_seat(
    stage: Stage, officers
) -> None:
    taker, agent_phone, _ = officers
    citizen = await stage.citizen()
    talk = await stage.talk(citizen, taker)
    await talk.taker.dtmf("*8")
    agent = await agent_phone.incoming()
    await agent.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    room = await room_is(stage, lambda room: members(room) == {"carrier", "1001", "12345"})
    second = await stage.seat("1002", tone=PARTNER)

    caller = next(member["id"] for member in room["members"] if member["kind"] == "caller")
    assert (await stage.api["110"].request("DELETE", f"/v1/rooms/room/members/{caller}"))[0] == 202

    back = await second.incoming()
    await back.answer()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(talk.taker, PARTNER)
    await talk.caller.hangup()
    await back.ended()
    await agent.hangup()
    await talk.taker.ended()


async def test_ending_a_room_stops_the_ringing_and_brings_its_caller_back_to_a_seat(
    stage: Stage, officers
) -> None:
    taker, agent_phone, fire_phone = officers
    talk = await stage.talk(await stage.citizen(), taker)
    status, answer = await stage.api["110"].press("1001", "room")
    assert status == 202, answer
    agent, ringing = await asyncio.gather(agent_phone.incoming(), fire_phone.incoming())
    await agent.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)

    assert (await stage.api["110"].request("DELETE", "/v1/rooms/room"))[0] == 202

    await asyncio.gather(agent.ended(), ringing.ended(), talk.taker.ended())
    back = await taker.incoming()
    await back.answer()
    await stage.hears(talk.caller, TAKER)
    await back.hangup()
    await talk.caller.ended()


async def test_room_goes_on_without_the_controller_which_knows_it_again_after_a_restart(
    stage: Stage, lab: Lab, officers
) -> None:
    seat, agent, fire = await open_by_key(stage, officers)
    await stage.hears(seat, PARTNER, FIRE)

    await asyncio.to_thread(lab.sites["110"].kill_controller)
    await stage.goes_on_hearing(seat, PARTNER, FIRE, seconds=1.0)
    late = await say_pin(stage, await stage.unit("120", tone=OTHER), pin(lab))
    await stage.hears(late, TAKER, PARTNER, FIRE)
    await asyncio.to_thread(lab.sites["110"].start_controller)

    await room_is(stage, lambda room: members(room) == {"1001", "12345", "119", "120"})
    await asyncio.to_thread(lab.sites["110"].kill_controller)
    for call in (late, agent, fire):
        await call.hangup()
    await seat.ended()  # and it ends by itself without one, too
    await asyncio.to_thread(lab.sites["110"].start_controller)
    await room_is(stage, empty)
