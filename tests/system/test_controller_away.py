"""The controller is killed, or frozen, in every state that a call and a transfer can be in.

Nobody's audio stops, what people do meanwhile still brings every caller to a person, and when the controller is
back it has the truth: what it says, what Redis has and what Asterisk has are the same. Several calls, each in
another state, are on the stage at once, so that one fault serves them all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any, ClassVar

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import PhoneError
from tests.lab.stage import API, CALLER, PARTNER, SIP, TAKER, Stage
from tests.system.conftest import Lab
from tests.traffic.comparison import look

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEATS = ("1001", "1002", "1003")
VOICES = {"119": PARTNER, "120": PARTNER, "gas": CALLER}  # two partners in one call must not sound alike
VOICES_OF_GROUP = (VOICES["119"], VOICES["gas"])
DIGITS = {"119": "*2", "120": "*3", "gas": "*4"}
WATCHED = 0.6  # s after the fault in which everybody's audio is looked at
TRUTH = 3.0  # s
STOPS = 100.0  # ms; audio has stopped. On a full stage phones and a dying controller want the processor too


class House:
    """110 with three seats and three units, for all scenes."""

    def __init__(self, stage: Stage, lab: Lab) -> None:
        self.stage = stage
        self.site = lab.sites["110"]
        self.api = stage.api["110"]
        self.seats: dict[str, Softphone] = {}
        self.units: dict[str, Softphone] = {}
        self.citizens: list[Softphone] = []
        self.idle: set[str] = set()

    async def furnish(self) -> None:
        seats = asyncio.gather(*(self.stage.seat(seat) for seat in SEATS))
        units = asyncio.gather(*(self.stage.unit(line, tone=tone) for line, tone in VOICES.items()))
        citizens = asyncio.gather(*(self.stage.citizen() for _ in range(len(SEATS) + 1)))
        self.seats = dict(zip(SEATS, await seats, strict=True))
        self.units = dict(zip(VOICES, await units, strict=True))
        self.citizens = list(await citizens)

    def quiet(self) -> None:
        """Everybody is free; calls that reached a phone in a scene that failed are not the next scene's."""
        self.idle = set(SEATS)
        for phone in (*self.seats.values(), *self.units.values()):
            phone.forget_arrivals()

    async def ring(self, seats: set[str]) -> tuple[str, Call]:
        """The next call that rings at one of `seats`, and at which."""
        waiting = {asyncio.create_task(self.seats[seat].incoming()): seat for seat in seats}
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        task = done.pop()
        return waiting[task], task.result()

    async def differences(self) -> frozenset[str]:
        token = self.site.secrets.tokens["admin"]
        headers = {"Authorization": f"Bearer {token}"}
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession(API["110"], headers=headers))
            redis = Redis.from_url(self.site.redis_url)
            stack.push_async_callback(redis.aclose)
            return (await look(self.site, session, redis)).differences()

    async def agrees(self, within: float = TRUTH) -> None:
        """Wait until the API, Redis and Asterisk have the same calls and legs."""
        deadline = time.monotonic() + within
        while found := await self.differences():
            assert time.monotonic() < deadline, f"after {within} s: {sorted(found)}"
            await asyncio.sleep(0.1)


class Scene:
    """A call in one state. `line` is the line that its transfer uses.

    `set_up` brings it into the state, `go_on` is what people do without the controller, and `known` is what the
    controller must know afterwards.
    """

    state: ClassVar[str]

    def __init__(self, line: str = "") -> None:
        self.line = line
        self.voice = VOICES.get(line, PARTNER)
        self.calls: list[Call] = []

    def __str__(self) -> str:
        return f"{self.state}_{self.line}" if self.line else self.state

    async def begin(self, house: House, number: int) -> None:
        """The citizen dials; the taker answers."""
        self.house, self.stage = house, house.stage
        self.number = f"1380013800{number}"
        self.calls = []
        self.transfer: dict[str, Any] = {}
        await self.dial(house.citizens[number], set(house.idle))
        self.taker = self.ring
        await self.taker.answer()
        await self.caller.answered()
        await self.becomes("talking")

    async def dial(self, citizen: Softphone, seats: set[str]) -> None:
        self.caller = await citizen.dial(f"sip:110@{SIP['110']}", number=self.number)
        self.calls.append(self.caller)
        self.seat, self.ring = await self.house.ring(seats)
        self.calls.append(self.ring)
        await self.ring.ring()
        self.house.idle.discard(self.seat)

    async def set_up(self) -> None: ...

    async def go_on(self) -> None: ...

    async def known(self) -> None: ...

    def hears(self) -> list[tuple[Call, tuple[Call, ...]]]:
        """Who hears something in the state, and whom; music if nobody."""
        return []

    async def close(self) -> None:
        for call in self.calls:
            if call.ending is None:
                with suppress(PhoneError):
                    await call.hangup()
        for call in self.calls:
            await call.ended()
        self.calls = []

    # -- deeds ---------------------------------------------------------------------------------

    async def press(self, key: str, **body: str) -> None:
        status, answer = await self.house.api.press(self.seat, key, **body)
        assert status == 202, answer
        self.transfer = answer

    async def called(self, line: str = "") -> Call:
        call = await self.house.units[line or self.line].incoming()
        self.calls.append(call)
        return call

    async def same_seat_answers(self) -> None:
        self.taker = await self.house.seats[self.seat].incoming()
        self.calls.append(self.taker)
        await self.taker.answer()
        await self.stage.hears(self.caller, TAKER)
        await self.stage.hears(self.taker, CALLER)

    async def becomes(self, situation: str, within: float = TRUTH) -> dict[str, Any]:
        """Wait until the API shows the call so."""
        deadline = time.monotonic() + within
        while True:
            calls = await self.house.api.calls()
            mine = [call for call in calls if call["caller"]["number"] == self.number]
            if len(mine) == 1 and mine[0]["situation"] == situation:
                return dict(mine[0])
            assert time.monotonic() < deadline, f"{self}: not {situation} after {within} s: {mine}"
            await asyncio.sleep(0.02)

    async def has_ended(self, *reasons: str) -> None:
        """One transfer, and it is over, for one of these reasons."""
        call = await self.becomes("talking")
        ends = [(transfer["state"], transfer["reason"]) for transfer in call["transfers"]]
        assert ends in [[("ended", reason)] for reason in reasons]


class Talking(Scene):
    """The key is pressed by DTMF while nobody is there to take it."""

    state = "talking"

    def hears(self):
        return [(self.caller, (self.taker,)), (self.taker, (self.caller,))]

    async def go_on(self) -> None:
        await self.taker.dtmf(DIGITS[self.line])
        self.partner = await self.called()
        await self.partner.answer()
        await self.stage.hears(self.caller, TAKER, self.voice)

    async def known(self) -> None:
        call = await self.becomes("three_way")
        assert [(t["line"], t["state"]) for t in call["transfers"]] == [(self.line, "joined")]


class Inviting(Talking):
    state = "inviting"

    async def set_up(self) -> None:
        await self.press(self.line)
        self.partner = await self.called()

    async def go_on(self) -> None:
        await self.partner.answer()
        await self.stage.hears(self.caller, TAKER, self.voice)

    async def known(self) -> None:
        call = await self.becomes("three_way")
        assert [(t["id"], t["state"]) for t in call["transfers"]] == [(self.transfer["id"], "joined")]


class Ringing(Inviting):
    state = "ringing"

    async def set_up(self) -> None:
        await super().set_up()
        await self.partner.ring()

    async def go_on(self) -> None:
        await self.taker.hangup()
        await self.stage.hears_words(self.caller, "transferring", whole=False)
        await self.partner.answer()
        await self.stage.hears(self.caller, PARTNER)
        await self.stage.hears(self.partner, CALLER)

    async def known(self) -> None:
        call = await self.becomes("handed_over")
        assert [(t["id"], t["state"]) for t in call["transfers"]] == [(self.transfer["id"], "handed_over")]


class Waiting(Inviting):
    """The taker has gone while the partner rings."""

    state = "waiting"

    def hears(self):
        return [(self.caller, ())]

    async def set_up(self) -> None:
        await super().set_up()
        await self.partner.ring()
        await self.taker.hangup()
        await self.stage.hears_music(self.caller)

    async def go_on(self) -> None:
        await self.partner.reject(486)
        await self.same_seat_answers()

    async def known(self) -> None:
        await self.has_ended("busy", "link_lost")


class ThreeWay(Inviting):
    state = "three_way"

    def hears(self):
        talking = (self.caller, self.taker, self.partner)
        return [(call, tuple(other for other in talking if other is not call)) for call in talking]

    async def set_up(self) -> None:
        await super().set_up()
        await self.partner.answer()
        await self.stage.hears(self.caller, TAKER, self.voice)

    async def go_on(self) -> None:
        await self.taker.hangup()
        await self.stage.hears(self.caller, PARTNER)

    async def known(self) -> None:
        await Ringing.known(self)  # type: ignore[arg-type]


class HandedOver(ThreeWay):
    """The partner sends the caller back to the seat."""

    state = "handed_over"

    def hears(self):
        return [(self.caller, (self.partner,)), (self.partner, (self.caller,))]

    async def set_up(self) -> None:
        await super().set_up()
        await self.taker.hangup()
        await self.stage.hears(self.caller, PARTNER)

    async def go_on(self) -> None:
        await self.partner.dtmf("*0")
        await self.same_seat_answers()

    async def known(self) -> None:
        await self.has_ended("returned", "completed", "partner_left", "link_lost")


class Several(ThreeWay):
    """Two partners are in the call."""

    state = "several"

    async def set_up(self) -> None:
        await self.press("gas-leak")
        self.partner, other = await self.called("119"), await self.called("gas")
        await asyncio.gather(self.partner.answer(), other.answer())
        await self.stage.hears(self.caller, TAKER, *VOICES_OF_GROUP)
        await self.becomes("three_way")

    async def go_on(self) -> None:
        await self.taker.hangup()
        await self.stage.hears(self.caller, *VOICES_OF_GROUP)

    async def known(self) -> None:
        call = await self.becomes("handed_over")
        assert sorted((t["line"], t["state"]) for t in call["transfers"]) == [
            ("119", "handed_over"),
            ("gas", "handed_over"),
        ]


class Held(Scene):
    state = "held"

    def hears(self):
        return [(self.caller, ())]

    async def set_up(self) -> None:
        await self.press("hold")
        await self.stage.hears_music(self.caller)

    async def go_on(self) -> None:
        await self.taker.hangup()
        await self.same_seat_answers()

    async def known(self) -> None:
        await self.becomes("talking")


class Rescue(Held):
    """The caller is on the way back to a seat, which rings."""

    state = "rescue"

    async def set_up(self) -> None:
        await super().set_up()
        await self.taker.hangup()
        self.taker = await self.house.seats[self.seat].incoming()
        self.calls.append(self.taker)
        await self.taker.ring()
        await self.stage.hears_music(self.caller)

    async def go_on(self) -> None:
        await self.taker.answer()
        await self.stage.hears(self.caller, TAKER)


class ConsultRinging(Inviting):
    state = "consult_ringing"

    async def set_up(self) -> None:
        await self.press(self.line, mode="consult")
        self.partner = await self.called()
        await self.partner.ring()

    async def go_on(self) -> None:
        await self.partner.answer()
        await self.stage.hears(self.partner, TAKER)
        await self.stage.hears_music(self.caller)

    async def known(self) -> None:
        await self.becomes("consult")
        await self.press("merge")
        await self.stage.hears(self.caller, TAKER, PARTNER)


class Consult(ConsultRinging):
    state = "consult"

    def hears(self):
        return [
            (self.caller, ()),
            (self.taker, (self.partner,)),
            (self.partner, (self.taker,)),
        ]

    async def set_up(self) -> None:
        await super().set_up()
        await ConsultRinging.go_on(self)

    async def go_on(self) -> None:
        await self.taker.hangup()
        await self.stage.hears(self.caller, PARTNER)
        await self.stage.hears(self.partner, CALLER)

    async def known(self) -> None:
        await Ringing.known(self)  # type: ignore[arg-type]


class Cold(Inviting):
    """The taker is released by the controller, once it is back."""

    state = "cold"

    async def set_up(self) -> None:
        await self.press(self.line, mode="cold")
        self.partner = await self.called()
        await self.partner.ring()

    async def known(self) -> None:
        await Ringing.known(self)  # type: ignore[arg-type]
        await self.taker.ended()
        await self.stage.hears(self.caller, self.voice)


class SeatRings(Scene):
    state = "seat_rings"

    async def begin(self, house: House, number: int) -> None:
        self.house, self.stage = house, house.stage
        self.number = f"1380013800{number}"
        self.calls = []
        await self.dial(house.citizens[number], set(house.idle))
        await self.becomes("queued")

    async def go_on(self) -> None:
        self.taker = self.ring
        await self.taker.answer()
        await self.stage.hears(self.caller, TAKER)

    async def known(self) -> None:
        await self.becomes("talking")


class Queued(SeatRings):
    """Nobody is free, until a taker of another scene leaves."""

    state = "queued"

    async def begin(self, house: House, number: int) -> None:
        self.house, self.stage = house, house.stage
        self.number = f"1380013800{number}"
        self.caller = await house.citizens[number].dial(f"sip:110@{SIP['110']}", number=self.number)
        self.calls = [self.caller]
        await self.becomes("queued")

    async def go_on(self) -> None:
        self.seat, self.ring = await self.house.ring(set(SEATS))
        self.calls.append(self.ring)
        await super().go_on()


# Who rings, rings while the dialplan waits for a controller that is not there: 120 is given the longest.
BATCHES: dict[str, tuple[Scene, ...]] = {
    "inviting ringing talking queued": (Ringing("120"), Inviting("119"), Talking("gas"), Queued()),
    "waiting three-way held": (Waiting("120"), ThreeWay("119"), Held()),
    "consult ringing and talking, cold": (ConsultRinging("120"), Consult("119"), Cold("gas")),
    "handed over, several partners, rescue": (HandedOver("120"), Several(), Rescue()),
    "a seat rings": (SeatRings(),),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(lab: Lab) -> AsyncIterator[House]:
    lab.mend()
    states = {name: site.state for name, site in lab.sites.items()}
    async with Stage(states, stalls=lab.stalls) as stage:
        house = House(stage, lab)
        await house.furnish()
        yield house


async def audio_goes_on(house: House, scenes: tuple[Scene, ...], since: float) -> None:
    """For a while after `since`, everybody who heard something hears it on."""
    await asyncio.sleep(max(since + WATCHED - time.time(), 0))  # no condition: it is this time that counts
    until = time.time()
    for scene in scenes:
        for listener, speakers in scene.hears():
            heard = house.stage.wire.received(listener.phone.bind, listener.call_id).between(since, until)
            allowed = max(STOPS, house.stage.allowed_gap(since, until, *speakers))
            assert heard.packets, f"{scene}: {listener} hears nothing"
            assert (heard.lost, heard.largest_gap_ms <= allowed) == (0, True), f"{scene}: {heard}"


@pytest.mark.parametrize("fault", ["killed", "frozen"])
@pytest.mark.parametrize("batch", BATCHES)
async def test_nobody_is_lost_when_the_controller_is(house: House, batch: str, fault: str) -> None:
    scenes = BATCHES[batch]
    house.quiet()
    house.stage.wire.forget()
    try:
        await play(house, scenes, fault)
    finally:
        await asyncio.gather(*(scene.close() for scene in scenes))
    await house.api.no_calls()


async def play(house: House, scenes: tuple[Scene, ...], fault: str) -> None:
    for number, scene in enumerate(scenes):
        await scene.begin(house, number)
    await asyncio.gather(*(scene.set_up() for scene in scenes))
    pid = house.site.controller.pid
    assert pid is not None
    try:
        os.kill(pid, signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
        await audio_goes_on(house, scenes, time.time())
        await asyncio.gather(*(scene.go_on() for scene in scenes))
    finally:
        if fault == "frozen":
            os.kill(pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(house.site.start_controller)
    await house.agrees()
    await asyncio.gather(*(scene.known() for scene in scenes))
    await house.agrees()
