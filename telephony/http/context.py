"""What the handlers work with, and what a handler is given and gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from telephony.feed import Feed
from telephony.http.answers import Answer
from telephony.http.limits import Buckets, Limits
from telephony.http.pass_on import PassOn
from telephony.http.repeats import Repeats
from telephony.metrics import Metrics
from telephony.switchboard import Switchboard
from telephony.tokens import Principal, TokenBook


@dataclass(slots=True)
class Context:
    """One HTTP door. `checks` are what `ready` depends on, by name, `warnings` what it tells besides.

    `watchers`: the open WebSockets. `pass_on`: the way to the leader, for a controller that may not be it.
    """

    switchboard: Switchboard
    feed: Feed
    tokens: TokenBook
    metrics: Metrics
    checks: Mapping[str, Callable[[], bool]]
    warnings: Callable[[], list[str]]
    limits: Limits
    clock: Callable[[], float]
    requests: Buckets
    failures: Buckets
    repeats: Repeats
    document: bytes = b""
    page: bytes = b""
    watchers: set[web.WebSocketResponse] = field(default_factory=set)
    stopping: bool = False
    pass_on: PassOn | None = None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and the token that says so (for one who stays: it may be revoked meanwhile)."""

    who: Principal
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path` and `query` hold its parameters, `body` what its route says it is.

    `visitor` is None on routes that ask for no token. The repr leaves out what may hold secrets.
    """

    context: Context = field(repr=False)
    visitor: Visitor | None
    path: Mapping[str, str]
    query: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    request: web.Request

    @property
    def who(self) -> Principal:
        """Who asks; for routes that ask for a token."""
        if self.visitor is None:
            raise TypeError("this route asks for no token")
        return self.visitor.who


# The role of whoever asks, for the access log.
ROLE = web.RequestKey("role", str)

Handler = Callable[[Ask], Awaitable[Answer | web.WebSocketResponse]]
