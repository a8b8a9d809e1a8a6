"""Many phones at one SIP address, in this process: for measurements of more calls than real softphones can make.

It speaks just enough SIP for a call to be made, answered and ended. All its calls send their audio to one port,
which nobody reads. Times are the kernel's (SO_TIMESTAMPNS), in Unix seconds, so that what this process is late
with does not count.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Callable
from typing import Self

from tests.lab.digest import answer_to
from tests.lab.wire import SO_TIMESTAMPNS, TIMESPEC

RETRY = 0.5  # s after which a request is sent again (RFC 3261 T1)
TRIES = 6
BUFFER = 8 << 20  # bytes
_USER = re.compile(r"sips?:([^@;>]+)@")


class CallFailed(Exception):
    """The far end refused, or did not answer."""


class Message:
    """One SIP message as it came, its first values by lower-case name."""

    __slots__ = ("at", "body", "first", "headers", "source", "vias")

    def __init__(self, data: bytes, source: tuple[str, int], at: float) -> None:
        head, _, self.body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.headers: dict[str, str] = {}
        self.vias: list[str] = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.lower()
            if name == "via":
                self.vias.append(value.strip())
            self.headers.setdefault(name, value.strip())
        self.source, self.at = source, at

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.first[8:11]) if self.first.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        return self.first.partition(" ")[0]

    def user(self, header: str) -> str:
        found = _USER.search(self.headers.get(header, ""))
        return found[1] if found else ""

    @property
    def called(self) -> str:
        """The user part of the Request-URI."""
        found = _USER.search(self.first)
        return found[1] if found else ""


class Dialog:
    """One call of an Agent. `number`: who calls, by From; `invite`: of an incoming call."""

    def __init__(self, agent: Agent, call_id: str, number: str, invite: Message | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.agent, self.call_id, self.number, self.invite = agent, call_id, number, invite
        self.confirmed: asyncio.Future[float] = loop.create_future()
        """When it was answered: the 200 of an outgoing call, the ACK of an incoming one. CallFailed."""
        self.ended: asyncio.Future[float] = loop.create_future()
        self.tag = secrets.token_hex(6)
        self.local = self.remote = self.target = ""
        self.peer: tuple[str, int] = ("", 0)
        self.media: tuple[str, int] | None = None
        self.branch = ""
        self.cseq = 1
        self.retry: asyncio.TimerHandle | None = None
        self.last = b""

    def answer(self) -> None:
        """200 to an incoming call."""
        assert self.invite is not None
        self.last = self.agent.respond(self.invite, "200 OK", self, sdp=True)

    def hang_up(self) -> None:
        """BYE; done when `ended` is."""
        if not self.ended.done():
            self.cseq += 1
            self.agent.request("BYE", self)

    async def bye(self, within: float = 5.0) -> None:
        """BYE, and its 200."""
        self.hang_up()
        await asyncio.wait_for(asyncio.shield(self.ended), within)

    def stop_retrying(self) -> None:
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None

    def over(self, at: float) -> None:
        self.stop_retrying()
        if not self.ended.done():
            self.ended.set_result(at)
        if not self.confirmed.done():
            self.confirmed.set_exception(CallFailed(f"{self.number}: ended before it was answered"))
            self.confirmed.exception()  # read or not: nobody need be waiting


class Agent:
    """Phones at `host`:5060. `on_invite` is told of every incoming call; without it they are answered at once."""

    def __init__(self, host: str, on_invite: Callable[[Dialog], None] = Dialog.answer) -> None:
        self.host = host
        self.on_invite = on_invite
        self.dialogs: dict[str, Dialog] = {}
        self._waiting: dict[tuple[str, str], asyncio.Future[Message]] = {}  # by Call-ID and CSeq

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setblocking(False)
        self._socket.bind((self.host, 5060))
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # full at once: the rest is dropped
        self.sink.bind((self.host, 40000))
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        for dialog in self.dialogs.values():
            dialog.stop_retrying()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.sink.close()

    def dial(self, number: str, to: str) -> Dialog:
        """Call `to` (user@host); `number` is the caller's."""
        dialog = Dialog(self, f"{secrets.token_hex(8)}@{self.host}", number)
        self.dialogs[dialog.call_id] = dialog
        dialog.local = f"<sip:{number}@{self.host}>;tag={dialog.tag}"
        dialog.remote, dialog.target = f"<sip:{to}>", f"sip:{to}"
        dialog.peer = (to.partition("@")[2], 5060)
        self.request("INVITE", dialog, sdp=True)
        return dialog

    async def register(self, user: str, password: str, registrar: str, within: float = 10.0) -> None:
        """Register `user` at this address. TimeoutError, CallFailed."""
        call_id, target = f"{secrets.token_hex(8)}@{self.host}", f"sip:{registrar}"
        authorization = ""
        for cseq in (1, 2):
            done: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._waiting[call_id, f"{cseq} REGISTER"] = done
            head = self._head("REGISTER", target, call_id, cseq, secrets.token_hex(8))
            who = f"<sip:{user}@{registrar}>"
            text = f"{head}From: {who};tag={call_id[:8]}\r\nTo: {who}\r\nExpires: 7200\r\n{authorization}"
            text += f"Contact: <sip:{user}@{self.host}:5060>\r\nContent-Length: 0\r\n\r\n"
            async with asyncio.timeout(within):
                while not done.done():  # RFC 3261, timer E: an Asterisk with much to do drops requests
                    self._send(text.encode(), (registrar, 5060))
                    await asyncio.wait([done], timeout=RETRY)
            answer = done.result()
            if answer.status == 200:
                return
            challenge = answer.headers.get("www-authenticate", "")
            if not challenge:
                break
            words = answer_to(challenge, "REGISTER", target, user, password)
            authorization = f"Authorization: {words}\r\n"
        raise CallFailed(f"{user} could not register: {answer.first}")

    # -- on the wire -------------------------------------------------------------------------

    def request(self, method: str, dialog: Dialog, *, sdp: bool = False) -> None:
        """Send a request in the dialog, again and again until it is answered."""
        dialog.branch = secrets.token_hex(8)
        head = self._head(method, dialog.target, dialog.call_id, dialog.cseq, dialog.branch)
        text = f"{head}From: {dialog.local}\r\nTo: {dialog.remote}\r\n"
        data = self._with_body(text, dialog.local, sdp)
        self._retry(dialog, data, TRIES)

    def _retry(self, dialog: Dialog, data: bytes, tries: int) -> None:
        if tries == 0:
            dialog.over(0.0)
            return
        self._send(data, dialog.peer)
        loop = asyncio.get_running_loop()
        dialog.stop_retrying()
        dialog.retry = loop.call_later(RETRY * (TRIES + 1 - tries), self._retry, dialog, data, tries - 1)

    def respond(self, to: Message, status: str, dialog: Dialog | None, *, sdp: bool = False) -> bytes:
        tag = dialog.tag if dialog is not None else "x"
        their = to.headers.get("to", "")
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in to.vias)]
        lines += [f"From: {to.headers.get('from', '')}"]
        lines += [f"To: {their}" if ";tag=" in their else f"To: {their};tag={tag}"]
        lines += [f"Call-ID: {to.headers.get('call-id', '')}", f"CSeq: {to.headers.get('cseq', '')}"]
        data = self._with_body("\r\n".join([*lines, ""]), f"<sip:{to.called}@{self.host}>", sdp)
        self._send(data, to.source)
        return data

    def _head(self, method: str, target: str, call_id: str, cseq: int, branch: str) -> str:
        return (
            f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {self.host}:5060;branch=z9hG4bK{branch}\r\n"
            f"Max-Forwards: 70\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
        )

    def _with_body(self, head: str, contact: str, sdp: bool) -> bytes:
        uri = contact.partition(";tag=")[0].replace(f"@{self.host}>", f"@{self.host}:5060>")
        body = ""
        if sdp:
            body = (
                f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
                "m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
            )
            head += "Content-Type: application/sdp\r\n"
        return f"{head}Contact: {uri}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        self._socket.sendto(data, peer)

    def _read(self) -> None:
        while True:
            try:
                data, extra, _, source = self._socket.recvmsg(65535, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = TIMESPEC.unpack(extra[0][2])
            if len(data) > 20:  # less is a keep-alive
                self._take(Message(data, source, seconds + nanoseconds / 1e9))

    def _take(self, message: Message) -> None:
        call_id = message.headers.get("call-id", "")
        dialog = self.dialogs.get(call_id)
        if message.status:
            waiting = self._waiting.get((call_id, message.headers.get("cseq", "")))
            if waiting is not None and not waiting.done() and message.status >= 200:
                waiting.set_result(message)
            elif dialog is not None:
                self._response(dialog, message)
            return
        match message.method:
            case "INVITE" if dialog is None:
                self._invited(call_id, message)
            case "INVITE" if dialog is not None and dialog.invite is not None and not dialog.confirmed.done():
                if dialog.last:  # it has not heard our answer
                    self._send(dialog.last, message.source)
            case "INVITE" | "UPDATE":
                self.respond(message, "200 OK", dialog, sdp=True)
            case "ACK":
                if dialog is not None and dialog.invite is not None and not dialog.confirmed.done():
                    dialog.confirmed.set_result(message.at)
            case "CANCEL" if dialog is not None and dialog.invite is not None:
                self.respond(message, "200 OK", dialog)
                self.respond(dialog.invite, "487 Request Terminated", dialog)
                self._over(dialog, message.at)
            case "BYE":
                self.respond(message, "200 OK", dialog)
                if dialog is not None:
                    self._over(dialog, message.at)
            case _:
                self.respond(message, "200 OK", dialog)

    def _invited(self, call_id: str, message: Message) -> None:
        dialog = Dialog(self, call_id, message.user("from"), message)
        self.dialogs[call_id] = dialog
        dialog.local = f"{message.headers['to']};tag={dialog.tag}"
        dialog.remote = message.headers["from"]
        dialog.target = message.headers["contact"].partition("<")[2].partition(">")[0]
        dialog.peer, dialog.media = message.source, _media(message.body)
        self.respond(message, "180 Ringing", dialog)
        self.on_invite(dialog)

    def _response(self, dialog: Dialog, message: Message) -> None:
        kind, status = message.headers.get("cseq", "").rpartition(" ")[2], message.status
        if status < 200:
            dialog.stop_retrying()
            return
        if kind == "INVITE":
            self._final(dialog, message)
        elif kind == "BYE":
            self._over(dialog, message.at)

    def _final(self, dialog: Dialog, message: Message) -> None:
        dialog.stop_retrying()
        good = message.status < 300
        if good:
            dialog.remote = message.headers["to"]
            dialog.target = message.headers["contact"].partition("<")[2].partition(">")[0]
            dialog.media = _media(message.body)
        branch = secrets.token_hex(8) if good else dialog.branch
        head = self._head("ACK", dialog.target, dialog.call_id, 1, branch)
        text = f"{head}From: {dialog.local}\r\nTo: {message.headers['to']}\r\nContent-Length: 0\r\n\r\n"
        self._send(text.encode(), dialog.peer)
        if good and not dialog.confirmed.done():
            dialog.confirmed.set_result(message.at)
        elif not good:
            self._over(dialog, message.at)

    def _over(self, dialog: Dialog, at: float) -> None:
        dialog.over(at)
        # Kept a while for what comes twice.
        asyncio.get_running_loop().call_later(2.0, self.dialogs.pop, dialog.call_id, None)


def _media(body: str) -> tuple[str, int] | None:
    host, port = re.search(r"c=IN IP4 (\S+)", body), re.search(r"m=audio (\d+)", body)
    return (host[1], int(port[1])) if host and port else None
