"""A SIP peer that says what a test tells it to, byte by byte, and answers nothing that it was not told to answer.

    async with RawSip("127.0.111.66", "127.0.110.1:5060") as peer:
        peer.send(b"anything")
        answer = await peer.ask("INVITE", "sip:110@127.0.110.1", {"P-Asserted-Identity": "<sip:1@h>"}, body=SDP)

Only OPTIONS are answered by themselves, so that Asterisk takes the far end of a line for being there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.lab.digest import answer_to
from tests.lab.sip import NotSipError, SipMessage

ANSWER_S = 5.0
_COPIED = ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")


def sdp(host: str, port: int = 40000, profile: str = "RTP/AVP", crypto: str = "") -> str:
    """An offer or answer of alaw at `host`; `crypto` is the value of an SDES attribute (RFC 4568)."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    lines += [f"m=audio {port} {profile} 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"]
    lines += [f"a=crypto:{crypto}"] if crypto else []
    return "\r\n".join([*lines, ""])


class RawSip(asyncio.DatagramProtocol):
    """`bind` is a loopback address of its own, `server` Asterisk's host:port; `user` and `password` for digests."""

    def __init__(self, bind: str, server: str, user: str = "", password: str = "", port: int = 5060) -> None:
        host, server_port = server.split(":")
        self.bind, self.port = bind, port
        self._server = (host, int(server_port))
        self._user, self._password = user, password
        self._answers: asyncio.Queue[SipMessage] = asyncio.Queue()
        self._requests: asyncio.Queue[SipMessage] = asyncio.Queue()
        self._done: asyncio.Queue[str] = asyncio.Queue()
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (self.bind, self.port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()
        await self._closed.wait()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        try:
            message = SipMessage.parse(data)
        except NotSipError:
            return
        if message.status is not None:
            self._answers.put_nowait(message)
        elif message.method == "OPTIONS":
            self.answer(message, "200 OK")
        else:
            self._requests.put_nowait(message)

    def send(self, data: bytes) -> None:
        """These bytes in one packet, whatever they are."""
        self._transport.sendto(data, self._server)

    def build(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        *,
        sender: str = "",
        user: str = "13800138000",
    ) -> SipMessage:
        """A request outside any dialog; `headers` go over those that it has anyway; `sender` is the whole From."""
        own = {
            "Via": self._via(),
            "Max-Forwards": "70",
            "From": f"{sender or f'<sip:{user}@{self.bind}>'};tag={secrets.token_hex(4)}",
            "To": f"<{uri}>",
            "Call-ID": secrets.token_hex(8),
            "CSeq": f"1 {method}",
            "Contact": f"<sip:{self._user or 'raw'}@{self.bind}:{self.port}>",
        }
        own |= {"Content-Type": "application/sdp"} if body else {}
        return SipMessage(f"{method} {uri} SIP/2.0", tuple((own | dict(headers or {})).items()), body)

    async def ask(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        *,
        sender: str = "",
        user: str = "13800138000",
        within: float = ANSWER_S,
    ) -> SipMessage:
        """Send a request, with a digest when one is asked for and we have a password; its final answer."""
        request = self.build(method, uri, headers, body, sender=sender, user=self._user or user)
        answer = await self.final(request, within=within)
        challenge = answer.header("WWW-Authenticate")
        if answer.status == 401 and challenge and self._password:
            digest = answer_to(challenge, method, uri, self._user, self._password)
            again = self.build(
                method, uri, {**(headers or {}), "Authorization": digest}, body, user=self._user
            )
            return await self.final(again, within=within)
        return answer

    async def final(self, request: SipMessage, *, within: float = ANSWER_S) -> SipMessage:
        """Send `request` and wait for its final answer; an INVITE's is acknowledged (RFC 3261 §17.1.1.3)."""
        self.send(written(request))
        async with asyncio.timeout(within):
            while True:
                answer = await self._answers.get()
                same = (answer.call_id, answer.header("CSeq")) == (request.call_id, request.header("CSeq"))
                if same and (answer.status or 0) >= 200:
                    break
        if request.method == "INVITE":
            self.acknowledge(request, answer)
        return answer

    def acknowledge(self, request: SipMessage, answer: SipMessage) -> None:
        headers = dict(request.headers) | {"To": answer.header("To") or "", "CSeq": "1 ACK"}
        headers.pop("Content-Type", None)
        if (answer.status or 0) < 300:
            headers["Via"] = self._via()
        first = request.first_line.replace(request.method or "", "ACK", 1)
        self.send(written(SipMessage(first, tuple(headers.items()), "")))

    def inside(
        self, request: SipMessage, answer: SipMessage, method: str, number: int, **extra: str
    ) -> SipMessage:
        """A request within the dialog that `request` and its `answer` have begun."""
        headers = dict(request.headers) | {"To": answer.header("To") or "", "CSeq": f"{number} {method}"}
        headers.pop("Content-Type", None)
        headers["Via"] = self._via()
        headers |= {name.replace("_", "-"): value for name, value in extra.items()}
        return SipMessage(f"{method} {self._uri} SIP/2.0", tuple(headers.items()), "")

    async def request(self, method: str, *, within: float = ANSWER_S) -> SipMessage:
        """The next request of this method that Asterisk sends us; others are dropped."""
        async with asyncio.timeout(within):
            while (request := await self._requests.get()).method != method:
                pass
        return request

    @property
    def unread(self) -> list[SipMessage]:
        """The requests that have come and that nobody has asked for."""
        found = []
        while not self._requests.empty():
            found.append(self._requests.get_nowait())
        return found

    async def answered(self, method: str, *, within: float = ANSWER_S) -> None:
        """Wait until one more request of this method has been answered since the last time."""
        async with asyncio.timeout(within):
            while await self._done.get() != method:
                pass

    def back(self, invite: SipMessage, method: str, number: int, **extra: str) -> SipMessage:
        """A request of the called side within the dialog that `invite`, which we answered with 200, has begun."""
        headers = {
            "Via": self._via(),
            "Max-Forwards": "70",
            "From": f"{invite.header('To')};tag=raw",
            "To": invite.header("From") or "",
            "Call-ID": invite.call_id,
            "CSeq": f"{number} {method}",
            "Contact": f"<sip:{self._user or 'raw'}@{self.bind}:{self.port}>",
        }
        headers |= {name.replace("_", "-"): value for name, value in extra.items()}
        return SipMessage(f"{method} {self._uri} SIP/2.0", tuple(headers.items()), "")

    def answer(self, request: SipMessage, status: str, body: str = "", **extra: str) -> None:
        """Answer what Asterisk has asked: `status` such as `302 Moved Temporarily`; `extra` are headers."""
        headers = [(name, value) for name, value in request.headers if name in _COPIED]
        if not status.startswith("100"):
            headers = [(n, f"{v};tag=raw" if n == "To" and ";tag=" not in v else v) for n, v in headers]
        headers += [(name.replace("_", "-"), value) for name, value in extra.items()]
        headers += [("Content-Type", "application/sdp")] if body else []
        self.send(written(SipMessage(f"SIP/2.0 {status}", tuple(headers), body)))
        self._done.put_nowait(request.method or "")

    @property
    def _uri(self) -> str:
        return f"sip:{self._server[0]}:{self._server[1]}"

    def _via(self) -> str:
        return f"SIP/2.0/UDP {self.bind}:{self.port};branch=z9hG4bK{secrets.token_hex(6)};rport"


def written(message: SipMessage) -> bytes:
    """The message as it goes on the wire."""
    body = message.body.encode()
    lines = [message.first_line, *(f"{name}: {value}" for name, value in message.headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
