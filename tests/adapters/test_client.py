"""What `telephony calls`, `lines` and `seats` say when the controller is not as it should be, and how they print."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from telephony import tables
from telephony.client import Client
from telephony.errors import ConfigError, ControllerDown
from telephony.provision import StateDirectory
from telephony.settings import Settings
from tests.adapters.http_hotline import TOKENS, hotline, settings


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path)
    state.tokens.parent.mkdir()
    state.tokens.write_text(json.dumps({"admin": TOKENS["admin"]}), encoding="utf-8")
    return state


def at(port: int) -> Settings:
    whole = settings()
    return replace(whole, api=replace(whole.api, bind=f"127.0.0.1:{port}"))


async def answered_with(raw: bytes, ask: Callable[[int], object]) -> object:
    """What `ask` gives when the program at the port that it gets answers `raw`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])


async def test_administrator_gets_what_http_has(tmp_path: Path, state: StateDirectory) -> None:
    async with hotline(tmp_path) as house:
        await house.call_at("1001", "c-1")
        client = Client(at(house.port), state)
        calls = await asyncio.to_thread(client.get, "/v1/calls")
        assert [call["id"] for call in calls["calls"]] == ["c-1"]


async def test_revoked_token_is_told(tmp_path: Path, state: StateDirectory) -> None:
    state.tokens.write_text('{"admin": "revoked"}', encoding="utf-8")
    async with hotline(tmp_path) as house:
        client = Client(at(house.port), state)
        with pytest.raises(ConfigError, match="revoked") as told:
            await asyncio.to_thread(client.get, "/v1/lines")
    assert str(state.tokens) in str(told.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b'HTTP/1.1 500 No\r\nContent-Length: 12\r\n\r\n{"error": {}}'[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    ],
)
async def test_what_is_not_the_controller_is_told(state: StateDirectory, raw: bytes) -> None:
    with pytest.raises(
        ControllerDown, match=r"^(the controller|what answers) at 127\.0\.0\.1:|^what answers"
    ):
        await answered_with(raw, lambda port: Client(at(port), state).get("/v1/lines"))


def test_without_set_up_there_is_no_token_and_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="telephony provision"):
        Client(at(1), StateDirectory(tmp_path))


def test_nothing_in_a_table_steers_the_screen_or_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    line = {"line": "119", "state": "open", "live": 0, "capacity": 1, "key": "F1", "dtmf": "*1", "modes": []}
    tables.show(tables.lines_table({"lines": [{**line, "label": "[red]消防[/red] \x1b[2J\u202e\r9"}]}))
    printed = capsys.readouterr().out
    assert "[red]消防[/red] �[2J��9" in printed
    assert "\x1b" not in printed
