"""Hostile input at the HTTP door: refused in the usual shape, cheaply, and without an echo in headers."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from yarl import URL

from telephony.http.bodies import NOTE_LENGTH
from tests.adapters.http_hotline import TOKENS, WAIT, Hotline, hotline
from tests.adapters.waiting import until

KEY = "/v1/seats/1001/keys/12345"
JSON = {"Content-Type": "application/json"}
HEAD = (
    f"POST {KEY} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['admin']}\r\n"
    "Content-Type: application/json\r\n"
)
HALF = f"{HEAD}Content-Length: 9\r\n\r\n{{".encode()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path, body_seconds=0.2, idle_seconds=0.3) as house:
        await house.call_at("1001")
        yield house


def code(body: Any) -> str:
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    return str(body["error"]["code"])


async def raw(house: Hotline, data: bytes) -> tuple[int, dict[str, str], Any]:
    """Send bytes as they are; status, headers and JSON of the answer, after which the door must close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        writer.write(data)
        async with asyncio.timeout(WAIT):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            body = await reader.read()
    finally:
        writer.close()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


# -- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected", "at"),
    [
        (b"{", "bad_json", None),
        (b"{} {}", "bad_json", None),
        (b"\xef\xbb\xbf{}", "bad_json", None),
        (b'{"note": NaN}', "bad_json", None),
        (b'{"note": "\xff\xfe"}', "bad_json", None),
        (b'{"note": "\\ud800"}', "bad_json", None),
        (b"null", "bad_input", "$"),
        (b"[" * 60_000, "bad_input", "$"),
        (b'{"note": ' + b"[" * 60_000, "bad_input", "$.note"),
        (b'{"x": ' + b'{"x": ' * 10_000, "bad_input", "$.x"),
        (b'{"nota": "a"}', "bad_input", "$.nota"),
        (b'{"mode": 5}', "bad_input", "$.mode"),
        (b'{"mode": null}', "bad_input", "$.mode"),
        (b'{"note": {"a": 1}}', "bad_input", "$.note"),
        (b'{"note": "a\\u0000b"}', "bad_input", "$.note"),
        (b'{"note": "a\\r\\nAction: Originate"}', "bad_input", "$.note"),
        (b'{"note": "a\\n"}', "bad_input", "$.note"),
        (b'{"note": "\\u009b31m"}', "bad_input", "$.note"),
        (b'{"note": "' + b"a" * (NOTE_LENGTH + 1) + b'"}', "bad_input", "$.note"),
    ],
)
async def test_a_wrong_body_is_400_and_says_where(
    house: Hotline, body: bytes, expected: str, at: str | None
) -> None:
    status, answer, _ = await house.ask("POST", KEY, data=body, headers=JSON)
    assert (status, code(answer)) == (400, expected)
    assert answer["error"]["details"].get("at") == at
    assert house.asterisk.invited == []


async def test_a_note_may_be_as_long_as_is_said_in_any_script(house: Hotline) -> None:
    note = "警" * (NOTE_LENGTH - 1) + "🚒"
    status, body, _ = await house.ask("POST", KEY, json={"note": note})
    assert (status, body["note"]) == (202, note)


async def test_a_missing_line_is_400(house: Hotline) -> None:
    status, body, _ = await house.ask("POST", "/v1/calls/c-1/transfers")
    assert (status, code(body)) == (400, "bad_input")
    assert "line" in body["error"]["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json", "nonsense"])
async def test_a_body_of_another_type_is_415(house: Hotline, kind: str) -> None:
    status, body, _ = await house.ask("POST", KEY, data=b"{}", headers={"Content-Type": kind})
    assert (status, code(body)) == (415, "unsupported_media_type")


async def test_a_body_over_the_limit_is_413(house: Hotline) -> None:
    status, body, _ = await house.ask("POST", KEY, data=b" " * 70_000, headers=JSON)
    assert (status, code(body)) == (413, "too_large")


async def test_a_body_without_a_length_cannot_pass_the_limit(house: Hotline) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8192

    status, body, _ = await house.ask("POST", KEY, data=endless(), headers=JSON)
    assert (status, code(body)) == (413, "too_large")


async def test_a_body_that_unpacks_to_too_much_is_413(house: Hotline) -> None:
    packed = gzip.compress(b" " * 10_000_000)
    assert len(packed) < 64 * 1024
    headers = {**JSON, "Content-Encoding": "gzip"}
    status, body, _ = await house.ask("POST", KEY, data=packed, headers=headers)
    assert (status, code(body)) == (413, "too_large")


async def test_a_body_that_does_not_come_is_408_and_the_connection_is_closed(house: Hotline) -> None:
    status, _, body = await raw(house, HALF)
    assert (status, code(body)) == (408, "body_too_slow")


async def test_a_broken_chunk_is_400(house: Hotline) -> None:
    status, _, body = await raw(house, f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
    assert (status, code(body)) == (400, "bad_request")


async def test_who_hangs_up_in_the_middle_of_a_body_does_no_harm(house: Hotline) -> None:
    with capture_logs() as lines:
        _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(HALF)
        await asyncio.sleep(0.05)  # so that the half body is there; the test holds without it
        writer.transport.abort()
        await until(lambda: any(line["event"] == "request" for line in lines))
    assert [line["status"] for line in lines] == [0]
    assert (await house.ask("GET", "/v1/calls"))[0] == 200


# -- request lines and headers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello TLS\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/calls HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 500 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_400_in_the_usual_shape(house: Hotline, data: bytes) -> None:
    status, headers, body = await raw(house, data)
    assert (status, code(body)) == (400, "bad_request")
    assert headers["Server"] == "telephony"
    assert (await house.ask("GET", "/v1/calls"))[0] == 200


@pytest.mark.parametrize("header", ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
async def test_a_handshake_that_is_no_text_is_400(house: Hotline, header: str) -> None:
    """Found by `make fuzz`: it was 500, because aiohttp can neither read such a header nor write its refusal."""
    headers = {
        "Authorization": f"Bearer {TOKENS['admin']}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    headers[header] = "\x80" + headers[header]
    lines = ["GET /v1/events HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in headers.items())]
    status, _, body = await raw(house, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    assert (status, code(body)) == (400, "bad_request")


async def test_a_peer_that_says_nothing_is_cut_off(house: Hotline) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    async with asyncio.timeout(WAIT):
        assert await reader.read() == b""
    writer.close()


async def test_a_peer_that_sends_half_a_head_is_cut_off(house: Hotline) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET /v1/calls HTTP/1.1\r\nHost")
    async with asyncio.timeout(WAIT):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/calls/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v1/calls/%2e%2e", 404),
        ("GET", "/v1/calls/c-1%00", 404),
        ("GET", "/v1/calls/c-1%0d%0aSet-Cookie:%20a=b", 404),
        ("GET", "/v1/calls/%ff%fe", 404),
        ("GET", "/v1/calls/" + "a" * 4000, 404),
        ("GET", "/v1/lines/119%0d%0aX-Evil:%20yes", 404),
        ("POST", "/v1/seats/1001%0d%0aX-Evil:%20yes/keys/12345", 404),
        ("POST", "/v1/seats/1001/keys/12345%0d%0aX-Evil:%20yes", 422),
        ("POST", "/v1/seats/1001/keys/$%7BSHELL(id)%7D", 404),
        ("GET", "/v1//calls", 404),
        ("GET", "/v2/calls", 404),
        ("GET", "/static/../../etc/passwd", 404),
    ],
)
async def test_a_strange_path_finds_nothing_and_leaves_no_trace_in_headers(
    house: Hotline, method: str, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['admin']}"}
    url = URL(house.url + path, encoded=True)
    async with house.session.request(method, url, headers=headers) as response:
        assert response.status == status
        assert code(await response.json())
        assert not {"X-Evil", "Set-Cookie"} & set(response.headers)
    assert house.asterisk.invited == []


@pytest.mark.parametrize("method", ["PUT", "POST", "OPTIONS", "TRACE", "PROPFIND"])
async def test_a_method_that_is_not_there_is_405_and_names_those_that_are(
    house: Hotline, method: str
) -> None:
    status, body, response = await house.ask(method, "/v1/calls")
    assert (status, code(body)) == (405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


async def test_an_answer_cannot_be_taken_for_a_page(house: Hotline) -> None:
    _, _, response = await house.ask("POST", "/v1/seats/1001/keys/<script>")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "application/json"
