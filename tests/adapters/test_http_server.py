"""Health, figures, description, listening, stopping, and what the log says."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from telephony.errors import AddressTaken, ConfigError
from telephony.http.application import make_app
from telephony.http.limits import Buckets
from telephony.http.meanings import MEANINGS
from telephony.http.openapi import document
from telephony.http.route import Route
from telephony.http.routes import ROUTES
from telephony.http.server import HttpServer, Tls
from telephony.secrets import Secrets
from tests.adapters.http_hotline import LOOPBACK, TOKENS, WAIT, Hotline, hotline
from tests.adapters.waiting import until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


# -- health and figures ------------------------------------------------------------------------


async def test_ready_names_what_is_missing(house: Hotline) -> None:
    assert (await house.ask("GET", "/health/ready", None))[:2] == (
        200,
        {"ready": True, "missing": [], "warnings": [], "role": "leader", "leader": ""},
    )
    house.switchboard.recovered = False
    house.missing.add("redis")
    status, body, _ = await house.ask("GET", "/health/ready", None)
    assert (status, body) == (
        503,
        {
            "ready": False,
            "missing": ["asterisk", "redis"],
            "warnings": [],
            "role": "leader",
            "leader": "",
        },
    )
    assert (await house.ask("GET", "/health/live", None))[:2] == (200, {"live": True})


async def test_health_can_be_asked_with_head(house: Hotline) -> None:
    status, body, _ = await house.ask("HEAD", "/health/ready", None)
    assert (status, body) == (200, None)


async def test_metrics_are_prometheus_text(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.session.get(f"{house.url}/metrics") as response:
        text = await response.text()
        assert response.content_type == "text/plain"
        assert "version=" in response.headers["Content-Type"]
    assert 'telephony_transitions_total{event="LegJoined",hotline="110"} 1.0' in text


# -- the description ---------------------------------------------------------------------------


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


async def test_the_description_tells_all_routes_and_no_others(house: Hotline) -> None:
    _, described, _ = await house.ask("GET", "/openapi.json", None)
    assert described["openapi"].startswith("3.1")
    told = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert told == {(route.method, route.path) for route in ROUTES}


async def test_every_reference_in_the_description_leads_somewhere() -> None:
    described = document(ROUTES, "test")
    schemas = described["components"]["schemas"]
    assert {reference.rsplit("/", 1)[1] for reference in references(described)} <= set(schemas)


async def test_operation_ids_are_unique() -> None:
    described = document(ROUTES, "test")
    ids = [
        operation["operationId"] for methods in described["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_refusal_of_a_route_has_a_meaning(route: Route) -> None:
    for codes in route.refusals.values():
        assert set(codes) <= set(MEANINGS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_shape_of_a_route_is_described_field_by_field(route: Route) -> None:
    schemas = document(ROUTES, "test")["components"]["schemas"]
    for shape in route.answers:
        if is_dataclass(shape):
            assert set(schemas[shape.__name__]["properties"]) == {field.name for field in fields(shape)}


async def test_the_page_needs_no_network_and_no_script(house: Hotline) -> None:
    async with house.session.get(f"{house.url}/", allow_redirects=True) as response:
        page = await response.text()
        assert (response.status, response.url.path, response.content_type) == (200, "/docs", "text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "<script" not in page
    for route in ROUTES:
        assert route.path in page


# -- listening and stopping --------------------------------------------------------------------


async def test_tls_serves_the_same(house: Hotline, tmp_path: Path) -> None:
    certificate, key = Secrets(tmp_path).ensure_certificate(["localhost", "127.0.0.1"])
    server = HttpServer(another_app(house), LOOPBACK, Tls(LOOPBACK, certificate, key))
    await server.start()
    try:
        plain, secure = server.addresses
        trust = ssl.create_default_context(cafile=str(certificate))
        for url in (f"http://{plain}", f"https://{secure}"):
            async with house.session.get(f"{url}/health/live", ssl=trust) as response:
                assert await response.json() == {"live": True}
    finally:
        await server.stop()


def another_app(house: Hotline) -> aiohttp.web.Application:
    context = house.context
    return make_app(house.switchboard, house.feed, context.tokens, context.metrics, context.checks)


async def test_a_certificate_that_cannot_be_used_is_a_configuration_error(
    house: Hotline, tmp_path: Path
) -> None:
    (tmp_path / "tls.crt").write_text("no certificate")
    server = HttpServer(another_app(house), LOOPBACK, Tls(LOOPBACK, tmp_path / "tls.crt", tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"tls\.crt"):
        await server.start()
    assert server.addresses == []


async def test_an_address_in_use_is_a_configuration_error(house: Hotline) -> None:
    taken = house.server.addresses[0]
    server = HttpServer(another_app(house), taken)
    with pytest.raises(ConfigError, match=f"{taken}: cannot listen"):
        await server.start()


async def test_stopping_lets_a_running_request_finish(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(line: str, *, closed: bool) -> Any:
        entered.set()
        await go_on.wait()
        return house.switchboard.line(line)

    monkeypatch.setattr(house.switchboard, "set_line", slow)
    asked = asyncio.create_task(house.ask("PATCH", "/v1/lines/119", json={"state": "closed"}))
    await entered.wait()
    port = house.port
    stopping = asyncio.create_task(house.server.stop())
    await until(lambda: house.context.stopping)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    go_on.set()
    assert (await asked)[0] == 200
    await stopping


async def test_stopping_cuts_off_who_does_not_finish(house: Hotline, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = asyncio.Event()

    async def stuck(line: str, *, closed: bool) -> Any:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.switchboard, "set_line", stuck)
    asked = asyncio.create_task(house.ask("PATCH", "/v1/lines/119", json={"state": "closed"}))
    await entered.wait()
    async with asyncio.timeout(WAIT):
        await house.server.stop()
    with pytest.raises(aiohttp.ClientError):
        await asked


async def test_stopping_cuts_off_a_repeatable_request_too(
    house: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()

    async def stuck(*args: Any, **options: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.switchboard, "press", stuck)
    path, headers = "/v1/seats/1001/keys/12345", {"Idempotency-Key": "k"}
    asked = asyncio.create_task(house.ask("POST", path, headers=headers))
    await entered.wait()
    async with asyncio.timeout(WAIT):
        await house.server.stop()
    with pytest.raises(aiohttp.ClientError):
        await asked
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("http")]


async def test_stopping_closes_watchers_with_1001(house: Hotline) -> None:
    async with house.watch() as watcher:
        await watcher.receive_json()
        stopping = asyncio.create_task(house.server.stop())
        async with asyncio.timeout(WAIT):
            async for _ in watcher:
                pass
        assert watcher.close_code == aiohttp.WSCloseCode.GOING_AWAY
        await stopping


async def test_stopping_twice_does_no_harm(house: Hotline) -> None:
    await house.server.stop()
    await house.server.stop()


# -- the log -----------------------------------------------------------------------------------


async def test_each_request_is_one_line_with_its_pattern_and_no_secret(house: Hotline) -> None:
    await house.call_at("1001", "c-13800138000")
    with capture_logs() as lines:
        await house.ask("GET", "/v1/calls/c-13800138000", "seat:1001")
        await house.ask("GET", "/v1/calls/c-9", None)
        await house.ask("GET", "/nothing/13800138000")
        async with house.session.ws_connect(f"{house.url}/v1/events?token={TOKENS['admin']}"):
            pass
        await until(lambda: len([line for line in lines if line["event"] == "request"]) == 4)
    told = [(line["method"], line["route"], line["status"], line["role"]) for line in lines]
    assert told == [
        ("GET", "/v1/calls/{call}", 200, "seat"),
        ("GET", "/v1/calls/{call}", 401, ""),
        ("", "unrouted", 404, ""),
        ("GET", "/v1/events", 101, "admin"),
    ]
    assert all(line["ms"] >= 0 for line in lines)
    assert not re.search(r"13800138000|-token", json.dumps(lines))


# -- memory ------------------------------------------------------------------------------------


def test_buckets_forget_who_has_not_been_seen_for_long() -> None:
    now = 0.0
    buckets = Buckets(rate=1, burst=2, clock=lambda: now, most=100)
    for number in range(1000):
        buckets.take(f"address {number}")
    assert len(buckets) == 100


def test_a_bucket_refills_with_time_and_not_beyond_its_size() -> None:
    now = 0.0
    buckets = Buckets(rate=2, burst=2, clock=lambda: now)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0.0, 0.5]
    now = 100.0
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]


async def test_answers_are_kept_for_their_time_only(tmp_path: Path) -> None:
    async with hotline(tmp_path) as house:
        repeats = house.context.repeats
        await house.ask("POST", "/v1/seats/1001/keys/12345", headers={"Idempotency-Key": "k"})
        repeats._clock = lambda: house.context.clock() + 601
        _, _, response = await house.ask(
            "POST", "/v1/seats/1001/keys/12345", headers={"Idempotency-Key": "k"}
        )
        assert "Idempotent-Replayed" not in response.headers


async def test_address_that_another_program_has_is_exchanged_for_a_free_port_only_where_that_is_allowed(
    house: Hotline, tmp_path: Path
) -> None:
    taken = house.server.addresses[0]
    (tmp_path / "other").mkdir()
    async with hotline(tmp_path / "other") as other:
        assert not await other.server.claim(taken, tls=False)
        await other.server.stop()
        server = HttpServer(make_app_again(other), taken, grace=0.5)
        with pytest.raises(AddressTaken, match=str(taken)):
            await server.start()
        await server.start([taken])
        (address,) = server.addresses
        assert address.host == taken.host
        assert address.port != taken.port
        async with other.session.get(f"http://{address}/health/ready") as answer:
            assert answer.status == 200
        await server.stop()


def make_app_again(house: Hotline) -> web.Application:
    context = house.context
    return make_app(house.switchboard, house.feed, context.tokens, context.metrics, context.checks)


async def test_server_that_is_being_stopped_has_no_addresses(house: Hotline) -> None:
    for listener in house.server._listeners:
        listener.close()
    assert house.server.addresses == []
