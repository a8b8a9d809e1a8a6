"""The plan of a run: every citizen's call, drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.traffic import figures
from tests.traffic.planned import DEFAULT_TALK, Phone, PlannedCall, Press
from tests.traffic.scenes import SCENES, platform


def draw_plan(calls: int, rate: float, seed: int) -> list[PlannedCall]:
    """The plan for so many calls at `rate` a second on average; the same seed gives the same plan."""
    draw = random.Random(seed)
    return [
        _draw_call(index, at, draw) for index, at in enumerate(figures.arrivals(calls, calls / rate, draw))
    ]


def number_of_calls(hours: float, rate: float, seed: int) -> int:
    """How many come in so many hours: Poisson, by its normal approximation (there are hundreds)."""
    mean = hours * 3600 * rate
    return max(1, round(random.Random(f"{seed} calls").gauss(mean, mean**0.5)))


def _draw_call(index: int, at: float, draw: random.Random) -> PlannedCall:
    site = "12345" if draw.random() < figures.AT_12345 else "110"
    call = PlannedCall(f"{'139' if site == '12345' else '138'}{index:08d}", site, at)
    call = replace(call, withheld=draw.random() < figures.WITHHELD)
    call, line = _draw_matter(call, draw)
    if draw.random() < figures.GIVE_UP:
        slow = Phone(ring=2_000)  # the caller has long gone, on a slow machine too
        return replace(call, scene="gives_up", patience=100, taker=slow, ends=frozenset({"nobody_answered"}))
    if call.way == "platform":
        return platform(replace(call, withheld=False, scene="platform"), line, draw)
    if not line:
        return _plain(call, draw)
    scenes = {name: scene for name, scene in SCENES.items() if scene.can_be(call, line)}
    name = draw.choices(list(scenes), [scene.weight for scene in scenes.values()])[0]
    call = scenes[name].play(replace(call, scene=name), line, draw)
    return replace(call, taker=replace(call.taker, talk=DEFAULT_TALK)) if call.withheld else call


def _draw_matter(call: PlannedCall, draw: random.Random) -> tuple[PlannedCall, str]:
    """What it is about, and the line that it asks for, if any."""
    dice = draw.random()
    if call.site == "12345":
        emergency = dice < figures.EMERGENCY_AT_12345
        return replace(call, matter="emergency" if emergency else "civic"), "110" if emergency else ""
    if dice < figures.NON_POLICE:
        call = replace(call, matter="non_police")
        if draw.random() < figures.HANDED_ON:
            call = replace(call, way=draw.choices(list(figures.WAYS), list(figures.WAYS.values()))[0])
        return call, "12345" if call.way in ("transfer", "platform") else ""
    if dice < figures.NON_POLICE + figures.JOINT:
        call = replace(call, matter="joint")
        return call, draw.choices(list(figures.UNITS), list(figures.UNITS.values()))[0]
    return call, ""


def _plain(call: PlannedCall, draw: random.Random) -> PlannedCall:
    talk = draw.randint(2_000, 5_000)
    if call.way == "guidance":
        call = replace(call, presses=(Press(draw.randint(600, 1_200), "guidance"),))
    if draw.random() < 0.3:
        return replace(call, talk=talk, ends=frozenset({"caller"}))
    return replace(call, taker=Phone(talk=DEFAULT_TALK if call.withheld else talk))
