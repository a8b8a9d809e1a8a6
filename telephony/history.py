"""What is remembered of a number's calls: how often it has called, how that ended, and about what.

A caller who withholds the number, or has none, has no history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from telephony.core.call import Call, Caller, Diversion, DiversionKind, EndReason, Role, Transfer
from telephony.core.number import is_number
from telephony.errors import StoreDown
from telephony.settings import HistorySettings

log = structlog.get_logger("history")

SHOWN = 10  # calls, the newest, that are shown with a call
KEPT = 20  # transfers, and as many diversions, the newest, that are kept of one call
NOTE = 500  # characters that are kept of a note: what it was about, not the case

_DAY = 24 * 3600.0  # s


class Outcome(StrEnum):
    """How a call ended. `abandoned`: before a seat answered; `handed_over`: with a partner who had taken the
    caller over; `lost`: the caller's line failed; `finished`: with the seat."""

    ABANDONED = "abandoned"
    HANDED_OVER = "handed_over"
    LOST = "lost"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class PastTransfer:
    """A line that was called, or refused, and how that ended."""

    line: str
    reason: EndReason | None
    note: str


@dataclass(frozen=True, slots=True)
class PastDiversion:
    """A matter that was handed on without a call; `line` is empty if no unit was named."""

    kind: DiversionKind
    line: str
    note: str


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that is over. Times are seconds since the epoch; notes may have been cut."""

    call: str
    arrived_at: float
    ended_at: float
    via: str
    seat: str
    outcome: Outcome
    case_id: str
    transfers: list[PastTransfer]
    diversions: list[PastDiversion]


@dataclass(frozen=True, slots=True)
class History:
    """A number's calls within the last `days`, newest first.

    `count`: how many are remembered; with `more` there may have been more, which are forgotten. `calls` may
    be fewer than that.
    """

    days: int
    count: int
    more: bool
    calls: list[PastCall]


class PastCalls(Protocol):
    """Where past calls are kept. StoreDown."""

    async def read(self, number: str, since: float) -> list[PastCall]: ...


class Histories:
    """Histories as people may ask for them. `clock`: seconds since the epoch."""

    def __init__(self, past: PastCalls, settings: HistorySettings, clock: Callable[[], float]) -> None:
        self._past = past
        self._settings = settings
        self._clock = clock

    async def of_number(self, number: str) -> History:
        """All that is remembered of `number`; ValueError if it is none. StoreDown."""
        if not is_number(number):
            raise ValueError("a number is 1 to 32 of 0-9 + * #")
        past = await self._read(number)
        return self._history(past, len(past), len(past))

    async def of_call(self, call: Call) -> History | None:
        """What is remembered of the caller of `call`, without that call; None if it cannot be known now."""
        if not has_history(call.caller):
            return None
        try:
            past = await self._read(call.caller.number)
        except StoreDown as error:
            log.warning("history_not_read", call=call.id, reason=str(error))
            return None
        return self._history([one for one in past if one.call != call.id], len(past), SHOWN)

    async def earlier(self, call: Call) -> int | None:
        """How many earlier calls are remembered; None if that cannot be known now."""
        history = await self.of_call(call)
        return None if history is None else history.count

    async def _read(self, number: str) -> list[PastCall]:
        return await self._past.read(number, self._clock() - self._settings.days * _DAY)

    def _history(self, past: list[PastCall], kept: int, shown: int) -> History:
        return History(self._settings.days, len(past), kept >= self._settings.most, past[:shown])


def has_history(caller: Caller) -> bool:
    return is_number(caller.number) and not caller.withheld


def past_call(call: Call) -> PastCall:
    """What is kept of a call that is over."""
    return PastCall(
        call=call.id,
        arrived_at=call.arrived_at,
        ended_at=call.arrived_at if call.ended_at is None else call.ended_at,
        via=call.via,
        seat=call.seat,
        outcome=_outcome(call),
        case_id=call.case_id,
        transfers=[_past_transfer(transfer) for transfer in call.transfers[-KEPT:]],
        diversions=[_past_diversion(diversion) for diversion in call.diversions[-KEPT:]],
    )


def _past_transfer(transfer: Transfer) -> PastTransfer:
    return PastTransfer(transfer.line, transfer.reason, transfer.note[:NOTE])


def _past_diversion(diversion: Diversion) -> PastDiversion:
    return PastDiversion(diversion.kind, diversion.line, diversion.note[:NOTE])


def _outcome(call: Call) -> Outcome:
    if call.answered_at is None:
        return Outcome.ABANDONED
    if any(transfer.reason is EndReason.COMPLETED for transfer in call.transfers):
        return Outcome.HANDED_OVER
    hangups = [leg.hangup for leg in call.legs if leg.role is Role.CALLER and leg.hangup is not None]
    if any(hangup.cause and not hangup.normal for hangup in hangups):
        return Outcome.LOST
    return Outcome.FINISHED
