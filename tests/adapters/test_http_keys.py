"""Keys, calls, transfers, lines and seats over HTTP: what design §7 promises, status by status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telephony.core.events import FreedTimeout
from telephony.http.failures import STATUS_OF_CODE
from tests.adapters.http_hotline import Hotline, hotline
from tests.adapters.waiting import until

KEY = "/v1/seats/1001/keys/12345"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


def code(body: Any) -> str:
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["message"]
    return str(body["error"]["code"])


# -- keys --------------------------------------------------------------------------------------


async def test_a_line_key_is_answered_with_the_transfer(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, response = await house.ask("POST", KEY, "seat:1001", json={"mode": "cold", "note": "噪音"})
    assert status == 202
    assert body["id"] == "t-1"
    assert (body["call"], body["line"], body["mode"], body["note"]) == ("c-1", "12345", "cold", "噪音")
    assert (body["state"], body["reason"], body["seat"]) == ("inviting", None, "1001")
    assert [transfer["id"] for transfer in body["transfers"]] == ["t-1"]
    assert response.headers["Location"] == "/v1/calls/c-1/transfers/t-1"
    await until(lambda: len(house.asterisk.invited) == 1)


async def test_a_key_needs_no_body(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask("POST", KEY)
    assert (status, body["mode"], body["note"]) == (202, "warm", "")


async def test_pressing_a_line_key_again_is_the_same_transfer(house: Hotline) -> None:
    await house.call_at("1001")
    _, first, _ = await house.ask("POST", KEY)
    status, second, _ = await house.ask("POST", KEY)
    assert (status, second["id"]) == (202, first["id"])
    assert len(house.asterisk.invited) == 1


async def test_cancel_of_several_tells_all_of_them(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", KEY)
    await house.ask("POST", "/v1/seats/1001/keys/119")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/cancel")
    assert status == 202
    assert (body["id"], body["state"], body["reason"]) == ("t-1", "ended", "cancelled")
    assert [(t["id"], t["reason"]) for t in body["transfers"]] == [("t-1", "cancelled"), ("t-2", "cancelled")]


async def test_leave_tells_the_transfers_that_the_caller_is_left_to(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", KEY)
    await house.partner_joins("c-1", "t-1", "12345")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/leave", "seat:1001")
    assert (status, body["id"], body["state"]) == (202, "t-1", "joined")
    await until(lambda: house.asterisk.hung_up == ["c-1-1001"])


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/v1/seats/7/keys/12345", None, 404, "unknown_seat"),
        ("/v1/seats/1001/keys/nothing", None, 422, "unknown_key"),
        (KEY, {"mode": "gentle"}, 422, "unknown_mode"),
        ("/v1/seats/1002/keys/12345", None, 409, "no_call"),
        ("/v1/seats/1001/keys/cancel", None, 409, "nothing_to_cancel"),
        ("/v1/seats/1001/keys/leave", None, 409, "nobody_to_leave_with"),
        ("/v1/calls/c-1/transfers", {"line": "nothing"}, 422, "unknown_line"),
        ("/v1/calls/c-1/transfers", {"line": "119", "mode": "gentle"}, 422, "unknown_mode"),
        ("/v1/calls/c-9/transfers", {"line": "119"}, 404, "unknown_call"),
    ],
)
async def test_a_refused_press_has_its_status_and_code(
    house: Hotline, path: str, body: Any, status: int, expected: str
) -> None:
    await house.call_at("1001")
    got, answer, _ = await house.ask("POST", path, json=body)
    assert (got, code(answer)) == (status, expected)


async def test_a_closed_line_is_a_conflict_that_names_the_transfer_on_record(house: Hotline) -> None:
    await house.call_at("1001")
    house.lines.closed.add("12345")
    status, body, _ = await house.ask("POST", KEY)
    assert (status, code(body)) == (409, "line_closed")
    _, transfer, _ = await house.ask("GET", f"/v1/calls/c-1/transfers/{body['error']['details']['transfer']}")
    assert (transfer["state"], transfer["reason"]) == ("ended", "line_closed")


async def test_a_full_line_is_a_conflict(house: Hotline) -> None:
    await house.call_at("1001")
    await house.call_at("1002", "c-2")
    await house.ask("POST", "/v1/seats/1002/keys/gas")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/gas")
    assert (status, code(body)) == (409, "line_full")


async def test_without_the_link_to_asterisk_a_press_is_503(house: Hotline) -> None:
    await house.call_at("1001")
    house.switchboard.recovered = False
    status, body, response = await house.ask("POST", KEY)
    assert (status, code(body)) == (503, "link_down")
    assert response.headers["Retry-After"] == "1"


async def test_a_call_with_too_many_unread_events_is_429(house: Hotline) -> None:
    await house.call_at("1001")
    house.asterisk.gate.clear()
    first = asyncio.create_task(house.ask("POST", KEY))
    await until(lambda: len(house.asterisk.invited) == 1)
    for _ in range(1000):
        house.dispatcher.post("c-1", FreedTimeout(0.0))
    status, body, response = await house.ask("POST", "/v1/seats/1001/keys/119")
    assert (status, code(body)) == (429, "overloaded")
    assert response.headers["Retry-After"] == "1"
    first.cancel()


async def test_our_own_fault_is_500_and_says_nothing_of_itself(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(house.switchboard, "seats", broken)
    status, body, _ = await house.ask("GET", "/v1/seats")
    assert (status, code(body)) == (500, "internal_error")
    assert "secret" not in str(body)


async def test_a_fault_in_the_calls_own_task_is_500_too(house: Hotline) -> None:
    assert STATUS_OF_CODE["internal_error"] == 500
    await house.call_at("1001")
    house.dispatcher._executor = None  # type: ignore[assignment]
    status, body, _ = await house.ask("POST", KEY)
    assert (status, code(body)) == (500, "internal_error")


# -- calls and transfers -----------------------------------------------------------------------


async def test_calls_are_listed_with_legs_transfers_and_the_feeds_number(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", KEY)
    status, body, _ = await house.ask("GET", "/v1/calls")
    (call,) = body["calls"]
    assert status == 200
    assert body["seq"] == house.feed.last_seq
    assert (call["id"], call["seat"], call["situation"]) == ("c-1", "1001", "inviting")
    assert {leg["role"] for leg in call["legs"]} == {"caller", "taker"}
    assert [transfer["id"] for transfer in call["transfers"]] == ["t-1"]
    one = (await house.ask("GET", "/v1/calls/c-1"))[1]
    assert one.pop("history")["count"] == 0
    assert one == call


async def test_a_transfer_can_be_started_read_and_cancelled_by_its_call(house: Hotline) -> None:
    await house.call_at("1001")
    path = "/v1/calls/c-1/transfers"
    status, started, response = await house.ask(
        "POST", path, json={"line": "119", "mode": "cold", "note": "火"}
    )
    assert (status, started["line"], started["mode"]) == (202, "119", "cold")
    place = response.headers["Location"]
    assert (await house.ask("GET", place))[1] == started
    status, cancelled, _ = await house.ask("DELETE", place)
    assert (status, cancelled["id"], cancelled["reason"]) == (202, started["id"], "cancelled")
    status, body, _ = await house.ask("DELETE", place)
    assert (status, code(body)) == (409, "nothing_to_cancel")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_transfer_that_is_not_there_is_404(house: Hotline, method: str) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask(method, "/v1/calls/c-1/transfers/t-9")
    assert (status, code(body)) == (404, "unknown_transfer")
    status, body, _ = await house.ask(method, "/v1/calls/c-9/transfers/t-9")
    assert (status, code(body)) == (404, "unknown_call")


# -- lines and seats ---------------------------------------------------------------------------


async def test_a_line_can_be_closed_and_opened(house: Hotline) -> None:
    status, body, _ = await house.ask("PATCH", "/v1/lines/119", json={"state": "closed"})
    assert (status, body["line"], body["state"]) == (200, "119", "closed")
    _, body, _ = await house.ask("GET", "/v1/lines/119")
    assert body["state"] == "closed"
    _, body, _ = await house.ask("PATCH", "/v1/lines/119", json={"state": "open"})
    assert body["state"] == "open"


async def test_lines_tell_their_load(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", "/v1/seats/1001/keys/gas")
    _, body, _ = await house.ask("GET", "/v1/lines")
    gas = next(line for line in body["lines"] if line["line"] == "gas")
    assert (gas["state"], gas["live"], gas["capacity"], gas["key"], gas["dtmf"]) == ("busy", 1, 1, "F3", "*3")


async def test_an_unknown_line_is_404(house: Hotline) -> None:
    for method, body in (("GET", None), ("PATCH", {"state": "open"})):
        status, answer, _ = await house.ask(method, "/v1/lines/nothing", json=body)
        assert (status, code(answer)) == (404, "unknown_line")


async def test_a_line_cannot_be_made_busy_by_hand(house: Hotline) -> None:
    status, body, _ = await house.ask("PATCH", "/v1/lines/119", json={"state": "busy"})
    assert (status, code(body)) == (400, "bad_input")
    assert body["error"]["details"] == {"at": "$.state"}


async def test_without_the_store_a_line_cannot_be_closed_and_nothing_of_it_is_told(house: Hotline) -> None:
    house.lines.broken = True
    status, body, _ = await house.ask("PATCH", "/v1/lines/119", json={"state": "closed"})
    assert (status, code(body)) == (503, "store_down")
    assert "secret-host" not in str(body)


async def test_seats_tell_their_state_and_call(house: Hotline) -> None:
    await house.call_at("1001")
    _, body, _ = await house.ask("GET", "/v1/seats")
    seats = {seat["seat"]: (seat["state"], seat["call"]) for seat in body["seats"]}
    assert seats == {"1001": ("talking", "c-1"), "1002": ("idle", "")}
