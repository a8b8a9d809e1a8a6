"""The FastAGI server: a listener, a handler for each script, and a limit for everything.

A script that is unknown and a handler that fails end AGI() with AGISTATUS=FAILURE; the dialplan then does
what is safe without us. Nothing here may log a caller's number.
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePath

import structlog

from telephony.agi.connection import FAILURE, AgiConnection
from telephony.agi.errors import AgiError, AgiHangup, AgiTimeout
from telephony.agi.session import AgiSession
from telephony.listening import BACKLOG, listening_socket

log = structlog.get_logger("agi")

Handler = Callable[[AgiSession], Awaitable[None]]

_LOGGABLE = re.compile(r"[a-z_/.-]{1,40}")


class AgiServer:
    """Answers `AGI(agi://host:port/script,...)` with `handlers[script]`.

    `greeting_deadline`: seconds from connecting until the environment has been read and verified.
    `command_deadline`: seconds for Asterisk's answer to one command.
    `grace`: seconds for a handler to end by itself when its channel has gone (it is cancelled then), and
    for all of them in `stop`.
    `max_sessions`: connections at a time, idle ones included; the next is closed at once.
    `max_env_bytes`: bytes of an environment, and of one answer.
    `serving`: whether questions are answered now; who asks while they are not is turned away at once.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handlers: Mapping[str, Handler],
        *,
        greeting_deadline: float = 2.0,
        command_deadline: float = 2.0,
        grace: float = 1.0,
        max_sessions: int = 500,
        max_env_bytes: int = 16_384,
        serving: Callable[[], bool] = lambda: True,
    ) -> None:
        self._host = host
        self._port = port
        self._handlers = dict(handlers)
        self._greeting_deadline = greeting_deadline
        self._command_deadline = command_deadline
        self._grace = grace
        self._max_sessions = max_sessions
        self._max_env_bytes = max_env_bytes
        self._serving = serving
        self._listener: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], AgiConnection] = {}

    @property
    def sessions(self) -> int:
        """Connections open now."""
        return len(self._open)

    @property
    def port(self) -> int:
        """The port listened on; the chosen one when it was given as 0."""
        if self._listener is None:
            return self._port
        return int(self._listener.sockets[0].getsockname()[1])

    async def start(self, *, elsewhere: bool = False) -> None:
        """Listen. Raises OSError when the address cannot be had.

        `elsewhere`: where the port is in use, take a free one of the same host instead.
        """
        place = listening_socket(self._host, self._port, elsewhere=elsewhere)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connection, sock=place, backlog=BACKLOG)
        log.info("agi_listening", host=self._host, port=self.port, scripts=sorted(self._handlers))

    async def stop(self) -> None:
        """Take no more sessions, and after `grace` seconds end the running ones as a hang-up would."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.close()
        await self._finish(self._grace)
        for connection in self._open.values():
            connection.close(FAILURE)
        await self._finish(2 * self._grace)
        await listener.wait_closed()
        log.info("agi_stopped", left=len(self._open))

    async def _finish(self, limit: float) -> None:
        if self._open:
            await asyncio.wait(self._open, timeout=limit)

    def _connection(self) -> AgiConnection:
        return AgiConnection(self._admit, max_unread=self._max_env_bytes)

    def _admit(self, connection: AgiConnection) -> None:
        if not self._serving():
            log.info("agi_not_serving")
            connection.close(FAILURE)
            return
        if self._listener is None or len(self._open) >= self._max_sessions:
            log.warning("agi_sessions_full", sessions=len(self._open))
            connection.close(FAILURE)
            return
        task = asyncio.create_task(self._serve(connection), name="agi session")
        self._open[task] = connection
        task.add_done_callback(self._open.pop)

    async def _serve(self, connection: AgiConnection) -> None:
        """One connection from its first byte to its end; raises nothing but CancelledError."""
        last_word = FAILURE
        try:
            session = await self._greet(connection)
            if session is not None and await self._answer(session, connection):
                last_word = b""
        finally:
            connection.close(last_word)

    async def _greet(self, connection: AgiConnection) -> AgiSession | None:
        try:
            async with asyncio.timeout(self._greeting_deadline):
                return await AgiSession.open(connection, self._command_deadline)
        except TimeoutError:
            log.info("agi_peer_dropped", reason=AgiTimeout.__name__)
        except AgiError as error:
            log.info("agi_peer_dropped", reason=type(error).__name__)
        return None

    async def _answer(self, session: AgiSession, connection: AgiConnection) -> bool:
        """Run the handler; whether it came to its end."""
        request = session.request
        noted = log.bind(script=_loggable(request.script), uniqueid=request.uniqueid)
        if request.suspicious:
            noted.warning("agi_environment_forged", faults=request.faults)
        handler = self._handlers.get(request.script)
        if handler is None:
            noted.warning("agi_unknown_script")
            return False
        try:
            async with connection.until_ended(self._grace):
                await handler(session)
        except AgiHangup:
            noted.info("agi_channel_gone")
        except Exception as error:
            noted.error("agi_handler_failed", error=type(error).__name__, where=_where(error))
        else:
            return True
        return False


def _loggable(script: str) -> str:
    """A script's name unless it may be something else: anybody who can connect chooses it."""
    return script if _LOGGABLE.fullmatch(script) else "(not a script's name)"


def _where(error: BaseException) -> list[str]:
    """The way to an error without its message, in which a caller's number may stand."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
