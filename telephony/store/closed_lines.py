"""Which lines an administrator has closed. What is said holds at once, with Redis or without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from telephony.errors import StoreDown
from telephony.store.keys import Keys
from telephony.store.link import Command, RedisLink

log = structlog.get_logger("lines")


class RedisClosedLines:
    """The switchboard's ClosedLines. Memory decides; Redis keeps it for the next start.

    `lines` are the names of the hotline's lines; others in Redis are not looked at and not touched.
    """

    def __init__(self, link: RedisLink, keys: Keys, lines: Iterable[str]) -> None:
        self._link = link
        self._key = keys.closed_lines
        self._lines = tuple(lines)
        self._closed: set[str] = set()
        self._said: set[str] = set()  # lines that somebody has opened or closed in this run
        self._loaded = False
        self._writing = asyncio.Lock()

    def __contains__(self, line: str) -> bool:
        return line in self._closed

    async def set(self, line: str, *, closed: bool) -> None:
        """Close or open `line`, now. Raises nothing: if Redis is away, `sync` writes it when it is back."""
        if closed:
            self._closed.add(line)
        else:
            self._closed.discard(line)
        self._said.add(line)
        log.info("line_set", line=line, closed=closed)
        await self._write([line])

    async def sync(self) -> None:
        """At start and whenever Redis is back: learn what an earlier run knew, and write what this one knows.

        Raises nothing: without Redis, lines that nobody has closed in this run count as open.
        """
        if not self._lines:
            return
        if not self._loaded:
            try:
                await self._load()
            except StoreDown as error:
                log.warning("closed_lines_not_loaded", reason=str(error))
                return
        await self._write(self._lines)

    async def _load(self) -> None:
        (answers,) = await self._link.ask(("SMISMEMBER", self._key, *self._lines))
        was_closed = {line for line, closed in zip(self._lines, answers, strict=True) if closed}
        self._closed |= was_closed - self._said
        self._loaded = True
        log.info("closed_lines_loaded", closed=sorted(self._closed))

    async def _write(self, lines: Iterable[str]) -> None:
        async with self._writing:  # so that of two writes the later one is the last to arrive
            commands: list[Command] = [
                ("SADD" if line in self._closed else "SREM", self._key, line) for line in lines
            ]
            try:
                await self._link.ask(*commands)
            except StoreDown as error:
                log.warning("closed_lines_not_written", reason=str(error))
