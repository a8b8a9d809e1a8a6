"""The sweep: every few seconds Asterisk is asked for all its channels, and what should not be is put right.

A difference that is on its way is gone at the next look; only what lasts from one look to the next is acted on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

import structlog

from telephony.core.call import Call
from telephony.core.commands import Command, HangUp, RescueCaller
from telephony.errors import LinkDown, Refusal
from telephony.orphans import Fault, Finding, find
from telephony.reconciler import ChannelNow

log = structlog.get_logger("sweep")

INTERVAL = 5.0  # s from one look to the next
AT_MOST = 1.0  # s between two recoveries that strangers ask for


class Hands(Protocol):
    """The executor, which carries out a command and tells a failure that matters as an event."""

    async def run(self, command: Command) -> object: ...


class Sweep:
    """`channels` asks Asterisk for its channels, `calls` are those that are known, `recover` finds out the truth.

    `found(fault)` counts what was put right. Nothing is done while `ready` says no.
    """

    def __init__(
        self,
        channels: Callable[[], Awaitable[list[ChannelNow]]],
        calls: Callable[[], Iterable[Call]],
        recover: Callable[[], Awaitable[None]],
        hands: Hands,
        ready: Callable[[], bool],
        found: Callable[[str], None],
        clock: Callable[[], float],
        interval: float = INTERVAL,
    ) -> None:
        self._channels = channels
        self._calls = calls
        self._recover = recover
        self._hands = hands
        self._ready = ready
        self._found = found
        self._clock = clock
        self._interval = interval
        self._seen: frozenset[Finding] = frozenset()
        self._stranger = asyncio.Event()

    def stranger(self) -> None:
        """Asterisk has told of a leg whose call nobody knows: its caller should not wait for the next look."""
        self._stranger.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stranger.wait(), self._interval)
            if not self._ready():
                self._stranger.clear()
                self._seen = frozenset()
                await asyncio.sleep(AT_MOST)
                continue
            try:
                await self._look()
            except (LinkDown, Refusal) as error:
                log.warning("sweep_failed", error=str(error))
                self._seen = frozenset()

    async def _look(self) -> None:
        if self._stranger.is_set():
            self._stranger.clear()
            log.warning("stranger")
            await self._recover()
            await asyncio.sleep(AT_MOST)
            return
        now = find(self._calls(), await self._channels(), self._clock())
        lasting = now & self._seen
        self._seen = now - lasting
        if any(finding.fault in (Fault.UNKNOWN_CALL, Fault.DISAGREES) for finding in lasting):
            await self._recover()
        for finding in sorted(lasting, key=lambda finding: (finding.fault, finding.id)):
            log.warning("put_right", fault=finding.fault, id=finding.id, detail=finding.detail)
            self._found(finding.fault)
            await self._act(finding)

    async def _act(self, finding: Finding) -> None:
        match finding.fault:
            case Fault.LONELY:
                await self._hands.run(RescueCaller(finding.channel))
            case Fault.LEFT_OVER:
                await self._hands.run(HangUp(finding.id, finding.channel))
