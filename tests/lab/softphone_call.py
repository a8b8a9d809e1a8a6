"""One call of a softphone, outgoing or incoming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.sip import SipMessage
from tests.lab.softphone_errors import CallFailedError

if TYPE_CHECKING:
    from tests.lab.softphone import Softphone

RINGING = 180
OK = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: SIP status and reason, when (Unix seconds), and the message that ended it.

    `message` is the far end's BYE or refusal; None when this phone hung up or the caller cancelled.
    """

    status: int
    reason: str
    at: float
    message: SipMessage | None


class Call:
    """A call as its phone sees it. `invite` and what is read from it exist for incoming calls only."""

    def __init__(self, phone: Softphone, key: int, invite: SipMessage | None = None) -> None:
        self.phone = phone
        self.key = key
        self.invite = invite
        self.call_id = invite.call_id if invite else ""
        self.began_at = phone.clock()
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.hung_up_at: float | None = None
        self.ending: Ended | None = None
        self.state = "incoming" if invite else "calling"
        self.audio = "none"  # or "active", "held here", "held there"
        self.digits = ""

    def __repr__(self) -> str:
        return f"<call {self.key} of {self.phone.name}: {self.state}>"

    @property
    def ended_at(self) -> float | None:
        """When it was over, or was told to be: a phone that has hung up says nothing more."""
        if self.hung_up_at is not None:
            return self.hung_up_at
        return self.ending.at if self.ending is not None else None

    @property
    def headers(self) -> SipMessage:
        """The INVITE, for `.header(name)`, `.all(name)` and `.address(name)`."""
        if self.invite is None:
            raise TypeError(f"{self!r} is outgoing: it has no INVITE from elsewhere")
        return self.invite

    @property
    def remote_number(self) -> str:
        """The user part of From: what a plain phone shows."""
        return self.headers.address("From").user

    @property
    def remote_name(self) -> str:
        """The display name of From."""
        return self.headers.address("From").name

    @property
    def asserted_number(self) -> str:
        """The user part of P-Asserted-Identity (RFC 3325), empty without one."""
        return self.headers.address("P-Asserted-Identity").user

    @property
    def withheld(self) -> bool:
        """Whether the INVITE asks for the identity to be hidden: `Privacy: id` (RFC 3323)."""
        return "id" in (self.headers.header("Privacy") or "").replace(" ", "").split(";")

    async def ring(self) -> None:
        """Say 180."""
        await self.phone.command("answer", call=self.key, status=RINGING)

    async def answer(self) -> None:
        """Say 200, and return when the far end has acknowledged it."""
        await self.phone.command("answer", call=self.key, status=OK)
        await self.answered()

    async def reject(self, status: int = 486) -> None:
        """Refuse with a SIP status of 300 or more."""
        await self.phone.command("answer", call=self.key, status=status)

    async def hangup(self) -> None:
        """BYE, CANCEL or 603, whichever is due; does not wait for the end."""
        self.hung_up_at = self.phone.clock()
        await self.phone.command("hangup", call=self.key)

    async def dtmf(self, digits: str, *, duration: int = 100) -> None:
        """Queue digits as RFC 4733 events of `duration` ms each; the tone is silent meanwhile."""
        await self.phone.command("dtmf", call=self.key, digits=digits, duration=duration)

    async def hold(self) -> None:
        """re-INVITE with sendonly; returns when the far end has agreed."""
        await self.phone.command("hold", call=self.key)
        await self.phone.until(lambda: self.audio == "held here", f"the hold of call {self.key}", 5)

    async def resume(self) -> None:
        """re-INVITE with sendrecv; returns when the far end has agreed."""
        await self.phone.command("resume", call=self.key)
        await self.phone.until(lambda: self.audio == "active", f"the resumption of call {self.key}", 5)

    async def ringing(self, within: float = 5) -> float:
        """Wait until the far end (or this one) rings; returns when, in Unix seconds."""
        return await self._reached("ringing", "ringing_at", within)

    async def answered(self, within: float = 5) -> float:
        """Wait until the call is answered and acknowledged; returns when, in Unix seconds.

        Raises CallFailedError at once when the call ends instead.
        """
        return await self._reached("answered", "answered_at", within)

    async def ended(self, within: float = 5) -> Ended:
        """Wait until the call is over."""
        return await self.phone.until(lambda: self.ending, f"the end of call {self.key}", within)

    async def heard_digits(self, digits: str, within: float = 5) -> None:
        """Wait until the far end has sent these DTMF digits."""
        await self.phone.until(lambda: digits in self.digits, f"digits {digits} in call {self.key}", within)

    async def _reached(self, what: str, moment: str, within: float) -> float:
        def reached() -> float | None:
            at: float | None = getattr(self, moment)
            if at is None and self.ending:
                end = self.ending
                seen = f"{self!r} was never {what}: it ended with {end.status} {end.reason}"
                raise CallFailedError(seen + self.phone.story(), end.status)
            return at

        return await self.phone.until(reached, f"call {self.key} to be {what}", within)

    def on_state(self, report: dict[str, Any]) -> None:
        """For the phone: PJSIP says that the call is in another state."""
        self.state, at = report["state"], report["at"]
        self.call_id = self.call_id or report["call_id"]
        if self.state == "early" and self.ringing_at is None:
            self.ringing_at = at
        if self.state == "confirmed" and self.answered_at is None:
            self.answered_at = at
        if self.state == "disconnected":
            message = SipMessage.parse(report["message"]) if report["message"] else None
            self.ending = Ended(report["status"], report["reason"], at, message)
