"""`/v1/events`: hostile handshakes and frames (RFC 6455), watchers who do not read, `since` of every kind."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hypothesis import strategies as st

from tests.adapters.http_hotline import TOKENS, Hotline, hotline
from tests.adapters.waiting import until
from tests.fuzz.door import Door, Loop
from tests.fuzz.text import nasty, nasty_bytes, spoil

SLOW = 0.05  # s; that a watcher may take to accept one message
EVENT = "警" * 3000  # large, so that who does not read is behind soon


@dataclass(frozen=True)
class Watcher:
    """What is sent as the handshake, then as frames; how many events come meanwhile; whether it reads."""

    handshake: bytes
    frames: list[bytes]
    events: int
    reads: bool


@st.composite
def handshakes(draw: st.DrawFn) -> bytes:
    since = draw(
        st.none() | st.integers(0, 300).map(str) | st.integers(-(10**20), 10**20).map(str) | nasty.map(quote)
    )
    query = "" if since is None else f"?since={since[:2000]}"
    token = draw(st.sampled_from(tuple(TOKENS.values()) * 4 + ("", "guess")))
    head = (
        f"GET /v1/events{query} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    return spoil(draw, head) if draw(st.integers(0, 4)) == 0 else head


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame: any opcode and flags, a length that may lie, masked or not."""
    payload = draw(nasty_bytes)
    head = bytearray([draw(st.integers(0, 255) | st.sampled_from((0x81, 0x82, 0x88, 0x89, 0x8A)))])
    said = draw(st.just(len(payload)) | st.sampled_from((0, 1, 125, 126, 65_535, 2**31, 2**63, 2**64 - 1)))
    masked = 0x80 if draw(st.sampled_from((True, True, True, False))) else 0
    if said < 126:
        head.append(masked | said)
    elif said < 65_536:
        head += struct.pack("!BH", masked | 126, said)
    else:
        head += struct.pack("!BQ", masked | 127, said)
    mask = bytes([1, 2, 3, 4]) if masked else b""
    return bytes(head) + mask + bytes(byte ^ (position % 4 + 1) for position, byte in enumerate(payload))


watchers = st.builds(
    Watcher, handshakes(), st.lists(frames(), max_size=5), st.sampled_from((0, 1, 5, 60)), st.booleans()
)


async def _give(house: Hotline, watcher: Watcher) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=2**20)
    try:
        with suppress(OSError, asyncio.IncompleteReadError):  # the server may end it at any point
            writer.write(watcher.handshake)
            if b"\r\n\r\n" not in watcher.handshake:
                writer.write_eof()
            await _watch(house, watcher, reader, writer)
    finally:
        writer.transport.abort()
    await until(lambda: not house.context.watchers)


async def _watch(
    house: Hotline, watcher: Watcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split()[1])
    if status != 101:
        assert status < 500, head
        return
    for number in range(watcher.events):
        house.feed.publish(1.0, "call", {"call": {"id": str(number), "note": EVENT}})
    for frame in watcher.frames:
        writer.write(frame)
        await asyncio.sleep(0)
    first = await reader.readexactly(2)
    assert first[0] == 0x81, "the first message is not hello"
    hello = json.loads(await reader.readexactly(first[1]))
    assert hello["type"] == "hello", hello
    if watcher.reads:
        await asyncio.wait_for(reader.read(65_536), 0.02)


@contextmanager
def ws(folder: Path) -> Iterator[Door]:
    """The real application; each input is a watcher of its own, and none may be left over."""

    with Loop() as loop:
        stack = AsyncExitStack()
        limits = {"rate": 1e6, "burst": 10**6, "failures": 10**6, "watcher_seconds": SLOW}
        house = loop.run(stack.enter_async_context(hotline(folder, capacity=100, **limits)))
        try:
            yield Door(watchers, lambda watcher: loop.run(_give(house, watcher)))
        finally:
            loop.run(stack.aclose())
