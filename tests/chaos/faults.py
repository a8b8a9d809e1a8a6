"""The faults: each breaks one thing, mends it, and tells how long the hotline took to be well again.

Each takes the world, the hotline and a severity from 0 to 1, and returns what it did in words, and the seconds
from the moment the cause was taken away until the hotline was ready (for phones: until Asterisk reached them).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from tests.chaos.script import Kind
from tests.chaos.world import World
from tests.lab.paths import LabError
from tests.lab.service import Service
from tests.lab.stage import FAR_END

Fault = Callable[[World, str, float], Awaitable[tuple[str, float]]]

NOTICED = 0.3  # s; a link that was cut is down by then, or up again
REGISTER_LIMIT = 60.0  # s
RELOADS = ("core reload", "dialplan reload", "queue reload all")
_SPIN = "import time; end = time.monotonic() + {}\nwhile time.monotonic() < end: pass"


async def controller_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    return await _away(world, site, "controller", 2 * severity)


async def controller_stopped(world: World, site: str, severity: float) -> tuple[str, float]:
    words, took = await _away(world, site, "controller", severity, in_order=True)
    return f"in good order, {words}", took


async def redis_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    return await _away(world, site, "redis", 2 * severity)


async def _away(
    world: World, site: str, what: str, seconds: float, *, in_order: bool = False
) -> tuple[str, float]:
    service: Service = getattr(world.sites[site], what)
    async with world.down(what, site):
        await asyncio.to_thread(service.stop if in_order else service.kill)
        await asyncio.sleep(seconds)
        await world.start(service)
    return f"away for {seconds:.1f} s", await world.recovered(site)


async def controller_frozen(world: World, site: str, severity: float) -> tuple[str, float]:
    return await _freeze(world, site, "controller", 0.2 + 4.8 * severity)


async def leader_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    """The other controller takes over; only then the first is started again, and stands by."""
    return await _without_leader(world, site, severity, frozen=False)


async def leader_frozen(world: World, site: str, severity: float) -> tuple[str, float]:
    """The other controller takes over; only then the first is let go on, and must notice."""
    return await _without_leader(world, site, severity, frozen=True)


async def _without_leader(world: World, site: str, severity: float, *, frozen: bool) -> tuple[str, float]:
    async with world.down("controller", site):
        leader = await world.leader(site)
        pid = await asyncio.to_thread(lambda: leader.pid)
        if pid is None:
            raise LabError(f"the leader of {site} has ended by itself")
        since = time.monotonic()
        if frozen:
            os.kill(pid, signal.SIGSTOP)
        else:
            await asyncio.to_thread(leader.kill)
        try:
            await world.another_leads(site, leader)
            took = time.monotonic() - since
            await asyncio.sleep(2 * severity)
        finally:
            if frozen:
                os.kill(pid, signal.SIGCONT)
            else:
                await world.start(leader)
    return f"{leader.name}", took


async def redis_frozen(world: World, site: str, severity: float) -> tuple[str, float]:
    return await _freeze(world, site, "redis", 0.5 + 2.5 * severity)


async def _freeze(world: World, site: str, what: str, seconds: float) -> tuple[str, float]:
    async with world.down(what, site):
        pid = await asyncio.to_thread(lambda: getattr(world.sites[site], what).pid)
        if pid is None:
            raise LabError(f"{what} of {site} has ended by itself")
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
    return f"for {seconds:.1f} s", await world.recovered(site)


async def redis_emptied(world: World, site: str, severity: float) -> tuple[str, float]:
    async with world.down("redis", site) as outage:
        outage.what = "redis emptied"
        await world.serves(world.sites[site].redis)
        try:
            await world.redis[site].flushall()
        except RedisError as error:
            raise LabError(f"Redis of {site} could not be emptied: {error}") from error
    return "FLUSHALL", await world.recovered(site)


async def ami_cut(world: World, site: str, severity: float) -> tuple[str, float]:
    lines = (await world.asterisk_cli(site, "manager show connected")).splitlines()
    rows = [row for row in map(str.split, lines) if row[:1] == ["controller"]]
    async with world.down("ami", site):
        for row in rows:
            await world.asterisk_cli(site, f"manager kick session {row[4]}")
    since = time.monotonic()
    await asyncio.sleep(NOTICED)
    if await world.ready(site):
        return f"{len(rows)} sessions kicked", 0.0
    return f"{len(rows)} sessions kicked", await world.recovered(site, since)


async def asterisk_reloaded(world: World, site: str, severity: float) -> tuple[str, float]:
    command = RELOADS[min(int(severity * len(RELOADS)), len(RELOADS) - 1)]
    await world.asterisk_cli(site, command)
    return command, await world.recovered(site)


async def asterisk_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    asterisk, pause = world.sites[site].asterisk, severity
    async with world.down("asterisk", site) as outage:
        await asyncio.to_thread(asterisk.kill)
        await asyncio.sleep(pause)
        await world.start(asterisk)
        outage.removed = time.monotonic()
        await world.serves(asterisk)
    return f"away for {pause:.1f} s", await world.recovered(site, outage.removed)


async def far_end_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    lines = list(FAR_END)
    line = lines[min(int(severity * len(lines)), len(lines) - 1)]
    pause = 3 * (severity * len(lines) % 1)
    async with world.down(line, ""):
        await asyncio.to_thread(world.phones.kill, line)
        await asyncio.sleep(pause)
        await asyncio.to_thread(world.phones.start_unit, line, world.plan)
    return f"{line}, away for {pause:.1f} s", await world.recovered(site)


async def seats_killed(world: World, site: str, severity: float) -> tuple[str, float]:
    async with world.down("seats", site):
        await asyncio.to_thread(world.phones.kill, f"seats-{site}")
        await asyncio.sleep(severity)
        await _until_registered(lambda: world.phones.start_seats(site, world.plan))
    seats = [row["seat"] for row in world.sites[site].hotline.seats]
    return f"{len(seats)} phones, away for {severity:.1f} s", await world.reached(site, seats)


async def seat_moved(world: World, site: str, severity: float) -> tuple[str, float]:
    """Its registration goes; later the same seat registers from another address."""
    seats = [row["seat"] for row in world.sites[site].hotline.seats if row["queue"] != "dedicated"]
    seat, address = seats[min(int(severity * len(seats)), len(seats) - 1)], world.next_address()
    async with world.down("seats", site) as outage:
        outage.what = f"seat {seat}"
        await _until_registered(lambda: world.phones.unregister(site, seat, address))
        await asyncio.sleep(1 + 2 * (severity * len(seats) % 1))
        await _until_registered(lambda: world.phones.start_seats(site, world.plan, [seat], address))
    return f"seat {seat}, back at {address}", await world.reached(site, [seat])


async def _until_registered(register: Callable[[], None]) -> None:
    """As phones do: again and again, until the registrar answers."""
    deadline = time.monotonic() + REGISTER_LIMIT
    while True:
        try:
            return await asyncio.to_thread(register)
        except LabError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)


async def machine_busy(world: World, site: str, severity: float) -> tuple[str, float]:
    seconds = 0.5 + severity
    spinning = await asyncio.create_subprocess_exec(sys.executable, "-c", _SPIN.format(seconds))
    await spinning.wait()
    return f"one core for {seconds:.1f} s", await world.recovered(site)


FAULTS: dict[Kind, Fault] = {
    Kind.CONTROLLER_KILLED: controller_killed,
    Kind.CONTROLLER_FROZEN: controller_frozen,
    Kind.CONTROLLER_STOPPED: controller_stopped,
    Kind.LEADER_KILLED: leader_killed,
    Kind.LEADER_FROZEN: leader_frozen,
    Kind.REDIS_KILLED: redis_killed,
    Kind.REDIS_FROZEN: redis_frozen,
    Kind.REDIS_EMPTIED: redis_emptied,
    Kind.AMI_CUT: ami_cut,
    Kind.ASTERISK_RELOADED: asterisk_reloaded,
    Kind.ASTERISK_KILLED: asterisk_killed,
    Kind.FAR_END_KILLED: far_end_killed,
    Kind.SEATS_KILLED: seats_killed,
    Kind.SEAT_MOVED: seat_moved,
    Kind.MACHINE_BUSY: machine_busy,
}
