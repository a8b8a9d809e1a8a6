"""One FastAGI connection: bytes to lines, lines to the environment, then to the answer that is awaited.

All of it happens in `data_received`, without a task: a peer that says nothing, or too much, costs a file
descriptor and a little memory. A hang-up is seen when it happens, whether or not somebody is waiting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from telephony.agi.errors import AgiDesync, AgiError, AgiHangup, AgiTimeout

_STATUS = re.compile(r"\d{3}[ -]")
_VALUE = "200 result=1 ("
_USAGE = "520-"
_USAGE_END = "520 End of proper usage."

FAILURE = b"failure\n"
"""Makes AGI() end at once with AGISTATUS=FAILURE; a connection that is only closed gives SUCCESS."""


class Reply:
    """Asterisk's answer to one command.

    With a `mark` (random text in front of and behind the value asked for) the value may contain anything,
    also line ends and what looks like an answer. `after_environment` passes over lines that came first.
    """

    def __init__(self, mark: str = "", *, after_environment: bool = False) -> None:
        self.passed_over = 0
        self.complete = False
        self._lines: list[str] = []
        self._opening = f"{_VALUE}{mark}" if mark else ""
        self._closing = f"{mark})" if mark else ""
        self._marked = False
        self._after_environment = after_environment

    @property
    def text(self) -> str:
        """The whole answer."""
        return "\n".join(self._lines)

    @property
    def value(self) -> str | None:
        """What stands between the marks; None when Asterisk did not answer with a marked value."""
        return self.text[len(self._opening) : -len(self._closing)] if self._marked else None

    @property
    def inside(self) -> bool:
        """Whether the answer has begun, so that the next line belongs to it whatever it says."""
        return bool(self._lines)

    def take(self, line: str) -> None:
        """Add a line. Raises AgiDesync when it cannot be part of the answer."""
        if not self._lines and not self._begins(line):
            self.passed_over += 1
            return
        self._lines.append(line)
        if self._marked:
            self.complete = line.endswith(self._closing) and len(self.text) >= len(
                self._opening + self._closing
            )
        else:
            self.complete = not self._lines[0].startswith(_USAGE) or line.endswith(_USAGE_END)

    def _begins(self, line: str) -> bool:
        self._marked = bool(self._opening) and line.startswith(self._opening)
        if self._marked:
            return True
        if self._after_environment:
            return False
        if not _STATUS.match(line) or (self._opening and line.startswith(_VALUE)):
            raise AgiDesync("a line that is no answer to the command")
        return True


class AgiConnection(asyncio.Protocol):
    """The bytes of one session; `on_open` is called once it is connected.

    `max_unread` limits, in bytes, the environment and each answer.
    """

    def __init__(self, on_open: Callable[[AgiConnection], None], *, max_unread: int) -> None:
        loop = asyncio.get_running_loop()
        self.ended = False
        self.unasked = 0
        """Lines that answered nothing between the environment and the first answer."""
        self._on_open = on_open
        self._max_unread = max_unread
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._taken = 0
        self._environment: list[str] = []
        self._environment_over: asyncio.Future[None] = loop.create_future()
        self._turn = asyncio.Lock()
        self._reply: Reply | None = None
        self._settled: asyncio.Future[None] = loop.create_future()
        self._opened = False
        self._error: tuple[type[AgiError], str] = (AgiHangup, "the connection is closed")
        self._at_end: set[Callable[[], None]] = set()

    async def environment(self) -> list[str]:
        """The lines before the first blank one. Raises AgiError when the connection ends before."""
        await asyncio.shield(self._environment_over)
        if self.ended:
            raise self._failure()
        return self._environment

    @asynccontextmanager
    async def until_ended(self, grace: float = 0.0) -> AsyncIterator[None]:
        """Run the block, but no longer than `grace` seconds after the connection has ended.

        Raises AgiHangup when it was cut short.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:

                def stop() -> None:
                    limit.reschedule(loop.time() + grace)

                self._at_end.add(stop)
                try:
                    if self.ended:
                        stop()
                    yield
                finally:
                    self._at_end.discard(stop)
        except TimeoutError as late:
            if limit.expired():
                raise AgiHangup("the channel did not wait") from late
            raise

    async def ask(self, command: str, *, mark: str = "", deadline: float) -> Reply:
        """Send a line and wait up to `deadline` seconds for its answer; one at a time.

        Raises AgiHangup, AgiTimeout or AgiDesync. If the caller of this is cancelled, the connection ends:
        nobody could tell its answer from the next one.
        """
        async with self._turn:
            if self.ended or self._transport is None:
                raise self._failure()
            reply = self._reply = Reply(mark, after_environment=not self._opened)
            self._settled = asyncio.get_running_loop().create_future()
            self._transport.write(command.encode())
            try:
                async with asyncio.timeout(deadline):
                    await self._settled
            except TimeoutError as late:
                self._end(AgiTimeout, f"no answer within {deadline:g} s")
                raise self._failure() from late
            except asyncio.CancelledError:
                self._end(AgiHangup, "a question was given up")
                raise
            if not reply.complete:
                raise self._failure()
            return reply

    def close(self, last_word: bytes = b"") -> None:
        """End the connection, after `last_word` if it is still there."""
        if self._transport is not None and not self.ended:
            self._transport.write(last_word)
        self._end(AgiHangup, "the session is over")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._on_open(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(AgiHangup, "Asterisk has closed the connection")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self.ended and (end := self._buffer.find(b"\n")) >= 0:
            line = self._buffer[:end].decode(errors="replace")
            del self._buffer[: end + 1]
            self._taken += end + 1
            if self._taken > self._max_unread:
                break
            self._take(line)
        if self._taken + len(self._buffer) > self._max_unread:
            self._end(AgiDesync, "more bytes than an environment or an answer can have")

    def _take(self, line: str) -> None:
        if not self._environment_over.done():
            if line:
                self._environment.append(line)
            else:
                self._taken = 0
                self._environment_over.set_result(None)
        elif line == "HANGUP" and not (self._reply is not None and self._reply.inside):
            self._end(AgiHangup, "the channel is gone")
        elif self._reply is not None:
            self._take_reply(self._reply, line)
        elif self._opened:
            self._end(AgiDesync, "a line that nobody asked for")
        else:
            self.unasked += 1

    def _take_reply(self, reply: Reply, line: str) -> None:
        try:
            reply.take(line)
        except AgiDesync as error:
            self._end(AgiDesync, str(error))
            return
        if reply.complete:
            self.unasked += reply.passed_over
            self._taken = 0
            self._opened = True
            self._reply = None
            self._settled.set_result(None)

    def _failure(self) -> AgiError:
        kind, message = self._error
        return kind(message)

    def _end(self, kind: type[AgiError], message: str) -> None:
        """The one way to end; the first reason stays."""
        if self.ended:
            return
        self.ended = True
        self._error = kind, message
        self._buffer.clear()
        for stop in tuple(self._at_end):
            stop()
        for future in (self._environment_over, self._settled):
            if not future.done():
                future.set_result(None)
        if self._transport is not None:
            self._transport.close()
