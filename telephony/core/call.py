"""What a call is: its legs, its transfers, and the situation that they add up to.

Everything here is frozen: a decision makes a new `Call`. Times are seconds since the epoch, as
the events that brought them said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Role(StrEnum):
    """The part that a leg's party plays in the call."""

    CALLER = "caller"
    TAKER = "taker"
    PARTNER = "partner"


class LegState(StrEnum):
    """How far a leg has come. `waiting` is up but in no conversation (queue, music)."""

    DIALLING = "dialling"
    RINGING = "ringing"
    WAITING = "waiting"
    TALKING = "talking"
    ENDED = "ended"


class Mode(StrEnum):
    """How a partner comes in.

    `warm`: the taker stays until leaving. `cold`: the taker is released once the partner has joined.
    `consult`: taker and partner talk alone first, while the caller hears music.
    """

    WARM = "warm"
    COLD = "cold"
    CONSULT = "consult"


class TransferState(StrEnum):
    """The life of one use of a line, in this order; any state may go to `ended`."""

    INVITING = "inviting"
    RINGING = "ringing"
    JOINED = "joined"
    HANDED_OVER = "handed_over"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a transfer ended. Every transfer gets exactly one."""

    COMPLETED = "completed"
    RETURNED = "returned"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    LINE_CLOSED = "line_closed"
    LINE_FULL = "line_full"
    CANCELLED = "cancelled"
    CALLER_HUNG_UP = "caller_hung_up"
    PARTNER_LEFT = "partner_left"
    LINK_LOST = "link_lost"
    ERROR = "error"


class Next(StrEnum):
    """Where the caller goes on when a conversation has ended: the word that the dialplan is told."""

    END = "end"
    WAIT = "wait"
    RESCUE = "rescue"


class Situation(StrEnum):
    """Who is with whom: the rows of the transition table, derived from the legs, never stored."""

    QUEUED = "queued"
    TALKING = "talking"
    HELD = "held"
    INVITING = "inviting"
    CONSULT = "consult"
    THREE_WAY = "three_way"
    WAITING = "waiting"
    HANDED_OVER = "handed_over"
    STAFF = "staff"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Caller:
    """The citizen: the number as received (digits, `+`, `*`, `#`; may be empty) and its presentation."""

    number: str
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Hangup:
    """How a leg ended: Q.850 cause and, where SIP said one, the response code (0: none)."""

    cause: int = 0
    sip_code: int = 0

    @property
    def normal(self) -> bool:
        """Whether a person put the phone down (Q.850 cause 16, normal call clearing)."""
        return self.cause == 16

    @property
    def link_lost(self) -> bool:
        """Whether it was found gone after Asterisk, or we, had been away (cause 38, network out of order).

        With a SIP code it is the far end's own word: Asterisk makes cause 38 of a 500.
        """
        return self.cause == 38 and not self.sip_code


@dataclass(frozen=True, slots=True)
class Leg:
    """One party's channel. `id` is the channel's unique id; `party` a seat's or a line's name.

    `joined_at`: when it first was in a conversation; `left_at`: when it last left one, and `left_bridge` which.
    `released`: we had it hung up, so its end is not its wish to end the call. `muted`: the others do not hear it.
    `on_hold`: its phone's own button has put us on hold. `holds_caller`: the caller is, or was, in the music for that.
    """

    id: str
    channel: str
    role: Role
    party: str
    state: LegState
    bridge: str = ""
    since: float = 0.0
    hangup: Hangup | None = None
    joined_at: float | None = None
    left_at: float | None = None
    left_bridge: str = ""
    released: bool = False
    muted: bool = False
    on_hold: bool = False
    holds_caller: bool = False

    @property
    def talking(self) -> bool:
        return self.state is LegState.TALKING

    @property
    def alive(self) -> bool:
        return self.state is not LegState.ENDED

    @property
    def expected(self) -> bool:
        """Of a partner: called, or just answered, and never yet in a conversation."""
        return self.role is Role.PARTNER and self.alive and self.joined_at is None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One use of a line within a call. Its partner's leg, once there is one, has the same id.

    `answer_by`: when Asterisk's silence counts as an answer; None where Asterisk itself keeps the time.
    """

    id: str
    line: str
    mode: Mode
    state: TransferState
    seat: str
    asked_at: float
    note: str = ""
    ringing_at: float | None = None
    joined_at: float | None = None
    handed_over_at: float | None = None
    ended_at: float | None = None
    reason: EndReason | None = None
    sip_code: int = 0
    q850: int = 0
    answer_by: float | None = None

    @property
    def pending(self) -> bool:
        """The partner has not answered yet."""
        return self.state in (TransferState.INVITING, TransferState.RINGING)

    @property
    def live(self) -> bool:
        return self.state is not TransferState.ENDED


class DiversionKind(StrEnum):
    """How a matter that is not the hotline's is handed on without a call (分流). The third way is a transfer.

    `guidance` 线上指引: the taker tells the caller where to turn. `platform` 平台流转: the case goes to the
    other unit, and the caller does not.
    """

    GUIDANCE = "guidance"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Diversion:
    """A matter handed on by a seat without a call. `line` is the unit's, and may be empty for guidance."""

    id: str
    kind: DiversionKind
    line: str
    seat: str
    at: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One citizen's contact, from arrival to the last leg's end.

    `id` is the unique id of the caller's channel, which Asterisk makes unique across nodes by its
    system name. `via` is `carrier` or the line that the call came in over. `seat` is the seat that
    has, or last had, the caller. `freed_at` is set while the caller's channel asks in the dialplan
    what comes next and the answer still waits for news of the other legs; `told` is the last answer,
    until the caller's next conversation. `held`: the caller was taken out of a conversation that a taker is
    still in, and hears music. `earlier_calls`: how many calls of this number are remembered; None while that
    is not known. `recalled_at`: when the caller on hold was last asked to come back.
    """

    id: str
    caller: Caller
    via: str
    arrived_at: float
    legs: tuple[Leg, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    seat: str = ""
    case_id: str = ""
    answered_at: float | None = None
    ended_at: float | None = None
    freed_at: float | None = None
    rescues: int = 0
    told: Next | None = None
    held: bool = False
    diversions: tuple[Diversion, ...] = ()
    earlier_calls: int | None = None
    recalled_at: float | None = None

    def diversion(self, diversion_id: str) -> Diversion | None:
        return next((d for d in self.diversions if d.id == diversion_id), None)

    def leg(self, leg_id: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.id == leg_id), None)

    def transfer(self, transfer_id: str) -> Transfer | None:
        return next((t for t in self.transfers if t.id == transfer_id), None)

    def alive(self, role: Role) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.role is role and leg.alive)

    def talking(self, role: Role) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.role is role and leg.talking)

    @property
    def caller_leg(self) -> Leg | None:
        return next(iter(self.alive(Role.CALLER)), None)

    @property
    def takers(self) -> tuple[Leg, ...]:
        """Those who have the caller: in conversation, or keeping the caller on hold."""
        return tuple(
            leg for leg in self.alive(Role.TAKER) if leg.talking or (self.held and leg.joined_at is not None)
        )

    @property
    def pending(self) -> tuple[Transfer, ...]:
        return tuple(t for t in self.transfers if t.pending)

    def returned_from(self, line: str) -> bool:
        """Whether the line's partner has taken the caller over once, and sent the caller back."""
        return any(
            t.line == line and t.reason is EndReason.RETURNED and t.handed_over_at for t in self.transfers
        )

    @property
    def ended(self) -> bool:
        return self.situation is Situation.ENDED

    @property
    def situation(self) -> Situation:
        """Who is with whom, from the legs and transfers alone. A call that is over stays over."""
        if self.ended_at is not None:
            return Situation.ENDED
        caller = taker = partner = anybody = False
        for leg in self.legs:  # in one pass: this is asked several times at every event
            if not leg.alive:
                continue
            anybody = True
            if leg.role is Role.CALLER:
                caller = True
            elif leg.role is Role.TAKER:
                taker = taker or leg.talking
            else:
                partner = partner or leg.talking
        if not caller:
            return Situation.STAFF if anybody else Situation.ENDED
        if self.held and self.takers:
            return Situation.CONSULT if taker and partner else Situation.HELD
        if taker:
            if partner:
                return Situation.THREE_WAY
            return Situation.INVITING if self.pending else Situation.TALKING
        if partner:
            return Situation.HANDED_OVER
        return Situation.WAITING if self.pending else Situation.QUEUED

    def with_leg(self, leg: Leg) -> Call:
        """This call with `leg` added, or put in the place of the leg with the same id."""
        if self.leg(leg.id) is None:
            return replace(self, legs=(*self.legs, leg))
        return replace(self, legs=tuple(leg if old.id == leg.id else old for old in self.legs))

    def with_transfer(self, transfer: Transfer) -> Call:
        """This call with `transfer` added, or put in the place of the one with the same id."""
        if self.transfer(transfer.id) is None:
            return replace(self, transfers=(*self.transfers, transfer))
        kept = tuple(transfer if old.id == transfer.id else old for old in self.transfers)
        return replace(self, transfers=kept)
