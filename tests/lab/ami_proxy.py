"""Between a controller and Asterisk's manager: a connection that is cut, goes dead without a word, or is flooded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CHUNK = 65536


@dataclass(slots=True)
class AmiProxy:
    """Listens at `host`:`port` and passes everything on to `asterisk`. A context manager.

    `dead`: nothing passes any more, and neither side is told. `cut_after`: when these bytes have been passed on to
    Asterisk, the connection is cut before the answer. `slow`: what has these bytes in it is passed on to Asterisk
    `delay` seconds later, and what comes behind it too.
    """

    host: str
    port: int
    asterisk: tuple[str, int]
    dead: bool = False
    cut_after: bytes = b""
    slow: bytes = b""
    delay: float = 0.0
    _controllers: list[asyncio.StreamWriter] = field(default_factory=list)
    _others: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection there is, and with it all that was on its way."""
        for writer in (*self._controllers, *self._others):
            writer.transport.abort()
        self._controllers.clear()
        self._others.clear()

    def flood(self, data: bytes) -> None:
        """Say this to the controller, as if it came from Asterisk; between two of its messages."""
        self._controllers[-1].write(data)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_asterisk, to_asterisk = await asyncio.open_connection(*self.asterisk)
        except OSError:
            writer.transport.abort()
            return
        self._controllers.append(writer)
        self._others.append(to_asterisk)
        for source, target in ((reader, to_asterisk), (from_asterisk, writer)):
            task = asyncio.create_task(self._pass(source, target, up=target is to_asterisk))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, up: bool) -> None:
        rest = b""
        try:
            if not up:
                target.write(await source.readuntil(b"\r\n"))  # the banner, which is no message
            while data := await source.read(CHUNK):
                if self.dead:
                    continue
                if up:
                    if self.slow and self.slow in data:
                        await asyncio.sleep(self.delay)
                    target.write(data)
                else:  # whole messages only, so that a flood does not tear one
                    whole, end, rest = (rest + data).rpartition(b"\r\n\r\n")
                    target.write(whole + end) if end else None
                await target.drain()
                if up and self.cut_after and self.cut_after in data:
                    self.cut_after = b""
                    self.cut()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has cut it; so do we
        if not self.dead:
            target.transport.abort()
