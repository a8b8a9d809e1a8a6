"""A call told event by event, for the tests of the core: no call is ever put together by hand."""

from __future__ import annotations

from telephony.core.call import Call, Caller, EndReason, Hangup, Leg, LegState, Mode, Role, Transfer
from telephony.core.commands import (
    AnswerFreed,
    AwaitFreed,
    AwaitInvite,
    BringBack,
    Command,
    Decision,
    HangUp,
    HoldCaller,
    InvitePartner,
    Mute,
    RescueCaller,
    SendDigits,
)
from telephony.core.events import (
    CallerFreed,
    CancelPressed,
    DropPressed,
    Event,
    FreedTimeout,
    GroupPressed,
    HoldPressed,
    InviteFailed,
    LeavePressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
    LegUnheld,
    LinePressed,
    LineView,
    ResumePressed,
    ReturnPressed,
)
from telephony.core.transitions import decide

NORMAL = Hangup(16)
BUSY = Hangup(17, 486)
LOST = Hangup(44)
RELEASED = Hangup(31)  # by us
BOTH = frozenset(Mode)


def line(name: str, *, closed: bool = False, full: bool = False, modes: frozenset[Mode] = BOTH) -> LineView:
    return LineView(name, closed=closed, full=full, modes=modes, answer_timeout=25.0)


def new_call() -> Call:
    """A citizen who has just arrived: the caller's leg `c`, waiting in the queue."""
    leg = Leg("c", "PJSIP/c", Role.CALLER, "carrier", LegState.WAITING, since=1000.0)
    return Call("c", Caller("02012345678"), "carrier", 1000.0, legs=(leg,), case_id="J1")


def brief(command: Command) -> str:
    """A command in a word or two."""
    match command:
        case InvitePartner():
            return f"{'consult' if command.consult else 'invite'} {command.line}"
        case HoldCaller():
            return "hold"
        case BringBack():
            return "bring back"
        case Mute():
            return f"{'mute' if command.muted else 'unmute'} {command.channel.removeprefix('PJSIP/')}"
        case SendDigits():
            return f"send {command.digits}"
        case HangUp(unless_answered=True):
            return f"cancel {command.leg_id}"
        case HangUp():
            return f"hang up {command.leg_id}"
        case RescueCaller():
            return "rescue"
        case AnswerFreed():
            return f"answer {command.next}"
        case AwaitFreed():
            return "await news"
        case AwaitInvite():
            return "watch"


class Story:
    """Legs: caller `c`, takers by their seat, partners by their transfer's id. Time moves on by `wait`."""

    def __init__(self) -> None:
        self.call = new_call()
        self.at = 1000.0
        self.told: list[Decision] = []

    def tell(self, event: Event) -> Decision:
        decision = decide(self.call, event)
        self.call = decision.call
        self.told.append(decision)
        return decision

    def wait(self, seconds: float) -> Story:
        self.at += seconds
        return self

    # -- legs --------------------------------------------------------------------------------

    def start(self, leg: str, role: Role, party: str = "") -> Decision:
        return self.tell(LegStarted(self.at, leg, f"PJSIP/{leg}", role, party or leg))

    def ring(self, leg: str) -> Decision:
        return self.tell(LegRinging(self.at, leg))

    def answer(self, leg: str) -> Decision:
        return self.tell(LegAnswered(self.at, leg))

    def join(self, leg: str, bridge: str = "b1") -> Decision:
        return self.tell(LegJoined(self.at, leg, bridge))

    def leave(self, leg: str, bridge: str = "b1") -> Decision:
        return self.tell(LegLeft(self.at, leg, bridge))

    def end(self, leg: str, hangup: Hangup = NORMAL) -> Decision:
        return self.tell(LegEnded(self.at, leg, hangup))

    def gone(self, leg: str, hangup: Hangup = NORMAL) -> Decision:
        """The leg leaves the conversation and ends."""
        self.leave(leg)
        return self.end(leg, hangup)

    # -- the dialplan ------------------------------------------------------------------------

    def freed(self) -> Decision:
        return self.tell(CallerFreed(self.at))

    def news_is_late(self) -> Decision:
        return self.tell(FreedTimeout(self.at))

    def invite_fails(self, transfer: str) -> Decision:
        return self.tell(InviteFailed(self.at, transfer, "refused"))

    # -- keys --------------------------------------------------------------------------------

    def press(
        self,
        name: str = "12345",
        transfer: str = "t1",
        *,
        mode: Mode = Mode.WARM,
        seat: str = "1001",
        closed: bool = False,
        full: bool = False,
    ) -> Decision:
        view = line(name, closed=closed, full=full)
        return self.tell(LinePressed(self.at, seat, view, transfer, mode))

    def cancel(self, transfer: str = "") -> Decision:
        return self.tell(CancelPressed(self.at, transfer))

    def leave_key(self, seat: str = "1001") -> Decision:
        return self.tell(LeavePressed(self.at, seat))

    def group_key(self, *names: str) -> Decision:
        """Every line of the group is pressed; the transfers are named after the lines."""
        presses = (LinePressed(self.at, "1001", line(name), name) for name in names)
        return self.tell(GroupPressed(self.at, tuple(presses)))

    def phone_hold(self, leg: str = "k") -> Decision:
        return self.tell(LegHeld(self.at, leg))

    def phone_unhold(self, leg: str = "k") -> Decision:
        return self.tell(LegUnheld(self.at, leg))

    def hold_key(self, seat: str = "1001") -> Decision:
        return self.tell(HoldPressed(self.at, seat))

    def resume_key(self, seat: str = "1001") -> Decision:
        """The same key is `merge` in a consultation."""
        return self.tell(ResumePressed(self.at, seat))

    def return_key(self, leg: str = "t1") -> Decision:
        return self.tell(ReturnPressed(self.at, leg))

    def drop(self, leg: str) -> Decision:
        return self.tell(DropPressed(self.at, leg))

    # -- chapters ----------------------------------------------------------------------------

    def taken(self, seat: str = "1001", leg: str = "k") -> Story:
        """A seat answers, and talks with the caller."""
        self.start(leg, Role.TAKER, seat)
        self.ring(leg)
        self.answer(leg)
        self.join(leg)
        self.join("c")
        return self.wait(10)

    def inviting(self, mode: Mode = Mode.WARM) -> Story:
        """The taker has pressed 12345, whose phone rings."""
        self.taken()
        self.press(mode=mode)
        self.start("t1", Role.PARTNER, "12345")
        self.ring("t1")
        return self.wait(3)

    def held(self) -> Story:
        """The taker has put the caller on hold, and waits."""
        self.taken()
        self.hold_key()
        self.leave("c")
        self.leave("k")
        return self.wait(3)

    def consult(self) -> Story:
        """Taker and partner talk alone; the caller hears music."""
        self.inviting(Mode.CONSULT)
        self.answer("t1")
        self.leave("c")
        self.leave("k")
        self.join("k", "b2")
        self.join("t1", "b2")
        return self.wait(10)

    def three_way(self) -> Story:
        self.inviting()
        self.answer("t1")
        self.join("t1")
        return self.wait(10)

    def handed_over(self) -> Story:
        """The taker has left caller and partner."""
        self.three_way()
        self.gone("k")
        return self.wait(10)

    def waiting(self) -> Story:
        """The taker has gone while the partner rings, and the caller was sent to the music."""
        self.inviting()
        self.gone("k")
        self.leave("c")
        self.freed()
        return self.wait(3)

    def staff(self) -> Story:
        """The caller has left taker and partner."""
        self.three_way()
        self.gone("c")
        return self.wait(3)

    # -- reading -----------------------------------------------------------------------------

    def transfer(self, transfer: str = "t1") -> Transfer:
        found = self.call.transfer(transfer)
        assert found is not None
        return found

    def reason(self, transfer: str = "t1") -> EndReason | None:
        return self.transfer(transfer).reason

    def did(self) -> list[str]:
        """The commands of the last decision."""
        return [brief(command) for command in self.told[-1].commands]
