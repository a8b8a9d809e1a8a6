"""What a standby does with a request while another controller leads, or nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from telephony.core.lease import Lease
from telephony.http import pass_on
from telephony.http.pass_on import PASSED_HEADER, PassOn
from tests.adapters.http_hotline import TOKENS, Hotline, hotline

ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}


@dataclass
class Lead:
    """Who leads, as the test says."""

    serving: bool = False
    leader: Lease | None = None
    asked: int = 0
    deposed_when_asked: bool = False

    async def make_sure(self) -> None:
        self.asked += 1
        if self.deposed_when_asked:
            self.serving = False

    def follow(self, api: str, token: int = 1) -> None:
        self.leader = Lease(token, "110-a", api, "127.0.0.1:1")


@dataclass
class Pair:
    leader: Hotline
    standby: Hotline
    lead: Lead

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        url = f"http://{self.standby.server.addresses[0]}{path}"
        async with self.standby.session.request(method, url, headers=headers or ADMIN, **more) as answer:
            return answer.status, await answer.json(), answer.headers


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    lead = Lead()
    here: list[Hotline] = []
    door = PassOn(lead, "127.0.0.1", lambda: here[0].server.addresses)
    for name in ("leader", "standby"):
        (tmp_path / name).mkdir()
    async with hotline(tmp_path / "leader") as leader, hotline(tmp_path / "standby", pass_on=door) as standby:
        here.append(standby)
        lead.follow(str(leader.server.addresses[0]))
        yield Pair(leader, standby, lead)


async def test_read_is_answered_by_the_leader_whose_name_is_told(pair: Pair) -> None:
    await pair.leader.call_at(call_id="c-1")
    status, body, headers = await pair.ask("GET", "/v1/calls")
    assert (status, [call["id"] for call in body["calls"]]) == (200, ["c-1"])
    assert headers["Hotline-Leader"] == "110-a"


async def test_press_with_its_body_and_key_reaches_the_leader_once(pair: Pair) -> None:
    await pair.leader.call_at(call_id="c-1")
    headers = {**ADMIN, "Idempotency-Key": "one"}
    first = await pair.ask("POST", "/v1/seats/1001/keys/119", headers, json={"note": "火警"})
    again = await pair.ask("POST", "/v1/seats/1001/keys/119", headers, json={"note": "火警"})
    assert (first[0], again[0]) == (202, 202)
    assert (first[1]["note"], again[2]["Idempotent-Replayed"]) == ("火警", "true")
    assert len(pair.leader.asterisk.invited) == 1
    assert pair.standby.asterisk.invited == []


async def test_refusal_of_the_leader_is_given_on_as_it_is(pair: Pair) -> None:
    status, body, _ = await pair.ask("POST", "/v1/seats/1001/keys/119")
    assert (status, body["error"]["code"]) == (409, "no_call")


async def test_wrong_token_is_refused_here_already(pair: Pair) -> None:
    pair.lead.leader = None
    status, _, headers = await pair.ask("GET", "/v1/calls", {"Authorization": "Bearer wrong"})
    assert status == 401
    assert "Hotline-Leader" not in headers


async def test_while_nobody_leads_a_request_is_held_and_then_told_so(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_on, "HOLD", 0.2)
    pair.lead.leader = None
    status, body, headers = await pair.ask("GET", "/v1/calls")
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "no_leader", "1")


async def test_request_that_is_held_is_answered_here_when_this_controller_begins_to_lead(pair: Pair) -> None:
    pair.lead.leader = None
    await pair.standby.call_at(call_id="c-2")
    asking = asyncio.create_task(pair.ask("GET", "/v1/calls"))
    await asyncio.sleep(0.1)
    pair.lead.serving = True
    status, body, _ = await asking
    assert (status, [call["id"] for call in body["calls"]]) == (200, ["c-2"])


async def test_leader_that_finds_it_has_been_deposed_asks_its_successor(pair: Pair) -> None:
    await pair.leader.call_at(call_id="c-1")
    pair.lead.serving = pair.lead.deposed_when_asked = True
    status, body, _ = await pair.ask("GET", "/v1/calls")
    assert (status, [call["id"] for call in body["calls"]]) == (200, ["c-1"])


async def test_leader_that_does_not_answer_is_left_as_soon_as_another_leads(pair: Pair) -> None:
    await pair.leader.call_at(call_id="c-1")
    pair.leader.asterisk.gate.clear()
    asking = asyncio.create_task(pair.ask("POST", "/v1/seats/1001/keys/119"))
    await asyncio.sleep(0.1)
    await pair.standby.call_at(call_id="c-1")
    pair.lead.serving = True
    assert (await asking)[0] == 202
    assert len(pair.standby.asterisk.invited) == 1


async def test_request_is_passed_on_once_only(pair: Pair) -> None:
    status, body, _ = await pair.ask("GET", "/v1/calls", {**ADMIN, PASSED_HEADER: "1"})
    assert (status, body["error"]["code"]) == (503, "no_leader")


@pytest.mark.parametrize(
    "api", ["192.0.2.1:80", "evil.example:80", "169.254.169.254:80", "127.0.0.1.evil:80"]
)
async def test_address_that_is_neither_loopback_nor_the_configured_host_is_not_asked(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    monkeypatch.setattr(pass_on, "HOLD", 0.2)
    pair.lead.follow(api)
    status, body, _ = await pair.ask("GET", "/v1/calls")
    assert (status, body["error"]["code"]) == (503, "no_leader")


async def test_a_lease_that_names_this_very_door_is_no_loop(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_on, "HOLD", 0.2)
    pair.lead.follow(str(pair.standby.server.addresses[0]))
    assert (await pair.ask("GET", "/v1/calls"))[0] == 503


async def test_watcher_sees_the_leaders_events_and_is_let_go_when_another_leads(pair: Pair) -> None:
    url = f"http://{pair.standby.server.addresses[0]}/v1/events"
    async with pair.standby.session.ws_connect(url, headers=ADMIN) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        await pair.leader.call_at(call_id="c-1")
        assert (await socket.receive_json())["data"]["id"] == "c-1"
        pair.lead.follow("127.0.0.1:1", token=2)
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == 1001, message


async def test_own_state_is_told_by_the_standby_itself(pair: Pair) -> None:
    status, body, _ = await pair.ask("GET", "/health/ready")
    assert (status, body["role"], body["leader"]) == (503, "standby", "110-a")
    assert (await pair.ask("GET", "/health/live"))[0] == 200
