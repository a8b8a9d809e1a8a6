"""Joint rooms over HTTP: who may do what, and what is refused. Real conferences are in tests/system."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telephony.core.call import Hangup
from telephony.room_book import Joined, Left, MemberKind, NotHad
from tests.adapters.http_hotline import Hotline, hotline

STEERING = (
    ("DELETE", "/v1/rooms/room"),
    ("DELETE", "/v1/rooms/room/members/m-1"),
    ("POST", "/v1/rooms/room/members/m-1/mute"),
    ("POST", "/v1/rooms/room/members/m-1/unmute"),
)
LOOKING = (("GET", "/v1/rooms"), ("GET", "/v1/rooms/room"), ("POST", "/v1/rooms/room"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


def code(body: Any) -> str:
    return str(body["error"]["code"])


def joins(house: Hotline, member: str, party: str, kind: MemberKind = MemberKind.LINE) -> None:
    house.rooms.on_event(Joined(time.time(), "room", member, f"PJSIP/{party}", kind, party, "", muted=False))


@pytest.mark.parametrize(("method", "path"), [*LOOKING, *STEERING])
async def test_a_lines_token_has_no_business_in_a_room(house: Hotline, method: str, path: str) -> None:
    status, body, _ = await house.ask(method, path, "line:12345")
    assert (status, code(body)) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path"), STEERING)
async def test_a_seat_sees_and_opens_but_does_not_steer(house: Hotline, method: str, path: str) -> None:
    joins(house, "m-1", "12345")
    status, body, _ = await house.ask(method, path, "seat:1001")
    assert (status, code(body)) == (403, "forbidden")
    assert house.room_asterisk.asked == []


@pytest.mark.parametrize("name", ["other", "room%2F..", "room%0d%0aAction%3a%20x", "a" * 300])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_room_that_is_not_configured_does_not_exist(house: Hotline, method: str, name: str) -> None:
    status, body, _ = await house.ask(method, f"/v1/rooms/{name}")
    assert (status, code(body)) == (404, "unknown_room")
    assert house.room_asterisk.asked == []


async def test_opening_calls_the_configured_lines_and_seats_once(house: Hotline) -> None:
    for _ in range(2):
        status, body, _ = await house.ask("POST", "/v1/rooms/room", "seat:1001")
        assert status == 202
    assert [m["party"] for m in body["members"]] == ["12345", "gas", "1002"]
    assert sorted(house.room_asterisk.asked) == [("call_in", "room", p) for p in ("1002", "12345", "gas")]


async def test_the_key_calls_an_idle_seat_in_too(house: Hotline) -> None:
    status, body, response = await house.ask("POST", "/v1/seats/1001/keys/room", "seat:1001")
    assert (status, response.headers["Location"]) == (202, "/v1/rooms/room")
    assert {m["party"] for m in body["members"]} == {"1001", "1002", "12345", "gas"}


@pytest.mark.parametrize(
    ("wanted", "status", "error"),
    [
        ({"lines": ["13800138000"]}, 422, "unknown_line"),
        ({"lines": ["12345", "PJSIP/itsp/0014"]}, 422, "unknown_line"),
        ({"seats": ["1001&PJSIP/itsp/0014"]}, 422, "unknown_seat_named"),
        ({"seats": ["12345"]}, 422, "unknown_seat_named"),
        ({"lines": ["1001"]}, 422, "unknown_line"),
        ({"lines": "12345"}, 400, "bad_input"),
        ({"lines": ["1"] * 101}, 400, "bad_input"),
        ({"number": "0014"}, 400, "bad_input"),
        ({"call": "nobody"}, 404, "unknown_call"),
    ],
)
async def test_only_this_hotlines_lines_and_seats_can_be_called_in(
    house: Hotline, wanted: Any, status: int, error: str
) -> None:
    found, body, _ = await house.ask("POST", "/v1/rooms/room", json=wanted)
    assert (found, code(body)) == (status, error)
    assert house.room_asterisk.asked == []


async def test_a_seat_cannot_bring_in_another_seats_call(house: Hotline) -> None:
    call = await house.call_at("1001")
    status, body, _ = await house.ask("POST", "/v1/rooms/room", "seat:1002", json={"call": call})
    assert (status, code(body)) == (404, "unknown_call")
    assert house.room_asterisk.asked == []


async def test_a_call_into_which_a_partner_is_being_called_stays_as_it_is(house: Hotline) -> None:
    call = await house.call_at("1001")
    await house.ask("POST", "/v1/seats/1001/keys/119")
    status, body, _ = await house.ask("POST", "/v1/rooms/room", json={"call": call})
    assert (status, code(body)) == (409, "transfer_under_way")
    assert house.room_asterisk.asked == []


async def test_closed_lines_and_full_ones_are_shown_and_not_called(house: Hotline) -> None:
    house.lines.closed.add("12345")
    joins(house, "m-9", "gas")  # gas takes one call
    house.rooms.on_event(Left(time.time(), "room", "m-9"))
    _, body, _ = await house.ask("POST", "/v1/rooms/room", json={"seats": []})
    states = {m["party"]: (m["state"], m["reason"]) for m in body["members"]}
    assert states == {"12345": ("failed", "line_closed"), "gas": ("calling", None)}
    assert house.room_asterisk.asked == [("call_in", "room", "gas")]
    lines = (await house.ask("GET", "/v1/lines"))[1]["lines"]
    assert next(line["state"] for line in lines if line["line"] == "gas") == "busy"


async def test_who_could_not_be_had_is_shown_with_the_reason_until_called_again(house: Hotline) -> None:
    _, body, _ = await house.ask("POST", "/v1/rooms/room", json={"lines": ["119"], "seats": []})
    house.rooms.on_event(NotHad(time.time(), body["members"][0]["id"], Hangup(17, 486)))
    _, body, _ = await house.ask("GET", "/v1/rooms/room")
    assert [(m["state"], m["reason"]) for m in body["members"]] == [("failed", "busy")]
    _, body, _ = await house.ask("POST", "/v1/rooms/room", json={"lines": ["119"], "seats": []})
    assert [(m["state"], m["reason"]) for m in body["members"]] == [("calling", None)]


@pytest.mark.parametrize(("method", "path"), STEERING[1:])
async def test_somebody_who_is_not_there_cannot_be_steered(house: Hotline, method: str, path: str) -> None:
    status, body, _ = await house.ask(method, path)
    assert (status, code(body)) == (404, "unknown_member")


async def test_an_empty_room_cannot_be_ended(house: Hotline) -> None:
    status, body, _ = await house.ask("DELETE", "/v1/rooms/room")
    assert (status, code(body)) == (409, "room_not_open")


async def test_an_administrator_mutes_puts_out_and_ends(house: Hotline) -> None:
    joins(house, "m-1", "12345")
    joins(house, "m-2", "1002", MemberKind.SEAT)
    for method, path in (STEERING[2], STEERING[3], STEERING[1], STEERING[0]):
        assert (await house.ask(method, path))[0] == 202
    member = ("room", "PJSIP/12345")
    assert house.room_asterisk.asked == [
        ("mute", *member),
        ("unmute", *member),
        ("kick", *member),
        ("end", "room"),
    ]


async def test_without_asterisk_nothing_is_asked_of_it(house: Hotline) -> None:
    house.switchboard.recovered = False
    for method, path in (("POST", "/v1/rooms/room"), *STEERING, ("POST", "/v1/seats/1001/keys/room")):
        assert (await house.ask(method, path))[0] == 503
    assert house.room_asterisk.asked == []


async def test_seats_and_administrators_watch_a_room_and_lines_do_not(house: Hotline) -> None:
    async with house.watch("seat:1001") as seat, house.watch("line:12345") as line:
        for watcher in (seat, line):
            assert (await watcher.receive_json())["type"] == "hello"
        joins(house, "m-1", "12345")
        call = await house.call_at("1001", via="12345")
        event = await seat.receive_json()
        assert (event["type"], event["data"]["members"][0]["party"]) == ("room", "12345")
        first = await line.receive_json()
        assert (first["type"], first["data"]["id"]) == ("call", call)
