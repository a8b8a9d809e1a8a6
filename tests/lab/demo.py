"""`python -m tests.lab.demo`: one real call, handed over by one key, and its timeline as the wire saw it.

Everything is real: two Asterisks, two controllers, three phones that register or dial by SIP, each
sending a tone of its own. The phones are gone when it ends.

Started while the hotlines start, it makes the phones ready; a line on its standard input says that both are up.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

from tests.lab.paths import LAB, SITES
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import PhoneError
from tests.lab.stage import CALLER, PARTNER, TAKER, Stage, Talk

NUMBER = "13800138000"
PHONES = 3
BOTH_LEFT = 1.2  # s; a partner must stay that long after the taker to have taken the caller over


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lines of `when what`, relative to the first."""

    began: float

    def add(self, at: float, what: str) -> None:
        print(f"    {at - self.began:7.3f} s  {what}", flush=True)


@dataclass(frozen=True, slots=True)
class Handover:
    """What the demonstration measured; times in Unix seconds."""

    arrived: float
    answered: float
    pressed: float
    invited: float
    partner_answered: float
    all_heard: float
    taker_left: float
    still_heard: float
    largest_gap_ms: float
    lost: int
    number: str


async def play(stage: Stage) -> Handover:
    """A citizen calls 110, seat 1001 answers and presses 12345, the agent answers, the taker leaves."""
    citizen, taker, agent = await asyncio.gather(
        stage.citizen(), stage.seat("1001"), stage.seat("1001", site="12345", tone=PARTNER)
    )
    talk = await stage.talk(citizen, taker, number=NUMBER)
    await stage.hears(talk.caller, TAKER)
    await stage.hears(talk.taker, CALLER)

    pressed = time.time()
    status, answer = await stage.api["110"].press("1001", "12345")
    if status != 202:
        raise AssertionError(f"the key was refused: {status} {answer}")
    ring = await agent.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    await stage.hears(talk.taker, CALLER, PARTNER)
    await stage.hears(ring, CALLER, TAKER)

    taker_left = time.time()
    await talk.taker.hangup()
    await stage.hears(talk.caller, PARTNER)
    await stage.hears(ring, CALLER)
    await stage.goes_on_hearing(ring, CALLER, seconds=BOTH_LEFT)
    done = time.time()
    await ring.hangup()
    await talk.caller.ended()
    return _measure(stage, talk, ring, pressed, taker_left, done)


def _measure(
    stage: Stage, talk: Talk, ring: Call, pressed: float, taker_left: float, done: float
) -> Handover:
    caller = stage.wire.received(talk.caller.phone.bind, talk.caller.call_id)
    window = caller.between(pressed, done)
    return Handover(
        arrived=talk.caller.began_at,
        answered=talk.taker.answered_at or pressed,
        pressed=pressed,
        invited=stage.line_invite("12345").at,
        partner_answered=ring.answered_at or taker_left,
        all_heard=max(
            _first(stage, talk.caller, PARTNER),
            _first(stage, talk.taker, PARTNER),
            _first(stage, ring, CALLER),
            _first(stage, ring, TAKER),
        ),
        taker_left=taker_left,
        still_heard=done,
        largest_gap_ms=window.largest_gap_ms,
        lost=window.lost,
        number=ring.remote_number,
    )


def _first(stage: Stage, call: Call, tone: int) -> float:
    at = stage.wire.received(call.phone.bind, call.call_id).first_heard(tone)
    if at is None:
        raise AssertionError(f"{call.phone.name} never heard {tone} Hz")
    return at


def tell(found: Handover) -> None:
    """Print the timeline."""
    line = Timeline(found.arrived)
    line.add(found.arrived, f"call arrived at 110 from {NUMBER}")
    line.add(found.answered, "seat 1001 answered")
    line.add(found.pressed, "key 12345 pressed")
    line.add(found.invited, f"INVITE on the line, {_ms(found.pressed, found.invited)} after the key")
    line.add(found.partner_answered, "partner at 12345 answered")
    line.add(
        found.all_heard,
        f"all three heard each other, {_ms(found.partner_answered, found.all_heard)} after the answer",
    )
    line.add(found.taker_left, "taker left")
    line.add(found.still_heard, "caller and partner still hear each other; the partner hangs up")
    print(f"    largest gap in the caller's audio from the key to the end: {found.largest_gap_ms:.1f} ms")
    print(f"    packets lost: {found.lost}")
    print(f"    number seen at the far phone: {found.number}")


def verdict(found: Handover) -> list[str]:
    """What is wrong with it; empty if nothing is."""
    wrong = []
    if found.number != NUMBER:
        wrong.append(f"the far phone showed {found.number!r} and not the caller's own number")
    if found.lost:
        wrong.append(f"the caller lost {found.lost} packets")
    return wrong


def _ms(start: float, end: float) -> str:
    return f"{max(0.0, end - start) * 1000:.1f} ms"


async def main() -> int:
    states = {name: LAB / name for name in SITES}
    try:
        async with Stage(states) as stage:
            await stage.phones.prepare(PHONES)
            if not await asyncio.to_thread(sys.stdin.readline):
                return 1  # who has started us has ended, or has told why there is nothing to call
            found = await play(stage)
    except (AssertionError, PhoneError, OSError) as error:
        print(f"    the call failed: {error}", file=sys.stderr)
        return 1
    tell(found)
    wrong = verdict(found)
    for fault in wrong:
        print(f"    WRONG: {fault}", file=sys.stderr)
    print(
        "    verdict: " + ("FAILED" if wrong else "the caller was handed over by one key, and lost nothing")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
