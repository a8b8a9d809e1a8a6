"""`GET /v1/events`: the feed over a WebSocket (RFC 6455).

A watcher is told at once where the numbering stands, then every event that it may see. It buffers for
itself: who does not read is dropped with a reason and comes back with `?since=`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

import aiohttp
import msgspec
import structlog
from aiohttp import web
from yarl import URL

from telephony.core.lease import Lease
from telephony.feed import Feed, FeedEvent, FeedGap
from telephony.http.access import EventFilter
from telephony.http.context import Ask, Context, Visitor
from telephony.http.failures import HttpError, too_many
from telephony.http.messages import CloseCode, EventMessage, Gap, Hello, Pulse
from telephony.http.pass_on import LEADER_HEADER, PassOn, leaders_events

log = structlog.get_logger("http")

BATCH = 500  # events looked at between two looks at how far behind the watcher is
CLOSING = 2.0  # s; for the other side to answer our Close
RELAY_LOOK = 0.25  # s between two looks of a standby at whether the leader is still the same
WATCHER_SAYS = 4096  # bytes; a watcher has nothing to say


class _DropError(Exception):
    """The watcher is let go, and why."""

    def __init__(self, code: CloseCode, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


async def watch_events(ask: Ask) -> web.WebSocketResponse:
    since, visitor, context = _since(ask), ask.visitor, ask.context
    socket = web.WebSocketResponse(
        heartbeat=context.limits.pulse, max_msg_size=WATCHER_SAYS, timeout=CLOSING, compress=False
    )
    if visitor is None or not _asks_for_upgrade(socket, ask.request):
        raise HttpError(400, "bad_request", "this is a WebSocket: ask for an upgrade")
    if len(context.watchers) >= context.limits.watchers:
        raise too_many("too_many_watchers", "too many watchers at once", wait=10)
    context.watchers.add(socket)
    try:
        await socket.prepare(ask.request)
        await _serve(_Watcher(context, visitor, socket, since), socket, ask.request)
    finally:
        context.watchers.discard(socket)
    return socket


def _asks_for_upgrade(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return socket.can_prepare(request).ok
    except ValueError:  # aiohttp can neither read nor quote a header of the handshake that is no text
        return False


async def relay_events(
    request: web.Request, visitor: Visitor, context: Context, door: PassOn, leader: Lease, url: URL
) -> web.StreamResponse:
    """On a standby: the leader's WebSocket, message by message, until an end closes it or another leads."""
    socket = web.WebSocketResponse(
        heartbeat=context.limits.pulse, max_msg_size=WATCHER_SAYS, timeout=CLOSING, compress=False
    )
    if not _asks_for_upgrade(socket, request):
        raise HttpError(400, "bad_request", "this is a WebSocket: ask for an upgrade")
    if len(context.watchers) >= context.limits.watchers:
        raise too_many("too_many_watchers", "too many watchers at once", wait=10)
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(leaders_events(door, url, request, visitor.token))
        context.watchers.add(socket)
        stack.callback(context.watchers.discard, socket)
        socket.headers[LEADER_HEADER] = leader.node
        await socket.prepare(request)
        listening = asyncio.create_task(_listen(socket), name="http watcher's voice")
        try:
            code = await _relay(source, socket, listening, context, lambda: door.moved_from(leader))
        except TimeoutError:
            await _drop(socket, request, _DropError(CloseCode.TOO_SLOW, "too slow; resume with since"))
        else:
            await socket.close(code=code, message=b"resume with since")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    return socket


async def _relay(
    source: aiohttp.ClientWebSocketResponse,
    socket: web.WebSocketResponse,
    listening: asyncio.Task[None],
    context: Context,
    moved: Callable[[], bool],
) -> int:
    """The code with which to close the watcher's socket. TimeoutError: it is too slow."""
    while not (listening.done() or moved()):
        try:
            message = await source.receive(timeout=RELAY_LOOK)
        except TimeoutError:
            continue
        if message.type is not aiohttp.WSMsgType.TEXT:
            return source.close_code or CloseCode.GOING_AWAY
        async with asyncio.timeout(context.limits.watcher_seconds):
            await socket.send_str(message.data)
    return CloseCode.GOING_AWAY


def _since(ask: Ask) -> int | None:
    text = ask.query.get("since")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise HttpError(400, "bad_input", "since must be the number of an event", {"at": "since"})
    return int(text)


async def _serve(watcher: _Watcher, socket: web.WebSocketResponse, request: web.Request) -> None:
    """Send until the watcher goes or is let go. It is listened to for its Close and Pong only."""
    sending = asyncio.create_task(watcher.run(), name="http watcher")
    listening = asyncio.create_task(_listen(socket), name="http watcher's voice")
    try:
        await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
        sending.cancel()
        ends = await asyncio.gather(sending, listening, return_exceptions=True)
    for end in ends:
        match end:
            case _DropError():
                await _drop(socket, request, end)
            case ConnectionError() | asyncio.CancelledError() | None:
                pass
            case BaseException():
                # The answer has begun long ago: the Close is the only place left to say it.
                log.error("watcher_failed", exc_info=end)
                await socket.close(code=CloseCode.OUR_FAULT, message=b"internal error")


async def _listen(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _drop(socket: web.WebSocketResponse, request: web.Request, why: _DropError) -> None:
    log.warning("watcher_dropped", code=int(why.code), why=why.why)
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSING):
            await socket.close(code=why.code, message=why.why.encode(), drain=False)
    # One who does not read will not take our Close either, and must cost nothing from here on.
    if request.transport is not None:
        request.transport.abort()


class _Watcher:
    def __init__(
        self, context: Context, visitor: Visitor, socket: web.WebSocketResponse, since: int | None
    ) -> None:
        self._context = context
        self._visitor = visitor
        self._socket = socket
        self._filter = EventFilter(visitor.who)
        self._since = since

    async def run(self) -> None:
        """Send for ever; _DropError says why no longer."""
        feed = self._context.feed
        last = feed.last_seq
        # 0 is what one asks for who has seen nothing and wants all there is.
        seq = last if self._since is None else self._since or feed.oldest_seq
        await self._send(Hello(last))
        if seq > last:
            await self._gap("these events were never here: the numbering has begun anew")
        try:
            events = feed.since(seq)
        except FeedGap:
            await self._gap("the events after this number are no longer kept")
        await self._follow(feed, seq, events)

    async def _follow(self, feed: Feed, seq: int, events: list[FeedEvent]) -> None:
        clock, pulse = self._context.clock, self._context.limits.pulse
        due = clock() + pulse
        while True:
            for event in events[:BATCH]:
                if self._filter.shows(event):
                    await self._send(EventMessage(event.seq, event.at, event.type, event.data))
                seq = event.seq
            if clock() >= due:
                self._check_token()
                await self._send(Pulse(seq))
                due = clock() + pulse
            try:
                events = await _next(feed, seq, due - clock())
            except FeedGap:
                raise _DropError(CloseCode.TOO_SLOW, f"too slow; resume since {seq} or read afresh") from None

    async def _gap(self, message: str) -> None:
        await self._send(Gap(self._context.feed.last_seq, message))
        raise _DropError(CloseCode.GAP, "events are missing")

    def _check_token(self) -> None:
        if self._context.tokens.check(self._visitor.token) != self._visitor.who:
            raise _DropError(CloseCode.TOKEN_REVOKED, "the token is no longer valid")

    async def _send(self, message: Any) -> None:
        """Hand over one message; aiohttp waits here while more than its write buffer is unread."""
        try:
            async with asyncio.timeout(self._context.limits.watcher_seconds):
                await self._socket.send_str(msgspec.json.encode(message).decode())
        except TimeoutError:
            raise _DropError(CloseCode.TOO_SLOW, "too slow; resume with since") from None


async def _next(feed: Feed, seq: int, seconds: float) -> list[FeedEvent]:
    """The events after `seq`, waiting for one up to `seconds`; then there may be none."""
    waiting = feed.since(seq)
    if waiting or seconds <= 0:
        return waiting
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(feed.watch(seq)) as watching:
            async for event in watching:
                return [event]
    return []
