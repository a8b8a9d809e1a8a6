"""What a watcher is sent over the WebSocket, and the codes with which it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal


class CloseCode(IntEnum):
    """RFC 6455 §7.4: 1001 and 1011 are the standard's, 4000 and up are ours."""

    GOING_AWAY = 1001
    OUR_FAULT = 1011
    TOKEN_REVOKED = 4401
    TOO_SLOW = 4408
    GAP = 4410


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message. `seq` is the number of the newest event now."""

    seq: int
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class EventMessage:
    """Something happened. `at`: seconds since the epoch; `data`: the call, transfer, line, seat or room now."""

    seq: int
    at: float
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Sent from time to time: all events up to `seq` that the watcher may see have been sent."""

    seq: int
    type: Literal["pulse"] = "pulse"


@dataclass(frozen=True, slots=True)
class Gap:
    """Events are missing and cannot be had any more: read the state afresh, then watch since its `seq`."""

    seq: int
    message: str
    type: Literal["gap"] = "gap"
