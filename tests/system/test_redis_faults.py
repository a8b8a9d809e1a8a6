"""Redis is frozen, slow, full, a replica, empty, or fails over: calls and keys go on, and then it has the truth."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.lab import probes
from tests.lab.processes import Process
from tests.lab.service import Service
from tests.lab.site import Site
from tests.lab.softphone import Softphone
from tests.lab.stage import API, PARTNER, TAKER, Stage
from tests.system.conftest import Lab
from tests.traffic.comparison import look

NOTICED = 4.0  # s
TRUTH = 3.0  # s


@dataclass(slots=True)
class Watcher:
    """Asks 110 and its Redis from outside."""

    site: Site
    session: aiohttp.ClientSession
    redis: Redis

    async def ready(self, *missing: str, within: float = NOTICED) -> None:
        """Wait until exactly this is missing, by readiness and by figure."""
        wanted = list(missing), "redis" not in missing
        deadline = time.monotonic() + within
        while (found := (await self._missing(), await self._redis_up())) != wanted:
            assert time.monotonic() < deadline, f"missing, and the figure, after {within} s: {found}"
            await asyncio.sleep(0.05)

    async def _missing(self) -> list[str]:
        async with self.session.get("/health/ready") as answer:
            body = await answer.json()
            assert answer.status == (503 if body["missing"] else 200)
            return list(body["missing"])

    async def _redis_up(self) -> bool:
        async with self.session.get("/metrics") as answer:
            return 'telephony_redis_up{hotline="110"} 1.0' in await answer.text()

    async def agrees(self, within: float = TRUTH) -> None:
        deadline = time.monotonic() + within
        while found := (await look(self.site, self.session, self.redis)).differences():
            assert time.monotonic() < deadline, f"after {within} s: {sorted(found)}"
            await asyncio.sleep(0.1)


@pytest.fixture
async def watcher(lab: Lab) -> AsyncIterator[Watcher]:
    site = lab.sites["110"]
    headers = {"Authorization": f"Bearer {site.secrets.tokens['admin']}"}
    async with (
        aiohttp.ClientSession(API["110"], headers=headers) as session,
        Redis.from_url(site.redis_url) as redis,
    ):
        yield Watcher(site, session, redis)


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


Deed = Callable[[Watcher], Awaitable[None]]


async def freeze(watcher: Watcher) -> None:
    assert watcher.site.redis.pid
    os.kill(watcher.site.redis.pid, signal.SIGSTOP)


async def thaw(watcher: Watcher) -> None:
    assert watcher.site.redis.pid
    os.kill(watcher.site.redis.pid, signal.SIGCONT)


async def fill(watcher: Watcher) -> None:
    await watcher.redis.config_set("maxmemory", "1")


async def make_room(watcher: Watcher) -> None:
    await watcher.redis.config_set("maxmemory", "0")


async def make_replica(watcher: Watcher) -> None:
    await watcher.redis.replicaof("127.0.110.9", "6379")


async def make_master(watcher: Watcher) -> None:
    await watcher.redis.replicaof("NO", "ONE")


async def kill(watcher: Watcher) -> None:
    await asyncio.to_thread(watcher.site.redis.kill)


async def restart_empty(watcher: Watcher) -> None:
    shutil.rmtree(watcher.site.state / "redis" / "appendonlydir")
    await asyncio.to_thread(watcher.site.redis.ensure)


FAULTS: dict[str, tuple[Deed, Deed]] = {
    "frozen": (freeze, thaw),
    "full": (fill, make_room),
    "a read-only replica": (make_replica, make_master),
    "killed and restarted empty": (kill, restart_empty),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_calls_and_keys_go_on_while_redis_is(stage: Stage, watcher: Watcher, cast, fault: str) -> None:
    citizen, taker, unit = cast
    breaks, mends = FAULTS[fault]
    talk = await stage.talk(citizen, taker)
    await breaks(watcher)
    try:
        pressed = time.monotonic()
        status, transfer = await stage.api["110"].press("1001", "119")
        ring = await unit.incoming()
        assert time.monotonic() - pressed < 1.5
        await ring.answer()
        await stage.hears(talk.caller, TAKER, PARTNER)
        await watcher.ready("redis")
    finally:
        await mends(watcher)
    await watcher.ready()
    await watcher.agrees()
    assert status == 202
    assert "three_way" in str(await stage.api["110"].calls())

    await asyncio.to_thread(watcher.site.kill_controller)  # What is in Redis now is enough for the next one.
    await asyncio.to_thread(watcher.site.start_controller)
    call = await stage.api["110"].call_with(situation="three_way")
    assert [each["id"] for each in call["transfers"]] == [transfer["id"]]
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()
    await watcher.agrees()


# Seconds that it stands still, and answers, in turn: no answer takes longer than the deadline.
SLOW, QUICK = 0.15, 0.02


@asynccontextmanager
async def slow(watcher: Watcher) -> AsyncIterator[None]:
    """Redis answers all the time, and late."""

    async def stand_still_again_and_again() -> None:
        while True:
            await freeze(watcher)
            await asyncio.sleep(SLOW)
            await thaw(watcher)
            await asyncio.sleep(QUICK)

    task = asyncio.create_task(stand_still_again_and_again())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await thaw(watcher)


async def test_slow_redis_costs_a_key_a_moment_and_a_caller_nothing(
    stage: Stage, watcher: Watcher, cast
) -> None:
    citizen, taker, unit = cast
    async with slow(watcher):
        talk = await stage.talk(citizen, taker)
        pressed = time.monotonic()
        status, transfer = await stage.api["110"].press("1001", "119")
        assert status == 202, transfer
        ring = await unit.incoming()
        assert time.monotonic() - pressed < 1.0
        await ring.answer()
        await stage.hears(talk.caller, TAKER, PARTNER)
        await talk.taker.hangup()
        await stage.hears(talk.caller, PARTNER)
        await stage.goes_on_hearing(talk.caller, PARTNER, seconds=1.0)
        await stage.api["110"].transfer_in(talk.id, transfer["id"], "handed_over")
        await watcher.ready()  # slow is not away
    await watcher.agrees()
    await ring.hangup()
    await talk.caller.ended()
    await stage.api["110"].no_calls()
    await watcher.agrees()


async def test_a_redis_that_is_emptied_gets_the_live_calls_again(
    stage: Stage, watcher: Watcher, cast
) -> None:
    citizen, taker, _ = cast
    talk = await stage.talk(citizen, taker)
    await watcher.redis.flushall()
    deadline = time.monotonic() + TRUTH
    while not await watcher.redis.exists(f"tel:110:call:{talk.id}"):
        assert time.monotonic() < deadline, "the live call is not in Redis again"
        await asyncio.sleep(0.05)
    await watcher.agrees()
    await watcher.ready()
    await talk.caller.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()
    await watcher.agrees()


async def test_one_broken_record_does_not_stop_the_rest(stage: Stage, watcher: Watcher, cast) -> None:
    citizen, taker, _ = cast
    talk = await stage.talk(citizen, taker)
    await asyncio.to_thread(watcher.site.kill_controller)
    broken = ("110-a-1.1", "110-a-1.2", "110-a-1.3")
    await watcher.redis.sadd("tel:110:calls", *broken)
    await watcher.redis.set(f"tel:110:call:{broken[0]}", b'{"version": 1, "call": {"id": ')
    await watcher.redis.set(f"tel:110:call:{broken[1]}", b"\xff" * 1000)
    await watcher.redis.lpush(f"tel:110:call:{broken[2]}", "a list")
    await watcher.redis.lpush("tel:110:recent", b"no record either")
    await asyncio.to_thread(watcher.site.start_controller)

    call = await stage.api["110"].call_with(situation="talking")

    assert call["id"] == talk.id
    await watcher.redis.delete(*(f"tel:110:call:{each}" for each in broken))
    await watcher.redis.srem("tel:110:calls", *broken)
    await watcher.agrees()
    await talk.caller.hangup()
    await talk.taker.ended()


# -- failing over ------------------------------------------------------------------------------

SPARE, SENTINEL = "127.0.110.2", 26379


def _service(site: Site, name: str, host: str, port: int, options: list[str], password: str) -> Service:
    home = site.state / name
    home.mkdir(exist_ok=True)
    conf = home / "redis.conf"
    lines = [f"bind {host}", f"port {port}", f"dir {home}", "set-proc-title no", *options]
    conf.write_text("\n".join([*lines, ""]), encoding="utf-8")
    mode = ["--sentinel"] if name == "sentinel" else []
    return Service(
        name=name,
        process=Process(f"{site.state}:{name}", site.state / "log" / f"{name}.log"),
        argv=site.root.argv("usr/bin/redis-server", str(conf), *mode),
        probe=lambda: _listens(host, port) if mode else probes.redis(host, port, password),
        limit=10.0,
    )


def _listens(host: str, port: int) -> str | None:
    """A sentinel knows no QUIT, by which the lab asks a Redis."""
    try:
        socket.create_connection((host, port), 1.0).close()
    except OSError as error:
        return f"sentinel: {error}"
    return None


@contextmanager
def _running(*services: Service) -> Iterator[None]:
    try:
        for service in services:
            service.start()
        yield
    finally:
        for service in services:
            service.stop()


async def _follows(sentinel: Redis) -> bool:
    return [each["master-link-status"] for each in await sentinel.sentinel_slaves("hotline")] == ["ok"]


@pytest.fixture
async def by_sentinel(lab: Lab, watcher: Watcher) -> AsyncIterator[Redis]:
    """110 finds its Redis by a sentinel, and there is a second one; a client of that."""
    site = lab.sites["110"]
    secret, master = site.secrets.redis, site.hotline.redis
    text = site.config.read_text(encoding="utf-8")
    config = site.state / "by-sentinel.toml"
    url = f"redis+sentinel://{SPARE}:1,{SPARE}:{SENTINEL}/hotline/0"  # nobody is at the first address
    config.write_text(text.replace(f"redis://{master}/0", url), encoding="utf-8")
    spare = _service(
        site,
        "spare",
        SPARE,
        master.port,
        [
            f"requirepass {secret}",
            f"masterauth {secret}",
            f"replicaof {master.host} {master.port}",
            f"replica-announce-ip {SPARE}",
        ],
        secret,
    )
    sentinel = _service(
        site,
        "sentinel",
        SPARE,
        SENTINEL,
        [
            "protected-mode no",
            f"sentinel monitor hotline {master.host} {master.port} 1",
            f"sentinel auth-pass hotline {secret}",
            "sentinel down-after-milliseconds hotline 1000",
            "sentinel failover-timeout hotline 2000",
        ],
        "",
    )
    await watcher.redis.config_set("masterauth", secret)
    argv = [str(config) if each == str(site.config) else each for each in site.controller.argv]
    with _running(spare, sentinel):
        client = Redis.from_url(f"redis://:{secret}@{SPARE}:{master.port}/0")
        async with asyncio.timeout(10), Redis(host=SPARE, port=SENTINEL) as asked:
            while not await _follows(asked):  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(0.05)
        await asyncio.to_thread(replace(site.controller, argv=argv).ensure)
        yield client
        await client.aclose()
    await asyncio.to_thread(site.controller.stop)
    await asyncio.to_thread(site.redis.ensure)
    with suppress(RedisError):
        await watcher.redis.replicaof("NO", "ONE")


async def test_when_the_master_dies_calls_go_on_and_the_other_redis_has_them(
    stage: Stage, watcher: Watcher, by_sentinel: Redis, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    async with asyncio.timeout(2.0):
        while not await by_sentinel.exists(f"tel:110:call:{talk.id}"):  # noqa: ASYNC110 - a replica tells nobody
            await asyncio.sleep(0.05)
    await watcher.ready()

    noticed = asyncio.create_task(watcher.ready("redis"))
    await asyncio.to_thread(watcher.site.redis.kill)
    _, transfer = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await noticed
    await watcher.ready(within=8.0)

    await by_sentinel.connection_pool.disconnect()  # A replica that becomes the master drops its clients.
    watcher.redis = by_sentinel
    await watcher.agrees()
    assert (transfer["id"]).encode() in await by_sentinel.get(f"tel:110:call:{talk.id}")
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()
    await watcher.agrees()
