"""What has happened to a call, as frozen data. `at` is seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.core.call import DiversionKind, Hangup, Mode, Role


@dataclass(frozen=True, slots=True)
class LegStarted:
    """A channel has come into the call: a phone is called, or it is adopted after a restart."""

    at: float
    leg_id: str
    channel: str
    role: Role
    party: str


@dataclass(frozen=True, slots=True)
class LegRinging:
    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class LegAnswered:
    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class LegJoined:
    """Asterisk's BridgeEnter: the leg is in the conversation `bridge`."""

    at: float
    leg_id: str
    bridge: str


@dataclass(frozen=True, slots=True)
class LegLeft:
    """Asterisk's BridgeLeave: the leg is out of the conversation `bridge`, and perhaps still up."""

    at: float
    leg_id: str
    bridge: str


@dataclass(frozen=True, slots=True)
class LegEnded:
    at: float
    leg_id: str
    hangup: Hangup


@dataclass(frozen=True, slots=True)
class LegHeld:
    """The leg's phone has put us on hold, by its own button (SIP: sendonly or inactive)."""

    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class LegUnheld:
    """The leg's phone is back from its own hold."""

    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class InviteFailed:
    """Asterisk could not bring the partner: refused, timed out or the link was down. No leg is left."""

    at: float
    transfer_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class CallerFreed:
    """The caller's channel is alone in the dialplan and asks what comes next (AGI `after`)."""

    at: float


@dataclass(frozen=True, slots=True)
class FreedTimeout:
    """News of the other legs has not come in time: the caller's question must be answered now."""

    at: float


@dataclass(frozen=True, slots=True)
class InviteTimeout:
    """A partner's phone has been called, or told that the caller is gone, for longer than that may take."""

    at: float
    transfer_id: str


@dataclass(frozen=True, slots=True)
class LineView:
    """What the presser must know of a line at the moment of the press."""

    name: str
    closed: bool
    full: bool
    modes: frozenset[Mode]
    answer_timeout: float


@dataclass(frozen=True, slots=True)
class LinePressed:
    """The hotkey of a line. `transfer_id` is fresh: it is used if the press starts a transfer."""

    at: float
    seat: str
    line: LineView
    transfer_id: str
    mode: Mode = Mode.WARM
    note: str = ""


@dataclass(frozen=True, slots=True)
class CancelPressed:
    """Stop the partners that are being called: all, or the one transfer that is named."""

    at: float
    transfer_id: str = ""


@dataclass(frozen=True, slots=True)
class LeavePressed:
    """The taker at `seat` leaves the caller to the partner."""

    at: float
    seat: str


@dataclass(frozen=True, slots=True)
class GroupPressed:
    """One key for several lines: each of `presses` is a transfer of its own in the same call."""

    at: float
    presses: tuple[LinePressed, ...]


@dataclass(frozen=True, slots=True)
class HoldPressed:
    """The taker at `seat` wants the caller to hear music for a while."""

    at: float
    seat: str


@dataclass(frozen=True, slots=True)
class ResumePressed:
    """The taker at `seat` wants the caller back: out of the hold, or into the talk with the partner (merge)."""

    at: float
    seat: str


@dataclass(frozen=True, slots=True)
class MutePressed:
    """Whether the others are to hear the leg."""

    at: float
    leg_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class LegMuted:
    """Asterisk has muted the leg, or lets it be heard again."""

    at: float
    leg_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class DropPressed:
    """Take one party out of the call. Never the caller."""

    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class ReturnPressed:
    """The partner's key: the caller goes back to a seat."""

    at: float
    leg_id: str


@dataclass(frozen=True, slots=True)
class GiveBackPressed:
    """The taker at `seat` of this hotline, partner of the one that the call came from, gives the caller back."""

    at: float
    seat: str


@dataclass(frozen=True, slots=True)
class DiversionRecorded:
    """The seat that has, or last had, the call hands its matter on. `diversion_id` is fresh."""

    at: float
    seat: str
    diversion_id: str
    kind: DiversionKind
    line: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """The store has told how many earlier calls of this number it remembers."""

    at: float
    earlier_calls: int


Event = (
    LegStarted
    | LegRinging
    | LegAnswered
    | LegJoined
    | LegLeft
    | LegEnded
    | LegHeld
    | LegUnheld
    | LegMuted
    | InviteFailed
    | InviteTimeout
    | CallerFreed
    | FreedTimeout
    | LinePressed
    | CancelPressed
    | LeavePressed
    | GroupPressed
    | HoldPressed
    | ResumePressed
    | MutePressed
    | DropPressed
    | ReturnPressed
    | GiveBackPressed
    | DiversionRecorded
    | HistoryRead
)
