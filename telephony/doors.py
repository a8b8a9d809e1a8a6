"""Where a controller listens: at the configured addresses, or beside another controller of the same hotline."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from telephony.agi import AgiServer
from telephony.core.lease import POLL, TTL
from telephony.errors import AddressTaken, ConfigError, StoreDown
from telephony.http import HttpServer
from telephony.leadership import Leadership, Place
from telephony.settings import Address, ApiSettings, Listener, Settings

log = structlog.get_logger("app")

PATIENCE = 5 * TTL
"""Seconds after which an address that is taken, where nobody has ever led, is a stranger's. Where Redis has lost its
memory, another controller waits a whole TTL before it leads, and longer on a busy machine."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What the command line says instead of hotline.toml: the controller's name, and its addresses as host:port."""

    node: str = ""
    api: str = ""
    tls: str = ""
    agi: str = ""

    def applied_to(self, settings: Settings) -> Settings:
        """ConfigError if an address is none, or the name is no name."""
        api = settings.api
        try:
            return replace(
                settings,
                node=self.node or settings.node,
                api=ApiSettings(bind=self.api or api.bind, tls_bind=self.tls or api.tls_bind),
                agi=Listener(bind=self.agi) if self.agi else settings.agi,
            )
        except ValueError as error:
            raise ConfigError(f"command line: {error}") from error


class Doors:
    """Opens AGI and HTTP. `probe` asks Redis whether it is there again."""

    def __init__(
        self,
        settings: Settings,
        placement: Placement,
        agi: AgiServer,
        http: HttpServer,
        leadership: Leadership,
        probe: Callable[[], Awaitable[object]],
    ) -> None:
        self._settings = settings
        self._placement = placement
        self._agi = agi
        self._http = http
        self._leadership = leadership
        self._probe = probe

    async def open(self) -> Place:
        """Where they are open, and our name. ConfigError if an address cannot be had.

        An address that was not given on the command line may be another's, if another controller leads: then a
        free port is taken. One that starts just now may not have taken the lease yet, and while Redis is away nobody
        can tell: a controller that gave up then would be missing when it is needed. So it would where the address
        is kept by one that led and stands still: nobody else takes its place.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        beside, told = False, ""
        while True:
            try:
                return await self._open(beside=beside)
            except AddressTaken as error:
                if beside or clock() > deadline:
                    raise
                if told != str(error):
                    told = str(error)
                    log.warning("address_taken", reason=told)
            await asyncio.sleep(POLL)
            try:
                await self._leadership.look()
            except StoreDown:
                deadline = clock() + PATIENCE
                await self._probe()
            else:
                beside = self._leadership.leader is not None or self._leadership.deserted

    async def _open(self, *, beside: bool) -> Place:
        given, settings = self._placement, self._settings
        agi = settings.agi.address
        try:
            await self._agi.start(elsewhere=beside and not given.agi)
        except OSError as error:
            kind = AddressTaken if error.errno == errno.EADDRINUSE else ConfigError
            raise kind(f"{agi}: cannot listen there: {error.strerror}") from error
        movable = [(settings.api.bind, given.api), (settings.api.tls_bind, given.tls)]
        try:
            await self._http.start([Address.parse(bind) for bind, said in movable if beside and not said])
        except ConfigError:
            await self._agi.stop()
            raise
        own = Address(agi.host, self._agi.port)
        node = settings.node if given.node or own == agi else f"{settings.node}-{os.getpid()}"
        place = Place(node, str(self._http.addresses[0]), str(own))
        if beside:
            log.warning("beside_another", node=place.node, api=place.api, agi=place.agi)
        return place
