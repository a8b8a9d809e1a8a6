"""A server and calls to it; whatever the event loop complains of fails the test."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from telephony.agi import (
    AgiServer,
    Handler,
)
from tests.adapters.agi.peer import (
    ENVIRONMENT,
    GREETING,
    HOST,
    Call,
    FakeAsterisk,
    Serve,
)


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[None]:
    """Fails a test after which the event loop has an error that nobody has taken."""
    found: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert found == []


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[AgiServer] = []

    async def start(handler: Handler | None = None, **limits: float) -> AgiServer:
        handlers = {"arrival": handler} if handler else {}
        chosen = {"greeting_deadline": GREETING, "command_deadline": 1.0, "grace": 0.2, **limits}
        server = AgiServer(HOST, 0, handlers, **chosen)  # type: ignore[arg-type]
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    open_ends: list[FakeAsterisk] = []

    async def connect(
        server: AgiServer, environment: str = ENVIRONMENT, *, opened: bool = True
    ) -> FakeAsterisk:
        far = FakeAsterisk(*await asyncio.open_connection(HOST, server.port))
        open_ends.append(far)
        far.say(environment)
        if opened:
            await far.answer_variables()
        return far

    yield connect
    for far in open_ends:
        await far.close()
