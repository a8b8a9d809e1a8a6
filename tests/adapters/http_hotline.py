"""A hotline for tests of the HTTP door: everything is real but Asterisk and Redis, which are in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from telephony.core.call import Call, Caller, Hangup, Leg, LegState, Role
from telephony.core.commands import InvitePartner
from telephony.core.events import Event, LegEnded, LegJoined, LegStarted
from telephony.dispatcher import Dispatcher
from telephony.errors import LinkDown, StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.history import Histories, PastCall
from telephony.http import HttpServer, Limits, make_app
from telephony.http.application import CONTEXT
from telephony.http.context import Context
from telephony.http.pass_on import PassOn
from telephony.metrics import Metrics
from telephony.room_book import Called, Joined, MemberKind
from telephony.rooms import Rooms
from telephony.settings import (
    Address,
    ApiSettings,
    HistorySettings,
    LineSettings,
    Listener,
    RedisSettings,
    RoomSettings,
    SeatSettings,
    Settings,
    SipSettings,
)
from telephony.switchboard import Switchboard
from telephony.tokens import TokenBook, put_tokens
from tests.adapters.waiting import until

LOOPBACK = Address("127.0.0.1", 0)
PRINCIPALS = ("admin", "seat:1001", "seat:1002", "line:12345", "line:119")
TOKENS = {who: f"{who.replace(':', '-')}-token" for who in PRINCIPALS}
CLI_SECRET = "cli-secret"
WAIT = 5.0  # seconds; the longest that anything here may take


class MemoryAsterisk:
    """Notes what it is asked. While `gate` is clear, nothing that it is asked gets done."""

    def __init__(self) -> None:
        self.invited: list[InvitePartner] = []
        self.hung_up: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def invite(self, command: InvitePartner) -> None:
        self.invited.append(command)
        await self.gate.wait()

    async def hang_up(self, leg_id: str, channel: str, *, unless_answered: bool) -> None:
        self.hung_up.append(leg_id)

    async def rescue(self, channel: str) -> None:
        raise LinkDown("no caller is rescued in these tests")

    async def hold(self, channel: str) -> None: ...

    async def bring_back(self, channel: str, to: str) -> None: ...

    async def send_digits(self, channel: str, digits: str) -> None: ...

    async def mute(self, channel: str, *, muted: bool) -> None: ...


class MemoryRooms:
    """Notes what it is asked; nobody answers by itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def call_in(self, room: RoomSettings, kind: MemberKind, party: str, member_id: str) -> None:
        self.asked.append(("call_in", room.room, party))

    async def together(self, channels: list[str]) -> bool:
        return True

    async def move(self, room: str, channel: str) -> None:
        self.asked.append(("move", room, channel))

    async def move_pair(self, room: str, official: str, caller: str) -> None:
        self.asked.append(("move_pair", official, caller))

    async def move_back(self, channel: str) -> None:
        self.asked.append(("move_back", channel))

    async def kick(self, room: str, channel: str) -> None:
        self.asked.append(("kick", room, channel))

    async def end(self, room: str) -> None:
        self.asked.append(("end", room))

    async def mute(self, room: str, channel: str, *, muted: bool) -> None:
        self.asked.append(("mute" if muted else "unmute", room, channel))

    async def stop_calling(self, member_id: str) -> None:
        self.asked.append(("stop_calling", member_id))

    async def found(self) -> list[Joined | Called]:
        return []


class MemoryStore:
    async def save(self, call: Call) -> None: ...

    async def finish(self, call: Call) -> None: ...


@dataclass
class MemoryLines:
    """Closed lines; `broken` makes the store behind them unreachable."""

    closed: set[str] = field(default_factory=set)
    broken: bool = False

    def __contains__(self, line: str) -> bool:
        return line in self.closed

    async def set(self, line: str, *, closed: bool) -> None:
        if self.broken:
            raise StoreDown("redis://secret-host: no answer")
        (self.closed.add if closed else self.closed.discard)(line)


@dataclass
class MemoryPast:
    """Past calls by number; `broken` makes the store behind them unreachable."""

    calls: dict[str, list[PastCall]] = field(default_factory=dict)
    broken: bool = False

    async def read(self, number: str, since: float) -> list[PastCall]:
        if self.broken:
            raise StoreDown("redis://secret-host: no answer")
        return self.calls.get(number, [])


class AllUp:
    def seat_online(self, seat: str) -> bool:
        return True

    def line_up(self, line: str) -> bool:
        return True


def settings() -> Settings:
    def line(name: str, number: int) -> LineSettings:
        return LineSettings(
            line=name,
            label=f"专线 {name}",
            address="127.0.0.1:5060",
            number="1",
            key=f"F{number}",
            dtmf=f"*{number}",
            capacity=1 if name == "gas" else 30,
        )

    return Settings(
        hotline="110",
        label="报警服务台",
        node="a",
        sip=SipSettings(
            bind="127.0.0.1:5060",
            wss="127.0.0.1:8089",
            carrier_net=["127.0.0.0/8"],
            number="110",
            dedicated="1",
        ),
        ami=Listener(bind="127.0.0.1:5038"),
        agi=Listener(bind="127.0.0.1:4573"),
        api=ApiSettings(bind="127.0.0.1:8110", tls_bind="127.0.0.1:8111"),
        redis=RedisSettings(url="redis://127.0.0.1"),
        seats=[SeatSettings(seat=seat, queue="110") for seat in ("1001", "1002")],
        lines=[line(name, number) for number, name in enumerate(("12345", "119", "gas"), 1)],
        rooms=[
            RoomSettings(
                room="room", label="联合会商", number="8000", key="F9", lines=["12345", "gas"], seats=["1002"]
            )
        ],
    )


@dataclass
class Hotline:
    """A running HTTP door and what is behind it."""

    tokens_file: Path
    server: HttpServer
    session: aiohttp.ClientSession
    switchboard: Switchboard
    dispatcher: Dispatcher
    feed: Feed
    asterisk: MemoryAsterisk
    lines: MemoryLines
    past: MemoryPast
    missing: set[str]
    context: Context
    rooms: Rooms
    room_asterisk: MemoryRooms

    @property
    def port(self) -> int:
        return self.server.addresses[0].port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self, method: str, path: str, who: str | None = "admin", **options: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Send a request with the token of `who`; status, JSON (or None) and the response."""
        headers = {"Authorization": f"Bearer {TOKENS[who]}"} if who else {}
        headers |= options.pop("headers", {})
        options = {"allow_redirects": False, **options}
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json" and raw
            return response.status, json.loads(raw) if is_json else None, response

    def watch(self, who: str = "admin", since: int | None = None) -> Any:
        query = "" if since is None else f"?since={since}"
        headers = {"Authorization": f"Bearer {TOKENS[who]}"}
        return self.session.ws_connect(f"{self.url}/v1/events{query}", headers=headers)

    async def call_at(self, seat: str = "1001", call_id: str = "c-1", via: str = "carrier") -> str:
        """A caller who talks with `seat`."""
        caller = Leg(call_id, f"PJSIP/{call_id}", Role.CALLER, "", LegState.TALKING, bridge="b")
        await self.dispatcher.open(Call(call_id, Caller("13800138000"), via, time.time(), (caller,)))
        await self.ring(seat, call_id)
        leg_id = f"{call_id}-{seat}"
        await self.tell(call_id, LegJoined(time.time(), leg_id, "b"))
        await until(lambda: bool(self.call(call_id).talking(Role.TAKER)))
        return call_id

    async def ring(self, seat: str, call_id: str) -> None:
        leg_id = f"{call_id}-{seat}"
        await self.tell(call_id, LegStarted(time.time(), leg_id, f"PJSIP/{seat}", Role.TAKER, seat))
        await until(lambda: self.call(call_id).leg(leg_id) is not None)

    async def end(self, call_id: str) -> None:
        """Everybody hangs up."""
        for leg in self.call(call_id).legs:
            await self.tell(call_id, LegEnded(time.time(), leg.id, Hangup(16)))
        await until(lambda: all(call.id != call_id for call in self.dispatcher))

    async def partner_joins(self, call_id: str, transfer_id: str, line: str) -> None:
        await self.tell(call_id, LegStarted(time.time(), transfer_id, f"PJSIP/{line}", Role.PARTNER, line))
        await self.tell(call_id, LegJoined(time.time(), transfer_id, "b"))
        await until(lambda: bool(self.call(call_id).talking(Role.PARTNER)))

    async def tell(self, call_id: str, event: Event) -> None:
        self.dispatcher.post(call_id, event)

    def call(self, call_id: str) -> Call:
        call = self.dispatcher.get(call_id)
        assert call is not None
        return call


@asynccontextmanager
async def hotline(
    folder: Path, *, capacity: int = 10_000, pass_on: PassOn | None = None, **limits: Any
) -> AsyncIterator[Hotline]:
    """A hotline with seats 1001 and 1002 and lines 12345, 119 and gas (which takes one call)."""
    tokens_file = folder / "tokens.hashed.json"
    put_tokens(tokens_file, TOKENS)
    asterisk, lines, feed, metrics = MemoryAsterisk(), MemoryLines(), Feed(capacity=capacity), Metrics("110")
    dispatcher = Dispatcher(Executor(asterisk), MemoryStore(), feed, metrics)
    ids = itertools.count(1)
    past = MemoryPast()
    histories = Histories(past, HistorySettings(), time.time)
    room_asterisk = MemoryRooms()
    rooms = Rooms(settings(), room_asterisk, feed, lambda: f"m-{next(ids)}", time.time)
    switchboard = Switchboard(
        settings(),
        dispatcher,
        AllUp(),
        lines,
        lambda: f"t-{next(ids)}",
        time.time,
        histories,
        rooms,
        link_open=lambda: True,
    )
    switchboard.recovered = True
    missing: set[str] = set()
    checks = {"asterisk": lambda: switchboard.ready, "redis": lambda: "redis" not in missing}
    app = make_app(
        switchboard,
        feed,
        TokenBook.load(tokens_file),
        metrics,
        checks,
        cli_secret=CLI_SECRET,
        pass_on=pass_on,
        limits=Limits(**{"rate": 10_000, "burst": 10_000, **limits}),
    )
    server = HttpServer(app, LOOPBACK, grace=0.5)
    await server.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT)) as session:
            yield Hotline(
                tokens_file,
                server,
                session,
                switchboard,
                dispatcher,
                feed,
                asterisk,
                lines,
                past,
                missing,
                app[CONTEXT],
                rooms,
                room_asterisk,
            )
    finally:
        asterisk.gate.set()
        await server.stop()
        await rooms.close()
        await dispatcher.close()
