"""What watchers are told of lines and seats: each change once, to those whom it concerns."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.lab.stage import API, Stage
from tests.system.conftest import Lab


class Watcher:
    """One WebSocket on 110's feed."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.seen: list[dict[str, Any]] = []

    async def sees(self, wanted: Callable[[dict[str, Any]], bool], within: float = 3.0) -> dict[str, Any]:
        """The next event that is `wanted`; AssertionError with all that came instead."""
        try:
            async with asyncio.timeout(within):
                while True:
                    event = await self._socket.receive_json()
                    self.seen.append(event)
                    if wanted(event):
                        return event
        except TimeoutError:
            raise AssertionError(f"not within {within} s; seen: {self.seen}") from None

    async def sees_seat(self, seat: str, state: str) -> dict[str, Any]:
        event = await self.sees(lambda e: _is(e, "seat", seat=seat, state=state))
        return dict(event["data"])

    async def sees_line(self, line: str, within: float = 3.0, **data: object) -> dict[str, Any]:
        event = await self.sees(lambda e: _is(e, "line", line=line, **data), within)
        return dict(event["data"])


def _is(event: dict[str, Any], type: str, **data: object) -> bool:
    return event.get("type") == type and event["data"].items() >= data.items()


@asynccontextmanager
async def watching(lab: Lab, who: str = "admin", since: str = "") -> AsyncIterator[Watcher]:
    tokens = json.loads((lab.sites["110"].state / "secrets/tokens.json").read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {tokens[who]}"}
    async with (
        aiohttp.ClientSession(API["110"], headers=headers) as session,
        session.ws_connect(f"/v1/events{since}") as socket,
    ):
        watcher = Watcher(socket)
        await watcher.sees(lambda e: e.get("type") == "hello")
        yield watcher


async def test_seat_is_followed_from_registering_to_unregistering(stage: Stage, lab: Lab) -> None:
    async with watching(lab, "seat:1002") as watcher:
        taker = await stage.seat("1001")
        await watcher.sees_seat("1001", "idle")
        caller = await (await stage.citizen()).dial("sip:110@127.0.110.1:5060", number="13800138000")
        ring = await taker.incoming()
        await ring.ring()
        ringing = await watcher.sees_seat("1001", "ringing")
        await ring.answer()
        talking = await watcher.sees_seat("1001", "talking")
        assert ringing["call"] == talking["call"] != ""
        await caller.hangup()
        assert (await watcher.sees_seat("1001", "idle"))["call"] == ""
        await ring.ended()
        await taker.close()
        await watcher.sees_seat("1001", "offline")


async def test_line_is_followed_and_each_change_is_told_once(stage: Stage, lab: Lab) -> None:
    await stage.line_becomes("gas", "down", within=8.0)  # whoever was there before is forgotten
    async with watching(lab) as watcher:
        unit = await stage.unit("gas", on_invite=200)
        await watcher.sees_line("gas", within=8.0, state="open", live=0)
        talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
        await stage.api["110"].press("1001", "gas")
        await watcher.sees_line("gas", state="busy", live=1)
        partner = await unit.incoming()
        await partner.answered()
        await partner.hangup()
        await watcher.sees_line("gas", state="open", live=0)
        await stage.api["110"].request("PATCH", "/v1/lines/gas", {"state": "closed"})
        await watcher.sees_line("gas", state="closed")
        await stage.api["110"].request("PATCH", "/v1/lines/gas", {"state": "open"})
        told = await watcher.sees_line("gas", state="open")
        assert told == await stage.api["110"].get("/v1/lines/gas")
        await talk.caller.hangup()
        await talk.taker.ended()
    for type in ("line", "seat"):
        told = [event["data"] for event in watcher.seen if event.get("type") == type]
        for name in {data[type] for data in told}:
            mine = [data for data in told if data[type] == name]
            assert all(before != after for before, after in itertools.pairwise(mine)), mine


async def test_linked_unit_is_told_of_its_own_line_and_of_no_seat(stage: Stage, lab: Lab) -> None:
    async with watching(lab, "line:119") as watcher:
        await stage.seat("1001")
        for line in ("120", "119"):
            await stage.api["110"].request("PATCH", f"/v1/lines/{line}", {"state": "closed"})
        await watcher.sees_line("119", state="closed")
        for line in ("120", "119"):
            await stage.api["110"].request("PATCH", f"/v1/lines/{line}", {"state": "open"})
        await watcher.sees(lambda e: _is(e, "line", line="119") and e["data"]["state"] != "closed")
    told = [event for event in watcher.seen if event.get("type") in ("line", "seat")]
    assert {(event["type"], event["data"]["line"]) for event in told} == {("line", "119")}


async def test_phone_that_came_while_the_controller_was_away_is_told_when_it_is_back(
    stage: Stage, lab: Lab
) -> None:
    before = (await stage.api["110"].get("/v1/seats"))["seq"]
    await asyncio.to_thread(lab.sites["110"].stop_controller)
    phone = await stage.phones.add(
        "late", bind="127.0.0.77", tone=1130, user="1002", registrar="127.0.110.1:5060",
        password=json.loads((lab.sites["110"].state / "secrets/seats.json").read_text())["1002"],
    )  # fmt: skip
    await phone.registered()

    await asyncio.to_thread(lab.sites["110"].start_controller)

    async with watching(lab, since=f"?since={before}") as watcher:
        await watcher.sees_seat("1002", "idle")
