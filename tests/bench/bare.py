"""The two doors without a client library between: Asterisk's manager, and the hotline's HTTP interface.

What is measured is the far side; a library's own time would be in it. Both give the moment just before the bytes
are written, in Unix seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self


class BareAmi:
    """A manager session that hears no events."""

    def __init__(self, host: str, port: int, secret: str) -> None:
        self._place = host, port
        self._secret = secret
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, str]]] = {}

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._place)
        await self._reader.readline()
        self._listener = asyncio.create_task(self._listen(), name="bare AMI")
        login = {"Username": "controller", "Secret": self._secret, "Events": "off"}
        answer, _ = await self.ask("Login", login)
        assert answer["Response"] == "Success", answer
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._writer.close()

    async def ask(
        self, action: str, headers: Mapping[str, str | Sequence[str]], within: float = 5.0
    ) -> tuple[dict[str, str], float]:
        """The response, and when the action was written. TimeoutError."""
        action_id = str(next(self._ids))
        lines = [f"Action: {action}", f"ActionID: {action_id}"]
        for name, value in headers.items():
            lines += [f"{name}: {each}" for each in ([value] if isinstance(value, str) else value)]
        data = "\r\n".join([*lines, "", ""]).encode()
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._waiting[action_id] = answer
        at = time.time()
        self._writer.write(data)
        return await asyncio.wait_for(answer, within), at

    async def _listen(self) -> None:
        message: dict[str, str] = {}
        while line := await self._reader.readline():
            name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
            if name:
                message.setdefault(name, value)
                continue
            waiting = self._waiting.pop(message.get("ActionID", ""), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            message = {}


class BareHttp:
    """The hotline's HTTP interface over connections that are kept."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, writer in self._free:
            writer.close()

    async def ask(self, method: str, path: str, token: str, within: float = 5.0) -> tuple[int, Any, float]:
        """Status, the answer's JSON, and when the request was written."""
        data = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._place[0]}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        # One that the server has closed meanwhile is not taken.
        while self._free and self._free[-1][0].at_eof():
            self._free.pop()[1].close()
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection(*self._place)
        at = time.time()
        writer.write(data)
        async with asyncio.timeout(within):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
            body = await reader.readexactly(length)
        self._free.append((reader, writer))
        return int(head[9:12]), json.loads(body) if body else None, at
