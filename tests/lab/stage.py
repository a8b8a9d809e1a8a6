"""The stage on which system tests and the demonstration play: both hotlines, real phones, the wire.

Every phone sends a tone of its own, so what somebody hears says whom.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab import words
from tests.lab.api import Api
from tests.lab.lamp import Lamp
from tests.lab.softphone import Softphone, Softphones
from tests.lab.softphone_call import Call
from tests.lab.stalls import Stalls
from tests.lab.wire import SipPacket, Wire

CALLER, TAKER, PARTNER = 530, 1130, 1790  # Hz
BOTH_LEFT = 1.0  # s; taker and partner who leave closer together than this have not agreed on it
FRAME = 20.0  # ms between two RTP packets
A_MOMENT = 0.1  # of the time
LOOKED_AT = 0.5  # s; what a phone heard in this time is what it hears
A_LOOK = 0.1  # s from one look at what is heard to the next
A_HOLE_IS_HEARD = 0.8  # s for which a hole in the sound can be seen in the last half second of it
LOUD = 300  # of 32767; far above the noise of alaw, far below the music
TONES = (CALLER, TAKER, PARTNER)
SIP = {"110": "127.0.110.1:5060", "12345": "127.0.123.1:5060"}
API = {"110": "http://127.0.0.1:8110", "12345": "http://127.0.0.1:8123"}
CARRIER = {"110": "127.0.111", "12345": "127.0.124"}
FAR_END = {"119": "127.0.119.1", "120": "127.0.120.1", "gas": "127.0.121.1"}


@dataclass(slots=True)
class Talk:
    """A citizen and a taker in conversation. `id` is the call's at its hotline."""

    id: str
    caller: Call
    taker: Call


class Stage:
    """`states` gives each hotline's state directory, where its passwords and tokens lie.

    `stalls` are the machine's, if somebody watches them.
    """

    def __init__(
        self, states: dict[str, Path], logs: Path | None = None, stalls: Stalls | None = None
    ) -> None:
        self.stalls = stalls or Stalls()
        self._states = states
        self._stack = AsyncExitStack()
        self._logs = logs
        self._seats = 0
        self._callers = 0
        self._lamps = 0
        self.api: dict[str, Api] = {}

    async def __aenter__(self) -> Self:
        self.wire = self._stack.enter_context(Wire())
        self.phones = await self._stack.enter_async_context(Softphones(logs=self._logs))
        for site in self._states:
            self.api[site] = await self._stack.enter_async_context(
                Api(API[site], self._secret(site, "tokens.json")["admin"])
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def citizen(self, site: str = "110", tone: int = CALLER) -> Softphone:
        """A citizen's phone at one of the carrier's addresses."""
        self._callers += 1
        return await self.phones.add(
            f"citizen{self._callers}", bind=f"{CARRIER[site]}.{10 + self._callers}", tone=tone
        )

    async def seat(
        self, seat: str, site: str = "110", tone: int = TAKER, on_invite: int | None = None
    ) -> Softphone:
        """The phone of a seat, registered."""
        self._seats += 1
        phone = await self.phones.add(
            f"seat{seat}@{site}",
            bind=f"127.0.0.{30 + self._seats}",
            tone=tone,
            user=seat,
            password=self._secret(site, "seats.json")[seat],
            registrar=SIP[site],
            on_invite=on_invite,
        )
        await phone.registered()
        await self.seat_is_there(seat, site)
        return phone

    async def unit(self, line: str, tone: int = PARTNER, on_invite: int | None = None) -> Softphone:
        """The far end of the line to 119, 120 or gas."""
        return await self.phones.add(line, bind=FAR_END[line], tone=tone, on_invite=on_invite)

    def lamp(self, code: str, *, seat: str = "1003", event: str = "dialog", site: str = "110") -> Lamp:
        """A BLF key (or, with event `presence`, an entry of the list) on a phone of the seat; a context manager."""
        self._lamps += 1
        password = self._secret(site, "seats.json")[seat]
        return Lamp(f"127.0.0.{150 + self._lamps}", SIP[site], seat, password, code=code, event=event)

    async def line_becomes(self, line: str, state: str, site: str = "110", within: float = 3.0) -> None:
        """Wait until the line is open, busy, down or closed."""
        deadline = time.monotonic() + within
        while (found := await self.api[site].get(f"/v1/lines/{line}"))["state"] != state:
            assert time.monotonic() < deadline, f"{line} is not {state} within {within} s: {found}"
            await asyncio.sleep(0.05)

    async def talk(
        self,
        citizen: Softphone,
        taker: Softphone,
        site: str = "110",
        number: str = "13800138000",
        **dial: Any,
    ) -> Talk:
        """The citizen dials the hotline, the taker answers, and both are in conversation."""
        caller = await citizen.dial(f"sip:{site}@{SIP[site]}", number=number, **dial)
        ring = await taker.incoming()
        await ring.answer()
        await caller.answered()
        call = await self.api[site].call_with(situation="talking")
        return Talk(call["id"], caller, ring)

    def heard(self, call: Call, seconds: float = LOOKED_AT, until: float | None = None) -> set[int]:
        """Whose tones the phone of `call` has received in the last `seconds`."""
        until = time.time() if until is None else until
        stream = self.wire.received(call.phone.bind, call.call_id)
        return stream.between(until - seconds, until).tones(TONES)

    async def hears(self, call: Call, *tones: int, within: float = 3.0, since: float = 0.0) -> float:
        """Wait until the phone of `call` has heard exactly these tones for half a second; returns when.

        `since`: what was heard before does not count, where the same voice was there before.
        """
        deadline = time.monotonic() + within
        while (found := self.heard(call)) != set(tones) or time.time() - LOOKED_AT < since:
            assert time.monotonic() < deadline, (
                f"{call.phone.name} hears {found} and not {set(tones)} after {within} s"
            )
            await asyncio.sleep(0.05)
        return time.time()

    async def hears_music(self, call: Call, within: float = 3.0) -> float:
        """Wait until the phone of `call` has received sound for half a second that is nobody's tone; returns when."""
        deadline = time.monotonic() + within
        while True:
            now = time.time()
            heard = self.wire.received(call.phone.bind, call.call_id)
            recent = heard.between(now - 0.5, now)
            # Somebody's tone that has just stopped, and silence after it, is no music.
            halves = heard.between(now - 0.5, now - 0.25), heard.between(now - 0.25, now)
            loud = all(len(half.packets) > 10 and half.audio().level > LOUD for half in halves)
            if loud and all(recent.audio().presence(tone) < A_MOMENT for tone in TONES):
                return now
            assert time.monotonic() < deadline, f"{call.phone.name} hears no music after {within} s: {recent}"
            await asyncio.sleep(0.05)

    async def goes_on_hearing(self, call: Call, *tones: int, seconds: float) -> None:
        """From now on, for so long, the phone of `call` hears exactly these tones all the time.

        Where the machine has just stood still, who is missing does not count, nor does that time.
        """
        until = time.monotonic() + seconds
        await asyncio.sleep(LOOKED_AT)  # nor does what was heard before: somebody may just have come back
        while True:
            now = time.time()
            found = self.heard(call)
            if found < set(tones) and self.stalls.longest_ms(now - A_HOLE_IS_HEARD, now) > FRAME:
                until += A_LOOK
            else:
                assert found == set(tones), f"{call.phone.name} hears {found} and not {set(tones)} any more"
            if time.monotonic() >= until:
                return
            await asyncio.sleep(A_LOOK)

    def words(self, call: Call, name: str, site: str = "110") -> list[words.Heard]:
        """Every time that the phone of `call` has received the announcement `name` of `site`."""
        file = self._states[site] / "asterisk/data/sounds/zh/hotline" / f"{name}.wav"
        return words.heard(self.wire.received(call.phone.bind, call.call_id), file)

    async def hears_words(
        self, call: Call, name: str, *, times: int = 1, whole: bool = True, within: float = 8.0
    ) -> words.Heard:
        """Wait until the phone of `call` has received the announcement so many times, to its end if `whole`."""
        deadline = time.monotonic() + within
        while True:
            found = self.words(call, name)
            if len(found) >= times and (found[-1].whole or not whole):
                return found[-1]
            assert time.monotonic() < deadline, (
                f"{call.phone.name} does not hear {name} after {within} s: {found}"
            )
            await asyncio.sleep(0.1)

    def line_invite(self, number: str) -> SipPacket:
        """The newest INVITE to `number` that the wire has seen."""
        invites = [p for p in self.wire.sip() if p.message.first_line.startswith(f"INVITE sip:{number}@")]
        assert invites, f"no INVITE to {number} on the wire"
        return invites[-1]

    def allowed_gap(self, since: float, until: float, *speakers: Call) -> float:
        """The largest space between two packets, in ms, that a listener may see: one frame plus 10 ms.

        Where a phone itself was later than its frame (a busy machine), what it left out is not ours; nor is the
        time for which the machine stood still. That a speaker has hung up excuses nothing.
        """
        sent = [
            self.wire.sent(call.phone.bind, call.call_id).between(since, min(until, call.ended_at or until))
            for call in speakers
        ]
        lost = self.stalls.longest_ms(since, until)
        own = [length for stream in sent for at, length in stream.gaps_ms if since < at and stream.packets]
        return max([FRAME + lost, *own]) + 10.0

    def _secret(self, site: str, name: str) -> dict[str, str]:
        text = (self._states[site] / "secrets" / name).read_text(encoding="utf-8")
        passwords: dict[str, str] = json.loads(text)
        return passwords

    async def seat_is_there(self, seat: str, site: str = "110", within: float = 3.0) -> None:
        """Wait until the seat's phone is registered and answers."""
        deadline = time.monotonic() + within
        while True:
            answer = await self.api[site].get("/v1/seats")
            seats = answer["seats"] if isinstance(answer, dict) else answer
            state = next(row["state"] for row in seats if row["seat"] == seat)
            if state != "offline":
                return
            assert time.monotonic() < deadline, f"seat {seat} of {site} is {state} after {within} s"
            await asyncio.sleep(0.05)
