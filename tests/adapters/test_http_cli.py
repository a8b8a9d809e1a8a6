"""The door for the Asterisk CLI: forms in and out, for Asterisk on this machine and nobody else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import parse_qsl, quote

import pytest
from aiohttp import encode_basic_auth
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from telephony.asterisk_cli import QUESTIONS
from telephony.http import cli_questions
from telephony.http.cli_door import from_this_machine
from telephony.http.cli_rows import MOST
from telephony.http.server import HttpServer, Tls
from telephony.secrets import Secrets
from telephony.settings import Address
from telephony.switchboard import LineState
from tests.adapters.http_hotline import CLI_SECRET, TOKENS, Hotline, hotline
from tests.lab.paths import CHECKOUT

FORM = "application/x-www-form-urlencoded"
ASTERISK = encode_basic_auth("asterisk", CLI_SECRET)
SECRET = {"Authorization": ASTERISK}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


async def post(
    house: Hotline, question: str, body: str | bytes, auth: str | None = ASTERISK
) -> tuple[int, list[tuple[str, str]]]:
    """What Asterisk sends; status and rows of the answer."""
    headers = {"Content-Type": FORM} | ({"Authorization": auth} if auth else {})
    async with house.session.post(
        f"{house.url}/cli/{question}/single", data=body, headers=headers
    ) as response:
        text = await response.text()
        assert response.content_type == FORM
        assert re.fullmatch(r"[A-Za-z0-9._~%=&-]+", text), "Asterisk would read this otherwise"
        return response.status, parse_qsl(text, strict_parsing=True, keep_blank_values=True, errors="strict")


async def ask(house: Hotline, question: str, name: str = "*") -> tuple[int, list[tuple[str, str]]]:
    return await post(house, question, f"name={quote(name, safe='')}")


async def rows(house: Hotline, question: str, name: str = "*") -> dict[str, str]:
    """The rows of an answer that is no refusal; of rows with the same name, the last."""
    status, found = await ask(house, question, name)
    assert status == 200, found
    return dict(found)


def test_every_command_of_the_cli_is_a_question_that_is_answered() -> None:
    aliases = (CHECKOUT / "asterisk-conf" / "cli_aliases.conf").read_text(encoding="utf-8")
    asked = dict(
        re.findall(r"^hotline ([a-z ]+) = realtime load hotline-([a-z-]+) name(?: \*)?$", aliases, re.M)
    )
    assert {words.replace(" ", "-"): family for words, family in asked.items()} == {q: q for q in QUESTIONS}
    assert set(QUESTIONS) == set(cli_questions.QUESTIONS)


# -- looking -----------------------------------------------------------------------------------


async def test_lists_have_a_row_for_each_line_and_seat_under_headings(house: Hotline) -> None:
    status, lines = await ask(house, "show-lines")
    assert status == 200
    assert [name for name, _ in lines] == ["line", "12345", "119", "gas"]
    assert re.fullmatch(r"open +0 of 30 +F1 +\*1 +warm cold\b.* 专线 12345", lines[1][1])
    seats = await rows(house, "show-seats")
    assert list(seats) == ["seat", "1001", "1002"]


async def test_a_call_shows_in_its_list_by_itself_and_at_its_seat(house: Hotline) -> None:
    assert await rows(house, "show-calls") == {"calls": "none"}
    call = await house.call_at("1001", "c-1")
    await house.switchboard.press("1001", "119")

    listed = await rows(house, "show-calls")
    shown = await rows(house, "show-call", call)
    seat = await rows(house, "show-seat", "1001")

    assert re.fullmatch(r"inviting +13800138000 +1001 +0:00:0\d +119 inviting", listed["c-1"])
    assert shown["caller"] == "13800138000"
    assert shown["situation"] == "inviting"
    assert shown["leg"] == "taker 1001: talking"
    assert shown["transfer"].startswith("t-1 to 119, warm, inviting; asked for by 1001 0:00:0")
    assert (seat["state"], seat["call"]) == ("talking", "c-1")
    assert (await rows(house, "show-seat", "1002"))["call"] == "none"


async def test_a_line_shows_what_is_on_it(house: Hotline) -> None:
    await house.call_at("1001", "c-1", via="119")
    await house.switchboard.press("1001", "12345")
    assert (await rows(house, "show-line", "119"))["call"] == "c-1 came in over it"
    shown = await rows(house, "show-line", "12345")
    assert shown["live"] == "1 of 30"
    assert shown["transfer"].startswith("t-1 to 12345")


async def test_a_withheld_number_stays_withheld(house: Hotline) -> None:
    await house.call_at("1001", "c-1")
    desk_call = house.call("c-1")
    house.dispatcher._desks["c-1"].call = replace(desk_call, caller=replace(desk_call.caller, withheld=True))
    for question, name in (("show-calls", "*"), ("show-call", "c-1"), ("show-seat", "1001")):
        text = str(await ask(house, question, name))
        assert "withheld" in text
        assert "13800138000" not in text


async def test_a_long_list_is_cut_and_says_so(house: Hotline, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await house.call_at("1001", f"c-{number}")
    monkeypatch.setattr("telephony.http.cli_rows.MOST", 2)
    found = await rows(house, "show-calls")
    assert list(found) == ["call", "c-0", "c-1", "more"]
    assert found["more"] == "1 calls: telephony calls"
    assert MOST == 500


async def test_who_looks_is_told_what_the_controller_misses(house: Hotline) -> None:
    assert await rows(house, "show-controller") == {
        "controller": "answers",
        "asterisk": "up",
        "redis": "up",
        "calls": "0",
    }
    house.switchboard.recovered = False
    house.missing.add("redis")
    for question in ("show-lines", "show-calls", "show-seats"):
        found = await rows(house, question)
        assert found["attention"] == "the controller has no link to: asterisk, redis"
    assert (await rows(house, "show-controller"))["redis"] == "down"


# -- steering ----------------------------------------------------------------------------------


async def test_a_line_is_closed_and_opened_for_everybody(house: Hotline) -> None:
    closed = await rows(house, "close-line", "119")
    assert (closed["done"], closed["state"]) == ("closed to new transfers; live ones go on", "closed")
    assert house.switchboard.line("119").state is LineState.CLOSED
    assert house.switchboard.line("gas").state is LineState.OPEN
    await rows(house, "open-line", "119")
    assert house.switchboard.line("119").state is LineState.OPEN


async def test_a_transfer_is_cancelled_by_its_id_alone(house: Hotline) -> None:
    await house.call_at("1001", "c-1")
    await house.call_at("1002", "c-2")
    await house.switchboard.press("1001", "119")
    pressed = await house.switchboard.press("1002", "12345")

    found = await rows(house, "cancel-transfer", pressed.transfers[0].id)

    assert found["done"] == "its partner is called no more"
    assert "ended: cancelled" in found["transfer"]
    assert house.call("c-1").pending
    assert not house.call("c-2").pending
    status, again = await ask(house, "cancel-transfer", pressed.transfers[0].id)
    assert (status, again) == (409, [("refused", "no partner is being called")])


async def test_what_cannot_be_done_now_says_why(house: Hotline) -> None:
    house.lines.broken = True
    status, found = await ask(house, "close-line", "119")
    assert (status, found) == (503, [("refused", "the store cannot be asked now")])
    await house.call_at("1001", "c-1")
    pressed = await house.switchboard.press("1001", "119")
    house.switchboard.recovered = False
    status, found = await ask(house, "cancel-transfer", pressed.transfers[0].id)
    assert (status, dict(found)) == (
        503,
        {
            "refused": "Asterisk cannot be asked now",
            "attention": "the controller has no link to: asterisk",
        },
    )


# -- who may come in ---------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "auth",
    [
        None,
        encode_basic_auth("asterisk", "guess"),
        encode_basic_auth("asterisk", ""),
        encode_basic_auth("admin", CLI_SECRET),
        encode_basic_auth("asterisk", TOKENS["admin"]),
    ],
    ids=["none", "wrong", "empty", "other user", "a token"],
)
async def test_without_the_secret_nothing_is_shown_or_done(
    house: Hotline, question: str, auth: str | None
) -> None:
    await house.call_at("1001", "c-1")
    status, found = await post(house, question, "name=119", auth)
    assert status == 401
    assert [name for name, _ in found] == ["refused"]
    assert house.switchboard.line("119").state is LineState.OPEN


@pytest.mark.parametrize(
    "header", ["Basic", "Basic \xff", f"Bearer {TOKENS['admin']}", f"Bearer {CLI_SECRET}"]
)
async def test_no_other_authorization_opens_the_door(house: Hotline, header: str) -> None:
    async with house.session.post(
        f"{house.url}/cli/show-lines/single", data="name=*", headers={"Authorization": header}
    ) as response:
        assert response.status == 401


async def test_the_secret_opens_no_other_door(house: Hotline) -> None:
    for headers in ({"Authorization": ASTERISK}, {"Authorization": f"Bearer {CLI_SECRET}"}):
        status, _, _ = await house.ask("GET", "/v1/calls", None, headers=headers)
        assert status == 401


async def test_two_authorizations_are_none(house: Hotline) -> None:
    headers = [("Authorization", ASTERISK)] * 2
    url = f"{house.url}/cli/show-lines/single"
    async with house.session.post(url, data="name=*", headers=headers) as response:
        assert response.status == 401


async def test_wrong_secrets_are_slowed_down_and_the_right_one_is_not(tmp_path: Path) -> None:
    async with hotline(tmp_path, failures=3) as house:
        wrong = [
            (await post(house, "show-lines", "name=*", encode_basic_auth("asterisk", "x")))[0]
            for _ in range(5)
        ]
        assert wrong == [401, 401, 401, 429, 429]
        assert (await ask(house, "show-lines"))[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_post_is_a_question(house: Hotline, method: str) -> None:
    for question in ("show-lines", "close-line"):
        url = f"{house.url}/cli/{question}/single"
        async with house.session.request(method, url, headers=SECRET, data="name=119") as response:
            assert response.status == 405
    assert house.switchboard.line("119").state is LineState.OPEN


@pytest.mark.parametrize("path", ["show-lines/multi", "show-lines/update", "show-lines", "", "lines/single"])
async def test_there_is_nothing_but_the_questions(house: Hotline, path: str) -> None:
    async with house.session.post(f"{house.url}/cli/{path}", headers=SECRET, data="name=*") as response:
        assert response.status == 404


async def test_over_tls_which_may_be_open_to_others_there_is_no_such_door(
    house: Hotline, tmp_path: Path
) -> None:
    certificate, key = Secrets(tmp_path).ensure_certificate(["127.0.0.1"])
    tls = Tls(Address("127.0.0.1", 0), certificate, key)
    server = HttpServer(house.server._app, Address("127.0.0.1", 0), tls, grace=0.5)
    await server.start()
    try:
        url = f"https://127.0.0.1:{server.addresses[1].port}/cli/show-lines/single"
        async with house.session.post(url, headers=SECRET, data="name=*", ssl=False) as response:
            assert response.status == 404
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("peer", "here", "welcome"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.110.1", "127.0.0.1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.9", "10.0.0.5", False),
        ("172.17.0.1", "172.17.0.2", False),
    ],
)
def test_only_who_is_on_this_machine_finds_the_door(peer: str, here: str, welcome: bool) -> None:
    transport = Mock(spec=asyncio.Transport)
    ends = {"peername": (peer, 50000), "sockname": (here, 8110), "sslcontext": None}
    transport.get_extra_info.side_effect = lambda name, default=None: ends.get(name, default)
    request = make_mocked_request("POST", "/cli/show-lines/single", transport=transport)
    assert from_this_machine(request) is welcome


async def test_the_access_log_has_neither_the_secret_nor_names(house: Hotline) -> None:
    with capture_logs() as lines:
        await ask(house, "show-call", "c-13800138000")
        await post(house, "show-lines", "name=*", encode_basic_auth("asterisk", "guessed-secret"))
    told = [(line["route"], line["status"], line["role"]) for line in lines]
    assert told == [("/cli/show-call/single", 404, "cli"), ("/cli/show-lines/single", 401, "")]
    text = json.dumps(lines)
    assert not re.search(rf"13800138000|guessed|{CLI_SECRET}|{ASTERISK[6:]}", text)


# -- hostile input -----------------------------------------------------------------------------

NAMED = ("show-line", "show-call", "show-seat", "close-line", "open-line", "cancel-transfer")
NAMES = (
    "99999",
    "a\nb",
    "119\r\nstate=closed",
    "119%0a",
    "119&name=gas",
    "'; DROP TABLE",
    '"119"',
    "${SHELL(id)}",
    "\x1b[2J",
    "\u202e911",
    "119\x00",
    "热线",
    " 119",
    "../119",
    "*",
)


@pytest.mark.parametrize("question", NAMED)
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_nothing_has_is_refused_in_words_that_steer_no_screen(
    house: Hotline, question: str, name: str
) -> None:
    status, found = await ask(house, question, name)
    assert status == 404
    [(head, words)] = found
    assert head == "refused"
    assert words.isprintable()
    assert not house.lines.closed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"name=",
        b"name",
        b"=119",
        b"nom=119",
        b"name=119&name=gas",
        b"name=119&state=closed",
        b"name=%ff",
        b"name=%E7%83%AD%E7",
        b"name=\xe7\x83\xad",
        b"name=" + b"1" * 65,
        b"name=" + b"1" * 5000,
        b'{"name": "119"}',
        b"&&&",
    ],
)
async def test_what_is_no_form_of_one_name_is_refused(house: Hotline, body: bytes) -> None:
    for question in ("show-line", "close-line"):
        status, [(head, _)] = await post(house, question, body)
        assert (status, head) == (400, "refused")
    assert not house.lines.closed


async def test_a_body_without_end_is_refused(house: Hotline) -> None:
    status, [(head, _)] = await post(house, "close-line", b"name=" + b"1" * 70_000)
    assert (status, head) == (413, "refused")


async def test_a_fault_of_ours_is_a_sentence_without_its_details(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(house.switchboard, "lines", broken)
    status, found = await ask(house, "show-lines")
    assert (status, found) == (500, [("refused", "the request could not be carried out")])
