"""What one call will be: everything that citizen, taker and partners do in it.

Times are milliseconds. A phone's clock starts when it answers, so a plan leaves some hundred milliseconds
between two things whose order matters; where they are meant to cross, several ends are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Who should not be the one to hang up does so then, sooner than Asterisk misses audio (rtp_timeout 30 s).
LAST_RESORT = 25_000
PATIENCE = 60_000
DEFAULT_TALK = 7_000  # a phone that is not told who calls
NO_ANSWER = 4  # s; the line's answer_timeout
SETTLE = 500  # between two things whose order matters
# A taker who hangs up sooner after the partner has gone may not have noticed it: no wish to end the call.
KNOWS = 1_500
FAR_HOTLINE = {"110": "12345", "12345": "110"}  # the line from a site to the other


@dataclass(frozen=True, slots=True)
class Phone:
    """What a phone does when this caller's call reaches it; `again`: ms of talk in a second call."""

    ring: int = 300
    code: int = 200
    talk: int = LAST_RESORT
    again: int = 2_000


@dataclass(frozen=True, slots=True)
class Press:
    """A key, `at` ms after caller and taker began to talk."""

    at: int
    key: str
    mode: str = ""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One citizen's call. `at`: seconds after the start. `ends`: who ends it: caller, taker, partner,
    nobody_answered. `far_presses`: keys of the agent at the other hotline. `reasons`: by line, the reasons
    that are right for the transfer. `answers`: how many times a seat answers this caller (2: brought back
    to one)."""

    number: str
    site: str
    at: float
    withheld: bool = False
    matter: str = "police"
    way: str = ""
    scene: str = "plain"
    patience: int = PATIENCE
    talk: int = LAST_RESORT
    taker: Phone = Phone()
    partners: Mapping[str, Phone] = field(default_factory=dict)
    presses: tuple[Press, ...] = ()
    far_presses: tuple[Press, ...] = ()
    ends: frozenset[str] = frozenset({"taker"})
    reasons: Mapping[str, frozenset[str]] = field(default_factory=dict)
    answers: int = 1
