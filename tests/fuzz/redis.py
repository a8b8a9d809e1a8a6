"""What is in Redis when we start, changed by somebody else: the loaders take what is ours and report the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from telephony.core.call import Call, Hangup
from telephony.core.events import CallerFreed, InviteTimeout, LegEnded, LinePressed, ResumePressed
from telephony.core.transitions import decide
from telephony.errors import StoreDown
from telephony.feed import Feed
from telephony.history import past_call
from telephony.reconciler import missed
from telephony.settings import HistorySettings
from telephony.store import RedisClosedLines, RedisHistory, RedisLink, RedisStore
from telephony.store.feed_log import FeedLog
from telephony.store.records import encode
from telephony.views import call_view
from tests.adapters.store.server import KEYS, RedisServer
from tests.fuzz.core import BEGUN
from tests.fuzz.door import Door, Loop, own_memory, resident
from tests.fuzz.text import nasty, nasty_bytes, spoil
from tests.unit.story import line, new_call

NUMBER = "13800138000"
NOW = 1_732_430_000.0
SETTINGS = HistorySettings()
LINES = ("12345", "119")


def _call() -> Call:
    """A call with as much in it as a call can have."""
    call = new_call()
    for event in BEGUN:
        call = decide(call, event).call
    return replace(call, id="c", earlier_calls=3)


CALL = _call()
RECORD = encode(CALL)
PAST = msgspec.json.encode({"version": 1, "call": past_call(replace(CALL, ended_at=1010.0))})


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in JSON, containers too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from _leaves(each, (*path, key))


def change_json(draw: st.DrawFn, good: bytes) -> bytes:
    """JSON with one to three values left out, of another type, or of another value."""
    data = msgspec.json.decode(good)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_leaves(data))
        if not places:
            break
        *way, last = places[draw(st.integers(0, len(places) - 1))]
        holder = data
        for step in way:
            holder = holder[step]
        if draw(st.integers(0, 4)) == 0:
            del holder[last]
        else:
            holder[last] = deepcopy(draw(values))
    return msgspec.json.encode(data)


values: st.SearchStrategy[Any] = (
    st.sampled_from(
        (None, True, False, 0, -1, 2**63, 1e308, -1.5, [], {}, "", "c", "k1", "ended", "talking", "caller")
    )
    | nasty.filter(lambda text: text.isprintable())
    | st.integers(-5, 5)
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A call's or a past call's record: right, changed in its JSON, changed in its bytes, or none at all."""
    good = draw(st.sampled_from((RECORD, RECORD, PAST)))
    match draw(st.integers(0, 5)):
        case 0:
            return draw(nasty_bytes)
        case 1:
            return spoil(draw, good)
        case 2:
            return good
        case _:
            return change_json(draw, good)


@dataclass(frozen=True)
class Found:
    """What lies in Redis: commands that put it there."""

    commands: list[tuple[Any, ...]]


KEY_NAMES = (
    KEYS.calls,
    KEYS.recent,
    KEYS.closed_lines,
    KEYS.feed,
    KEYS.feed_closed,
    KEYS.history(NUMBER),
    "call",
)


@st.composite
def contents(draw: st.DrawFn) -> Found:
    """Some keys as we write them, and some as others might."""
    commands: list[tuple[Any, ...]] = []
    for name in draw(st.lists(st.sampled_from(KEY_NAMES), min_size=1, max_size=5, unique=True)):
        key = KEYS.call("c") if name == "call" else name
        text = draw(texts())
        kind = draw(
            st.sampled_from(("right", "right", "right", "string", "list", "set", "zset", "hash", "stream"))
        )
        commands += _commands(draw, name, key, text) if kind == "right" else [_wrong(kind, key, text)]
    return Found(commands)


def _commands(draw: st.DrawFn, name: str, key: str | bytes, text: bytes) -> list[tuple[Any, ...]]:
    """The key with its right type."""
    if name == KEYS.feed:
        number = draw(st.integers(1, 50) | st.sampled_from((2**52, 2**53, 2**63, 2**64 - 1)))
        last = draw(st.sampled_from((number, number, 0)) | nasty)
        fields = draw(
            st.sampled_from((("at", "1.5", "type", "call", "data"), ("at", "x", "data"), ("data",)))
        )
        data = draw(st.sampled_from((b'{"a": 1}', b"[]", text)))
        sequence = draw(st.sampled_from((0, 0, 1)))
        return [("XADD", key, f"{number}-{sequence}", *fields, data), ("SET", KEYS.feed_closed, last)]
    match name:
        case KEYS.calls | KEYS.closed_lines:
            return [("SADD", key, "c", "119", text)]
        case KEYS.recent:
            return [("LPUSH", key, text)]
        case _ if name == KEYS.history(NUMBER):
            return [("ZADD", key, draw(st.sampled_from((NOW, "-inf", "inf", 0))), text)]
        case _:
            return [("SET", key, text)]


def _wrong(kind: str, key: str | bytes, text: bytes) -> tuple[Any, ...]:
    return {
        "string": ("SET", key, text),
        "list": ("LPUSH", key, text),
        "set": ("SADD", key, text),
        "zset": ("ZADD", key, 1, text),
        "hash": ("HSET", key, "field", text),
        "stream": ("XADD", key, "*", "field", text),
    }[kind]


def _lives_on(call: Call) -> None:
    """What was read goes through the rules, a press, a hang-up and a view, whatever stands in it."""
    call_view(call)
    list(missed(call, (), NOW))
    for event in (
        CallerFreed(NOW),
        LinePressed(NOW, call.seat, line("12345"), "t9"),
        ResumePressed(NOW, call.seat),
        *(InviteTimeout(NOW, transfer.id) for transfer in call.transfers),
        *(LegEnded(NOW, leg.id, Hangup(16)) for leg in call.legs),
    ):
        call = decide(call, event).call
        encode(call)
    call_view(call)


class _Desk:
    """Everything of ours that reads Redis."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link

    async def give(self, found: Found) -> None:
        await self.link.ask(("FLUSHALL",))
        await self.link.ask_each(*found.commands)
        store = RedisStore(self.link, KEYS, SETTINGS)
        with suppress(StoreDown):
            calls, _ = await store.load_all()
            for call in calls:
                _lives_on(call)
        with suppress(StoreDown):
            for call in await store.recent():
                call_view(call)
        with suppress(StoreDown):
            msgspec.json.encode(await RedisHistory(self.link, KEYS, SETTINGS).read(NUMBER, 0.0))
        await RedisClosedLines(self.link, KEYS, LINES).sync()
        await self._feed()
        # Whatever lay there: a new call can be written, and the link has not taken it for Redis's own fault.
        assert self.link.up, self.link.reason

    async def _feed(self) -> None:
        """Numbers go on, and what is published now can be written and read again."""
        log, feed = FeedLog(self.link, KEYS, clock=lambda: NOW), Feed()
        start = await log.load()
        feed.restore(start.events, start.last_seq)
        event = feed.publish(NOW, "call", {"id": "c"})
        await log.close(feed)
        assert log.written == event.seq, f"event {event.seq} is not written: {log.written}"
        again = await FeedLog(self.link, KEYS, clock=lambda: NOW).load()
        # A stream whose numbers JavaScript could not count is set aside, also if we have come to such numbers in it.
        assert again.last_seq == event.seq or event.seq > 2**52, (
            "a watcher cannot go on although the stop was orderly"
        )


@contextmanager
def redis(folder: Path) -> Iterator[Door]:
    """A real Redis; each input finds it empty but for what it puts there itself."""
    with Loop() as loop:
        server = RedisServer(folder)
        loop.run(server.start("--appendonly", "no"))
        link = server.link(deadline=1.0)
        try:
            assert loop.run(link.probe())
            desk = _Desk(link)
            yield Door(
                contents(),
                lambda found: loop.run(desk.give(found)),
                memory=lambda: own_memory() | {"redis": resident(server.pid)},
            )
        finally:
            loop.run(link.close())
            loop.run(server.stop())
