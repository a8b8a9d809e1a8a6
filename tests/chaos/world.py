"""What faults are done to, and the memory of what was done: who was down when, and when all was well again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.lab.paths import LabError
from tests.lab.service import Service
from tests.lab.site import Site
from tests.lab.stage import API
from tests.traffic.phones import Phones
from tests.traffic.planned import PlannedCall

POLL = 0.02  # s
ANSWER = 1.0  # s; a hotline that does not say within this time that it is ready is not
RECOVERY = 30.0  # s; longer than this is never


@dataclass(slots=True)
class Outage:
    """Something was down from `began` to `ended` (Unix seconds). `what`: asterisk, redis, controller, seats, or a
    line's name; `site` is empty for a far end that both hotlines have. `removed`: when (monotonic) the cause was
    taken away, if that was before the end."""

    what: str
    site: str
    began: float
    ended: float = float("inf")
    removed: float | None = None

    def meets(self, began: float, ended: float) -> bool:
        return self.began <= ended and began <= self.ended


class World:
    """Both hotlines and all phones. `redis` are links of the test's own, by site."""

    def __init__(
        self,
        sites: Mapping[str, Site],
        phones: Phones,
        plan: Sequence[PlannedCall],
        redis: Mapping[str, Redis],
    ) -> None:
        self.sites = sites
        self.phones = phones
        self.plan = plan
        self.redis = redis
        self.outages: list[Outage] = []
        services = [each for site in sites.values() for each in (*site.services, site.second)]
        self._versions = {id(each): each.version() for each in services}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._removed: defaultdict[str, float] = defaultdict(float)
        self._health: aiohttp.ClientSession
        self._moves = 0

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER)
        # A connection of its own for each question: one to a killed controller says nothing of the next.
        connector = aiohttp.TCPConnector(force_close=True)
        self._health = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._health.close()

    @asynccontextmanager
    async def down(self, what: str, site: str) -> AsyncIterator[Outage]:
        """While inside, this part is ours to break, and counts as down."""
        async with self._locks[site, what]:
            outage = Outage(what, site, time.time())
            self.outages.append(outage)
            try:
                yield outage
            finally:
                outage.ended = time.time()
                at = time.monotonic() if outage.removed is None else outage.removed
                for each in [site] if site else self.sites:
                    self._removed[each] = max(self._removed[each], at)

    def under_way(self) -> bool:
        return any(outage.ended == float("inf") for outage in self.outages)

    def next_address(self) -> str:
        """An address for a phone that moves."""
        self._moves += 1
        return f"127.0.1.{self._moves}" if self._moves < 255 else f"127.0.2.{self._moves - 254}"

    async def start(self, service: Service) -> None:
        """Start the program; that it serves is not waited for."""
        version = self._versions[id(service)]
        await asyncio.to_thread(
            service.process.start, service.argv, version, service.environment, service.priority
        )

    async def serves(self, service: Service) -> None:
        """Wait until the program serves; LabError if it does not within its limit."""
        deadline = time.monotonic() + service.limit
        while (reason := await asyncio.to_thread(service.probe)) is not None:
            if time.monotonic() > deadline:
                raise LabError(f"{service.name} does not serve: {reason}\n{service.last_lines()}")
            await asyncio.sleep(POLL)

    async def ready(self, site: str) -> bool:
        """Whether /health/ready of one of the hotline's two controllers says 200."""
        lease = await self._lease(site)
        bases = {API[site], f"http://{lease['api']}"} if lease else {API[site]}
        return any(await asyncio.gather(*map(self._leads, bases)))

    async def _leads(self, base: str) -> bool:
        try:
            async with self._health.get(f"{base}/health/ready") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def leader(self, site: str) -> Service:
        """The controller that leads, once one does; LabError after RECOVERY."""
        await self.recovered(site)
        return self._controller(site, await self._lease(site))

    async def another_leads(self, site: str, than: Service) -> None:
        """Wait until the other of the hotline's two controllers leads, and is ready; LabError after RECOVERY."""
        deadline = time.monotonic() + RECOVERY
        while True:
            lease = await self._lease(site)
            if (
                lease
                and self._controller(site, lease) is not than
                and await self._leads(f"http://{lease['api']}")
            ):
                return
            if time.monotonic() > deadline:
                raise LabError(f"nobody has taken over from the {than.name} of {site}: {lease}")
            await asyncio.sleep(POLL)

    def _controller(self, site: str, lease: dict[str, str]) -> Service:
        second = lease.get("node") == f"{site}-b"
        return self.sites[site].second if second else self.sites[site].controller

    async def _lease(self, site: str) -> dict[str, str]:
        """Who leads as Redis has it; empty while it does not say."""
        try:
            found = json.loads(await self.redis[site].get(f"tel:{site}:lease") or "{}")
        except (RedisError, OSError, ValueError):
            return {}
        return found if found.get("hold") == "held" else {}

    async def recovered(self, site: str, since: float | None = None) -> float:
        """Seconds from `since` (monotonic; now), or from when the last of other causes at the hotline was taken away,
        until the hotline is ready. LabError after RECOVERY."""
        since = time.monotonic() if since is None else since
        while not await self.ready(site):
            if time.monotonic() - max(since, self._removed[site]) > RECOVERY and not self.under_way():
                raise LabError(f"{site} is not ready {RECOVERY:.0f} s after the last cause was taken away")
            await asyncio.sleep(POLL)
        return max(0.0, time.monotonic() - max(since, self._removed[site]))

    async def asterisk_cli(self, site: str, command: str) -> str:
        """What the console answers; empty when there is no Asterisk to ask."""
        try:
            return await asyncio.to_thread(self.sites[site].asterisk_cli, command)
        except subprocess.SubprocessError:
            return ""

    async def reached(self, site: str, seats: Sequence[str]) -> float:
        """Seconds until Asterisk reaches the seats' phones. LabError after RECOVERY."""
        began = time.monotonic()
        while True:
            lines = (await self.asterisk_cli(site, "pjsip show contacts")).splitlines()
            avail = {line.split()[1].partition("/")[0] for line in lines if " Avail " in line}
            if avail.issuperset(seats):
                return time.monotonic() - began
            if time.monotonic() - began > RECOVERY and not self.under_way():
                raise LabError(f"seats of {site} that are not reached: {sorted(set(seats) - avail)}")
            await asyncio.sleep(0.2)
