"""Tokens at the door: who may do what, and what is not yours is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telephony.tokens import Principal, add_token, revoke_principal
from tests.adapters.http_hotline import TOKENS, Hotline, hotline

OPEN = ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/")
CLOSED = (
    ("POST", "/v1/seats/1001/keys/12345"),
    ("GET", "/v1/calls"),
    ("GET", "/v1/calls/c-1"),
    ("POST", "/v1/calls/c-1/transfers"),
    ("POST", "/v1/calls/c-1/diversions"),
    ("GET", "/v1/history/13800138000"),
    ("GET", "/v1/calls/c-1/transfers/t-1"),
    ("DELETE", "/v1/calls/c-1/transfers/t-1"),
    ("GET", "/v1/lines"),
    ("GET", "/v1/lines/119"),
    ("PATCH", "/v1/lines/119"),
    ("GET", "/v1/seats"),
    ("GET", "/v1/events"),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


def code(body: Any) -> str:
    return str(body["error"]["code"])


# -- getting in --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_without_a_token_nothing_but_401(house: Hotline, method: str, path: str) -> None:
    await house.call_at("1001")
    status, body, response = await house.ask(method, path, None)
    assert (status, code(body)) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
async def test_health_figures_and_description_need_no_token(house: Hotline, path: str) -> None:
    status, _, _ = await house.ask("GET", path, None)
    assert status in (200, 302)


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer", "Bearer ", "Basic YWRtaW46eA==", "admin-token", "Bearer a b"]
)
async def test_what_is_no_valid_bearer_token_is_401(house: Hotline, header: str) -> None:
    status, body, _ = await house.ask("GET", "/v1/calls", None, headers={"Authorization": header})
    assert (status, code(body)) == (401, "unauthorized")
    assert "wrong" not in str(body)


async def test_the_scheme_is_read_in_any_case(house: Hotline) -> None:
    headers = {"Authorization": f"bearer {TOKENS['admin']}"}
    assert (await house.ask("GET", "/v1/calls", None, headers=headers))[0] == 200


async def test_two_authorization_headers_are_refused_whichever_is_right(house: Hotline) -> None:
    headers = [("Authorization", f"Bearer {TOKENS[who]}") for who in ("admin", "seat:1001")]
    async with house.session.get(f"{house.url}/v1/calls", headers=headers) as response:
        assert response.status == 400
        assert code(await response.json()) == "bad_request"


async def test_a_token_in_the_query_is_for_the_websocket_only(house: Hotline) -> None:
    token = TOKENS["admin"]
    assert (await house.ask("GET", f"/v1/calls?token={token}", None))[0] == 401
    async with house.session.ws_connect(f"{house.url}/v1/events?token={token}") as socket:
        assert (await socket.receive_json())["type"] == "hello"


async def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(house: Hotline) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    answers = [await house.ask("GET", "/v1/calls", None, headers=wrong) for _ in range(32)]
    assert [status for status, _, _ in answers[:30]] == [401] * 30
    status, body, response = answers[-1]
    assert (status, code(body)) == (429, "too_many_failures")
    assert int(response.headers["Retry-After"]) >= 1
    assert (await house.ask("GET", "/v1/calls"))[0] == 200


async def test_asking_without_a_token_is_no_guess(house: Hotline) -> None:
    assert {(await house.ask("GET", "/v1/calls", None))[0] for _ in range(20)} == {401}


async def test_a_token_added_or_revoked_counts_at_once(house: Hotline) -> None:
    seat = Principal.parse("seat:1002")
    token = add_token(house.tokens_file, seat)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await house.ask("GET", "/v1/seats", None, headers=headers))[0] == 200
    revoke_principal(house.tokens_file, seat)
    assert (await house.ask("GET", "/v1/seats", None, headers=headers))[0] == 401


async def test_one_principal_too_fast_is_429_and_others_go_on(tmp_path: Path) -> None:
    async with hotline(tmp_path, rate=0.01, burst=5) as house:
        statuses = [(await house.ask("GET", "/v1/seats", "seat:1001"))[0] for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        _, body, response = await house.ask("GET", "/v1/seats", "seat:1001")
        assert code(body) == "too_many_requests"
        assert int(response.headers["Retry-After"]) >= 1
        assert (await house.ask("GET", "/v1/seats", "seat:1002"))[0] == 200


# -- roles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [
        ("seat:1001", "PATCH", "/v1/lines/119"),
        ("line:119", "PATCH", "/v1/lines/119"),
        ("line:12345", "POST", "/v1/seats/1001/keys/12345"),
        ("line:12345", "POST", "/v1/calls/c-1/transfers"),
        ("line:12345", "DELETE", "/v1/calls/c-1/transfers/t-1"),
        ("line:12345", "GET", "/v1/seats"),
    ],
)
async def test_what_a_role_may_not_do_is_403(house: Hotline, who: str, method: str, path: str) -> None:
    await house.call_at("1001")
    await house.ask("POST", "/v1/seats/1001/keys/12345")
    status, body, _ = await house.ask(method, path, who)
    assert (status, code(body)) == (403, "forbidden")


async def test_a_seat_presses_its_own_keys_only(house: Hotline) -> None:
    await house.call_at("1001")
    foreign = await house.ask("POST", "/v1/seats/1001/keys/12345", "seat:1002")
    unknown = await house.ask("POST", "/v1/seats/7/keys/12345", "seat:1002")
    assert (foreign[0], code(foreign[1])) == (404, "unknown_seat")
    assert (unknown[0], code(unknown[1])) == (404, "unknown_seat")
    assert house.asterisk.invited == []


@pytest.mark.parametrize("who", ["seat:1002", "line:119"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/calls/c-1"), ("GET", "/v1/calls/c-1/transfers/t-1")]
)
async def test_what_is_not_yours_is_answered_like_what_is_not_there(
    house: Hotline, who: str, method: str, path: str
) -> None:
    await house.call_at("1001")
    await house.ask("POST", "/v1/seats/1001/keys/12345")
    foreign = await house.ask(method, path, who)
    absent = await house.ask(method, path.replace("c-1", "c-9"), who)
    assert foreign[0] == 404
    assert foreign[:2] == absent[:2]


async def test_another_seat_cannot_transfer_or_cancel_in_my_call(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", "/v1/seats/1001/keys/12345")
    started = await house.ask("POST", "/v1/calls/c-1/transfers", "seat:1002", json={"line": "119"})
    cancelled = await house.ask("DELETE", "/v1/calls/c-1/transfers/t-1", "seat:1002")
    assert (started[0], cancelled[0]) == (404, 404)
    assert house.call("c-1").transfers[0].live


async def test_a_seat_has_its_own_call_and_transfers(house: Hotline) -> None:
    await house.call_at("1001")
    await house.call_at("1002", "c-2")
    _, body, _ = await house.ask("GET", "/v1/calls", "seat:1001")
    assert [call["id"] for call in body["calls"]] == ["c-1"]
    status, started, _ = await house.ask("POST", "/v1/calls/c-1/transfers", "seat:1001", json={"line": "119"})
    assert status == 202
    assert (await house.ask("GET", f"/v1/calls/c-1/transfers/{started['id']}", "seat:1001"))[0] == 200
    assert (await house.ask("DELETE", f"/v1/calls/c-1/transfers/{started['id']}", "seat:1001"))[0] == 202


async def test_a_call_that_rings_at_a_seat_is_the_seats_to_read(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ring("1002", "c-1")
    assert (await house.ask("GET", "/v1/calls/c-1", "seat:1002"))[0] == 200


async def test_a_line_reads_the_calls_that_it_is_in(house: Hotline) -> None:
    await house.call_at("1001")
    await house.call_at("1002", "c-2", via="12345")
    await house.ask("POST", "/v1/seats/1001/keys/12345")
    _, body, _ = await house.ask("GET", "/v1/calls", "line:12345")
    assert [call["id"] for call in body["calls"]] == ["c-1", "c-2"]
    assert (await house.ask("GET", "/v1/calls/c-1/transfers/t-1", "line:12345"))[0] == 200
    assert (await house.ask("GET", "/v1/calls", "line:119"))[1]["calls"] == []


async def test_a_line_that_was_closed_has_not_been_in_the_call(house: Hotline) -> None:
    await house.call_at("1001")
    house.lines.closed.add("119")
    await house.ask("POST", "/v1/seats/1001/keys/119")
    assert (await house.ask("GET", "/v1/calls/c-1", "line:119"))[0] == 404


async def test_a_line_sees_itself_only(house: Hotline) -> None:
    _, body, _ = await house.ask("GET", "/v1/lines", "line:119")
    assert [line["line"] for line in body["lines"]] == ["119"]
    assert (await house.ask("GET", "/v1/lines/119", "line:119"))[0] == 200
    assert (await house.ask("GET", "/v1/lines/12345", "line:119"))[0] == 404
    assert len((await house.ask("GET", "/v1/lines", "seat:1001"))[1]["lines"]) == 3


# -- repeating ---------------------------------------------------------------------------------

KEY = "/v1/seats/1001/keys/12345"


def with_key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_a_repeated_post_gets_the_first_answer(house: Hotline) -> None:
    await house.call_at("1001")
    _, first, response = await house.ask("POST", KEY, headers=with_key("k"))
    assert "Idempotent-Replayed" not in response.headers
    await house.ask("POST", "/v1/seats/1001/keys/cancel")
    status, second, response = await house.ask("POST", KEY, headers=with_key("k"))
    assert (status, second) == (202, first)
    assert response.headers["Idempotent-Replayed"] == "true"
    assert len(house.asterisk.invited) == 1


async def test_a_repeated_post_that_was_refused_gets_the_refusal_again(house: Hotline) -> None:
    first = await house.ask("POST", KEY, headers=with_key("k"))
    await house.call_at("1001")
    second = await house.ask("POST", KEY, headers=with_key("k"))
    assert (first[0], code(first[1])) == (409, "no_call")
    assert second[:2] == first[:2]


async def test_the_same_key_with_another_body_is_422(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", KEY, headers=with_key("k"), json={"note": "a"})
    for path, body in ((KEY, {"note": "b"}), ("/v1/seats/1001/keys/119", {"note": "a"})):
        status, answer, _ = await house.ask("POST", path, headers=with_key("k"), json=body)
        assert (status, code(answer)) == (422, "idempotency_key_reused")


async def test_the_same_key_of_another_principal_is_another_key(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ask("POST", KEY, "admin", headers=with_key("k"))
    _, _, response = await house.ask("POST", KEY, "seat:1001", headers=with_key("k"))
    assert "Idempotent-Replayed" not in response.headers


async def test_a_repeat_while_the_first_is_under_way_waits_for_its_answer(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.call_at("1001")
    press, entered, go_on = house.switchboard.press, asyncio.Event(), asyncio.Event()
    presses = 0

    async def slow(*args: Any, **options: Any) -> Any:
        nonlocal presses
        presses += 1
        entered.set()
        await go_on.wait()
        return await press(*args, **options)

    monkeypatch.setattr(house.switchboard, "press", slow)
    first = asyncio.create_task(house.ask("POST", KEY, headers=with_key("k")))
    await entered.wait()
    second = asyncio.create_task(house.ask("POST", KEY, headers=with_key("k")))
    done, _ = await asyncio.wait({second}, timeout=0.1)
    assert not done
    go_on.set()
    assert (await first)[:2] == (await second)[:2]
    assert presses == 1


async def test_a_try_again_is_not_kept(house: Hotline) -> None:
    await house.call_at("1001")
    house.switchboard.recovered = False
    assert (await house.ask("POST", KEY, headers=with_key("k")))[0] == 503
    house.switchboard.recovered = True
    assert (await house.ask("POST", KEY, headers=with_key("k")))[0] == 202


@pytest.mark.parametrize("key", ["", "a" * 129, "a b", "é"])
async def test_a_key_that_is_no_word_is_400(house: Hotline, key: str) -> None:
    status, body, _ = await house.ask("POST", KEY, headers=with_key(key))
    assert (status, code(body)) == (400, "bad_idempotency_key")


async def test_kept_answers_do_not_grow_without_bound(tmp_path: Path) -> None:
    async with hotline(tmp_path, repeat_keys=10) as house:
        for number in range(50):
            await house.ask("POST", KEY, headers=with_key(f"k-{number}"))
        assert len(house.context.repeats) == 10
