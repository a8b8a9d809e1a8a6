"""One run: the traffic of both hotlines, the script that breaks things meanwhile, and everything counted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from tests.chaos.faults import FAULTS
from tests.chaos.fingers import Fingers, Push
from tests.chaos.judge import Finding, Tally, judge
from tests.chaos.report import Struck, Verdict, story, text
from tests.chaos.script import PlannedFault
from tests.chaos.world import World
from tests.lab.paths import LabError
from tests.traffic import hotlines, phone_logs, report
from tests.traffic.comparison import compare
from tests.traffic.judge import Record, by_number, withheld_deeds
from tests.traffic.keys import Keys
from tests.traffic.phones import Sipp
from tests.traffic.planned import FAR_HOTLINE, PlannedCall
from tests.traffic.run import OVERTIME, Run

PEACE = 5.0  # s without a fault, until the three views must agree
PROGRESS = 10.0  # s between two lines of progress
TICK = 0.5  # s
LEFT = 15.0  # s after the last citizen until nothing may be left
TOGETHER = 0.3  # s between a seat's answer and the citizen's phone being told so
NEAR = 2.0  # s between a citizen's call and Asterisk's channel for it
SILENCE = 35.0  # s after a phone was killed until Asterisk has missed its audio (rtp_timeout)


class ChaosRun(Run):
    """`script`: what is broken, and when. `folder` takes all raw data."""

    keys = Fingers

    def __init__(
        self, plan: Sequence[PlannedCall], rate: float, folder: Path, script: Sequence[PlannedFault]
    ) -> None:
        super().__init__(plan, rate, folder)
        self._script = script
        self._struck: list[Struck] = []
        self._unmended: list[str] = []
        self._strikes: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._quiet_since = 0.0
        self._compared = True
        self._began = 0.0
        self._world: World

    async def chaos(self) -> Verdict:
        """LabError when the lab or the generator breaks down."""
        try:
            async with self._stack:
                await self._prepare()
                await asyncio.gather(*(asyncio.to_thread(site.second.start) for site in self._sites.values()))
                self._world = World(self._sites, self._phones, self._plan, self._redis)
                await self._stack.enter_async_context(self._world)
                await self._break_things(self._phones.start_citizens(self._plan))
                tally = await self._afterwards()
            self._phones.stop()
            return self._judged(tally)
        finally:
            self._phones.stop()
            await asyncio.to_thread(self._stop_sites)

    def _stop_sites(self) -> None:
        for site in self._sites.values():
            site.second.stop()
            site.stop()

    # -- while it runs -----------------------------------------------------------------------

    async def _break_things(self, citizens: list[Sipp]) -> None:
        self._began = time.monotonic()
        self._quiet_since = self._began
        deadline = self._began + self._plan[-1].at + OVERTIME
        script = asyncio.create_task(self._follow_script(), name="script")
        said = self._began
        while time.monotonic() < deadline:
            if (
                script.done()
                and not self._strikes
                and all(each.process.poll() is not None for each in citizens)
            ):
                break
            if time.monotonic() - said > PROGRESS:
                said = time.monotonic()
                self._say(said - self._began)
            self._all_alive()
            await self._look_in_peace()
            hotlines.drop_recordings(self._sites)
            await asyncio.sleep(TICK)
        await script

    async def _follow_script(self) -> None:
        for fault in self._script:
            await asyncio.sleep(self._began + fault.at - time.monotonic())
            self._quiet_since, self._compared = float("inf"), False
            task = asyncio.create_task(self._strike(fault), name=fault.kind)
            self._strikes.add(task)
            task.add_done_callback(self._struck_down)

    def _struck_down(self, strike: asyncio.Task[None]) -> None:
        self._strikes.discard(strike)
        if not self._strikes:
            self._quiet_since = time.monotonic()
        if not strike.cancelled() and strike.exception() is not None:
            self._broken = strike.exception()

    def _all_alive(self) -> None:
        super()._all_alive()
        if self._broken is not None:
            raise self._broken

    async def _strike(self, fault: PlannedFault) -> None:
        at = time.monotonic() - self._began
        recovery: float | None = None
        try:
            words, recovery = await FAULTS[fault.kind](self._world, fault.site, fault.severity)
            well = f"well again after {recovery:.2f} s"
        except LabError as error:
            words = well = f"NOT well again: {error}"
            self._unmended.append(f"{at:.1f} s, {fault.kind} at {fault.site}: {error}")
        print(f"    {at:6.1f} s  {fault.site:5}  {fault.kind}: {words}; {well}", flush=True)
        self._struck.append(Struck(at, fault.kind, fault.site, words, recovery))

    async def _look_in_peace(self) -> None:
        """Once after each time of peace, the three views are compared; not if a fault strikes meanwhile."""
        if self._compared or time.monotonic() - self._quiet_since < PEACE:
            return
        since, before = self._quiet_since, list(self._differences)
        self._compared = True
        try:
            await self._compare()
        except (aiohttp.ClientError, RedisError, OSError, KeyError, subprocess.SubprocessError):
            if self._quiet_since == since:
                raise
        if self._quiet_since != since:
            self._differences = before

    # -- afterwards --------------------------------------------------------------------------

    async def _afterwards(self) -> Tally:
        """When all citizens have gone: nothing may be left, and the three views agree."""
        killed = [o.ended for o in self._world.outages if o.what not in ("controller", "redis", "ami")]
        deadline = max([time.time() + LEFT, *(ended + SILENCE for ended in killed)])
        left = await self._left()
        while left and time.time() < deadline:
            left = await self._left()
        for name, site in self._sites.items():
            found = await compare(site, self._sessions[name], self._redis[name])
            self._differences += sorted(f"{name}, at the end: {line}" for line in found)
            self._comparisons += 1
        tally = Tally(self._differences, self._comparisons, left, unmended=self._unmended)
        for name in self._sites:
            await self._ask_after(name, tally)
        tally.put_right = report.put_right(self._logs())
        return tally

    async def _ask_after(self, name: str, tally: Tally) -> None:
        """The end of each call and transfer that the feed has shown and not ended."""
        for call_id, shown in self._keys[name].calls.items():
            if _over(shown):
                continue
            status, answer = await self._call(name, call_id)
            line = f"{name}: {call_id} was {shown['situation']} when the feed last told of it"
            if status == 404:
                emptied = any(o.what == "redis emptied" and o.site == name for o in self._world.outages)
                (tally.forgotten if emptied else tally.unended).append(f"{line}, and nobody remembers it")
            elif not _over(answer):
                tally.unended.append(f"{line}, and still is {answer['situation']}")

    async def _call(self, name: str, call_id: str) -> tuple[int, dict[str, Any]]:
        """What the hotline knows of a call; asked again where hundreds of such questions were too many at once."""
        while True:
            async with self._sessions[name].get(f"/v1/calls/{call_id}") as response:
                if response.status in (200, 404):
                    return response.status, await response.json()
                if response.status != 429:
                    response.raise_for_status()
                await asyncio.sleep(float(response.headers["Retry-After"]))

    def _judged(self, tally: Tally) -> Verdict:
        deeds = [deed for sipp in self._phones.started for deed in phone_logs.read(sipp.name, sipp.log)]
        found = by_number(deeds)
        pushes = [push for keys in self._keys.values() if isinstance(keys, Fingers) for push in keys.pushes]
        by_call: defaultdict[str, list[Push]] = defaultdict(list)
        for push in pushes:
            # Where the seat's call was another by then, the answer says which.
            by_call[str(push.answer.get("call", push.call))].append(push)
        findings = [self._finding(call, found, by_call) for call in self._plan]
        tally.unanswered = [
            f"{push.number}, seat {push.seat}, key {push.press.key}: {push.status or 'no answer'}, {push.took:.1f} s"
            for push in pushes
            if not push.answered
        ]
        tally.presses = Counter(_outcome(push) for push in pushes)
        verdict = Verdict(findings, self._struck, tally)
        self._write(verdict)
        return verdict

    def _finding(
        self, call: PlannedCall, deeds: dict[str, list[phone_logs.Deed]], pushes: dict[str, list[Push]]
    ) -> Finding:
        record = self._record(call, deeds)
        if call.withheld and not record.call_id:
            record = self._by_time(call, record, deeds)
        far = FAR_HOTLINE[call.site]
        came = sum(_came_over(view, call, self._keys[far]) for view in self._keys[far].calls.values())
        return judge(call, record, self._world.outages, pushes.get(record.call_id, ()), {far: came})

    def _by_time(self, call: PlannedCall, record: Record, deeds: dict[str, list[phone_logs.Deed]]) -> Record:
        """A withheld number could not be found while Redis was away: the call of nobody else that came when this
        caller called."""
        keys = self._keys[call.site]
        nobodys = {each: view for each, view in keys.calls.items() if view["caller"]["withheld"]}
        nobodys = {each: view for each, view in nobodys.items() if not keys.numbers.get(each)}
        came = record.deeds[0].at if record.deeds else 0.0
        call_id = min(nobodys, key=lambda each: abs(_came(each) - came), default="")
        if not call_id or abs(_came(call_id) - came) > NEAR:
            mine = [*record.deeds, *_answered_together(call, record.deeds, deeds.get("", []))]
            return replace(record, deeds=sorted(mine, key=lambda deed: deed.at))
        view = nobodys[call_id]
        mine = sorted(
            [*record.deeds, *withheld_deeds(call, view, deeds.get("", []))], key=lambda deed: deed.at
        )
        return Record(mine, call_id, view, keys.history[call_id], record.pressed)

    def _write(self, verdict: Verdict) -> None:
        (self._folder / "verdict.txt").write_text(text(verdict) + "\n", encoding="utf-8")
        wrong = (story(each) for each in verdict.findings if each.wrong or each.end == "excused")
        stories = "\n\n".join("\n".join(lines) for lines in wrong)
        (self._folder / "wrong.txt").write_text(stories + "\n", encoding="utf-8")
        script = [
            json.dumps({"at": s.at, "kind": s.kind, "site": s.site, "words": s.words, "recovery": s.recovery})
            for s in self._struck
        ]
        (self._folder / "faults.jsonl").write_text("\n".join(script) + "\n", encoding="utf-8")


def _answered_together(
    call: PlannedCall, citizen: Sequence[phone_logs.Deed], nobodys: Sequence[phone_logs.Deed]
) -> list[phone_logs.Deed]:
    """What the seat's phone did that was not told a number, and answered when this citizen was answered: where no
    controller was there to know the call, the moment says whose it was."""
    mine: list[phone_logs.Deed] = []
    for answered in (deed.at for deed in citizen if deed.word == "answered"):
        for seat in nobodys:
            if (
                seat.role == f"seats-{call.site}"
                and seat.word == "answered"
                and abs(seat.at - answered) < TOGETHER
            ):
                later = (
                    d for d in nobodys if d.role == seat.role and d.phone == seat.phone and d.at >= seat.at
                )
                mine += [seat, *(d for d in list(later)[1:2] if d.word in ("hangs_up", "was_hung_up"))]
    return mine


def _came(call_id: str) -> float:
    """When Asterisk made the channel whose Uniqueid this is (system-seconds.number)."""
    return float(call_id.rpartition("-")[2].partition(".")[0]) + 0.5


def _over(call: dict[str, Any]) -> bool:
    return call["situation"] == "ended" and all(transfer["reason"] for transfer in call["transfers"])


def _came_over(view: dict[str, Any], call: PlannedCall, keys: Keys) -> bool:
    if view["via"] != call.site:
        return False
    return call.number in (view["caller"]["number"], keys.numbers.get(view["id"]))


def _outcome(push: Push) -> str:
    if push.over:
        return "the call was over"
    if push.status == 0:
        return "no answer"
    word = "taken" if push.status < 300 else str(push.answer.get("error", {}).get("code", push.status))
    return word if push.tries == 1 else f"{word} at a later try"
