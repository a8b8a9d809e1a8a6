"""The link to Asterisk's manager interface: connected for ever, or saying why not."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

import structlog

from telephony.ami.action import Headers
from telephony.ami.errors import AmiDown, AmiLoginRefused, AmiRefused, AmiTimeout
from telephony.ami.message import AmiMessage
from telephony.ami.protocol import STALE, AmiProtocol
from telephony.ami.settings import AmiSettings
from telephony.errors import LinkDown

log = structlog.get_logger("ami")

_PULSE = 0.2  # s
_LATE_PINGS = 5
"""So many pings in a row may go unanswered while other messages still arrive."""


class LinkState(StrEnum):
    DOWN = "down"
    RECOVERING = "recovering"
    """Logged in; `on_up` is at work. Actions can be sent."""
    UP = "up"


class AmiLink:
    """Keeps one logged-in connection to Asterisk, for as long as `run` runs.

    `on_event` gets every event in the order of the wire, synchronously, from login on, while `on_up` runs
    too; items of a list go to the `ask` that wanted them instead. `on_up` is awaited after each login and
    before the link counts as up; if it raises, the connection is dropped and tried again. `on_down` is told
    the reason, once for each login. Nothing is ever sent again on a later connection: whoever waits for an
    answer when the connection ends gets AmiDown, and must find out what happened.

    `clock` is a monotonic clock in seconds; `chance` returns a number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        settings: AmiSettings,
        *,
        on_event: Callable[[AmiMessage], None],
        on_up: Callable[[], Awaitable[None]],
        on_down: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.state = LinkState.DOWN
        self.reason = "not started"
        """Why the link is not up, for people; empty when it is."""
        self.version = ""
        """The version of the manager interface, from Asterisk's banner."""
        self.round_trip: float | None = None
        """Seconds that the last answered ping took."""
        self._settings = settings
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._clock = clock
        self._chance = chance
        self._wire: AmiProtocol | None = None
        self._up_since: float | None = None
        self._told = ""
        self._beat = clock()

    @property
    def up(self) -> bool:
        """Logged in, and `on_up` has finished."""
        return self.state is LinkState.UP

    @property
    def open(self) -> bool:
        """Connected, and nothing that has been heard is old: this process has not stood still.

        At once, while `on_down` is told a few turns of the event loop later.
        """
        fresh = self._clock() - self._beat <= STALE
        return fresh and self._wire is not None and not self._wire.closed

    def drop(self, reason: str) -> None:
        """Give this connection up, and make another."""
        if self._wire is not None:
            self._wire.close(reason)

    async def send(self, action: str, headers: Headers, *, deadline: float | None = None) -> AmiMessage:
        """Send one action and return its response.

        A header with several values (`Variable`) is given as a sequence. `deadline` is in seconds,
        `action_deadline` if not given. Raises AmiRefused if Asterisk says no, AmiTimeout, AmiDown at once
        if there is no connection, and ValueError for what Asterisk would misread (see `encode`).
        """
        response, _ = await self._request(action, headers, deadline, wants_list=False)
        return response

    async def ask(
        self, action: str, headers: Headers | None = None, *, deadline: float | None = None
    ) -> list[AmiMessage]:
        """Send an action that is answered by a list (CoreShowChannels, DeviceStateList ...); its items.

        `deadline` is for the whole list. Raises as `send` does; AmiRefused also if no complete list comes.
        """
        _, items = await self._request(action, headers or {}, deadline, wants_list=True)
        return items

    async def run(self) -> None:
        """Connect, log in and serve, for ever; ends by cancellation only, with everything closed."""
        pulse = asyncio.create_task(self._keep_pulse(), name="ami-pulse")
        try:
            await self._serve_for_ever()
        finally:
            pulse.cancel()

    async def _keep_pulse(self) -> None:
        """By this it is known when the process has stood still.

        Not by what is read next alone: thawed, an event loop may run its timers before it reads (uvloop does).
        """
        while True:
            if self._wire is not None:
                self._wire.look_for_standstill()
            self._beat = self._clock()
            await asyncio.sleep(_PULSE)

    async def _serve_for_ever(self) -> None:
        pause = self._settings.backoff_first
        while True:
            self._up_since = None
            login_refused = False
            try:
                reason = await self._serve_one_connection()
            except LinkDown as error:
                reason = str(error)
                login_refused = isinstance(error, AmiLoginRefused)
            if self._up_since is not None and self._clock() - self._up_since > self._settings.backoff_max:
                pause = self._settings.backoff_first
            wait = self._settings.login_retry if login_refused else pause * (1 - self._chance() / 2)
            pause = min(pause * 2, self._settings.backoff_max)
            self._tell_failure(reason, wait, login_refused=login_refused)
            await asyncio.sleep(wait)

    async def _request(
        self, action: str, headers: Headers, deadline: float | None, *, wants_list: bool
    ) -> tuple[AmiMessage, list[AmiMessage]]:
        if self._wire is None:
            raise AmiDown(self.reason)
        if deadline is None:
            deadline = self._settings.action_deadline
        return await self._wire.request(action, headers, deadline, wants_list=wants_list)

    async def _serve_one_connection(self) -> str:
        """One connection from its beginning to its end; returns the reason of the end."""
        booted = asyncio.Event()

        def deliver(event: AmiMessage) -> None:
            if event.event == "FullyBooted":
                booted.set()
                wire.on_event = self._on_event
            self._on_event(event)

        wire = await self._connect(deliver)
        try:
            await self._greet(wire)
            await self._log_in(wire)
            await self._serve(wire, booted)
        finally:
            wire.close("stopped")
            await asyncio.wait([wire.lost])
        return wire.reason

    async def _connect(self, deliver: Callable[[AmiMessage], None]) -> AmiProtocol:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.connect_deadline):
                _, wire = await asyncio.get_running_loop().create_connection(
                    lambda: AmiProtocol(
                        deliver,
                        max_message=settings.max_message,
                        max_unsent=settings.max_unsent,
                        stood_still=lambda: self._clock() - self._beat,
                    ),
                    settings.host,
                    settings.port,
                )
        except TimeoutError:
            raise AmiDown(f"no connection within {settings.connect_deadline:g} s") from None
        except OSError as error:
            raise AmiDown(f"cannot connect: {error}") from error
        return wire

    async def _greet(self, wire: AmiProtocol) -> None:
        limit = self._settings.connect_deadline
        either: list[asyncio.Future[Any]] = [wire.greeted, wire.lost]
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if wire.closed:
            raise AmiDown(wire.reason)
        if not wire.greeted.done():
            raise AmiDown(f"no banner within {limit:g} s")

    async def _log_in(self, wire: AmiProtocol) -> None:
        """Log in by challenge, so that the secret itself never crosses the wire."""
        deadline = self._settings.login_deadline
        try:
            challenge, _ = await wire.request("Challenge", {"AuthType": "MD5"}, deadline)
            answer = challenge.get("Challenge") + self._settings.secret
            headers = {
                "AuthType": "MD5",
                "Username": self._settings.username,
                "Key": hashlib.md5(answer.encode()).hexdigest(),
                # Asked for with the login, not after it: only then does Asterisk report FullyBooted.
                "Events": self._settings.events,
            }
            await wire.request("Login", headers, deadline)
        except AmiRefused as error:
            raise AmiLoginRefused(f"login as {self._settings.username!r} refused: {error.message}") from error
        self.version = wire.version or ""

    async def _serve(self, wire: AmiProtocol, booted: asyncio.Event) -> None:
        """From login to the connection's end."""
        self._wire = wire
        self.state = LinkState.RECOVERING
        self.reason = "recovering"
        tasks = [
            asyncio.create_task(self._or_drop(wire, "recovery", self._recover(booted)), name="ami-recovery"),
            asyncio.create_task(self._or_drop(wire, "ping", self._ping_for_ever(wire)), name="ami-ping"),
        ]
        try:
            await asyncio.wait([wire.lost])
        finally:
            wire.close("stopped")
            self._wire = None
            self.state = LinkState.DOWN
            self.reason = wire.reason
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._tell_down()

    async def _or_drop(self, wire: AmiProtocol, what: str, work: Awaitable[None]) -> None:
        """Drop the connection if `work` fails: a link that is not recovered or not watched is no link."""
        try:
            await work
        except asyncio.CancelledError:
            wire.close(f"{what} was cancelled")
            raise
        except Exception as error:
            if not wire.closed:
                log.exception("ami_task_failed", task=what)
                wire.close(f"{what} failed: {error}")

    async def _recover(self, booted: asyncio.Event) -> None:
        limit = self._settings.boot_deadline
        if limit > 0:
            try:
                async with asyncio.timeout(limit):
                    await booted.wait()
            except TimeoutError:
                raise AmiDown(
                    f"no FullyBooted event within {limit:g} s; the user needs read=system, and an include "
                    "filter for that event if it has filters"
                ) from None
        await self._on_up()
        self.state = LinkState.UP
        self.reason = self._told = ""
        self._up_since = self._clock()
        log.info("ami_up", host=self._settings.host, port=self._settings.port, version=self.version)

    async def _ping_for_ever(self, wire: AmiProtocol) -> None:
        """Drop a connection over which nothing comes any more."""
        late = 0
        while True:
            await asyncio.sleep(self._settings.ping_interval)
            asked, received = self._clock(), wire.received
            try:
                await wire.request("Ping", {}, self._settings.ping_deadline)
            except AmiTimeout as error:
                late += 1
                if wire.received == received or late == _LATE_PINGS:
                    wire.close(f"half-open: {error}")
                    return
                log.warning("ami_ping_late", late=late)
            else:
                late = 0
                self.round_trip = self._clock() - asked

    def _tell_down(self) -> None:
        try:
            self._on_down(self.reason)
        except Exception:
            log.exception("ami_down_handler_failed")

    def _tell_failure(self, reason: str, wait: float, *, login_refused: bool) -> None:
        """Say each reason once, not at every try."""
        if login_refused:
            log.error("ami_login_refused", reason=reason, retry_in=round(wait, 3))
        elif reason != self._told:
            log.warning("ami_down", reason=reason, retry_in=round(wait, 3))
        self._told = reason
        self.reason = reason
