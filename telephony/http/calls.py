"""Calls and their transfers."""

from __future__ import annotations

from urllib.parse import quote

from telephony.errors import NotFound
from telephony.http.access import may_see_call, may_see_history, may_see_transfer
from telephony.http.answers import Answer, Calls, CallWithHistory, json_answer
from telephony.http.bodies import NewDiversion, NewTransfer, kind_of, mode_of
from telephony.http.context import Ask
from telephony.tokens import TokenRole
from telephony.views import CallView, TransferView, call_view, diversion_view, leg_view, transfer_view


async def list_calls(ask: Ask) -> Answer:
    seq = ask.context.feed.last_seq
    views = [call_view(call) for call in ask.context.switchboard.calls()]
    return json_answer(Calls(seq, [view for view in views if may_see_call(ask.who, view)]))


async def get_call(ask: Ask) -> Answer:
    view, switchboard = _own_call(ask), ask.context.switchboard
    history = None
    if may_see_history(ask.who, view):
        history = await switchboard.histories.of_call(switchboard.call(view.id))
    fields = {name: getattr(view, name) for name in CallView.__dataclass_fields__}
    return json_answer(CallWithHistory(**fields, history=history))


async def start_transfer(ask: Ask) -> Answer:
    call, wanted = _own_call(ask), _new_transfer(ask)
    mode = mode_of(wanted.mode)
    pressed = await ask.context.switchboard.transfer(call.id, wanted.line, mode=mode, note=wanted.note)
    view = transfer_view(pressed.call_id, pressed.transfers[0])
    return json_answer(view, 202, {"Location": place_of(view)})


async def record_diversion(ask: Ask) -> Answer:
    call, wanted = _own_call(ask), _new_diversion(ask)
    seat = ask.who.name if ask.who.role is TokenRole.SEAT else ""
    diversion = await ask.context.switchboard.diversions.record(
        call.id, kind_of(wanted.kind), seat=seat, line=wanted.line, note=wanted.note
    )
    return json_answer(diversion_view(call.id, diversion), 201, {"Location": _place_of_call(call.id)})


async def get_transfer(ask: Ask) -> Answer:
    return json_answer(_own_transfer(ask))


async def cancel_transfer(ask: Ask) -> Answer:
    call, transfer = _own_call(ask), _own_transfer(ask)
    await ask.context.switchboard.cancel(call.id, transfer.id)
    return json_answer(_own_transfer(ask), 202)


async def drop_leg(ask: Ask) -> Answer:
    call = _own_call(ask)
    await ask.context.switchboard.drop(call.id, ask.path["leg"])
    return json_answer(call_view(ask.context.switchboard.call(call.id)), 202)


async def mute_leg(ask: Ask) -> Answer:
    return await _mute(ask, muted=True)


async def unmute_leg(ask: Ask) -> Answer:
    return await _mute(ask, muted=False)


async def _mute(ask: Ask, *, muted: bool) -> Answer:
    leg = await ask.context.switchboard.mute(_own_call(ask).id, ask.path["leg"], muted=muted)
    return json_answer(leg_view(leg), 202)


def place_of(transfer: TransferView) -> str:
    """Where the transfer can be read."""
    return f"{_place_of_call(transfer.call)}/transfers/{quote(transfer.id, safe='')}"


def _place_of_call(call_id: str) -> str:
    return f"/v1/calls/{quote(call_id, safe='')}"


def _new_transfer(ask: Ask) -> NewTransfer:
    wanted: NewTransfer = ask.body
    return wanted


def _new_diversion(ask: Ask) -> NewDiversion:
    wanted: NewDiversion = ask.body
    return wanted


def _own_call(ask: Ask) -> CallView:
    view = call_view(ask.context.switchboard.call(ask.path["call"]))
    if not may_see_call(ask.who, view):
        raise NotFound("unknown_call", "there is no such call")
    return view


def _own_transfer(ask: Ask) -> TransferView:
    call = call_view(ask.context.switchboard.call(ask.path["call"]))
    transfer = next((t for t in call.transfers if t.id == ask.path["transfer"]), None)
    seen = may_see_call(ask.who, call)
    if not seen and (transfer is None or not may_see_transfer(ask.who, transfer)):
        raise NotFound("unknown_call", "there is no such call")
    if transfer is None:
        raise NotFound("unknown_transfer", "the call has no such transfer")
    return transfer
