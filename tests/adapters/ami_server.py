"""A manager interface for tests, over real TCP: it behaves, or misbehaves, as a test tells it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.adapters.waiting import until

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
CHALLENGE = "428713732"
SECRET = "correct horse"

Action = dict[str, list[str]]


@dataclass
class Session:
    """One connection, seen from Asterisk's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    actions: list[Action] = field(default_factory=list)
    raw: bytes = b""
    ended: bool = False

    async def action(self, name: str, number: int = 1) -> Action:
        """The `number`-th action of that name, as soon as it has come."""

        def found() -> list[Action]:
            return [action for action in self.actions if action["Action"] == [name]]

        await until(lambda: len(found()) >= number or self.ended)
        return found()[number - 1]

    def write(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    def event(self, name: str, *headers: str) -> None:
        self.write("\r\n".join([f"Event: {name}", "Privilege: call,all", *headers, "", ""]))

    def respond(self, action: Action, *headers: str, response: str = "Success") -> None:
        self.write(
            "\r\n".join([f"Response: {response}", f"ActionID: {action['ActionID'][0]}", *headers, "", ""])
        )

    def cut(self) -> None:
        self.writer.transport.abort()


class AmiServer:
    """Accepts connections; greets, logs in and answers pings unless switched off."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.banner = BANNER
        self.answers_login = True
        self.boots = True
        self.after_login: Callable[[Session], None] = lambda session: None
        self.answers_ping = True
        self.port = 0

    async def session(self, number: int = 1) -> Session:
        """The `number`-th connection, as soon as it has logged in."""
        await until(lambda: len(self.sessions) >= number)
        session = self.sessions[number - 1]
        await session.action("Login")
        return session

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(reader, writer)
        self.sessions.append(session)
        session.write(self.banner)
        try:
            while True:
                frame = await reader.readuntil(b"\r\n\r\n")
                session.raw += frame
                action: Action = {}
                for line in frame.decode().strip().split("\r\n"):
                    name, _, value = line.partition(": ")
                    action.setdefault(name, []).append(value)
                session.actions.append(action)
                self.answer(session, action)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            session.ended = True
            writer.transport.abort()

    def answer(self, session: Session, action: Action) -> None:
        match action["Action"][0]:
            case "Challenge" if self.answers_login:
                session.respond(action, f"Challenge: {CHALLENGE}")
            case "Login" if self.answers_login:
                if action["Key"] != [hashlib.md5((CHALLENGE + SECRET).encode()).hexdigest()]:
                    session.respond(action, "Message: Authentication failed", response="Error")
                    return
                session.respond(action, "Message: Authentication accepted")
                if self.boots:
                    session.event("FullyBooted")
                self.after_login(session)
            case "Ping" if self.answers_ping:
                session.respond(action, "Ping: Pong")


@asynccontextmanager
async def ami_server() -> AsyncIterator[AmiServer]:
    server = AmiServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for session in server.sessions:
            session.cut()
        await until(lambda: all(session.ended for session in server.sessions))
