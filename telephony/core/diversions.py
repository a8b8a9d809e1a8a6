"""A matter that is handed on without a call: what a seat may put on record, during the call and after it.

Nothing is asked of Asterisk, and nobody in the call notices.
"""

from __future__ import annotations

from dataclasses import replace

from telephony.core.call import Call, Diversion
from telephony.core.commands import Accepted, Decision, Refused
from telephony.core.events import DiversionRecorded

MAX_DIVERSIONS = 20  # per call; a key held down must not grow a record for ever


def recorded(call: Call, event: DiversionRecorded) -> Decision:
    """By the seat that has the call, or had it last; the same matter to the same unit is one diversion."""
    if not event.seat or event.seat != call.seat:
        return _refuse(call, "no_call", "the seat has not had this caller last")
    matter = (event.kind, event.line, event.note)
    same = next((d for d in call.diversions if (d.kind, d.line, d.note) == matter), None)
    if same is not None:
        return Decision(call, "same_diversion", reply=Accepted(diversion_id=same.id))
    if len(call.diversions) >= MAX_DIVERSIONS:
        return _refuse(call, "too_many_diversions", f"this call has had {MAX_DIVERSIONS} diversions")
    new = Diversion(event.diversion_id, event.kind, event.line, event.seat, event.at, event.note)
    call = replace(call, diversions=(*call.diversions, new))
    return Decision(call, "diversion_recorded", reply=Accepted(diversion_id=new.id))


def _refuse(call: Call, code: str, message: str) -> Decision:
    return Decision(call, f"refused_{code}", reply=Refused(code, message))
