"""A witness of a call: tells it its events, and checks what must hold whatever happens."""

from __future__ import annotations

from telephony.core.call import Call, Next, Role, Transfer
from telephony.core.commands import AnswerFreed, AwaitFreed, AwaitInvite, Decision, HangUp, RescueCaller
from telephony.core.events import CallerFreed, Event, FreedTimeout, LegEnded, LegStarted, ReturnPressed
from telephony.core.transitions import decide
from tests.unit.story import NORMAL, new_call


class Witness:
    """Tells a call its events one by one, and checks everything that must hold after each."""

    def __init__(self) -> None:
        self.call = new_call()
        self.pressed: set[str] = set()
        self.started = {"c"}
        self.open = False

    def tell(self, event: Event) -> Decision:
        before, memory = self.call, repr(self.call)
        decision = decide(before, event)
        assert repr(before) == memory, "the call that was given has changed"
        assert decision == decide(before, event), "the same input gave something else"
        self.call = decision.call
        assert decision.outcome
        if decision.outcome in ("invited", "group_invited"):
            self.pressed |= {transfer.id for transfer in self.call.transfers} - {
                t.id for t in before.transfers
            }
        self._legs(before, event)
        self._transfers(before)
        self._question(before, event, decision)
        self._commands(before, event, decision)
        return decision

    def _legs(self, before: Call, event: Event) -> None:
        if isinstance(event, LegStarted):
            self.started.add(event.leg_id)
        assert {leg.id for leg in self.call.legs} == self.started, "a leg was forgotten"
        for leg in self.call.legs:
            was = before.leg(leg.id)
            if was is not None and was.alive and not leg.alive:
                assert isinstance(event, LegEnded)
                assert event.leg_id == leg.id
            assert was is None or was.alive or not leg.alive, "a leg came back to life"
        if not any(leg.alive for leg in self.call.legs):
            assert self.call.ended
            assert self.call.ended_at is not None
        if before.ended:
            assert self.call.ended_at == before.ended_at

    def _transfers(self, before: Call) -> None:
        for old in before.transfers:
            new = self.call.transfer(old.id)
            assert new is not None, "a transfer was forgotten"
            if not old.live:
                assert new == old, "a transfer that had ended has changed"
        for transfer in self.call.transfers:
            assert (transfer.reason is None) == transfer.live
            assert (transfer.ended_at is None) == transfer.live
        live = [t for t in self.call.transfers if t.live]
        assert not live or self.call.caller_leg is not None
        keyed = [t.line for t in live if t.id in self.pressed]
        assert len(keyed) == len(set(keyed)), "one line has two live transfers"

    def _question(self, before: Call, event: Event, decision: Decision) -> None:
        """The dialplan always gets an answer: at once, on news, or when the time is over."""
        answers = [command.next for command in decision.commands if isinstance(command, AnswerFreed)]
        assert len(answers) <= 1
        if isinstance(event, CallerFreed):
            self.open = True
            assert answers or any(isinstance(command, AwaitFreed) for command in decision.commands)
        if isinstance(event, FreedTimeout) and self.open:
            assert answers
        if answers:
            assert self.open, "an answer without a question"
            self.open = False
        assert self.open == (self.call.freed_at is not None)
        if answers == [Next.END] and self.call.caller_leg is not None:
            assert not self.call.pending, "ended while a partner is being called"
            assert _last_party_left_normally(self.call), "ended though the last party was lost"
        if answers == [Next.WAIT]:
            assert self.call.pending

    def _commands(self, before: Call, event: Event, decision: Decision) -> None:
        caller = self.call.caller_leg
        released = {command.leg_id for command in decision.commands if isinstance(command, HangUp)}
        if any(isinstance(command, RescueCaller) for command in decision.commands):
            assert caller is not None
            with_caller = [taker for taker in before.talking(Role.TAKER) if taker.bridge == caller.bridge]
            assert not with_caller, "taken away from a taker"
            # Only the partner who has the caller may send the caller back, whatever else rings.
            if not isinstance(event, ReturnPressed):
                assert not caller.talking, "rescued out of a conversation"
                assert not self.call.pending, "rescued from a partner who is being called"
        if before.caller_leg is not None and caller is None:
            watched = {c.transfer_id for c in decision.commands if isinstance(c, AwaitInvite)}
            assert {t.id for t in before.pending if _may_live(self.call, t)} <= released & watched
        if before.ended and not isinstance(event, CallerFreed):
            assert all(isinstance(command, HangUp) for command in decision.commands)
        for leg_id in released:
            leg = self.call.leg(leg_id)
            assert leg is None or leg.alive
            assert leg is None or leg.role is not Role.CALLER, "we hung up on the caller"

    def finish(self, at: float) -> None:
        for leg in self.call.legs:
            if leg.alive:
                self.tell(LegEnded(at, leg.id, NORMAL))
        assert self.call.ended
        assert all(transfer.reason is not None for transfer in self.call.transfers)
        assert not self.open


def _last_party_left_normally(call: Call) -> bool:
    """Not counting partners whom nobody wanted any more when they came."""
    unwanted = {transfer.id for transfer in call.transfers if transfer.joined_at is None}
    left = [
        leg
        for leg in call.legs
        if leg.role is not Role.CALLER and leg.left_at is not None and leg.id not in unwanted
    ]
    last = max((leg.left_at or 0.0 for leg in left), default=None)
    return last is not None and any(
        leg.hangup is not None and leg.hangup.normal for leg in left if leg.left_at == last
    )


def _may_live(call: Call, transfer: Transfer) -> bool:
    leg = call.leg(transfer.id)
    return leg is None or leg.alive
