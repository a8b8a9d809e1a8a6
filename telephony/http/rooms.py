"""Joint rooms: looking at them, opening, steering and ending them."""

from __future__ import annotations

from telephony.errors import NotFound
from telephony.http.access import may_see_call
from telephony.http.answers import Answer, Rooms, json_answer
from telephony.http.bodies import OpenRoom
from telephony.http.context import Ask
from telephony.views import call_view


async def list_rooms(ask: Ask) -> Answer:
    return json_answer(Rooms(ask.context.feed.last_seq, ask.context.switchboard.rooms.list()))


async def get_room(ask: Ask) -> Answer:
    return json_answer(ask.context.switchboard.rooms.get(ask.path["room"]))


async def open_room(ask: Ask) -> Answer:
    wanted, rooms = _wanted(ask), ask.context.switchboard.rooms
    rooms.get(ask.path["room"])
    if wanted.call and not may_see_call(ask.who, call_view(ask.context.switchboard.call(wanted.call))):
        raise NotFound("unknown_call", "there is no such call")
    view = await rooms.open(
        ask.path["room"], lines=wanted.lines, seats=wanted.seats, call_id=wanted.call or ""
    )
    return json_answer(view, 202)


async def end_room(ask: Ask) -> Answer:
    return json_answer(await ask.context.switchboard.rooms.end(ask.path["room"]), 202)


async def put_out(ask: Ask) -> Answer:
    rooms = ask.context.switchboard.rooms
    return json_answer(await rooms.put_out(ask.path["room"], ask.path["member"]), 202)


async def mute_member(ask: Ask) -> Answer:
    return await _mute(ask, muted=True)


async def unmute_member(ask: Ask) -> Answer:
    return await _mute(ask, muted=False)


async def _mute(ask: Ask, *, muted: bool) -> Answer:
    rooms = ask.context.switchboard.rooms
    return json_answer(await rooms.mute(ask.path["room"], ask.path["member"], muted=muted), 202)


def _wanted(ask: Ask) -> OpenRoom:
    wanted: OpenRoom = ask.body
    return wanted
