"""All that the HTTP door offers: the one list from which the router and the OpenAPI document are made."""

from __future__ import annotations

from telephony.history import History
from telephony.http import calls, events, history, lines, seats, service
from telephony.http.answers import (
    HTML,
    Calls,
    CallWithHistory,
    Lines,
    Live,
    PressedCall,
    PressedTransfer,
    Ready,
    Seats,
)
from telephony.http.bodies import KeyPress, LineChange, NewDiversion, NewTransfer
from telephony.http.messages import EventMessage, Gap, Hello, Pulse
from telephony.http.room_routes import BRING, ROOM_ROUTES
from telephony.http.route import ADMINS, LINK, SEATS, Query, Route
from telephony.room_views import RoomView
from telephony.switchboard import LineStatus
from telephony.views import CallView, DiversionView, LegView, TransferView

_PRESS = ("no_call", "asterisk_refused", "line_closed", "line_full", "too_many_transfers", "returned_once")

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/seats/{seat}/keys/{key}",
        handler=seats.press_key,
        tag="Keys",
        summary="Press a key at a seat",
        about="`key` is a line's name (its partner is called into the seat's call), a group's name (all its lines "
        "at once), `cancel` (stop calling all partners who have not answered, or end the consultation), `leave` "
        "(the taker leaves the caller to the partner), `hold` (the caller hears music), `resume` or `merge` (the "
        "caller comes back, to the taker and to whom the taker talks with) or `return` (the caller goes back to "
        "the hotline that the call came from). With mode `consult` taker and partner talk alone first. "
        "`platform` hands the matter on as a case to the unit whose line was tried last and did not come; "
        "`guidance` records that the caller was told where to turn. "
        "A room's name opens the joint room: who is configured is called in, and the seat's call is brought in "
        "or, when the seat is idle, its phone is called in; the answer is the room. "
        "Pressing a line's key again is the same transfer. The answer is the transfer; where a key concerns "
        "several, as `cancel` and `leave` may, it is the first, and all of them are in `transfers`. What "
        "becomes of it is told by the events, or by reading the transfer again. A seat presses its own keys "
        "only.",
        roles=SEATS,
        body=KeyPress,
        status=202,
        answers=(PressedTransfer, PressedCall, RoomView),
        refusals={
            404: ("unknown_seat",),
            409: (
                *_PRESS,
                "nothing_to_cancel",
                "nobody_to_leave_with",
                "not_held",
                "not_over_a_line",
                "nothing_to_hand_on",
                "too_many_diversions",
                *BRING,
                "seat_busy",
            ),
            422: ("unknown_key", "unknown_mode"),
            429: ("overloaded",),
            503: LINK,
        },
    ),
    Route(
        method="GET",
        path="/v1/calls",
        handler=calls.list_calls,
        tag="Calls",
        summary="Live calls",
        about="Those that the token may see, with legs and transfers.",
        answers=(Calls,),
    ),
    Route(
        method="GET",
        path="/v1/calls/{call}",
        handler=calls.get_call,
        tag="Calls",
        summary="One call",
        about="With the caller's earlier calls; how many there are comes with each `call` event too, as soon "
        "as it is known. A call that is over can still be read for some minutes.",
        answers=(CallWithHistory,),
        refusals={404: ("unknown_call",)},
    ),
    Route(
        method="POST",
        path="/v1/calls/{call}/diversions",
        handler=calls.record_diversion,
        tag="Calls",
        summary="Hand the call's matter on without a call",
        about="By the seat that has the caller, or had last; also after the call, for ten minutes. The same "
        "kind, line and note again are the same diversion. The third way of handing on is a transfer.",
        roles=SEATS,
        body=NewDiversion,
        status=201,
        answers=(DiversionView,),
        refusals={
            404: ("unknown_call",),
            409: ("no_call", "too_many_diversions"),
            422: ("unknown_kind", "unknown_line"),
            429: ("overloaded",),
        },
    ),
    Route(
        method="GET",
        path="/v1/history/{number}",
        handler=history.get_history,
        tag="Calls",
        summary="The calls of a number that are over",
        about="Newest first, as many and for as long as this hotline keeps them. A seat may ask for the number "
        "of a call that it has now. Numbers that were withheld have no history.",
        roles=SEATS,
        answers=(History,),
        refusals={400: ("bad_input",), 404: ("unknown_number",), 503: ("store_down",)},
    ),
    Route(
        method="POST",
        path="/v1/calls/{call}/transfers",
        handler=calls.start_transfer,
        tag="Calls",
        summary="Call a line's partner into the call",
        about="The same as the line's key at the seat that has the call.",
        roles=SEATS,
        body=NewTransfer,
        status=202,
        answers=(TransferView,),
        refusals={
            404: ("unknown_call",),
            409: _PRESS,
            422: ("unknown_line", "unknown_mode"),
            429: ("overloaded",),
            503: LINK,
        },
    ),
    Route(
        method="GET",
        path="/v1/calls/{call}/transfers/{transfer}",
        handler=calls.get_transfer,
        tag="Calls",
        summary="One transfer: its state and, once ended, the reason",
        answers=(TransferView,),
        refusals={404: ("unknown_call", "unknown_transfer")},
    ),
    Route(
        method="DELETE",
        path="/v1/calls/{call}/transfers/{transfer}",
        handler=calls.cancel_transfer,
        tag="Calls",
        summary="Cancel a transfer that has not been answered",
        roles=SEATS,
        status=202,
        answers=(TransferView,),
        refusals={
            404: ("unknown_call", "unknown_transfer"),
            409: ("nothing_to_cancel",),
            429: ("overloaded",),
            503: LINK,
        },
    ),
    Route(
        method="DELETE",
        path="/v1/calls/{call}/legs/{leg}",
        handler=calls.drop_leg,
        tag="Calls",
        summary="Take a party out of the call",
        about="A partner, or a taker who leaves a partner with the caller. Never the caller.",
        roles=SEATS,
        status=202,
        answers=(CallView,),
        refusals={
            404: ("unknown_call", "unknown_leg"),
            409: ("never_the_caller", "last_with_caller", "no_call"),
            429: ("overloaded",),
            503: LINK,
        },
    ),
    Route(
        method="POST",
        path="/v1/calls/{call}/legs/{leg}/mute",
        handler=calls.mute_leg,
        tag="Calls",
        summary="Mute a party: the others do not hear it",
        roles=SEATS,
        status=202,
        answers=(LegView,),
        refusals={404: ("unknown_call", "unknown_leg"), 429: ("overloaded",), 503: LINK},
    ),
    Route(
        method="POST",
        path="/v1/calls/{call}/legs/{leg}/unmute",
        handler=calls.unmute_leg,
        tag="Calls",
        summary="Let a muted party be heard again",
        roles=SEATS,
        status=202,
        answers=(LegView,),
        refusals={404: ("unknown_call", "unknown_leg"), 429: ("overloaded",), 503: LINK},
    ),
    Route(
        method="GET",
        path="/v1/lines",
        handler=lines.list_lines,
        tag="Lines",
        summary="The lines, their state and load",
        about="A line's token sees its own only.",
        answers=(Lines,),
    ),
    Route(
        method="GET",
        path="/v1/lines/{line}",
        handler=lines.get_line,
        tag="Lines",
        summary="One line",
        answers=(LineStatus,),
        refusals={404: ("unknown_line",)},
    ),
    Route(
        method="PATCH",
        path="/v1/lines/{line}",
        handler=lines.change_line,
        tag="Lines",
        summary="Close a line to new transfers, or open it",
        about="Live legs on it go on. It stays so across restarts.",
        roles=ADMINS,
        body=LineChange,
        answers=(LineStatus,),
        refusals={404: ("unknown_line",), 503: ("store_down",)},
    ),
    Route(
        method="GET",
        path="/v1/seats",
        handler=seats.list_seats,
        tag="Seats",
        summary="The seats, their state and call",
        roles=SEATS,
        answers=(Seats,),
    ),
    Route(
        method="GET",
        path="/v1/events",
        handler=events.watch_events,
        tag="Events",
        summary="Watch what happens, over a WebSocket",
        about="The first message is `hello` with the newest event's number; then come the events that the "
        "token may see, in order, and a `pulse` from time to time. To resume without loss, connect again "
        "with `since` set to the highest `seq` seen after the `hello`. To begin, read `/v1/calls` and watch "
        "since its `seq`. Closed with 1001: the controller stops; 4401: the token was revoked; 4408: you "
        "read too slowly, resume; 4410, after a `gap` message: events are missing, read the state afresh.",
        status=101,
        answers=(Hello, EventMessage, Pulse, Gap),
        query=(
            Query("since", "Send the events after this number first.", "1234"),
            Query("token", "The token, for browsers, which can send no header with a WebSocket.", ""),
        ),
        token_in_query=True,
        refusals={400: ("bad_input", "bad_request"), 429: ("too_many_watchers",)},
    ),
    Route(
        method="GET",
        path="/health/live",
        handler=service.live,
        tag="Service",
        summary="Whether the process runs",
        roles=None,
        answers=(Live,),
    ),
    Route(
        method="GET",
        path="/health/ready",
        handler=service.ready,
        tag="Service",
        summary="Whether calls can be handled",
        about="503 with the same shape names what is missing, e.g. `asterisk` or `redis`.",
        roles=None,
        answers=(Ready,),
        refusals={503: ()},
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=service.metrics,
        tag="Service",
        summary="Figures for Prometheus",
        roles=None,
        media="text/plain",
        answers=(str,),
    ),
    Route(
        method="GET",
        path="/openapi.json",
        handler=service.openapi,
        tag="Service",
        summary="This description, for programs",
        roles=None,
        answers=(dict,),
    ),
    Route(
        method="GET",
        path="/docs",
        handler=service.docs,
        tag="Service",
        summary="This description, for people",
        roles=None,
        media=HTML,
        answers=(str,),
    ),
    Route(
        method="GET",
        path="/",
        handler=service.home,
        tag="Service",
        summary="Leads to /docs",
        roles=None,
        status=302,
    ),
    *ROOM_ROUTES,
)
