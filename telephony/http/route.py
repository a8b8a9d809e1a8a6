"""What a route is, as data: the router and the OpenAPI document read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from telephony.http.answers import JSON
from telephony.http.context import Handler
from telephony.tokens import TokenRole

EVERYONE = frozenset(TokenRole)
SEATS = frozenset({TokenRole.ADMIN, TokenRole.SEAT})
LINK = ("link_down",)  # the refusal of whatever needs Asterisk now
ADMINS = frozenset({TokenRole.ADMIN})


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter after the `?`; always optional."""

    name: str
    about: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path.

    `roles`: whose tokens are taken; None: no token is asked for. `refusals`: status and codes of the errors
    that are this route's own (`openapi` adds those that all have). `token_in_query`: for browsers'
    WebSockets, which can send no header.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    about: str = ""
    roles: frozenset[TokenRole] | None = EVERYONE
    body: type[msgspec.Struct] | None = None
    status: int = 200
    answers: tuple[type, ...] = ()
    media: str = JSON
    refusals: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    query: tuple[Query, ...] = ()
    token_in_query: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether an Idempotency-Key is looked at."""
        return self.method == "POST"
