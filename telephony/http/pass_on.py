"""What a standby does with a request: it asks the leader, and gives its answer on as it is.

Only to the address in the lease, and only on this machine's loopback or at the host that is configured; a
request that has been passed on once is never passed on again. While nobody leads it waits a little: a takeover
may be going on, in this very process too. An answer that did not come may belong to a request that was carried
out; asking the next leader again does no harm, since every request of this interface means the same twice.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import aiohttp
import structlog
from aiohttp import web
from yarl import URL

from telephony.core.lease import Lease
from telephony.http.failures import HttpError
from telephony.settings import Address

log = structlog.get_logger("http")

HOLD = 3.0
"""Seconds that a request is held while nobody leads, or the leader does not answer."""
LARGEST = 16 << 20  # bytes of one answer
LOOK = 0.05  # s between two looks at who leads

LEADER_HEADER = "Hotline-Leader"
PASSED_HEADER = "Hotline-Passed-On"
_TO_LEADER = ("Authorization", "Content-Type", "Idempotency-Key", "Accept")
_TO_ASKER = (
    *("Content-Type", "Retry-After", "Idempotent-Replayed", "Allow", "Location", "WWW-Authenticate"),
    *("Cache-Control", "X-Content-Type-Options"),
)

Carry = Callable[[], Awaitable[web.StreamResponse]]
Relay = Callable[["PassOn", Lease, URL], Awaitable[web.StreamResponse]]


class Lead(Protocol):
    """What the door knows of who leads."""

    @property
    def serving(self) -> bool:
        """Whether requests are answered here."""
        ...

    @property
    def leader(self) -> Lease | None:
        """Who leads, as far as is known."""
        ...

    async def make_sure(self) -> None:
        """Find out whether we still lead, unless that is certain."""
        ...


class NoAnswerError(Exception):
    """The leader has not answered, or leads no more."""


class PassOn:
    """`host` is the host of the configured address; `here` are the addresses on which we listen ourselves."""

    def __init__(self, lead: Lead, host: str, here: Callable[[], list[Address]]) -> None:
        self._lead = lead
        self._host = host
        self._here = here
        self._session: aiohttp.ClientSession | None = None
        self._unreached: Lease | None = None  # a leader who does not answer, told once

    @property
    def lead(self) -> Lead:
        return self._lead

    @property
    def client(self) -> aiohttp.ClientSession:
        """For requests to the leader."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout()
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answer(
        self, request: web.Request, body: bytes, carry_out: Carry, relay: Relay | None = None
    ) -> web.StreamResponse:
        """The answer to `request`: from `carry_out` where we lead, else from the leader. HttpError: `no_leader`.

        `relay`: how the leader's answer is had where it is more than one message.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HOLD
        while True:
            with suppress(NoAnswerError):
                if self._lead.serving:
                    return await self._here_and_now(carry_out)
                if self._lead.leader is None:
                    await self._lead.make_sure()  # We have just been deposed, and do not know by whom.
                leader, url = self._target(request)
                if relay is not None:
                    return await relay(self, leader, url)
                return await self._by_leader(request, body, leader, url, deadline - loop.time())
            if PASSED_HEADER in request.headers or loop.time() >= deadline:
                raise HttpError(
                    503, "no_leader", "no controller of this hotline leads now", headers={"Retry-After": "1"}
                )
            await asyncio.sleep(LOOK)

    async def _here_and_now(self, carry_out: Carry) -> web.StreamResponse:
        """An answer of ours is one only if we still lead after it."""
        await self._lead.make_sure()
        if not self._lead.serving:
            raise NoAnswerError
        try:
            response = await carry_out()
        except Exception as error:
            if self._lead.serving:
                raise
            raise NoAnswerError from error
        if not self._lead.serving and not response.prepared:
            raise NoAnswerError
        return response

    # -- asking the leader -------------------------------------------------------------------

    def _target(self, request: web.Request) -> tuple[Lease, URL]:
        """Whom to ask, and where; NoAnswerError if there is nobody whom we would ask."""
        leader = self._lead.leader
        if leader is None or PASSED_HEADER in request.headers:
            raise NoAnswerError
        address = Address.parse(leader.api)
        if address in self._here() or not (address.host == self._host or _is_loopback(address.host)):
            raise NoAnswerError
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        return leader, URL.build(
            scheme="http", host=address.host, port=address.port, path=path, query_string=query, encoded=True
        )

    async def _by_leader(
        self, request: web.Request, body: bytes, leader: Lease, url: URL, seconds: float
    ) -> web.StreamResponse:
        asking = asyncio.create_task(self._ask(request, body, url, leader), name="http passed on")
        try:
            async with asyncio.timeout(seconds):
                while not asking.done():
                    await asyncio.wait({asking}, timeout=LOOK)
                    if not asking.done() and self.moved_from(leader):
                        raise NoAnswerError
        except TimeoutError:
            raise NoAnswerError from None
        finally:
            asking.cancel()
        return asking.result()

    def moved_from(self, leader: Lease) -> bool:
        """Whether somebody else leads by now."""
        now = self._lead.leader
        return self._lead.serving or (now is not None and now.token != leader.token)

    async def _ask(self, request: web.Request, body: bytes, url: URL, leader: Lease) -> web.Response:
        try:
            async with self.client.request(
                request.method, url, data=body or None, headers=_headers(request), allow_redirects=False
            ) as answer:
                text = await answer.content.read(LARGEST)
                while len(text) < LARGEST and (more := await answer.content.read(LARGEST - len(text))):
                    text += more
        except (aiohttp.ClientError, OSError) as error:
            if leader != self._unreached:
                log.info("leader_not_reached", leader=leader.node, error=type(error).__name__)
            self._unreached = leader
            raise NoAnswerError from error
        self._unreached = None
        if answer.status == 503 and b'"no_leader"' in text:
            raise NoAnswerError
        headers = {name: answer.headers[name] for name in _TO_ASKER if name in answer.headers}
        return web.Response(status=answer.status, body=text, headers={**headers, LEADER_HEADER: leader.node})


@asynccontextmanager
async def leaders_events(
    door: PassOn, url: URL, request: web.Request, token: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The leader's WebSocket; NoAnswerError if it has none for us, HttpError where it refuses."""
    since = request.query.get("since")
    url = url.with_query({} if since is None else {"since": since})
    headers = {"Authorization": f"Bearer {token}", PASSED_HEADER: "1"}
    try:
        async with asyncio.timeout(HOLD):
            socket = await door.client.ws_connect(
                url, headers=headers, timeout=aiohttp.ClientWSTimeout(ws_close=1.0), max_msg_size=LARGEST
            )
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 503:
            raise NoAnswerError from error
        raise HttpError(error.status, "refused", "the leader refuses to show its events") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NoAnswerError from error
    try:
        yield socket
    finally:
        await socket.close()


def _headers(request: web.Request) -> list[tuple[str, str]]:
    given = [(name, value) for name in _TO_LEADER for value in request.headers.getall(name, [])]
    return [*given, (PASSED_HEADER, "1")]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
