"""One run: both hotlines up, all phones in place, the plan played, everything counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import aiohttp
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.lab.site import Site
from tests.lab.stage import API, FAR_END
from tests.traffic import hotlines, phone_logs, report
from tests.traffic.comparison import compare, look
from tests.traffic.judge import Record, by_number, judge, withheld_deeds
from tests.traffic.keys import Keys
from tests.traffic.phone_logs import Deed
from tests.traffic.phones import Phones, Sipp, wait_for_seats
from tests.traffic.planned import LAST_RESORT, PATIENCE, PlannedCall
from tests.traffic.report import Verdict

PROGRESS = 5.0  # s between two lines, and between two comparisons
LEGS_GONE = 10.0  # s after the last citizen
OVERTIME = (PATIENCE + 2 * LAST_RESORT) / 1000 + 20.0  # s after the last arrival


class Run:
    """`folder` takes all raw data; `rate` decides how many seats there are."""

    keys = Keys

    def __init__(self, plan: Sequence[PlannedCall], rate: float, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._sites = hotlines.make_sites(folder, rate)
        self._phones = Phones(folder / "phones", self._sites)
        self._stack = AsyncExitStack()
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._redis: dict[str, Redis] = {}
        self._keys: dict[str, Keys] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._differences: list[str] = []
        self._comparisons = 0

    async def play(self) -> Verdict:
        """LabError when the lab or the generator breaks down."""
        lines = (json.dumps(asdict(call), default=sorted, ensure_ascii=False) for call in self._plan)
        (self._folder / "plan.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            async with self._stack:
                await self._prepare()
                await self._traffic(self._phones.start_citizens(self._plan))
                left = await self._left()
            self._phones.stop()
            return self._verdict(left)
        finally:
            self._phones.stop()
            for site in self._sites.values():
                site.stop()

    async def _prepare(self) -> None:
        began = time.monotonic()
        await asyncio.to_thread(hotlines.start, self._sites)
        await asyncio.to_thread(self._phones.start_staff, self._plan)
        for name, site in self._sites.items():
            await asyncio.to_thread(wait_for_seats, site, site.hotline.seats)
            await self._watch(name, site)
        seats = sum(len(site.hotline.seats) for site in self._sites.values())
        print(
            f"==> both hotlines up, {seats} seats registered ({time.monotonic() - began:.1f} s)", flush=True
        )

    async def _watch(self, name: str, site: Site) -> None:
        headers = {"Authorization": f"Bearer {site.secrets.tokens['admin']}"}
        session = await self._stack.enter_async_context(aiohttp.ClientSession(API[name], headers=headers))
        # A connection that an earlier Redis has left behind is found out when it is used: once more, then.
        retry = Retry(NoBackoff(), 2)
        redis = Redis.from_url(site.redis_url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=retry)
        self._stack.push_async_callback(redis.aclose)
        raw = self._stack.enter_context((self._folder / f"feed-{name}.jsonl").open("w", encoding="utf-8"))

        async def number_of(call_id: str) -> str:
            try:
                record = await redis.get(f"tel:{name}:call:{call_id}")
            except RedisError:  # make chaos has taken it away: then nobody presses in this call
                record = None
            return str(json.loads(record)["call"]["caller"]["number"]) if record else ""

        keys = self.keys(name, session, self._plan, number_of, raw)
        self._sessions[name], self._redis[name], self._keys[name] = session, redis, keys
        task = asyncio.create_task(keys.run(), name=f"keys {name}")
        self._watchers.append(task)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(stop)
        async with asyncio.timeout(10):
            await keys.watching.wait()

    async def _traffic(self, citizens: list[Sipp]) -> None:
        began = time.monotonic()
        deadline = began + self._plan[-1].at + OVERTIME
        while any(each.process.poll() is None for each in citizens) and time.monotonic() < deadline:
            self._all_alive()
            await self._compare()
            hotlines.drop_recordings(self._sites)
            self._say(time.monotonic() - began)
            await asyncio.sleep(PROGRESS)

    def _all_alive(self) -> None:
        """LabError, or what a part of ours has met: phones, the watch over a feed, a press."""
        self._phones.all_alive()
        for watcher in self._watchers:
            if watcher.done():
                watcher.result()
        for keys in self._keys.values():
            if keys.broken is not None:
                raise keys.broken

    async def _compare(self) -> None:
        self._comparisons += len(self._sites)
        for name, site in self._sites.items():
            found = await compare(site, self._sessions[name], self._redis[name])
            self._differences += sorted(f"{name}: {line}" for line in found)

    def _say(self, seconds: float) -> None:
        due = sum(call.at <= seconds for call in self._plan)
        live, reasons = 0, Counter[str]()
        for keys in self._keys.values():
            live += sum(call["situation"] != "ended" for call in keys.calls.values())
            reasons.update(t["reason"] for c in keys.calls.values() for t in c["transfers"] if t["reason"])
        print(
            f"    {seconds:6.0f} s  {due:5} of {len(self._plan)} calls made, {live:3} live; "
            f"transfers ended: {', '.join(f'{reason} {n}' for reason, n in reasons.most_common()) or 'none'}",
            flush=True,
        )

    async def _left(self) -> list[str]:
        """The legs in either Asterisk, and the calls in Redis, that do not go; at the end all must be empty."""
        deadline = time.monotonic() + LEGS_GONE
        while True:
            left: list[str] = []
            for name, site in self._sites.items():
                view = await look(site, self._sessions[name], self._redis[name])
                legs = dict.fromkeys(view.api_legs, "no channel of Asterisk's") | dict(view.channels)
                left += [f"{name}: leg {each}: {legs[each]}" for each in sorted(legs)]
                left += [f"{name}: call {each}" for each in sorted(view.api_calls | view.redis_calls)]
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.5)

    def _verdict(self, left: list[str]) -> Verdict:
        deeds = [deed for sipp in self._phones.started for deed in phone_logs.read(sipp.name, sipp.log)]
        found = by_number(deeds)
        verdict = Verdict(
            [judge(call, self._record(call, found)) for call in self._plan],
            self._differences,
            self._comparisons,
            left,
            [
                f"{name}: {call_id} is {call['situation']}"
                for name, keys in self._keys.items()
                for call_id, call in keys.calls.items()
                if call["situation"] != "ended" or any(not t["reason"] for t in call["transfers"])
            ],
            [f"{sipp.name}: {line}" for sipp in self._phones.started for line in sipp.complaints()],
            self._invite_times(found),
            report.ringing_times(self._logs()),
            report.put_right(self._logs()),
        )
        (self._folder / "verdict.txt").write_text(report.text(verdict) + "\n", encoding="utf-8")
        (self._folder / "wrong.txt").write_text(report.stories(verdict), encoding="utf-8")
        return verdict

    def _logs(self) -> list[Path]:
        return [site.state / "log" / "controller.jsonl" for site in self._sites.values()]

    def _record(self, call: PlannedCall, deeds: dict[str, list[Deed]]) -> Record:
        keys = self._keys[call.site]
        call_id = next((each for each, view in keys.calls.items() if _is(call, view, keys)), "")
        view = keys.calls.get(call_id)
        mine = deeds.get(call.number, []) + withheld_deeds(call, view, deeds.get("", []))
        pressed = [press for press in keys.pressed if press.number == call.number]
        mine.sort(key=lambda deed: deed.at)
        return Record(mine, call_id, view, keys.history.get(call_id, []), pressed)

    def _invite_times(self, deeds: dict[str, list[Deed]]) -> list[float]:
        """From the key to the INVITE at 119, 120 or gas, in ms."""
        times = []
        for keys in self._keys.values():
            for press in keys.pressed:
                if press.key not in FAR_END or press.status != 202:
                    continue
                rings = [
                    deed.at - press.at
                    for deed in deeds.get(press.number, [])
                    if deed.role == press.key and deed.word == "rings" and deed.at >= press.at
                ]
                times += [min(rings) * 1000] if rings else []
        return times


def _is(call: PlannedCall, view: dict[str, object], keys: Keys) -> bool:
    caller = view["caller"]
    assert isinstance(caller, dict)
    if view["via"] != "carrier":
        return False
    return call.number in (caller["number"], keys.numbers.get(str(view["id"])))
