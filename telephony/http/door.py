"""Who is at the door: from a request's token to a principal."""

from __future__ import annotations

import re

import structlog
from aiohttp import web

from telephony.http.context import Context, Visitor
from telephony.http.failures import HttpError, too_many
from telephony.http.route import Route

log = structlog.get_logger("http")

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,512})")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="telephony"'}


def admit(context: Context, route: Route, request: web.Request) -> Visitor | None:
    """Who asks, or None on an open route. HttpError: 401, 403, or 429 for too many requests."""
    address = f"address {request.remote}"
    if route.roles is None:
        _slow_down(context, address)
        return None
    token = _token(route, request)
    if not token:
        _slow_down(context, address)
        raise HttpError(401, "unauthorized", "a Bearer token is needed", headers=_CHALLENGE)
    who = context.tokens.check(token)
    if who is None:
        # By this line docker/fail2ban/ knows who guesses.
        log.warning("wrong_token", address=request.remote or "")
        wait = context.failures.take(address)
        if wait:
            raise too_many("too_many_failures", "too many wrong tokens from this address", wait)
        raise HttpError(401, "unauthorized", "the token is not valid", headers=_CHALLENGE)
    _slow_down(context, str(who))
    if who.role not in route.roles:
        raise HttpError(403, "forbidden", f"a token of role {who.role} may not do this")
    return Visitor(who, token)


def _slow_down(context: Context, key: str) -> None:
    wait = context.requests.take(key)
    if wait:
        raise too_many("too_many_requests", "too many requests in a short time", wait)


def _token(route: Route, request: web.Request) -> str:
    """The token that comes with the request, or nothing; in the header, or where allowed as `?token=`."""
    headers = request.headers.getall("Authorization", [])
    given = request.query.getall("token", []) if route.token_in_query else []
    if len(headers) + len(given) > 1:
        raise HttpError(400, "bad_request", "one token is enough")
    if given:
        return given[0]
    if not headers:
        return ""
    bearer = _BEARER.fullmatch(headers[0])
    if bearer is None:
        raise HttpError(401, "unauthorized", "Authorization must be: Bearer TOKEN", headers=_CHALLENGE)
    return bearer[1]
