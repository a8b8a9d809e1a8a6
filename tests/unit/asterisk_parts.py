"""What the small Asterisk of the random tests is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telephony.core.call import Role


class Place(StrEnum):
    """Where the caller really is."""

    QUEUE = "queue"
    BRIDGE = "bridge"
    ASKING = "asking"
    MUSIC = "music"
    HOLD = "hold"
    GONE = "gone"


class Step(StrEnum):
    """What a channel's dialplan does next, when its wait is over."""

    SEAT_AFTER = "seat-after"
    TO_TAKER = "consult"
    LEFT = "left"


@dataclass
class Channel:
    """`up`: answered. `consult`: called to talk with the taker first. `step`: where its dialplan waits, if it does."""

    id: str
    role: Role
    party: str
    bridge: str = ""
    released: bool = False
    up: bool = False
    consult: bool = False
    step: Step | None = None


@dataclass
class Loss:
    """Somebody left a conversation."""

    at: float
    channel: Channel
    normal: bool
