"""A small Asterisk of our own at the other end of FastAGI, and a handler that keeps what became of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from telephony.agi import (
    AgiError,
    AgiServer,
    AgiSession,
)
from telephony.agi.request import Environment

HOST = "127.0.78.1"
NUMBER = "13800138000"
SOON = 10.0  # seconds; the limit of every wait, reached only by a failure
GREETING = 0.3  # seconds, the server's deadline in these tests

ENVIRONMENT = """\
agi_network: yes
agi_network_script: arrival
agi_request: agi://127.0.78.1:4573/arrival
agi_channel: PJSIP/carrier-00000001
agi_language: zh
agi_type: PJSIP
agi_uniqueid: 1795501078.1
agi_version: 22.10.1
agi_callerid: 13800138000
agi_calleridname: unknown
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: 110
agi_rdnis: unknown
agi_context: citizens
agi_extension: 110
agi_priority: 6
agi_enhanced: 0.0
agi_accountcode:\x20
agi_threadid: 140451132618432
agi_arg_1: a
agi_arg_2: b

"""
VARIABLES = {
    "UNIQUEID": "1795501078.1",
    "CHANNEL": "PJSIP/carrier-00000001",
    "CONTEXT": "citizens",
    "EXTEN": "110",
    "CALLERID(num)": NUMBER,
}


def with_caller(number: str) -> str:
    return ENVIRONMENT.replace(f"agi_callerid: {NUMBER}", f"agi_callerid: {number}")


def parse(environment: str) -> Environment:
    return Environment.parse(environment.split("\n\n")[0].split("\n"))


class FakeAsterisk:
    """Asterisk's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.variables = dict(VARIABLES)

    def say(self, text: str) -> None:
        self.writer.write(text.encode())

    async def line(self) -> str:
        """The next line from the server; empty at the end."""
        return (await asyncio.wait_for(self.reader.readline(), SOON)).decode()

    async def answer_variables(self, before: str = "") -> None:
        """Answer one GET FULL VARIABLE as Asterisk does, with `before` in front of the answer."""
        asked = re.fullmatch(r'GET FULL VARIABLE "(.*)"\n', await self.line())
        assert asked
        value = re.sub(r"\$\{([^}]*)\}", lambda name: self.variables.get(name[1], ""), asked[1])
        self.say(f"{before}200 result=1 ({value})\n")

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), SOON)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


Call = Callable[..., Awaitable[FakeAsterisk]]
Serve = Callable[..., Awaitable[AgiServer]]


@asynccontextmanager
async def limit() -> AsyncIterator[None]:
    async with asyncio.timeout(SOON):
        yield


class Outcome:
    """A handler that runs one coroutine function on its session and keeps what became of it."""

    def __init__(self, act: Callable[[AgiSession], Awaitable[object]]) -> None:
        self.act = act
        self.session: asyncio.Future[AgiSession] = asyncio.get_running_loop().create_future()
        self.result: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def __call__(self, session: AgiSession) -> None:
        self.session.set_result(session)
        try:
            self.result.set_result(await self.act(session))
        except (AgiError, ValueError, asyncio.CancelledError) as error:
            self.result.set_result(error)
            raise

    async def get(self) -> object:
        return await asyncio.wait_for(asyncio.shield(self.result), SOON)
