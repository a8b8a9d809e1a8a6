"""Softphones for the tests: real PJSIP user agents, each in a process of its own.

    async with Softphones() as phones:
        caller = await phones.add("caller", bind="127.0.111.10", tone=530)
        seat = await phones.add("1001", bind="127.0.0.31", tone=1130, password="...",
                                registrar="127.0.110.1:5060")
        await seat.registered()
        call = await caller.dial("sip:110@127.0.110.1:5060", number="13800138000")
        incoming = await seat.incoming()
        await incoming.answer()
        await call.answered()

Every phone sends its own endless tone in every call (PCMA, 20 ms), so what a party hears can be
read from the packets that reach it (`wire.py`). All waiting is for a condition, with a limit in
seconds; the errors tell what the phone saw instead.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.lab.sip import SipMessage
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import NotSeenError, PhoneDiedError, PhoneError, RegistrationFailedError
from tests.lab.softphone_program import Program

Found = TypeVar("Found")

START_S = 15.0
REPLY_S = 5.0
CLOSE_S = 5.0
STILL_TRYING = (408, 502, 503)


class Softphone:
    """One phone. Made by `Softphones.add`."""

    clock = staticmethod(time.time)

    def __init__(self, name: str, bind: str, tone: int, user: str) -> None:
        self.name = name
        self.bind = bind
        self.tone = tone
        self.user = user
        self.calls: dict[int, Call] = {}
        self._arrived: deque[Call] = deque()
        self._registration: dict[str, Any] | None = None
        self._seen: deque[str] = deque(maxlen=40)
        self._news = asyncio.Condition()
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._commands = 0
        self._gone = ""
        self._ready = False
        self._killed = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<phone {self.name} at {self.bind}, {self.tone} Hz>"

    async def start(self, program: Program, settings: Mapping[str, Any]) -> None:
        """Make `program` this phone and wait until its transport is open; raises PhoneError."""
        self._program = program
        self._listener = asyncio.create_task(self._listen(), name=f"softphone {self.name}")
        self._write(settings)
        await self.until(lambda: self._ready, "being ready", START_S)

    async def registered(self, within: float = 5) -> None:
        """Wait for the registrar's yes; its no raises RegistrationFailedError at once."""

        def settled() -> bool:
            last = self._registration
            if last and last["status"] >= 300 and last["status"] not in STILL_TRYING:
                refusal = f"{self.name} was refused by its registrar: {last['status']} {last['reason']}"
                raise RegistrationFailedError(refusal, last["status"])
            return bool(last and last["active"])

        await self.until(settled, "a registration", within)

    async def dial(
        self,
        to: str,
        *,
        number: str | None = None,
        display: str = "",
        privacy: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """Send an INVITE to the URI `to`; From is `number` (default: the phone's user).

        With `privacy` From is anonymous and the number is in P-Asserted-Identity with
        `Privacy: id` (RFC 3323, 3325). `headers` are added as they are.
        """
        extra = list((headers or {}).items())
        uri = f"<sip:{number or self.user}@{self.bind}>"
        sender = f'"{display}" {uri}' if display else uri
        if privacy:
            extra += [("P-Asserted-Identity", sender), ("Privacy", "id")]
            sender = '"Anonymous" <sip:anonymous@anonymous.invalid>'
        made = await self.command("dial", to=to, sender=sender, headers=extra)
        call = self.calls[made["call"]]
        call.call_id = made["call_id"]
        return call

    async def incoming(self, within: float = 5) -> Call:
        """The next call that reached this phone and has not been handed out yet."""
        await self.until(lambda: self._arrived, "an incoming call", within)
        return self._arrived.popleft()

    def forget_arrivals(self) -> None:
        """Calls that have come so far and that no test has taken are not handed out any more."""
        self._arrived.clear()

    @property
    def pid(self) -> int:
        return self._program.process.pid

    @property
    def exit_code(self) -> int | None:
        """How the phone's process ended; None while it runs."""
        return self._program.process.returncode

    async def on_invite(self, status: int | None) -> None:
        """Answer later INVITEs with this status at once: see `Softphones.add`."""
        await self.command("on_invite", status=status)

    async def kill(self) -> None:
        """Cut the power: the sockets vanish in the middle of everything, and no BYE is sent."""
        self._killed = True
        await self._program.kill()
        await self._listener

    async def close(self) -> None:
        """Hang up, unregister, end the process. A phone that crashed raises PhoneDiedError."""
        if self._killed or self._closed:
            return
        self._closed = True
        crashed = self._gone
        self._program.writer.close()
        try:
            status = await asyncio.wait_for(self._program.process.wait(), CLOSE_S)
        except TimeoutError:
            await self.kill()
            raise PhoneDiedError(f"{self.name} did not end within {CLOSE_S} s{self.story()}") from None
        await self._listener
        if crashed or status:
            raise PhoneDiedError(f"{crashed or f'{self.name} ended with {status}'}{self.story()}")

    def story(self) -> str:
        """What this phone saw so far, one event a line."""
        return "".join(f"\n    {line}" for line in self._seen) or "\n    (nothing was seen)"

    async def command(self, verb: str, **arguments: Any) -> Any:
        """Have the phone's process do something; raises PhoneError with PJSIP's reason."""
        if self._gone:
            raise PhoneDiedError(self._gone)
        self._commands += 1
        reply = asyncio.get_running_loop().create_future()
        self._replies[self._commands] = reply
        self._seen.append(f"{time.time():.3f} told to {verb} {arguments}")
        self._write({"id": self._commands, "do": verb, **arguments})
        try:
            return await asyncio.wait_for(reply, REPLY_S)
        except TimeoutError:
            raise PhoneError(f"{self.name} did not {verb} within {REPLY_S} s{self.story()}") from None

    async def until(self, condition: Callable[[], Found | None], what: str, within: float) -> Found:
        """Wait until the condition holds and return its value; raises NotSeenError, or PhoneDiedError."""

        def found() -> Found | None:
            value = condition()
            if not value and self._gone:
                raise PhoneDiedError(f"{self._gone}, waiting for {what}{self.story()}")
            return value

        try:
            async with asyncio.timeout(within), self._news:
                while not (value := found()):
                    await self._news.wait()
                return value
        except TimeoutError:
            raise NotSeenError(
                f"{self.name} waited {within} s in vain for {what}; it saw{self.story()}"
            ) from None

    def _write(self, message: Mapping[str, Any]) -> None:
        self._program.writer.write(json.dumps(message).encode() + b"\n")

    async def _listen(self) -> None:
        try:
            while line := await self._program.reader.readline():
                self._take(json.loads(line))
                async with self._news:
                    self._news.notify_all()
        except ConnectionError:
            pass  # a killed process resets the line; how it ended is told below
        status = await self._program.process.wait()
        self._gone = self._gone or f"{self.name} has gone (its process ended with {status})"
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(PhoneDiedError(self._gone))
        async with self._news:
            self._news.notify_all()

    def _take(self, report: dict[str, Any]) -> None:
        if "reply" in report:
            self._take_reply(report)
            return
        event = report["event"]
        told = {k: v for k, v in report.items() if k not in ("event", "at", "message", "invite") and v != ""}
        self._seen.append(f"{report['at']:.3f} {event} {told}")
        match event:
            case "ready":
                self._ready = True
            case "failed":
                self._gone = f"{self.name} could not start: {report['error']}"
            case "registration":
                self._registration = report
            case "incoming":
                call = Call(self, report["call"], SipMessage.parse(report["invite"]))
                self.calls[call.key] = call
                self._arrived.append(call)
            case "state":
                self.calls.setdefault(report["call"], Call(self, report["call"])).on_state(report)
            case "media":
                self.calls[report["call"]].audio = report["audio"]
            case "digit":
                self.calls[report["call"]].digits += report["digit"]

    def _take_reply(self, report: dict[str, Any]) -> None:
        reply = self._replies.pop(report["reply"])
        if reply.done():
            return
        if error := report.get("error"):
            reply.set_exception(PhoneError(f"{self.name}: {error}{self.story()}"))
        else:
            reply.set_result(report.get("value"))


class Softphones:
    """The phones of one test; leaving the block ends them all, and reports any that crashed.

    `logs` is a directory for PJSIP's own logs and for what the processes print, one file a phone.
    `priority` lets the phones' audio clocks go ahead of other work on the machine (needs root). `spare` are programs
    that no phone has become yet.
    """

    def __init__(self, *, logs: Path | None = None, priority: bool = True) -> None:
        self._logs = logs
        self._priority = priority
        self._phones: list[Softphone] = []
        self.spare: list[Program] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(program.kill() for program in self.spare))
        outcomes = await asyncio.gather(*(p.close() for p in self._phones), return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise ExceptionGroup("softphones that did not end well", failures)

    def __iter__(self) -> Iterator[Softphone]:
        return iter(self._phones)

    async def prepare(self, count: int) -> None:
        """Have so many programs at hand for phones to be added later; what they print goes where ours does."""
        self.spare += await asyncio.gather(*(Program.start(None) for _ in range(count)))

    async def add(
        self,
        name: str,
        *,
        bind: str,
        tone: int,
        port: int = 5060,
        user: str | None = None,
        password: str | None = None,
        registrar: str | None = None,
        on_invite: int | None = None,
        tls: Path | None = None,
    ) -> Softphone:
        """Start a phone at `bind` (a loopback address of its own) that sends `tone` hertz.

        `user` (default: `name`) and `password` answer digest challenges; with a `registrar`
        ("ip:port") the phone registers. `on_invite` is the SIP status that it answers calls with:
        200 answers by itself, 180 rings and does not answer, 486 is busy; None leaves it to the
        test. With `tls`, a folder with
        tls.crt and tls.key, it speaks SIP over TLS and SRTP only. Raises PhoneError when the phone cannot start.
        """
        phone = Softphone(name, bind, tone, user or name)
        settings = {
            "name": name, "bind": bind, "port": port, "tone": tone, "user": phone.user, "password": password,
            "registrar": registrar, "on_invite": on_invite, "tls": str(tls or ""), "priority": self._priority,
            "log": str(self._logs / f"{name}.sip.log") if self._logs else None,
        }  # fmt: skip
        errors = self._logs / f"{name}.stderr" if self._logs else None
        program = self.spare.pop() if self.spare else await Program.start(errors)
        try:
            await phone.start(program, settings)
        except PhoneError:
            await phone.kill()
            raise
        self._phones.append(phone)
        return phone
