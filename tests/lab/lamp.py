"""A phone's lamp: one subscription (RFC 6665) to a short code, as a BLF key or a presence list makes it.

    async with Lamp("127.0.0.91", "127.0.110.1:5060", "1001", password, code="12345") as lamp:
        await lamp.shows("idle")

`shows` reads what the newest NOTIFY says as a phone does: dialog-info (RFC 4235) or presence (RFC 3863).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import xml.etree.ElementTree as ElementTree
from types import TracebackType
from typing import Any, Self

from tests.lab.digest import answer_to
from tests.lab.sip import SipMessage

ANSWER_S = 3.0
MEDIA = {"dialog": "application/dialog-info+xml", "presence": "application/pidf+xml"}


class Refused(Exception):
    """The subscription was refused; `status` says how."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the subscription was refused with {status}")
        self.status = status


class Lamp(asyncio.DatagramProtocol):
    """`bind` is a loopback address of its own; `user` and `password` are a seat's, or a stranger's."""

    def __init__(
        self, bind: str, server: str, user: str, password: str, *, code: str, event: str = "dialog"
    ) -> None:
        host, port = server.split(":")
        self._bind, self._server = bind, (host, int(port))
        self._user, self._password, self._code, self.event = user, password, code, event
        self._call_id, self._tag = secrets.token_hex(8), secrets.token_hex(4)
        self._to = f"<sip:{code}@{host}>"
        self._cseq = 0
        self._answers: asyncio.Queue[SipMessage] = asyncio.Queue()
        self._news = asyncio.Event()
        self.bodies: list[str] = []

    async def __aenter__(self) -> Self:
        """Subscribe; Refused when the server says no."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (self._bind, 5060))
        try:
            await self._subscribe(3600)
        except BaseException:
            self._transport.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._subscribe(0)
        finally:
            self._transport.close()

    async def shows(self, *wanted: str, within: float = 3.0) -> str:
        """Wait until the lamp shows one of `wanted`; AssertionError with what it showed instead."""
        try:
            async with asyncio.timeout(within):
                while (shown := self.shown) not in wanted:
                    self._news.clear()
                    await self._news.wait()
                return shown
        except TimeoutError:
            seen = "\n".join(self.bodies[-3:])
            raise AssertionError(
                f"{self._code} shows {self.shown}, not {wanted}; it was told\n{seen}"
            ) from None

    @property
    def shown(self) -> str:
        """What a person at the phone sees now; `dark` before the first NOTIFY."""
        if not self.bodies:
            return "dark"
        root = ElementTree.fromstring(self.bodies[-1])
        return _dialog(root) if self.event == "dialog" else _presence(root)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = SipMessage.parse(data)
        if message.status is not None:
            self._answers.put_nowait(message)
        elif message.method == "NOTIFY":
            # An earlier phone at this address may not have said goodbye in time: what is told to it is not ours.
            ours = message.call_id == self._call_id
            self._transport.sendto(
                _answer(message, "200 OK" if ours else "481 No Such Subscription"), address
            )
            if ours and message.body.strip():
                self.bodies.append(message.body)
                self._news.set()

    async def _subscribe(self, expires: int) -> None:
        answer = await self._ask(expires, "")
        if answer.status == 401:
            challenge = answer.header("WWW-Authenticate") or ""
            uri = f"sip:{self._code}@{self._server[0]}"
            answer = await self._ask(
                expires, answer_to(challenge, "SUBSCRIBE", uri, self._user, self._password)
            )
        if answer.status is None or answer.status >= 300:
            raise Refused(answer.status or 0)
        self._to = answer.header("To") or self._to

    async def _ask(self, expires: int, authorization: str) -> SipMessage:
        self._cseq += 1
        lines = [
            f"SUBSCRIBE sip:{self._code}@{self._server[0]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._bind}:5060;branch=z9hG4bK{secrets.token_hex(6)};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self._user}@{self._server[0]}>;tag={self._tag}",
            f"To: {self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._cseq} SUBSCRIBE",
            f"Contact: <sip:{self._user}@{self._bind}:5060>",
            f"Event: {self.event}",
            f"Accept: {MEDIA[self.event]}",
            f"Expires: {expires}",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Content-Length: 0",
        ]
        self._transport.sendto("\r\n".join([*lines, "", ""]).encode(), self._server)
        while True:
            answer = await asyncio.wait_for(self._answers.get(), ANSWER_S)
            if answer.header("CSeq") == f"{self._cseq} SUBSCRIBE" and answer.status != 100:
                return answer


def _dialog(root: ElementTree.Element) -> str:
    """RFC 4235: a dialog that is terminated is none; one that is not rendered is on hold (RFC 4235 §4.1.5.1)."""
    state = next((e.text or "" for e in root.iter() if e.tag.endswith("}state")), "")
    held = any(
        e.get("pname") == "+sip.rendering" and e.get("pvalue") == "no"
        for e in root.iter()
        if e.tag.endswith("}param")
    )
    if state == "confirmed" and held:
        return "held"
    return {"terminated": "idle", "early": "ringing", "confirmed": "in use"}.get(state, state)


def _presence(root: ElementTree.Element) -> str:
    """RFC 3863: `open` or `closed`, and the note that phones show beside the name."""
    texts = {re.sub(r"{.*}", "", e.tag): (e.text or "").strip() for e in root.iter()}
    return f"{texts.get('basic', '')}: {texts.get('note', '')}"


def _answer(request: SipMessage, status: str) -> bytes:
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    lines = [f"{name}: {value}" for name in names for value in request.all(name)]
    return "\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""]).encode()
