"""Many hand-overs: how many a second, what they cost, with few and with a thousand calls live; and memory.

The phones send no audio. So that Asterisk's mixing of silence is not what is measured, both Asterisks relay here
where two are in a conversation; what audio costs is a figure of its own (`mixing`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from telephony.sweep import INTERVAL
from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row, percentile
from tests.bench.handover import Handed, Ours, Phones, Reference, Talking, Way, begin, hand_over
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.sites import BenchSite, make_ours, make_plain, start_plain
from tests.lab.paths import LabError

SEATS_FOR_LOAD = 64
LIMIT = 50.0  # ms from the key to the INVITE that 99 of 100 must keep
RATE = 8.0  # hand-overs a second while costs are measured: far below what is too much
SETUP = 25.0  # calls a second while live calls are built up
STEP = 1.25  # from one rate to the next
FEW = 10
FILL_FEED = 400  # hand-overs make more events than the feed keeps
CLEARED = 120.0  # s
KIB = 1024.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Hand-overs begun at a steady rate, and the CPU seconds of each program meanwhile, without its idling."""

    handed: list[Handed]
    cpu: dict[str, float]

    @property
    def good(self) -> list[float]:
        return [each.to_invite for each in self.handed if not each.failed]

    @property
    def failed(self) -> list[str]:
        return [each.failed for each in self.handed if each.failed]

    @property
    def kept_up(self) -> bool:
        """Nothing failed, and 99 of 100 keys were quick."""
        return not self.failed and percentile(self.good, 0.99) <= LIMIT

    def per_call(self, *programs: str) -> float:
        """CPU of these programs, in ms for each hand-over."""
        return sum(self.cpu[name] for name in programs) * 1000 / max(1, len(self.good))


class Site:
    """What the measurements of this file share: both sites, all phones, and how to make calls on them."""

    def __init__(self, bench: Bench, ours: BenchSite, plain: BenchSite) -> None:
        self._bench, self._ours, self._plain = bench, ours, plain
        self._stack = AsyncExitStack()
        self.ways: dict[str, Way] = {}
        self.held = False
        """Whether calls are live that a batch which was too much must not take with it."""

    async def __aenter__(self) -> Site:
        try:
            await asyncio.to_thread(self._ours.start)
            self._stack.callback(self._ours.stop)
            await asyncio.to_thread(start_plain, self._plain)
            self._stack.callback(self._plain.asterisk.stop)
            phones = await self._stack.enter_async_context(Phones(self._ours, self._plain))
            ours, reference = Ours(phones, self._ours), Reference(phones, self._plain)
            await self._stack.enter_async_context(ours.http)
            await self._stack.enter_async_context(reference.ami)
            self.ways = {"ours": ours, "reference": reference}
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def pids(self) -> dict[str, int]:
        services = {
            "controller": self._ours.controller,
            "redis": self._ours.redis,
            "asterisk": self._ours.asterisk,
            "plain": self._plain.asterisk,
        }
        return {name: service.pid or 0 for name, service in services.items()}

    async def idle(self, seconds: float) -> dict[str, float]:
        """What each program uses in a second while nothing happens."""
        before = self._cpu()
        await asyncio.sleep(seconds)
        return {name: (used - before[name]) / seconds for name, used in self._cpu().items()}

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids().items()}

    async def batch(self, way: str, rate: float, count: int, idle: dict[str, float] | None = None) -> Batch:
        """`count` hand-overs, one begun every 1/rate seconds whatever becomes of the others."""
        loop = asyncio.get_running_loop()
        before, began = self._cpu(), loop.time()
        tasks = []
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / rate - loop.time()))
            tasks.append(asyncio.create_task(hand_over(self.ways[way])))
        handed = await asyncio.gather(*tasks)
        await asyncio.sleep(0.3)  # what follows a call's end is part of its cost
        took = loop.time() - began
        idle = idle or {}
        cpu = {name: used - before[name] - idle.get(name, 0.0) * took for name, used in self._cpu().items()}
        self._record(way, rate, handed)
        batch = Batch(list(handed), cpu)
        if batch.failed and not self.held:
            await asyncio.to_thread(self._clear, self._ours if way == "ours" else self._plain)
        return batch

    def _clear(self, site: BenchSite) -> None:
        """End what a batch that was too much has left: its callers would wait for seats for ever, and have some."""
        deadline = time.monotonic() + CLEARED
        while site.channels():
            if time.monotonic() > deadline:
                raise LabError(f"{site.name}: calls are left over after {CLEARED:.0f} s")
            site.asterisk_cli("channel request hangup all")
            time.sleep(0.5)

    def _record(self, way: str, rate: float, handed: list[Handed]) -> None:
        records = [{"at": each.at, "ms": each.to_invite, "failed": each.failed} for each in handed]
        self._bench.keep(f"load/{way}-{rate:g}-{int(handed[0].at)}", records)

    def controller_bytes(self) -> int:
        return resident_bytes(self.pids()["controller"])

    async def build_up(self, count: int) -> list[Talking]:
        """So many conversations that go on."""
        made: list[asyncio.Task[Talking]] = []
        way = self.ways["ours"]
        for _ in range(count):
            made.append(asyncio.create_task(begin(way, way.phones.new_number())))
            await asyncio.sleep(1 / SETUP)
        return list(await asyncio.gather(*made))

    async def end(self, talks: list[Talking]) -> None:
        for talk in talks:
            talk.caller.hang_up()
            await asyncio.sleep(1 / (4 * SETUP))
        await asyncio.gather(*(asyncio.wait_for(asyncio.shield(t.taker.ended), 10) for t in talks))


async def measure_rate(bench: Bench) -> None:
    """CPU per hand-over, and how many a second."""
    async with _site(bench, SEATS_FOR_LOAD) as site:
        await _cost(bench, site)
        await _sustained(bench, site)


def _site(bench: Bench, seats: int) -> Site:
    return Site(bench, make_ours(bench.state, seats, relaying=True), make_plain(bench.state, 3))


async def _cost(bench: Bench, site: Site) -> None:
    count = bench.samples(48, 400)
    idle = await site.idle(bench.samples(2, 10))
    await site.batch("ours", RATE, 16)  # the first calls of a process are dearer
    await site.batch("reference", RATE, 16)
    ours = await site.batch("ours", RATE, count, idle)
    plain = await site.batch("reference", RATE, count, idle)
    controller, redis = ours.per_call("controller"), ours.per_call("redis")
    asterisk, bare = ours.per_call("asterisk"), plain.per_call("plain")
    bench.keep("cpu", [{"idle": idle, "ours": ours.cpu, "reference": plain.cpu, "calls": count}])
    bench.add(
        Row(
            "CPU of controller and Redis per handed-over call",
            "ms",
            controller + redis,
            asterisk,
            Goal(ratio=0.25),
            len(ours.good),
            f"our Asterisk for the same calls, no media (a plain Asterisk and bare AMI: {bare:.2f} ms)",
            f"controller {controller:.2f} ms, Redis {redis:.2f} ms: 18 transitions, 26 AMI events, "
            "27 events of the feed and 21 log lines of a call in Python against Asterisk's C",
        )
    )


async def _sustained(bench: Bench, site: Site) -> None:
    """Up the ladder in turn, then the highest step of each for as long as the goal says."""
    best: dict[str, float] = {}
    highest = {way: await _climb(bench, site, way) for way in ("ours", "reference")}
    seconds = bench.samples(5, 60)
    batches: dict[str, Batch] = {}
    for way, top in highest.items():
        rate = top if bench.full else top / STEP  # what two seconds allow, more of them seldom do
        while True:
            batches[way] = await site.batch(way, rate, round(rate * seconds))
            if batches[way].kept_up or rate < 2:
                break
            rate /= STEP
        best[way] = rate
    bench.add(
        Row(
            f"hand-overs a second, {seconds} s on end, p99 to INVITE <= {LIMIT:g} ms, none failed",
            "1/s",
            best["ours"],
            best["reference"],
            Goal(least=0.9),
            len(batches["ours"].handed),
            "the same calls driven by bare AMI on a plain Asterisk; two cores with the phones on them too",
            "the controller is one Python process: at that rate it has one core's worth of work, and ours "
            "has a queue, an AGI question and recording hooks in the dialplan that a bare Dial has not",
        )
    )


async def _climb(bench: Bench, site: Site, way: str) -> float:
    rate, seconds, step = 10.0, bench.samples(2, 5), STEP if bench.full else STEP**2
    while True:
        batch = await site.batch(way, rate * step, round(rate * step * seconds))
        bench.say(f"{way}: {rate * step:.0f}/s {_words(batch)}")
        if not batch.kept_up:
            await asyncio.sleep(1.0)
            return rate
        rate *= step


def _words(batch: Batch) -> str:
    if batch.failed:
        return f"{len(batch.failed)} failed: {batch.failed[0]}"
    return f"p50 {percentile(batch.good, 0.5):.1f} ms, p99 {percentile(batch.good, 0.99):.1f} ms"


async def measure_scale(bench: Bench) -> None:
    """The same hand-overs with few and with many calls live; what a live call needs of the controller's memory."""
    many, count = bench.samples(200, 1000), bench.samples(40, 400)
    async with _site(bench, many + SEATS_FOR_LOAD) as site:
        # The feed keeps its newest events, live calls or not: in a full run it is filled before anything is weighed.
        await site.batch("ours", 2 * RATE, bench.samples(16, FILL_FEED))
        few = await site.build_up(FEW)
        site.held = True
        at_few = await _batches(site, count)
        before = site.controller_bytes()
        more = await site.build_up(many - FEW)
        memory = (site.controller_bytes() - before) / (many - FEW) / KIB
        at_many = await _batches(site, count)
        await site.end([*few, *more])
    bench.keep("scale", [{"live": FEW, "cpu": at_few.cpu}, {"live": many, "cpu": at_many.cpu}])
    against = f"ourselves with {FEW} calls live; {many + SEATS_FOR_LOAD} seats in both"
    why = (
        f"{_failed(at_many)}Asterisk itself needs {at_many.per_call('asterisk'):.0f} ms of CPU for a hand-over "
        f"then, and {at_few.per_call('asterisk'):.0f} ms with {FEW} live, on the same cores"
    )
    bench.add(
        Row(
            f"CPU of controller and Redis per hand-over, {many} calls live",
            "ms",
            at_many.per_call("controller", "redis"),
            at_few.per_call("controller", "redis"),
            Goal(ratio=1.2),
            len(at_many.good),
            against,
            why,
        ),
        Row(
            f"key press to INVITE, p50, {many} calls live",
            "ms",
            percentile(at_many.good, 0.5),
            percentile(at_few.good, 0.5),
            Goal(ratio=1.2),
            len(at_many.good),
            against,
            why,
        ),
        Row(
            "memory of the controller per live call",
            "KiB",
            memory,
            None,
            Goal(ours=20),
            many - FEW,
            why="in a quick run the feed's events of its arrival are in it, kept live or not (10,000 at most)",
        ),
    )


def _failed(batch: Batch) -> str:
    return f"{len(batch.failed)} failed: {batch.failed[0]}; " if batch.failed else ""


async def _batches(site: Site, count: int) -> Batch:
    idle = await site.idle(2 * INTERVAL)  # with as many sweeps in it as there are in the batch
    return await site.batch("ours", RATE, count, idle)


async def measure_growth(bench: Bench) -> None:
    """Memory of the controller over 20,000 calls, once its bounded memories (feed, ended calls) are full."""
    if not bench.full:
        bench.leave_out("growth over 20,000 calls (full only: it takes ten minutes)")
        return
    warm, calls, rate = 4_000, 20_000, 20.0
    async with _site(bench, SEATS_FOR_LOAD) as site:
        sizes: list[tuple[int, int]] = []
        done = 0
        while done < calls:
            batch = await site.batch("ours", rate, 1000)
            done += len(batch.handed)
            sizes.append((done, site.controller_bytes()))
            bench.say(f"{done} calls, {sizes[-1][1] / KIB / KIB:.1f} MiB, {_words(batch)}")
    bench.keep("growth", [{"calls": n, "bytes": size} for n, size in sizes])
    settled = [size for n, size in sizes if n >= warm]
    growth = (settled[-1] - settled[0]) / KIB / KIB
    bench.add(
        Row(
            f"growth of the controller from {warm} to {calls} calls",
            "MiB",
            max(0.0, growth),
            None,
            Goal(ours=1.0),
            calls,
            why="see growth.jsonl",
        )
    )
