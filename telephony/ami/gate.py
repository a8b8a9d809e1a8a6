"""Actions only while we lead: whoever is to act on Asterisk is given a link that asks first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from telephony.ami.action import Headers
from telephony.ami.message import AmiMessage


class Sender(Protocol):
    """What takes actions: the link itself, or a gated one."""

    async def send(self, action: str, headers: Headers, *, deadline: float | None = None) -> AmiMessage: ...

    async def ask(
        self, action: str, headers: Headers | None = None, *, deadline: float | None = None
    ) -> list[AmiMessage]: ...


class GatedLink:
    """`permit` returns while we lead and raises LinkDown otherwise; lists change nothing and are always asked."""

    def __init__(self, link: Sender, permit: Callable[[], Awaitable[None]]) -> None:
        self._link = link
        self._permit = permit

    async def send(self, action: str, headers: Headers, *, deadline: float | None = None) -> AmiMessage:
        await self._permit()
        # Nothing may be awaited between the permission and the write, which `send` does before it waits.
        return await self._link.send(action, headers, deadline=deadline)

    async def ask(
        self, action: str, headers: Headers | None = None, *, deadline: float | None = None
    ) -> list[AmiMessage]:
        return await self._link.ask(action, headers, deadline=deadline)
