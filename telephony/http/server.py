"""Listening: the HTTP door on a plain and on a TLS address, opened and closed in order."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from telephony.errors import AddressTaken, ConfigError
from telephony.http.application import CONTEXT
from telephony.http.failures import failure
from telephony.listening import BACKLOG, Places
from telephony.settings import Address

log = structlog.get_logger("http")

LINGER = 2.0  # s; for the rest of a body that nobody wants
HANDSHAKE = 10.0  # s; for TLS


@dataclass(frozen=True, slots=True)
class Tls:
    """Where to listen with TLS, and with which certificate and key (PEM files)."""

    bind: Address
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """ConfigError if the files cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{self.certificate}, {self.key}: cannot be used for TLS: {error}") from error
        return context


class HttpServer:
    """Serves `app` on `bind` and, if given, on `tls`; `grace`: seconds that running requests get.

    `places`: where sockets are kept that the next server is to take over.
    """

    def __init__(
        self,
        app: web.Application,
        bind: Address,
        tls: Tls | None = None,
        grace: float = 5.0,
        places: Places | None = None,
    ) -> None:
        self._app = app
        self._bind = bind
        self._tls = tls
        self._grace = grace
        self._places = places or Places()
        self._runner: web.AppRunner | None = None
        self._listeners: list[asyncio.Server] = []
        self._context: ssl.SSLContext | None = None

    @property
    def addresses(self) -> list[Address]:
        """Where it listens: plain first, then TLS."""
        names = [listener.sockets[0].getsockname() for listener in self._listeners if listener.sockets]
        return [Address(name[0], name[1]) for name in names]

    async def start(self, movable: Collection[Address] = ()) -> None:
        """ConfigError: a certificate cannot be used or an address not be had; then nothing is open.

        `movable`: where one of these addresses is in use, a free port of the same host is taken instead.
        """
        context = self._context = self._tls.context() if self._tls else None
        self._app[CONTEXT].stopping = False  # It may be the second try.
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=self._grace)
        await self._runner.setup()
        try:
            await self._listen(self._runner, self._bind, None, movable)
            if self._tls is not None:
                await self._listen(self._runner, self._tls.bind, context, movable)
        except ConfigError:
            await self.stop()
            raise
        self._places.keep_only(self.addresses)
        log.info("http_listening", addresses=[str(address) for address in self.addresses])

    async def claim(self, bind: Address, *, tls: bool) -> bool:
        """Listen at `bind` too; whether that is so now. It may be another process's."""
        if bind in self.addresses:
            return True
        if self._runner is None:
            return False
        try:
            await self._listen(self._runner, bind, self._context if tls else None)
        except AddressTaken:
            return False
        log.info("http_listening", addresses=[str(address) for address in self.addresses])
        return True

    async def stop(self, *, for_the_next: bool = False) -> None:
        """Take nothing new, close watchers with 1001, let running requests finish, then cut them off.

        `for_the_next`: whoever comes meanwhile waits until another server is given our places, and has started.
        """
        if not for_the_next:
            self._places.keep_only()
        for listener in self._listeners:
            listener.close()
        self._app[CONTEXT].stopping = True
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._listeners.clear()

    async def _listen(
        self,
        runner: web.AppRunner,
        bind: Address,
        tls: ssl.SSLContext | None,
        movable: Collection[Address] = (),
    ) -> None:
        manager = runner.server
        if manager is None:
            raise RuntimeError("the runner has not been set up")
        loop = asyncio.get_running_loop()
        idle = self._app[CONTEXT].limits.idle_seconds

        def connection() -> _Connection:
            return _Connection(
                manager,
                loop=loop,
                access_log=None,  # type: ignore[arg-type]  # aiohttp takes it for "none"
                keepalive_timeout=idle,
                lingering_time=LINGER,
            )

        try:
            place = self._places.listen(bind, elsewhere=bind in movable)
        except OSError as error:
            kind = AddressTaken if error.errno == errno.EADDRINUSE else ConfigError
            raise kind(f"{bind}: cannot listen there: {error.strerror}") from error
        self._listeners.append(
            await loop.create_server(
                connection,
                sock=place,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE if tls else None,
            )
        )


class _Connection(web.RequestHandler):
    """aiohttp's connection, with errors of our shape also where bytes never became a request."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            raise exc  # the other side has gone: aiohttp ends the connection quietly
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; another cannot follow")
        if status == 500:
            log.error("request_failed", route="", exc_info=exc)
            answer = failure(500, "internal_error", "the request could not be carried out")
        else:
            log.info("malformed_request", reason=type(exc).__name__)
            answer = failure(400, "bad_request", "this is not a request in HTTP, or a part of it is too long")
        response = answer.response({"Server": "telephony"})
        response.force_close()
        return response
