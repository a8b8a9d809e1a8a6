"""A taker's phone has a hold button of its own: the caller is to hear music then, as by the key `hold`.

With others in the conversation nothing is done: they go on, and nobody hears the phone that is on hold.
"""

from __future__ import annotations

from dataclasses import replace

from telephony.core.call import Call, Mode, Role, Transfer
from telephony.core.commands import BringBack, Command, Decision, HoldCaller
from telephony.core.events import LegHeld, LegUnheld


def held(call: Call, event: LegHeld) -> Decision:
    """The phone says that it is on hold. If only its caller is with it, the caller goes to the music."""
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive or leg.on_hold:
        return Decision(call, "no_change")
    return to_music(Decision(call.with_leg(replace(leg, on_hold=True)), "phone_on_hold"))


def to_music(decision: Decision) -> Decision:
    """Send the caller to the music if nobody is with the caller but a taker whose phone is on hold.

    To be asked also when a partner has gone, and left the two to each other.
    """
    call = decision.call
    caller, talking = call.caller_leg, [leg for leg in call.legs if leg.talking]
    if caller is None or caller not in talking or len(talking) != 2:
        return decision
    (other,) = (leg for leg in talking if leg.id != caller.id)
    if other.role is not Role.TAKER or not other.on_hold or other.released:
        return decision
    call = call.with_leg(replace(other, holds_caller=True))
    commands = (*decision.commands, HoldCaller(caller.channel))
    return replace(decision, call=call, outcome=f"{decision.outcome}_caller_to_music", commands=commands)


def unheld(call: Call, event: LegUnheld) -> Decision:
    """The phone is off hold. A caller whom it has sent to the music comes back."""
    leg = call.leg(event.leg_id)
    if leg is None or not leg.alive or not leg.on_hold:
        return Decision(call, "no_change")
    call = call.with_leg(replace(leg, on_hold=False))
    return Decision(*bring_back(call, "phone_off_hold"))


def partner_came(call: Call, transfer: Transfer, outcome: str) -> tuple[Call, str, tuple[Command, ...]]:
    """A partner has come to a phone that is on hold: the caller, who hears music for that, is to be with the partner.

    (A phone that dials a line's short code holds its first call for that.) Not in a consultation: that is the taker's.
    """
    caller = call.caller_leg
    if transfer.mode is Mode.CONSULT or not call.held or caller is None:
        return call, outcome, ()
    for leg in call.takers:
        if leg.holds_caller and not leg.released:
            call = call.with_leg(replace(leg, holds_caller=False))
            return call, f"{outcome}_caller_brought_back", (BringBack(caller.channel, leg.channel),)
    return call, outcome, ()


def bring_back(call: Call, outcome: str) -> tuple[Call, str, tuple[Command, ...]]:
    """Bring the caller back to a phone that has sent it to the music and is off hold again.

    To be asked also when the caller has just gone there: a button pressed twice may be faster than Asterisk.
    """
    caller = call.caller_leg
    for leg in call.takers:
        if leg.holds_caller and not leg.on_hold and not leg.released and call.held and caller is not None:
            call = call.with_leg(replace(leg, holds_caller=False))
            return call, f"{outcome}_brought_back", (BringBack(caller.channel, leg.channel),)
    return call, outcome, ()
