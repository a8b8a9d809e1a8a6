"""What is sent back: an answer as plain data, and the JSON shapes that are not in `views`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from telephony.history import History
from telephony.room_views import RoomView
from telephony.switchboard import LineStatus, SeatStatus
from telephony.views import CallView, DiversionView, TransferView

JSON = "application/json"
HTML = "text/html; charset=utf-8"

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it belongs to a request, so that it can be kept and given again."""

    status: int
    body: bytes
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, more: Mapping[str, str] | None = None) -> web.Response:
        """A fresh aiohttp response, with `more` headers."""
        headers = {**_ALWAYS, **self.headers, **(more or {}), "Content-Type": self.media}
        return web.Response(status=self.status, body=self.body, headers=headers)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """`value` (dataclasses, built-in types) as JSON."""
    return Answer(status, msgspec.json.encode(value), headers=headers or {})


@dataclass(frozen=True, slots=True)
class Live:
    live: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """`missing` names what does not answer; `ready` is true when nothing is missing, and this controller leads.

    `warnings` are what people should mend although calls can be served: `recording_disk_full`,
    `recording_disk_gone`, `recording_memory_full`, `recording_memory_gone`. `role`: `leader` or `standby`.
    `leader`: the node that leads, as far as is known.
    """

    ready: bool
    missing: list[str]
    warnings: list[str]
    role: str
    leader: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Live calls, oldest first. Watch the events since `seq` to stay up to date without a hole."""

    seq: int
    calls: list[CallView]


@dataclass(frozen=True, slots=True)
class CallWithHistory(CallView):
    """A call, and its number's earlier calls.

    `history` is null where the number is withheld or unknown, for units that have not been in the call, and
    while the store cannot be asked.
    """

    history: History | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines as they were after event number `seq`."""

    seq: int
    lines: list[LineStatus]


@dataclass(frozen=True, slots=True)
class Seats:
    """The seats as they were after event number `seq`."""

    seq: int
    seats: list[SeatStatus]


@dataclass(frozen=True, slots=True)
class Rooms:
    """The joint rooms as they were after event number `seq`."""

    seq: int
    rooms: list[RoomView]


@dataclass(frozen=True, slots=True)
class PressedTransfer(TransferView):
    """The transfer that the key started or concerns.

    A key that concerns several has all of them in `transfers`, and the first one's fields here.
    """

    transfers: list[TransferView]


@dataclass(frozen=True, slots=True)
class PressedCall:
    """The key was carried out on the call and concerns no transfer; `diversion`: what it has handed on."""

    call: str
    transfers: list[TransferView]
    diversion: DiversionView | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is stable, for programs; `message` is for people; `details` depends on the code."""

    code: str
    message: str
    details: dict[str, str]


@dataclass(frozen=True, slots=True)
class Failure:
    error: Problem
