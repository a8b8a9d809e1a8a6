"""A linked unit's far end that answers INVITEs with nonsense, or not at all. Its line looks well: OPTIONS get a 200."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.lab.sip import NotSipError, SipMessage

PORT = 5060
COPIED = ("From", "Call-ID", "CSeq")  # and every Via, RFC 3261 section 8.2.6.2


@dataclass(slots=True)
class Invited:
    """An INVITE as it came, for what is to be answered."""

    unit: RudeUnit
    invite: SipMessage
    source: tuple[str, int]

    def say(self, status: str, body: str = "", *extra: str, to: SipMessage | None = None) -> None:
        """Answer the INVITE, or the request `to`, with this status line's end, such as `180 Ringing`."""
        request = to or self.invite
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in request.all("Via"))]
        lines += [f"{name}: {request.header(name)}" for name in COPIED]
        lines += [
            f"To: {request.header('To')};tag=rude",
            f"Contact: <sip:rude@{self.unit.host}:{PORT}>",
            *extra,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.send("\r\n".join(lines).encode())

    def send(self, data: bytes) -> None:
        self.unit.transport.sendto(data, self.source)

    def sdp(self, codec: int = 8) -> str:
        """What a plain phone would offer; 8 is PCMA."""
        host = self.unit.host
        lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
        return "\r\n".join([*lines, f"m=audio 40000 RTP/AVP {codec}", ""])


Manners = Callable[[Invited], None]


@dataclass(slots=True)
class RudeUnit(asyncio.DatagramProtocol):
    """At `host`; `on_invite` is called for each new INVITE, `on_cancel` for its CANCEL. A context manager."""

    host: str
    on_invite: Manners
    on_cancel: Callable[[Invited, SipMessage], None] | None = None
    transport: asyncio.DatagramTransport = field(init=False)
    seen: list[str] = field(default_factory=list)
    _invites: dict[str, Invited] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, PORT))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        try:
            message = SipMessage.parse(data)
        except NotSipError:
            return  # keep-alives
        method = message.first_line.split(" ")[0]
        self.seen.append(method)
        match method:
            case "INVITE" if message.call_id not in self._invites:
                invited = self._invites[message.call_id] = Invited(self, message, source)
                self.on_invite(invited)
            case "CANCEL":
                self._cancelled(message)
            case "OPTIONS" | "BYE":
                Invited(self, message, source).say("200 OK")

    def _cancelled(self, message: SipMessage) -> None:
        invited = self._invites[message.call_id]
        invited.say("200 OK", to=message)
        if self.on_cancel is None:
            invited.say("487 Request Terminated")
        else:
            self.on_cancel(invited, message)
