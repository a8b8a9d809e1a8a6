"""Who may see what. What is not the asker's is, for the asker, not there.

- an administrator: everything;
- a seat: calls that ring at it or that it has or had last, and transfers that it asked for;
- a line (the linked unit behind it): calls that came in over it or for which it was called.
"""

from __future__ import annotations

import msgspec

from telephony.core.call import EndReason, LegState, Role, TransferState
from telephony.feed import FeedEvent
from telephony.tokens import Principal, TokenRole
from telephony.views import CallView, LegView, TransferView

_NEVER_CALLED = (EndReason.LINE_CLOSED, EndReason.LINE_FULL)


def may_see_call(who: Principal, call: CallView) -> bool:
    match who.role:
        case TokenRole.ADMIN:
            return True
        case TokenRole.SEAT:
            return call.seat == who.name or any(_has(leg, who.name) for leg in call.legs)
        case TokenRole.LINE:
            return call.via == who.name or any(_called(transfer, who.name) for transfer in call.transfers)


def may_see_history(who: Principal, call: CallView) -> bool:
    """Whether the caller's earlier calls are for who may see `call`: a line's unit must be in it, or have been."""
    if who.role is not TokenRole.LINE or call.via == who.name:
        return True
    mine = [transfer for transfer in call.transfers if transfer.line == who.name]
    return any(t.state is not TransferState.ENDED or t.joined_at is not None for t in mine)


def may_see_transfer(who: Principal, transfer: TransferView) -> bool:
    """By the transfer alone; whoever may see its call may see it too."""
    match who.role:
        case TokenRole.ADMIN:
            return True
        case TokenRole.SEAT:
            return transfer.seat == who.name
        case TokenRole.LINE:
            return _called(transfer, who.name)


def may_see_line(who: Principal, line: str) -> bool:
    return who.role is not TokenRole.LINE or who.name == line


class EventFilter:
    """Which of the feed's events one watcher gets.

    A seat that a call has left gets the one event that says so, and no more of that call.
    """

    def __init__(self, who: Principal) -> None:
        self._who = who
        self._parted: set[str] = set()

    def shows(self, event: FeedEvent) -> bool:
        if self._who.role is TokenRole.ADMIN:
            return True
        try:
            return self._shows(event)
        except msgspec.ValidationError:
            # Kept since an earlier release with other fields: whose it is cannot be told, so it is nobody's.
            return False

    def _shows(self, event: FeedEvent) -> bool:
        match event.type:
            case "call":
                return self._shows_call(msgspec.convert(event.data, CallView))
            case "transfer":
                return may_see_transfer(self._who, msgspec.convert(event.data, TransferView))
            case "line":
                return may_see_line(self._who, str(event.data.get("line", "")))
            case "seat" | "room":
                return self._who.role is TokenRole.SEAT
            case _:
                return False

    def _shows_call(self, call: CallView) -> bool:
        if may_see_call(self._who, call):
            self._parted.discard(call.id)
            return True
        if self._who.role is not TokenRole.SEAT or not any(_had(leg, self._who.name) for leg in call.legs):
            return False
        news = call.id not in self._parted
        self._parted.add(call.id)
        if call.ended_at is not None:
            self._parted.discard(call.id)
        return news


def _has(leg: LegView, seat: str) -> bool:
    return _had(leg, seat) and leg.state is not LegState.ENDED


def _had(leg: LegView, seat: str) -> bool:
    return leg.role is Role.TAKER and leg.party == seat


def _called(transfer: TransferView, line: str) -> bool:
    return transfer.line == line and transfer.reason not in _NEVER_CALLED
