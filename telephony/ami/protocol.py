"""One TCP connection to Asterisk: bytes to messages, messages to whoever waits for them.

What panoramisk's AMIProtocol does on arrival and loss of a connection is replaced: frames are cut before
they are decoded, in linear time and bounded memory; an answer goes to the ActionID that asked for it; every
other event goes to the handler; nothing is kept for a later connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import structlog
from panoramisk.ami_protocol import AMIProtocol

from telephony.ami.action import Headers, encode
from telephony.ami.errors import AmiDown, AmiLost, AmiRefused, AmiTimeout
from telephony.ami.message import AmiMessage

log = structlog.get_logger("ami")

_BANNER = b"Asterisk Call Manager/"
_MAX_BANNER = 128
_LINE_END = b"\r\n"
_MESSAGE_END = b"\r\n\r\n"

STALE = 1.0
"""Seconds for which this process may stand still (frozen, or kept from running) and still believe what it reads
then. The dialplan waits as long for an answer, and goes on by itself."""


class _Question:
    """An action that waits for its answer: one response, or a list as well."""

    __slots__ = ("answer", "in_list", "items", "wants_list")

    def __init__(self, *, wants_list: bool) -> None:
        self.answer: asyncio.Future[AmiMessage] = asyncio.get_running_loop().create_future()
        self.wants_list = wants_list
        self.in_list = False
        self.items: list[AmiMessage] = []

    def settle(self, message: AmiMessage) -> bool:
        if self.answer.done():
            return False
        self.answer.set_result(message)
        return True

    def add_response(self, message: AmiMessage) -> bool:
        """Take the response; returns whether it ends the waiting."""
        if self.wants_list and message.success and message.get("EventList") == "start":
            self.in_list = True
            return False
        return self.settle(message)

    def add_item(self, message: AmiMessage) -> bool:
        """Take an item of the list, or its end; returns whether it ends the waiting."""
        if message.get("EventList") in ("Complete", "Cancelled"):
            return self.settle(message)
        self.items.append(message)
        return False


class AmiProtocol(AMIProtocol):  # type: ignore[misc]
    """A connection that has its own end: it is never used again once `lost` is done.

    `on_event` gets every event in the order of the wire, synchronously; what it raises is logged. When a
    message answers a `request`, the task that awaits it runs before the next message is looked at, so
    that it too sees the order of the wire. `stood_still` tells for how many seconds nothing has run here.
    """

    def __init__(
        self,
        on_event: Callable[[AmiMessage], None],
        *,
        max_message: int,
        max_unsent: int,
        stood_still: Callable[[], float] = lambda: 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.on_event = on_event
        self.greeted: asyncio.Future[None] = loop.create_future()
        """Done when Asterisk's banner has been read."""
        self.lost: asyncio.Future[str] = loop.create_future()
        """Done when the connection has ended; the result is the reason, for people."""
        self.reason = ""
        """Why it was closed; empty while it is open."""
        self.received = 0
        """Bytes read so far."""
        self.responses: dict[str, _Question] = {}
        self.closed = False
        self._max_message = max_message
        self._max_unsent = max_unsent
        self._stood_still = stood_still
        self._rest = bytearray()
        self._resume: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.responses = {}

    async def request(
        self, action: str, headers: Headers, deadline: float, *, wants_list: bool = False
    ) -> tuple[AmiMessage, list[AmiMessage]]:
        """Send an action, and wait up to `deadline` seconds for its answer: the last message, the items.

        Raises ValueError (see `encode`), AmiDown, AmiTimeout, AmiRefused.
        """
        action_id = secrets.token_hex(16)
        data = encode(action, action_id, headers)
        if not self.closed and self.transport.get_write_buffer_size() > self._max_unsent:
            self.close("Asterisk does not read what it is sent")
        if self.closed:
            raise AmiDown(self.reason)
        question = self.responses[action_id] = _Question(wants_list=wants_list)
        try:
            self.transport.write(data)
            async with asyncio.timeout(deadline):
                answer = await question.answer
        except TimeoutError:
            raise AmiTimeout(action, deadline) from None
        finally:
            self.responses.pop(action_id, None)
        if not question.in_list and not answer.success:
            raise AmiRefused(action, answer)
        if wants_list and answer.get("EventList") != "Complete":
            raise AmiRefused(action, AmiMessage({"Message": f"no complete list: {answer!r}"}))
        return answer, question.items

    def look_for_standstill(self) -> None:
        """Close it if we have just stood still: what has come meanwhile is old."""
        if not self.closed and (seconds := self._stood_still()) > STALE:
            # To act on old news may part those whom the dialplan has brought together since: find out anew.
            self.close(f"we stood still for {seconds:.1f} s: what has come meanwhile is old")

    def data_received(self, data: bytes) -> None:
        self.look_for_standstill()
        if self.closed:
            return
        self.received += len(data)
        rest = self._rest
        seen = max(len(rest) - len(_MESSAGE_END) + 1, 0)
        rest += data
        if self.version is None:
            if not self._read_banner():
                return
            seen = 0
        end = rest.rfind(_MESSAGE_END, seen)
        if end >= 0:
            # "replace", not "surrogateescape": these texts go on into JSON, Redis and logs, which all
            # refuse lone surrogates, and never back to Asterisk as an address.
            self.queue.extend(rest[:end].decode("utf-8", "replace").split("\r\n\r\n"))
            del rest[: end + len(_MESSAGE_END)]
        if len(rest) > self._max_message:
            self.close(f"a message of more than {self._max_message} bytes")
        if self._resume is None:
            self._hand_over()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.close(f"connection lost: {exc}" if exc else "Asterisk closed the connection")
        if self._resume is not None:
            self._resume.cancel()
        while self.queue:
            self._route(self.queue.popleft())
        for question in self.responses.values():
            if not question.answer.done():
                question.answer.set_exception(AmiLost(self.reason))
        self.responses.clear()
        if not self.lost.done():
            self.lost.set_result(self.reason)

    def close(self, reason: str = "closed") -> None:
        """Drop the connection; the first reason stays. `lost` is done soon after."""
        if not self.closed:
            self.closed = True
            self.reason = reason
            self._rest.clear()
            # A polite close would wait until a peer that may be dead has read everything.
            self.transport.abort()

    def _read_banner(self) -> bool:
        banner, end, _ = self._rest.partition(_LINE_END)
        if not self._rest.startswith(_BANNER[: len(self._rest)]) or len(banner) > _MAX_BANNER:
            self.close(f"not Asterisk's manager interface: {bytes(banner[:40])!r}")
            return False
        if not end:
            return False
        self.version = banner[len(_BANNER) :].decode("ascii", "replace")
        del self._rest[: len(banner) + len(end)]
        self.greeted.set_result(None)
        return True

    def _hand_over(self) -> None:
        self._resume = None
        while self.queue:
            if self._route(self.queue.popleft()) and self.queue:
                self._resume = asyncio.get_running_loop().call_soon(self._hand_over)
                return

    def _route(self, text: str) -> bool:
        """Give one message to whom it belongs; returns whether somebody who waited has been woken."""
        text = text.lstrip("\r\n")
        if len(text) > self._max_message:
            self.close(f"a message of more than {self._max_message} characters")
            return False
        # The first line decides: only Asterisk writes it, while a caller may have written later ones.
        if text.startswith("Event: "):
            message = AmiMessage.parse(text)
            if self.responses:
                question = self.responses.get(message.get("ActionID"))
                if question is not None and question.in_list:
                    return question.add_item(message)
            try:
                self.on_event(message)
            except Exception:
                log.exception("ami_event_handler_failed", ami_event=message.event)
            return False
        if text.startswith("Response: "):
            message = AmiMessage.parse(text)
            question = self.responses.get(message.get("ActionID"))
            if question is not None:
                return question.add_response(message)
        if text:
            log.debug("ami_message_ignored", start=text[:80])
        return False
