"""Seats, and the keys on them."""

from __future__ import annotations

from telephony.errors import NotFound
from telephony.http.answers import Answer, PressedCall, PressedTransfer, Seats, json_answer
from telephony.http.bodies import KeyPress, mode_of
from telephony.http.calls import place_of
from telephony.http.context import Ask
from telephony.switchboard import Pressed
from telephony.tokens import TokenRole
from telephony.views import TransferView, diversion_view, transfer_view


async def list_seats(ask: Ask) -> Answer:
    return json_answer(Seats(ask.context.feed.last_seq, ask.context.switchboard.seats()))


async def press_key(ask: Ask) -> Answer:
    seat, press = ask.path["seat"], _press(ask)
    if ask.who.role is TokenRole.SEAT and ask.who.name != seat:
        raise NotFound("unknown_seat", f"there is no seat {seat}")
    mode = mode_of(press.mode)
    pressed = await ask.context.switchboard.press(seat, ask.path["key"], mode=mode, note=press.note)
    return _answer(pressed)


def _press(ask: Ask) -> KeyPress:
    press: KeyPress = ask.body
    return press


def _answer(pressed: Pressed) -> Answer:
    if pressed.room is not None:
        return json_answer(pressed.room, 202, {"Location": f"/v1/rooms/{pressed.room.room}"})
    views = [transfer_view(pressed.call_id, transfer) for transfer in pressed.transfers]
    if not views:
        handed_on = pressed.diversion
        diversion = None if handed_on is None else diversion_view(pressed.call_id, handed_on)
        return json_answer(PressedCall(pressed.call_id, [], diversion), 202)
    first = {name: getattr(views[0], name) for name in TransferView.__dataclass_fields__}
    return json_answer(PressedTransfer(**first, transfers=views), 202, {"Location": place_of(views[0])})
