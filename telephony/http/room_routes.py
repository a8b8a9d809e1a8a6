"""What the HTTP door offers of the joint rooms; a part of `routes`."""

from __future__ import annotations

from telephony.http import rooms
from telephony.http.answers import Rooms
from telephony.http.bodies import OpenRoom
from telephony.http.route import ADMINS, LINK, SEATS, Route
from telephony.room_views import RoomView

_MEMBER = {404: ("unknown_room", "unknown_member"), 409: ("asterisk_refused",), 503: LINK}
BRING = ("transfer_under_way", "not_together", "not_moved")

ROOM_ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/rooms",
        handler=rooms.list_rooms,
        tag="Rooms",
        summary="The joint rooms and who is in them",
        roles=SEATS,
        answers=(Rooms,),
    ),
    Route(
        method="GET",
        path="/v1/rooms/{room}",
        handler=rooms.get_room,
        tag="Rooms",
        summary="One room",
        about="Who was called and could not be had is shown as `failed` with the reason, until called again.",
        roles=SEATS,
        answers=(RoomView,),
        refusals={404: ("unknown_room",)},
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}",
        handler=rooms.open_room,
        tag="Rooms",
        summary="Open a room: call people in, bring a call in",
        about="Everybody is called at once and joins on answering; nobody is waited for. A call's caller, taker "
        "and partners are moved together, so that the caller is with somebody at every moment; when that "
        "cannot be done the call goes on as it was and nobody is called in.",
        roles=SEATS,
        body=OpenRoom,
        status=202,
        answers=(RoomView,),
        refusals={
            404: ("unknown_room", "unknown_call"),
            409: BRING,
            422: ("unknown_line", "unknown_seat_named"),
            503: LINK,
        },
    ),
    Route(
        method="DELETE",
        path="/v1/rooms/{room}",
        handler=rooms.end_room,
        tag="Rooms",
        summary="End the conference in a room",
        about="A caller who was brought in goes back to a seat.",
        roles=ADMINS,
        status=202,
        answers=(RoomView,),
        refusals={404: ("unknown_room",), 409: ("room_not_open",), 503: LINK},
    ),
    Route(
        method="DELETE",
        path="/v1/rooms/{room}/members/{member}",
        handler=rooms.put_out,
        tag="Rooms",
        summary="Put a member out, or stop calling one",
        about="A caller who was brought in goes back to a seat.",
        roles=ADMINS,
        status=202,
        answers=(RoomView,),
        refusals=_MEMBER,
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/members/{member}/mute",
        handler=rooms.mute_member,
        tag="Rooms",
        summary="Mute a member",
        about="The others do not hear the member, who goes on hearing them.",
        roles=ADMINS,
        status=202,
        answers=(RoomView,),
        refusals=_MEMBER,
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/members/{member}/unmute",
        handler=rooms.unmute_member,
        tag="Rooms",
        summary="Let a member be heard again",
        roles=ADMINS,
        status=202,
        answers=(RoomView,),
        refusals=_MEMBER,
    ),
)
