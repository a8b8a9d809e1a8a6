"""The master of two Redis servers fails, and a sentinel names the other one: real servers, a real sentinel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from telephony.errors import StoreDown
from telephony.settings import RedisSettings
from telephony.store import RedisLink
from tests.adapters.store.server import ADDRESS, KEYS, RedisServer, missing
from tests.adapters.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "redis-server is there")

SERVICE = "hotline-110"
AWAY = 1000  # ms; a server that does not answer for so long is down
DEADLINE = 0.3  # s
READY = ("slave", "ok")
SET = ("SET", "tel:110:test", "1")


@dataclass(slots=True)
class Pair:
    """Two servers, of which `first` is the master at the beginning, and a sentinel that watches them."""

    first: RedisServer
    second: RedisServer
    sentinel: RedisServer

    def link(self, *others: int) -> RedisLink:
        """By the sentinel; `others` are ports that are asked before it."""
        addresses = ",".join(f"{ADDRESS}:{port}" for port in (*others, self.sentinel.port))
        url = f"redis+sentinel://{addresses}/{SERVICE}/0"
        return RedisLink(RedisSettings(url=url, deadline=DEADLINE), "", KEYS, interval=0.05)

    async def copied(self) -> None:
        """Wait until the second has what the first has."""
        await _says(self.second, "master_link_status", "up")

    async def known(self) -> None:
        """Wait until the sentinel knows the second, and that it may follow the first."""
        async with asyncio.timeout(15), self.sentinel.client() as client:
            while await self._replicas(client) != [READY]:  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(0.02)

    async def settled(self) -> None:
        """Whoever is master now is the first, and the other follows it."""
        async with self.sentinel.client() as client:
            _, port = await client.sentinel_get_master_addr_by_name(SERVICE)
        if port == self.second.port:
            self.first, self.second = self.second, self.first
        await self.known()

    @staticmethod
    async def _replicas(client: Redis) -> list[tuple[str, str]]:
        return [(r["flags"], r["master-link-status"]) for r in await client.sentinel_slaves(SERVICE)]


async def _says(server: RedisServer, name: str, value: str) -> None:
    """Wait until the server says this of its replication."""
    async with asyncio.timeout(10), server.client() as client:
        while (await client.info("replication"))[name] != value:  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    homes = [tmp_path / name for name in ("first", "second", "sentinel")]
    for home in homes:
        home.mkdir()
    pair = Pair(*map(RedisServer, homes))
    try:
        await pair.first.start("--repl-diskless-sync-delay", "0", "--replica-announce-ip", ADDRESS)
        follow = ("--replicaof", f"{ADDRESS} {pair.first.port}", "--replica-announce-ip", ADDRESS)
        await pair.second.start(*follow)
        await pair.copied()
        await pair.sentinel.watch_over(pair.first, SERVICE, AWAY)
        await pair.known()
        yield pair
    finally:
        for server in (pair.sentinel, pair.second, pair.first):
            await server.stop()


@pytest.fixture
async def link(pair: Pair) -> AsyncIterator[RedisLink]:
    link = pair.link()
    await found_again(link)  # on a busy machine the Sentinel takes the master for down now and then,
    await pair.settled()  # and has made the other one master
    yield link
    await link.close()


async def found_again(link: RedisLink) -> None:
    """Wait until commands are taken again."""
    async with asyncio.timeout(12):
        while not await _taken(link):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)


async def _taken(link: RedisLink) -> bool:
    await link.probe()
    try:
        await link.ask(SET)
    except StoreDown:
        return False
    return True


async def test_what_is_written_goes_to_the_master(pair: Pair, link: RedisLink) -> None:
    await link.ask(SET)
    async with pair.first.client() as client:
        assert await client.get(SET[1]) == b"1"


async def test_when_the_master_dies_the_other_is_found_and_has_what_was_written(
    pair: Pair, link: RedisLink
) -> None:
    await link.ask(("SET", "tel:110:before", "1"))
    await pair.first.stop()
    with pytest.raises(StoreDown):
        await link.ask(SET)

    await found_again(link)

    assert await link.ask(("GET", "tel:110:before")) == [b"1"]
    async with pair.second.client() as client:
        assert await client.get(SET[1]) == b"1"


async def test_a_frozen_master_that_is_thawed_later_gets_nothing_more(pair: Pair, link: RedisLink) -> None:
    await asyncio.gather(*(link.ask(SET) for _ in range(10)))  # several connections stay open
    pair.first.freeze()
    with pytest.raises(StoreDown):
        await link.ask(SET)
    await found_again(link)
    pair.first.thaw()

    await asyncio.gather(*(link.ask(("INCR", "tel:110:count")) for _ in range(30)))

    async with pair.second.client() as client:
        assert await client.get("tel:110:count") == b"30"


async def test_a_sentinel_that_is_dead_or_frozen_does_not_hide_the_others(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "frozen").mkdir()
    frozen, dead = RedisServer(tmp_path / "frozen"), RedisServer(tmp_path)
    await frozen.watch_over(pair.first, SERVICE, AWAY)
    frozen.freeze()
    link = pair.link(frozen.port, dead.port)
    try:
        await found_again(link)
        await link.ask(SET)
    finally:
        await link.close()
        await frozen.stop()


async def test_without_a_sentinel_nothing_new_is_found_and_the_reason_names_no_secret(pair: Pair) -> None:
    await pair.sentinel.stop()
    link = pair.link()
    assert not await link.probe()
    await until(lambda: "no connection to Redis" in link.reason)
    await link.close()
