"""One handed-over call without audio, as hundreds a minute are made: ours by a key, the reference by bare AMI.

A citizen calls, the seat's phone answers, the key is pressed, the partner's phone answers, the taker leaves, the
citizen hangs up. In both the phones do the same at the same moments.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from tests.bench.agent import Agent, CallFailed, Dialog
from tests.bench.sites import CITIZENS, LINE, LINE_URI, OURS, PARTNERS, PLAIN, SEATS, BenchSite

TALK = 0.1  # s from the taker's answer to the key
STAY = 0.05  # s between one party's deed and the next
LONGEST = 5.0  # s that any step may take


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of one: from the key to the INVITE on the line, in ms; or why it failed."""

    at: float
    to_invite: float
    failed: str = ""


class Phones:
    """The citizens, the seats of both Asterisks and the partners; `expect` says by the caller's number who comes."""

    def __init__(self, ours: BenchSite, plain: BenchSite) -> None:
        self._sites = {OURS: ours, PLAIN: plain}
        self._stack = AsyncExitStack()
        self._seats: dict[str, asyncio.Future[Dialog]] = {}
        self._partners: dict[str, asyncio.Future[Dialog]] = {}
        self.seats: dict[str, Agent] = {}
        self._numbers = itertools.count(13_800_000_000)

    async def __aenter__(self) -> Self:
        self.citizens = await self._stack.enter_async_context(Agent(CITIZENS))
        await self._stack.enter_async_context(Agent(PARTNERS, self._arrived(self._partners)))
        for address, site in self._sites.items():
            agent = await self._stack.enter_async_context(Agent(SEATS[address], self._arrived(self._seats)))
            self.seats[address] = agent
            passwords = list(site.secrets.seats.items())
            for start in range(0, len(passwords), 50):
                batch = passwords[start : start + 50]
                await asyncio.gather(*(agent.register(user, word, address) for user, word in batch))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def new_number(self) -> str:
        return str(next(self._numbers))

    def at_seat(self, number: str) -> asyncio.Future[Dialog]:
        return self._expected(self._seats, number)

    def at_partner(self, number: str) -> asyncio.Future[Dialog]:
        return self._expected(self._partners, number)

    def _expected(self, who: dict[str, asyncio.Future[Dialog]], number: str) -> asyncio.Future[Dialog]:
        return who.setdefault(number, asyncio.get_running_loop().create_future())

    def _arrived(self, who: dict[str, asyncio.Future[Dialog]]) -> Callable[[Dialog], None]:
        def arrived(dialog: Dialog) -> None:
            dialog.answer()
            waiting = who.pop(dialog.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(dialog)

        return arrived


class Way:
    """How a call is begun and handed over. `name`: `ours` or `reference`."""

    name = ""

    def __init__(self, phones: Phones) -> None:
        self.phones = phones

    def dial(self, number: str) -> Dialog:
        raise NotImplementedError

    async def press(self, taker: Dialog, number: str) -> float:
        """Have the partner called; when that was asked for. CallFailed."""
        raise NotImplementedError


class Ours(Way):
    name = "ours"

    def __init__(self, phones: Phones, site: BenchSite) -> None:
        super().__init__(phones)
        self.http = site.http()
        self._tokens = site.secrets.tokens

    def dial(self, number: str) -> Dialog:
        return self.phones.citizens.dial(number, f"110@{OURS}")

    async def press(self, taker: Dialog, number: str) -> float:
        seat = taker.invite.called if taker.invite else ""
        status, answer, at = await self.http.ask(
            "POST", f"/v1/seats/{seat}/keys/{LINE}", self._tokens[f"seat:{seat}"]
        )
        if status != 202:
            raise CallFailed(f"the key was refused: {status} {answer}")
        return at


class Reference(Way):
    name = "reference"

    def __init__(self, phones: Phones, site: BenchSite) -> None:
        super().__init__(phones)
        self.ami = site.ami()

    def dial(self, number: str) -> Dialog:
        return self.phones.citizens.dial(number, f"1001@{PLAIN}")

    async def press(self, taker: Dialog, number: str) -> float:
        assert taker.invite is not None
        anchor = taker.invite.headers["x-caller"]
        answer, at = await self.ami.ask("Originate", bridge_add(anchor, number))
        if answer.get("Response") != "Success":
            raise CallFailed(f"Originate: {answer}")
        return at


def bridge_add(anchor: str, number: str, uri: str = LINE_URI) -> dict[str, str]:
    """The headers of a bare Originate whose channel joins the conversation that `anchor` is in."""
    call = {"Channel": uri, "Application": "BridgeAdd", "Data": anchor, "Async": "true", "Timeout": "30000"}
    return call | {"CallerID": f"<{number}>"}


@dataclass(slots=True)
class Talking:
    caller: Dialog
    taker: Dialog


async def begin(way: Way, number: str) -> Talking:
    """A caller and a taker in conversation. CallFailed, TimeoutError."""
    phones = way.phones
    arriving = phones.at_seat(number)
    caller = way.dial(number)
    taker = await asyncio.wait_for(arriving, LONGEST)
    await asyncio.wait_for(asyncio.shield(taker.confirmed), LONGEST)
    await asyncio.wait_for(asyncio.shield(caller.confirmed), LONGEST)
    return Talking(caller, taker)


async def hand_over(way: Way) -> Handed:
    """The whole call; a failure of any step is told, not raised."""
    number = way.phones.new_number()
    at = 0.0
    talk: Talking | None = None
    try:
        talk = await begin(way, number)
        await asyncio.sleep(TALK)
        arriving = way.phones.at_partner(number)
        at = await way.press(talk.taker, number)
        partner = await asyncio.wait_for(arriving, LONGEST)
        assert partner.invite is not None
        to_invite = (partner.invite.at - at) * 1000
        await asyncio.wait_for(asyncio.shield(partner.confirmed), LONGEST)
        await asyncio.sleep(STAY)
        await talk.taker.bye(LONGEST)
        await asyncio.sleep(STAY)
        if talk.caller.ended.done():
            return Handed(at, to_invite, "the caller was hung up when the taker left")
        await talk.caller.bye(LONGEST)
        await asyncio.wait_for(asyncio.shield(partner.ended), LONGEST)
        return Handed(at, to_invite)
    except (CallFailed, TimeoutError, OSError, EOFError) as error:
        if talk is not None:
            talk.taker.hang_up()
            talk.caller.hang_up()
        return Handed(at, 0.0, f"{type(error).__name__} {error}")
