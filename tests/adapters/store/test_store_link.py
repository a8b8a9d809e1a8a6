"""The link to Redis, with a real Redis that is frozen, killed, full, loading, or locked."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from telephony.errors import ConfigError, StoreDown
from telephony.settings import RedisSettings
from telephony.store import RedisLink
from telephony.store.client import CONNECTIONS
from telephony.store.link import Command
from tests.adapters.store.server import ADDRESS, DEADLINE, KEYS, RedisServer, missing
from tests.adapters.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "redis-server is there")

SLACK = 1.0  # seconds that a busy machine may add to a deadline
SECRET = "a-very-secret-password"
SET = ("SET", "tel:110:test", "1")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    await server.stop()


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[RedisLink]:
    await server.start()
    link = server.link()
    assert await link.probe()
    yield link
    await link.close()


@pytest.fixture
async def redis(server: RedisServer, link: RedisLink) -> AsyncIterator[Redis]:
    async with server.client() as client:
        yield client


@contextmanager
def _full_listener() -> Iterator[int]:
    """The port of a server that takes no more connections, and refuses none."""
    with socket.socket() as server, ExitStack() as clients:
        server.bind((ADDRESS, 0))
        server.listen(0)
        address = server.getsockname()
        for _ in range(3):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield int(address[1])


class Watch:
    """Runs a link and notes what it tells."""

    def __init__(self, link: RedisLink) -> None:
        self.told: list[str] = []
        self._task = asyncio.create_task(link.run(self._on_up, self.told.append))

    async def _on_up(self) -> None:
        self.told.append("up")

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def watch(link: RedisLink) -> AsyncIterator[Watch]:
    watch = Watch(link)
    await until(lambda: watch.told == ["up"])
    yield watch
    await watch.end()


class TestDeadline:
    """No command waits longer than it may, whatever Redis does."""

    async def test_a_frozen_redis_costs_one_deadline_and_then_nothing(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        server.freeze()
        start = time.monotonic()
        with pytest.raises(StoreDown, match=r"did not answer within 0\.3 s"):
            await link.ask(SET)
        first = time.monotonic() - start
        with pytest.raises(StoreDown, match="did not answer"):
            await link.ask(SET)
        assert DEADLINE <= first < DEADLINE + SLACK
        assert time.monotonic() - start - first < 0.05

    async def test_a_crowd_that_meets_a_frozen_redis_waits_one_deadline_together(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        server.freeze()
        start = time.monotonic()
        answers = await asyncio.gather(*(link.ask(SET) for _ in range(1000)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreDown}
        assert time.monotonic() - start < DEADLINE + SLACK

    async def test_of_a_crowd_those_who_still_wait_for_a_connection_do_not_try(
        self, server: RedisServer, link: RedisLink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried = 0
        exchange = link._exchange

        async def counted(commands: tuple[Command, ...]) -> list[Any]:
            nonlocal tried
            tried += 1
            return await exchange(commands)

        await server.stop()
        monkeypatch.setattr(link, "_exchange", counted)
        answers = await asyncio.gather(*(link.ask(SET) for _ in range(100)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreDown}
        assert tried == CONNECTIONS

    async def test_a_command_too_big_to_be_sent_to_a_frozen_redis_has_the_same_deadline(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        server.freeze()
        start = time.monotonic()
        with pytest.raises(StoreDown, match="did not answer"):
            await link.ask(("SET", "tel:110:test", b"x" * 16 * 1024 * 1024))
        assert time.monotonic() - start < DEADLINE + SLACK

    async def test_an_address_that_swallows_packets_costs_one_deadline(self) -> None:
        # A listener with a full backlog: the handshake's last packet is dropped (listen(2)).
        with _full_listener() as port:
            settings = RedisSettings(url=f"redis://{ADDRESS}:{port}/0", deadline=DEADLINE)
            link = RedisLink(settings, "", KEYS)
            start = time.monotonic()
            assert not await link.probe()
            assert time.monotonic() - start < DEADLINE + SLACK
            assert link.reason == "Redis did not answer within 0.3 s"
            await link.close()

    async def test_a_late_answer_is_never_taken_for_another_commands(
        self, server: RedisServer, link: RedisLink, redis: Redis
    ) -> None:
        await redis.mset({"a": "of a", "b": "of b"})
        server.freeze()
        asked = [link.ask(("GET", "a")) for _ in range(CONNECTIONS)]
        await asyncio.gather(*asked, return_exceptions=True)
        server.thaw()
        assert await link.probe()
        answers = await asyncio.gather(*(link.ask(("GET", "b")) for _ in range(CONNECTIONS)))
        assert answers == [[b"of b"]] * CONNECTIONS

    async def test_one_failure_is_enough_to_give_up_every_connection_that_was_open_before(
        self, server: RedisServer, link: RedisLink, redis: Redis
    ) -> None:
        async def ours() -> set[str]:
            return {each["id"] for each in await redis.client_list()} - {str(await redis.client_id())}

        await asyncio.gather(*(link.ask(("GET", "a")) for _ in range(CONNECTIONS)))
        before = await ours()
        assert len(before) > 2
        server.freeze()
        with pytest.raises(StoreDown):
            await link.ask(("GET", "a"))
        server.thaw()
        assert await link.probe()  # at once, and not after as many tries as there were connections
        deadline = time.monotonic() + 2
        while left := before & await ours():
            assert time.monotonic() < deadline, f"still open: {left}"
            await asyncio.sleep(0.02)

    async def test_a_caller_that_is_cancelled_leaves_the_link_whole(
        self, link: RedisLink, redis: Redis
    ) -> None:
        await redis.mset({"a": "of a", "b": "of b"})
        for _ in range(50):
            asked = asyncio.create_task(link.ask(("GET", "a")))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert await link.ask(("GET", "b")) == [b"of b"]
        assert link.up


class TestFailures:
    """Each kind of failure is StoreDown with a reason that people understand."""

    async def test_a_refused_connection(self, server: RedisServer) -> None:
        link = server.link()
        assert not await link.probe()
        assert "no connection to Redis" in link.reason
        with pytest.raises(StoreDown, match="no connection to Redis"):
            await link.ask(SET)
        await link.close()

    async def test_a_full_redis(self, link: RedisLink, redis: Redis) -> None:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", "1")
        with pytest.raises(StoreDown, match=r"Redis is full \(maxmemory\)"):
            await link.ask(SET)
        assert not link.up
        assert not await link.probe()  # although PING would be answered
        await redis.config_set("maxmemory", "0")
        assert await link.probe()
        await link.ask(SET)

    async def test_a_full_redis_still_lets_what_is_over_be_deleted(
        self, link: RedisLink, redis: Redis
    ) -> None:
        await redis.set("tel:110:over", "x")
        await redis.config_set("maxmemory", "1")
        with pytest.raises(StoreDown):
            await link.ask(("DEL", "tel:110:over"), SET)
        assert await redis.exists("tel:110:over") == 0

    async def test_a_read_only_replica(self, link: RedisLink, redis: Redis) -> None:
        await redis.replicaof(ADDRESS, 1)
        with pytest.raises(StoreDown, match="read-only replica"):
            await link.ask(SET)
        assert not await link.probe()

    async def test_a_redis_that_is_loading(self, server: RedisServer) -> None:
        await server.start("--appendonly", "no")
        async with server.client() as client:
            await client.mset({f"key-{n}": "x" * 100 for n in range(20_000)})
            await client.save()
        await server.stop()
        slowly = ("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
        await server.start("--appendonly", "no", *slowly, until=b"-LOADING")
        link = server.link(deadline=2.0)
        assert not await link.probe()
        assert link.reason == "Redis is still loading its data"
        await link.close()

    @pytest.mark.parametrize("password", ["", "wrong-" + SECRET])
    async def test_a_password_that_is_missing_or_wrong(self, server: RedisServer, password: str) -> None:
        await server.start("--requirepass", SECRET, until=b"-NOAUTH")
        link = server.link(password)
        assert not await link.probe()
        assert link.reason == "Redis refuses our login, or what it may do"
        await link.close()

    async def test_a_password_is_used_and_never_told(self, server: RedisServer) -> None:
        await server.start("--requirepass", SECRET, until=b"-NOAUTH")
        link = server.link(SECRET)
        with capture_logs() as logs:
            assert await link.probe()
            await link.ask(SET)
            await server.stop()
            with pytest.raises(StoreDown) as told:
                await link.ask(SET)
        await link.close()
        chain: list[BaseException | None] = [told.value, told.value.__cause__]
        assert SECRET not in f"{logs} {chain!r} {link.reason} {link.__dict__}"

    async def test_what_is_written_is_not_in_the_error(self, link: RedisLink, redis: Redis) -> None:
        await redis.config_set("maxmemory", "1")
        with capture_logs() as logs, pytest.raises(StoreDown) as told:
            await link.ask(("SET", "tel:110:test", "13800138000"))
        assert "13800138000" not in f"{logs} {told.value!r} {told.value.__cause__!r}"

    async def test_a_server_that_is_no_redis(self) -> None:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(babble, ADDRESS, 0) as babbler:
            port = babbler.sockets[0].getsockname()[1]
            link = RedisLink(RedisSettings(url=f"redis://{ADDRESS}:{port}/0"), "", KEYS)
            assert not await link.probe()
            assert link.reason
            await link.close()

    def test_an_url_that_is_none_is_a_configuration_error(self) -> None:
        with pytest.raises(ConfigError, match=r"redis\.url"):
            RedisLink(RedisSettings(url="redis://127.0.0.1:x/"), "", KEYS)

    async def test_an_error_of_one_key_is_told_and_redis_counts_as_up(
        self, link: RedisLink, redis: Redis
    ) -> None:
        await redis.rpush("list", "x")
        answers = await link.ask_each(("GET", "list"), SET)
        assert "WRONGTYPE" in str(answers[0])
        assert answers[1]
        assert link.up


class TestBreaker:
    """While Redis is away nobody waits for it; when it is back, all are told."""

    async def test_before_the_first_probe_nothing_is_sent(self, server: RedisServer) -> None:
        link = server.link()
        with pytest.raises(StoreDown, match="has not been asked yet"):
            await link.ask(SET)
        await link.close()

    async def test_a_freeze_is_noticed_and_told_without_any_command(
        self, server: RedisServer, link: RedisLink, watch: Watch
    ) -> None:
        server.freeze()
        await until(lambda: not link.up)
        server.thaw()
        await until(lambda: link.up and watch.told[-1] == "up")
        assert watch.told == ["up", "Redis did not answer within 0.3 s", "up"]

    async def test_a_restart_is_noticed_and_told(
        self, server: RedisServer, link: RedisLink, watch: Watch
    ) -> None:
        await server.stop()
        await until(lambda: len(watch.told) == 2)
        assert "no connection to Redis" in watch.told[1]
        await server.start()
        await until(lambda: len(watch.told) == 3)
        assert watch.told[2] == "up"
        await link.ask(SET)

    async def test_a_restart_that_nobody_noticed_costs_no_command(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        await server.stop()
        await server.start()
        await link.ask(SET)

    async def test_a_redis_that_loses_its_data_without_being_away_is_told_of(
        self, link: RedisLink, redis: Redis, watch: Watch
    ) -> None:
        await until(lambda: watch.told == ["up"])
        await redis.flushall()
        await until(lambda: watch.told == ["up", "up"])
        assert link.up

    async def test_a_redis_that_comes_back_without_its_data_is_told_of_once(
        self, server: RedisServer, link: RedisLink, watch: Watch, tmp_path: Path
    ) -> None:
        await server.stop()
        await until(lambda: len(watch.told) == 2)
        shutil.rmtree(tmp_path / "appendonlydir")
        await server.start()
        await until(lambda: len(watch.told) == 3)
        await link.ask(SET)
        assert watch.told[2:] == ["up"]

    async def test_a_redis_that_cannot_write_its_file_is_told_of_and_believed_when_it_can(
        self, link: RedisLink, redis: Redis, watch: Watch, tmp_path: Path
    ) -> None:
        await redis.config_set("save", "3600 1")
        (tmp_path / "dump.rdb").mkdir()  # A directory in its place: the file cannot be written.
        with suppress(ResponseError):
            await redis.bgsave()
        await until(lambda: not link.up)
        assert link.reason == "Redis answers MISCONF"
        (tmp_path / "dump.rdb").rmdir()
        await redis.bgsave()
        await until(lambda: watch.told[-1] == "up")

    async def test_a_redis_that_comes_late_is_told_of(self, server: RedisServer) -> None:
        link = server.link()
        watch = Watch(link)
        await until(lambda: "no connection" in link.reason)
        assert watch.told == []
        await server.start()
        await until(lambda: watch.told == ["up"])
        await watch.end()
        await link.close()

    async def test_a_failure_that_a_probe_has_already_forgiven_is_told_all_the_same(
        self, link: RedisLink, watch: Watch
    ) -> None:
        link._trip("a command timed out")
        assert await link.probe()
        await until(lambda: watch.told == ["up", "a command timed out", "up"])

    async def test_a_failing_on_up_does_not_end_the_watch(self, server: RedisServer, link: RedisLink) -> None:
        calls: list[str] = []

        async def on_up() -> None:
            calls.append("up")
            raise RuntimeError("a fault of ours")

        with capture_logs() as logs:
            running = asyncio.create_task(link.run(on_up, calls.append))
            await until(lambda: calls == ["up"])
            await server.stop()
            await until(lambda: len(calls) == 2)
            await server.start()
            await until(lambda: len(calls) == 3)
        running.cancel()
        assert "on_up_failed" in [line["event"] for line in logs]

    async def test_what_fails_only_in_on_up_is_not_tried_without_a_pause(self, link: RedisLink) -> None:
        times: list[float] = []

        async def on_up() -> None:
            times.append(time.monotonic())
            link._trip("something that a probe does not notice")

        running = asyncio.create_task(link.run(on_up, lambda _: None))
        await until(lambda: len(times) == 3)
        running.cancel()
        assert min(later - earlier for earlier, later in pairwise(times)) >= 0.05

    async def test_after_close_nothing_is_sent_and_no_connection_is_left(
        self, link: RedisLink, redis: Redis
    ) -> None:
        await asyncio.gather(*(link.ask(SET) for _ in range(10)))
        await link.close()
        with pytest.raises(StoreDown, match="closed"):
            await link.ask(SET)
        assert len(await redis.client_list()) == 1

    async def test_closing_a_link_to_a_frozen_redis_takes_no_longer_than_a_deadline(
        self, server: RedisServer, link: RedisLink
    ) -> None:
        server.freeze()
        start = time.monotonic()
        await link.close()
        assert time.monotonic() - start < DEADLINE + SLACK

    async def test_the_probe_leaves_one_key_that_expires(self, link: RedisLink, redis: Redis) -> None:
        assert await redis.keys("*") == [KEYS.probe.encode()]
        assert 0 < await redis.ttl(KEYS.probe) <= 60
