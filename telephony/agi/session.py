"""One AGI() of one channel, as a handler sees it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable
from typing import TypeVar

from telephony.agi import pyst
from telephony.agi.connection import AgiConnection
from telephony.agi.errors import AgiDesync, AgiHangup, AgiRefused
from telephony.agi.request import AgiRequest, Environment

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\([A-Za-z0-9_,-]*\))?")
_OWN = ("UNIQUEID", "CHANNEL", "CONTEXT", "EXTEN", "CALLERID(num)")


class AgiSession:
    """Commands to the channel; each waits for Asterisk's answer.

    A command that returns was carried out. AgiHangup from it, or from `unless_hung_up`, means that the
    dialplan has gone on (or the caller has gone) without it. Other errors: `telephony.agi.errors`.
    """

    def __init__(self, connection: AgiConnection, request: AgiRequest, command_deadline: float) -> None:
        self.request = request
        self._connection = connection
        self._command_deadline = command_deadline

    @classmethod
    async def open(cls, connection: AgiConnection, command_deadline: float) -> AgiSession:
        """Read the environment, then ask Asterisk itself for what a caller could have forged in it."""
        environment = Environment.parse(await connection.environment())
        values = await _read(connection, _OWN, command_deadline)
        uniqueid, channel, context, extension, caller_number = values
        faults = environment.faults
        if connection.unasked:
            faults = (*faults, "lines after the end")
        request = AgiRequest(
            script=environment.script,
            arguments=() if faults else environment.arguments,
            uniqueid=uniqueid,
            channel=channel,
            context=context,
            extension=extension,
            caller_number=caller_number,
            faults=faults,
            env=environment.values,
        )
        return cls(connection, request, command_deadline)

    @property
    def hung_up(self) -> bool:
        """Whether Asterisk has ended the session; nothing can be set any more."""
        return self._connection.ended

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable, or write a function (`CALLERID(name)`), to `value` verbatim.

        Asterisk expands nothing in it. Raises ValueError for a name that is none, for CR, LF or NUL in
        the value, and for more than about 2,000 bytes.
        """
        await self._command("set_variable", _checked(name), value)

    async def get_variable(self, name: str) -> str | None:
        """A channel variable or function (`CHANNEL(linkedid)`), whatever it contains.

        None when it is empty or not set, which the dialplan does not tell apart.
        """
        (value,) = await self.get_variables(name)
        return value or None

    async def get_variables(self, *names: str) -> tuple[str, ...]:
        """Several variables in one question; empty where not set."""
        return await _read(self._connection, names, self._command_deadline)

    async def verbose(self, message: str, level: int = 3) -> None:
        """Write a line to Asterisk's own log, shown from verbosity `level` (1 to 4) on."""
        await self._command("verbose", message, level)

    async def unless_hung_up(self, waiting: Awaitable[T]) -> T:
        """Wait for something else, such as a decision, but no longer than the channel waits for us.

        Raises AgiHangup the moment the channel goes; `waiting` is cancelled then, so shield what is shared.
        """
        async with self._connection.until_ended():
            return await waiting

    async def _command(self, verb: str, *arguments: str | int) -> None:
        reply = await self._connection.ask(pyst.command(verb, *arguments), deadline=self._command_deadline)
        _judge(reply.text)


async def _read(connection: AgiConnection, names: tuple[str, ...], deadline: float) -> tuple[str, ...]:
    mark = secrets.token_hex(8)
    expression = mark + "".join(f"${{{_checked(name)}}}{mark}" for name in names)
    reply = await connection.ask(pyst.command("get_full_variable", expression), mark=mark, deadline=deadline)
    if reply.value is None:
        _judge(reply.text)
        raise AgiDesync("a variable was asked for, and something else came")
    values = tuple(reply.value.split(mark))
    if len(values) != len(names):
        raise AgiDesync(f"{len(names)} variables were asked for, {len(values)} came")
    return values


def _judge(answer: str) -> None:
    """Turn pyst2's exceptions into ours; returns when the answer is 200."""
    if answer.startswith("511"):
        raise AgiHangup("the channel is dead")
    try:
        pyst.conclude(answer)
    except pyst.AGIAppError as lost:
        raise AgiHangup("the channel is gone") from lost
    except pyst.AGIError as refusal:
        raise AgiRefused(f"Asterisk answered {answer[:3]}") from refusal


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not the name of a variable: {name!r}")
    return name
