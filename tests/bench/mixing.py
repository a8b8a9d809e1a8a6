"""Asterisk's CPU for the audio of recorded two-party calls that can become three-way."""

from __future__ import annotations

import asyncio
import threading
import time

from tests.bench.agent import Dialog
from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row
from tests.bench.handover import Ours, Phones, begin
from tests.bench.processes import cpu_seconds
from tests.bench.sites import PLAIN, BenchSite, make_ours, make_plain, start_plain
from tests.lab.paths import LabError

CALLS = 12
FRAME = 0.02  # s


class Speaker:
    """A thread that sends every dialog's far end a frame of sound (PCMA, not silence) every 20 ms."""

    def __init__(self, dialogs: list[Dialog]) -> None:
        self._targets = [(each.agent.sink, each.media) for each in dialogs if each.media]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        sound = bytes((n * 37) % 256 for n in range(160))
        began, number = time.monotonic(), 0
        while not self._stop.is_set():
            for index, (sink, target) in enumerate(self._targets):
                head = bytes((0x80, 8)) + (number & 0xFFFF).to_bytes(2, "big")
                head += (number * 160 & 0xFFFFFFFF).to_bytes(4, "big") + (index + 1).to_bytes(4, "big")
                sink.sendto(head + sound, target)
            number += 1
            time.sleep(max(0.0, began + number * FRAME - time.monotonic()))


async def measure(bench: Bench) -> None:
    """So many conversations at once, ours and the reference in turn, some seconds each."""
    ours, plain = make_ours(bench.state, CALLS + 4), make_plain(bench.state, CALLS + 4)
    seconds, rounds = bench.samples(3, 15), bench.samples(1, 4)
    used: dict[str, list[float]] = {"ours": [], "reference": []}
    with ours:
        try:
            await asyncio.to_thread(start_plain, plain)
            async with Phones(ours, plain) as phones:
                for _ in range(rounds):
                    used["ours"].append(await _ours(phones, ours, seconds))
                    used["reference"].append(await _rooms(phones, plain, seconds))
        finally:
            plain.asterisk.stop()
    bench.keep("mixing", [{"way": way, "percent": each} for way, all_ in used.items() for each in all_])
    mine, reference = (sum(used[way]) / rounds for way in ("ours", "reference"))
    bench.add(
        Row(
            "Asterisk's CPU for the audio of a recorded two-party call",
            "% core",
            mine,
            reference,
            Goal(ratio=0.6),
            rounds * CALLS,
            "the same two in a ConfBridge from the start, recorded",
            "both mix. Relaying while two talk would be cheaper, but going back to it when the taker leaves costs "
            "the caller a frame in one hand-over of eight (README, Performance): no gap was the dearer goal",
        )
    )


async def _ours(phones: Phones, site: BenchSite, seconds: float) -> float:
    way = Ours(phones, site)
    talks = await asyncio.gather(*(begin(way, phones.new_number()) for _ in range(CALLS)))
    callers = [talk.caller for talk in talks]
    return await _used(site, callers, [talk.taker for talk in talks], seconds)


async def _rooms(phones: Phones, site: BenchSite, seconds: float) -> float:
    """Citizens and seats in a room for each two; the seats' phones answer by themselves."""
    callers = [phones.citizens.dial(phones.new_number(), f"{3001 + n}@{PLAIN}") for n in range(CALLS)]
    for caller in callers:
        await asyncio.wait_for(asyncio.shield(caller.confirmed), 5)
    deadline = time.monotonic() + 5
    while len(takers := [d for d in phones.seats[PLAIN].dialogs.values() if not d.ended.done()]) < CALLS:
        if time.monotonic() > deadline:
            raise LabError(f"{len(takers)} seats came into {CALLS} rooms")
        await asyncio.sleep(0.1)
    return await _used(site, callers, takers, seconds)


async def _used(site: BenchSite, callers: list[Dialog], takers: list[Dialog], seconds: float) -> float:
    """% of a core for each call, above what the Asterisk uses when idle."""
    pid = site.asterisk.pid or 0
    with Speaker([*callers, *takers]):
        await asyncio.sleep(1.0)
        before, at = cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(seconds)
        busy = (cpu_seconds(pid) - before) / (time.monotonic() - at)
    for dialog in (*callers, *takers):  # in a two-party call the taker's phone is hung up then
        await dialog.bye()
    await asyncio.sleep(1.0)
    before, at = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds / 2)
    idle = (cpu_seconds(pid) - before) / (time.monotonic() - at)
    return (busy - idle) * 100 / len(callers)
