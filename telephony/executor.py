"""The executor: runs a command on Asterisk with a deadline; what comes of it is an event.

An acknowledgement is not success: success is what Asterisk later reports to have happened. Only
a failure is told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, assert_never

import structlog

from telephony.core.commands import (
    AnswerFreed,
    AwaitFreed,
    AwaitInvite,
    BringBack,
    Command,
    HangUp,
    HoldCaller,
    InvitePartner,
    Mute,
    RescueCaller,
    SendDigits,
)
from telephony.core.events import Event, InviteFailed, LegMuted
from telephony.errors import LinkDown, OutcomeUnknown, Refusal

log = structlog.get_logger("executor")

# Nothing but a press asks for these, and it waits for them.
PRESSED = (HoldCaller, BringBack, SendDigits, Mute)


class Asterisk(Protocol):
    """What the executor asks of Asterisk. LinkDown when it cannot be asked, Refusal when it says no."""

    async def invite(self, command: InvitePartner) -> None: ...

    async def hang_up(self, leg_id: str, channel: str, *, unless_answered: bool) -> None: ...

    async def rescue(self, channel: str, *, from_talk: bool) -> None: ...

    async def hold(self, channel: str) -> None: ...

    async def bring_back(self, channel: str, to: str) -> None: ...

    async def send_digits(self, channel: str, digits: str) -> None: ...

    async def mute(self, channel: str, *, muted: bool) -> None: ...


class Executor:
    def __init__(self, asterisk: Asterisk, clock: Callable[[], float] = time.time) -> None:
        self._asterisk = asterisk
        self._clock = clock

    async def run(self, command: Command) -> Event | None:
        """Carry out `command`; returns what the call must know of it and nobody else tells: a failure, a muted leg.

        LinkDown and Refusal are raised for what matters to the presser only (PRESSED).
        """
        try:
            match command:
                case InvitePartner():
                    await self._asterisk.invite(command)
                case HoldCaller():
                    await self._asterisk.hold(command.channel)
                case BringBack():
                    await self._asterisk.bring_back(command.channel, command.to)
                case SendDigits():
                    await self._asterisk.send_digits(command.channel, command.digits)
                case Mute():
                    await self._asterisk.mute(command.channel, muted=command.muted)
                    return LegMuted(self._clock(), command.leg_id, command.muted)
                case HangUp():
                    await self._asterisk.hang_up(
                        command.leg_id, command.channel, unless_answered=command.unless_answered
                    )
                case RescueCaller():
                    await self._asterisk.rescue(command.channel, from_talk=command.from_talk)
                case AnswerFreed() | AwaitFreed() | AwaitInvite():
                    raise TypeError(f"{type(command).__name__} is the dispatcher's to carry out")
                case _:
                    assert_never(command)
        except (LinkDown, Refusal) as error:
            log.warning("command_failed", command=type(command).__name__, error=str(error))
            if isinstance(command, InvitePartner) and isinstance(error, OutcomeUnknown):
                return None  # It may ring by now. Events, the next reconciliation or the time limit tell.
            if isinstance(command, InvitePartner):
                return InviteFailed(self._clock(), command.transfer_id, str(error))
            if isinstance(command, PRESSED):
                raise
        return None
