"""A real Redis with an address and a port of the test's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from asyncio.subprocess import Process
from pathlib import Path

from redis.asyncio import Redis

from telephony.settings import RedisSettings
from telephony.store import Keys, RedisLink
from tests.lab.paths import DebianRoot

ADDRESS = "127.0.78.1"
DEADLINE = 0.3  # seconds; short, since tests wait for it
LIMIT = 10.0  # seconds that a condition may take to come true
KEYS = Keys("110")


def missing() -> str:
    """Why there is no redis-server to test with; empty if there is one."""
    root = os.environ.get("TELEPHONY_ROOT")
    if not root:
        return "TELEPHONY_ROOT is not set: start this with make test"
    if not (Path(root) / "usr/bin/redis-server").exists():
        return f"there is no redis-server in {root}"
    return ""


class RedisServer:
    """One redis-server with its files in `home`; `start` again after `stop`."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://{ADDRESS}:{self.port}/0"
        self.log = home / "redis.log"
        self._home = home
        self._process: Process | None = None

    async def start(self, *options: str, until: bytes = b"+PONG") -> None:
        """Start it with an append-only file, so that a restart loses nothing, until PING is answered so."""
        files = ("--appendonly", "yes", "--appendfsync", "no", "--save", "")
        await self._start(*files, *options, until=until)

    async def _start(self, *options: str, until: bytes) -> None:
        conf, rest = options[:1], options[1:]
        if conf and conf[0].startswith("--"):
            conf, rest = (), options
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *DebianRoot.from_environment().argv("usr/bin/redis-server", *conf),
                *("--bind", ADDRESS, "--port", str(self.port), "--dir", str(self._home), *rest),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(LIMIT):
            while not (await self._ping()).startswith(until):  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(0.01)

    async def watch_over(self, master: RedisServer, service: str, away: int) -> None:
        """Start it as a sentinel, alone and so a quorum; a master that is silent for `away` ms is replaced."""
        conf = self._home / "sentinel.conf"
        conf.write_text(
            f"sentinel monitor {service} {ADDRESS} {master.port} 1\n"
            f"sentinel down-after-milliseconds {service} {away}\n"
            f"sentinel failover-timeout {service} 2000\n",
            encoding="utf-8",
        )
        await self._start(str(conf), "--sentinel", until=b"+PONG")

    async def stop(self) -> None:
        """Kill it, frozen or not; what it has written stays."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def client(self, password: str | None = None) -> Redis:
        """A client for the test itself, of redis-py's own making."""
        return Redis.from_url(self.url, password=password)

    def link(self, password: str = "", *, deadline: float = DEADLINE, interval: float = 0.05) -> RedisLink:
        return RedisLink(RedisSettings(url=self.url, deadline=deadline), password, KEYS, interval=interval)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _ping(self) -> bytes:
        """The answer, as it is on the wire; nothing while there is none."""
        try:
            reader, writer = await asyncio.open_connection(ADDRESS, self.port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
        except ConnectionError:
            return b""
        writer.close()
        await writer.wait_closed()
        return answer
