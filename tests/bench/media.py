"""What the caller hears of a hand-over, by real softphones and the kernel's time stamps on the wire.

Ours against Asterisk's own ways: blind transfer, attended transfer with three-way, both parties redirected into a
ConfBridge. Three lanes at once, each with its own citizen, seats and partner; in each lane the ways take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass

from tests.bench.bare import BareAmi
from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row, percentile
from tests.bench.handover import bridge_add
from tests.bench.sites import OURS, PLAIN, BenchSite, make_ours, make_plain, start_plain
from tests.lab.rtp import Stream
from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import PhoneError
from tests.lab.stage import FAR_END, FRAME, PARTNER, TAKER, Stage
from tests.lab.stalls import Stalls
from tests.lab.wire import WireError

HEARD = 0.5  # s that each conversation goes on
ALLOWED = FRAME + 10.0  # ms
NUMBERS = {"119": "119", "120": "120", "gas": "121"}  # what the plain Asterisk calls the lines


@dataclass(slots=True)
class Lane:
    """Phones that make one call at a time. `taker`: by the Asterisk's address."""

    number: str
    line: str
    citizen: Softphone
    taker: dict[str, Softphone]
    partner: Softphone


@dataclass(frozen=True, slots=True)
class Heard:
    """One hand-over at the caller's ear, in ms.

    `gap`: without the time for which the machine stood still, `whole_gap`: with it. `to_heard`: from the partner's
    200 OK to its first packet here.
    """

    way: str
    gap: float
    whole_gap: float
    lost: int
    to_heard: float
    failed: str = ""


class Stand:
    """The phones, the wire and both Asterisks' managers."""

    def __init__(self, ours: BenchSite, plain: BenchSite) -> None:
        self._ours, self._plain = ours, plain
        self._stack = AsyncExitStack()
        self._at_seat: dict[str, asyncio.Future[Call]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Stand:
        self._stalls = self._stack.enter_context(Stalls())
        self.stage = await self._stack.enter_async_context(Stage({"110": self._ours.state}))
        self.ami: BareAmi = await self._stack.enter_async_context(self._plain.ami())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def lane(self, index: int, line: str) -> Lane:
        citizen = await self.stage.citizen()
        partner = await self.stage.unit(line)
        seat = str(1001 + index)
        ours = await self.stage.seat(seat)
        self._tasks.append(asyncio.create_task(self._seat_answers(ours), name=f"seat {seat}"))
        plain = await self.stage.phones.add(
            f"plain{seat}",
            bind=f"127.0.0.{90 + index}",
            tone=TAKER,
            user=seat,
            password=self._plain.secrets.seats[seat],
            registrar=f"{PLAIN}:5060",
        )
        await plain.registered()
        return Lane(f"1380013800{index}", line, citizen, {OURS: ours, PLAIN: plain}, partner)

    # -- the ways ----------------------------------------------------------------------------

    async def ours(self, lane: Lane) -> tuple[Call, Call, Call, float]:
        caller, taker = await self._talk(lane, OURS, "110")
        pressed = time.time()
        seat = taker.headers.first_line.partition("sip:")[2].partition("@")[0]
        status, answer = await self.stage.api["110"].press(seat, lane.line)
        assert status == 202, answer
        partner = await lane.partner.incoming()
        await partner.answer()
        return caller, taker, partner, pressed

    async def bridge_add(self, lane: Lane) -> tuple[Call, Call, Call, float]:
        caller, taker = await self._talk(lane, PLAIN, f"1{lane.taker[PLAIN].user[1:]}")
        pressed = time.time()
        anchor = taker.headers.header("X-Caller") or ""
        await self._do("Originate", bridge_add(anchor, lane.number, _uri(lane)))
        partner = await lane.partner.incoming()
        await partner.answer()
        return caller, taker, partner, pressed

    async def blind(self, lane: Lane) -> tuple[Call, Call, Call, float]:
        caller, taker = await self._talk(lane, PLAIN, f"1{lane.taker[PLAIN].user[1:]}")
        pressed = time.time()
        who = taker.headers.header("X-Taker") or ""
        await self._do("BlindTransfer", {"Channel": who, "Context": "partner", "Exten": NUMBERS[lane.line]})
        partner = await lane.partner.incoming()
        await asyncio.sleep(HEARD)  # it rings a while
        await partner.answer()
        return caller, taker, partner, pressed

    async def attended(self, lane: Lane) -> tuple[Call, Call, Call, float]:
        """The feature code as a phone sends it, by Asterisk's own digits, and the three-way code."""
        caller, taker = await self._talk(lane, PLAIN, f"5{lane.taker[PLAIN].user[1:]}")
        pressed = time.time()
        await taker.dtmf(f"*2{NUMBERS[lane.line]}")
        partner = await lane.partner.incoming(12)
        await partner.answer()
        await asyncio.sleep(HEARD)
        await taker.dtmf("*3")
        await self.stage.hears(caller, TAKER, PARTNER, within=5)
        return caller, taker, partner, pressed

    async def redirected(self, lane: Lane) -> tuple[Call, Call, Call, float]:
        caller, taker = await self._talk(lane, PLAIN, f"1{lane.taker[PLAIN].user[1:]}")
        pressed = time.time()
        room = f"p{lane.number}"
        where = {"Context": "room", "Exten": room, "Priority": "1"}
        both = {"Channel": taker.headers.header("X-Caller") or "", **where}
        both |= {"ExtraChannel": taker.headers.header("X-Taker") or ""}
        both |= {f"Extra{name}": value for name, value in where.items()}
        await self._do("Redirect", both)
        call = {"Channel": _uri(lane), **where, "Async": "true", "CallerID": f"<{lane.number}>"}
        await self._do("Originate", call)
        partner = await lane.partner.incoming()
        await partner.answer()
        return caller, taker, partner, pressed

    async def _do(self, action: str, headers: dict[str, str]) -> None:
        answer, _ = await self.ami.ask(action, headers)
        assert answer.get("Response") == "Success", f"{action}: {answer}"

    async def _talk(self, lane: Lane, address: str, number: str) -> tuple[Call, Call]:
        """Which of our seats takes the call is the queue's choice; on the plain Asterisk it is the lane's."""
        at_seat = self._at_seat[lane.number] = asyncio.get_running_loop().create_future()
        caller = await lane.citizen.dial(f"sip:{number}@{address}:5060", number=lane.number)
        if address == OURS:
            taker = await asyncio.wait_for(at_seat, 10)
        else:
            taker = await lane.taker[address].incoming()
        await taker.answer()
        await caller.answered()
        await asyncio.sleep(HEARD)
        return caller, taker

    async def _seat_answers(self, seat: Softphone) -> None:
        while True:
            call = await seat.incoming(within=3600)
            waiting = self._at_seat.get(call.remote_number)
            if waiting is not None and not waiting.done():
                waiting.set_result(call)

    # -- one hand-over -----------------------------------------------------------------------

    async def play(self, lane: Lane, way: str) -> Heard:
        """By the way of this name; what fails is told, not raised."""
        try:
            return await self._play(lane, way)
        except (AssertionError, PhoneError, WireError, TimeoutError) as error:
            words = str(error).splitlines() or [repr(error)]
            return Heard(way, 0.0, 0.0, 0, 0.0, words[0])
        finally:
            await self._clear(lane)

    async def _clear(self, lane: Lane) -> None:
        """Whatever is still up ends, the caller's first; who is hung up meanwhile by the others is no fault."""
        phones = (lane.citizen, *lane.taker.values(), lane.partner)
        calls = [call for phone in phones for call in phone.calls.values() if call.ending is None]
        for call in calls:
            with suppress(PhoneError):
                await call.hangup()
        for call in calls:
            with suppress(PhoneError):
                await call.ended(3)

    async def _play(self, lane: Lane, way: str) -> Heard:
        ways: dict[str, Callable[[Lane], Awaitable[tuple[Call, Call, Call, float]]]] = {
            "ours": self.ours,
            "BridgeAdd": self.bridge_add,
            "blind transfer": self.blind,
            "attended transfer, three-way": self.attended,
            "dual Redirect into ConfBridge": self.redirected,
        }
        caller, taker, partner, pressed = await ways[way](lane)
        await asyncio.sleep(HEARD)
        if way != "blind transfer":
            await taker.hangup()
        await asyncio.sleep(HEARD)
        done = time.time()
        assert caller.ending is None, f"{way}: the caller was hung up"
        stream = self.stage.wire.received(lane.citizen.bind, caller.call_id)
        answered = self._answered(lane, partner)
        first = stream.first_heard(PARTNER, answered)
        assert first is not None, f"{way}: the caller never heard the partner"
        window = stream.between(pressed, done)
        return Heard(way, self._gap(window), window.largest_gap_ms, window.lost, (first - answered) * 1000)

    def _gap(self, window: Stream) -> float:
        """Without the time for which the machine itself stood still just then: that is nobody's doing."""
        seen = [(at, ms) for at, ms in window.gaps_ms if ms > FRAME]
        lost = [self._stalls.longest_ms(at, at + ms / 1000) for at, ms in seen]
        return max((max(FRAME, ms - each) for (_, ms), each in zip(seen, lost, strict=True)), default=FRAME)

    def _answered(self, lane: Lane, partner: Call) -> float:
        """When the partner's 200 OK went over the wire."""
        found = self.stage.wire.sip(call_id=partner.call_id, ip=lane.partner.bind)
        return next(p.at for p in found if p.message.status == 200 and p.message.cseq_method == "INVITE")


def _uri(lane: Lane) -> str:
    number = "96833" if lane.line == "gas" else lane.line
    return f"PJSIP/line-{lane.line}/sip:{number}@{FAR_END[lane.line]}:5060"


REFERENCES = ("blind transfer", "attended transfer, three-way", "dual Redirect into ConfBridge")
ORDER = ("ours", "BridgeAdd", *REFERENCES)


async def measure(bench: Bench) -> None:
    """So many hand-overs of each way, in three lanes."""
    ours, plain = make_ours(bench.state, 3), make_plain(bench.state, 3)
    with ours:
        try:
            await asyncio.to_thread(start_plain, plain)
            async with Stand(ours, plain) as stand:
                found = await _lanes(bench, stand, bench.samples(3, 201))
        finally:
            plain.asterisk.stop()
    bench.keep("media", [asdict(each) for each in found])
    bench.add(*_rows(found))


async def _lanes(bench: Bench, stand: Stand, count: int) -> list[Heard]:
    lanes = [await stand.lane(index, line) for index, line in enumerate(FAR_END)]
    found: list[Heard] = []
    for n in range(count // len(lanes)):
        for way in ORDER:
            found += await asyncio.gather(*(stand.play(lane, way) for lane in lanes))
        stand.stage.wire.forget()
        if n % 5 == 4:
            bench.say(f"{len(found)} hand-overs heard")
    return found


def _rows(found: Sequence[Heard]) -> list[Row]:
    by_way = {way: [h for h in found if h.way == way and not h.failed] for way in ORDER}
    failed = {way: [h.failed for h in found if h.way == way and h.failed] for way in ORDER}
    mine = by_way["ours"]
    bad = f"{len(failed['ours'])} failed: {failed['ours'][0]}" if failed["ours"] else ""
    rows = [
        Row(
            "partner's 200 OK to its first packet at the caller, p50",
            "ms",
            percentile([h.to_heard for h in mine], 0.5),
            percentile([h.to_heard for h in by_way["BridgeAdd"]], 0.5),
            Goal(ratio=1.2, ours=40),
            len(mine),
            "bare Originate with BridgeAdd",
            bad,
        )
    ]
    for way in REFERENCES:
        if by_way[way]:
            rows.append(
                Row(
                    f"largest gap at the caller, worst of {len(mine)}, and by {way}",
                    "ms",
                    max(h.gap for h in mine),
                    max(h.gap for h in by_way[way]),
                    Goal(ours=ALLOWED, better=True),
                    len(mine),
                    f"{way}, worst of {len(by_way[way])} (lost: {sum(h.lost for h in by_way[way])})"
                    + (f"; {len(failed[way])} failed" if failed[way] else ""),
                    bad,
                )
            )
    lost = sum(h.lost for h in mine)
    rows.append(Row("packets lost at the caller", "packets", lost, None, Goal(ours=0), len(mine), why=bad))
    return rows
