"""The way of one request through a route: token, rate, body, repeat, handler, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from telephony.http import bodies
from telephony.http.answers import Answer
from telephony.http.context import ROLE, Ask, Context, Visitor
from telephony.http.door import admit
from telephony.http.events import relay_events
from telephony.http.failures import answer_of
from telephony.http.repeats import checked_key, fingerprint
from telephony.http.route import Route

_REPLAYED = {"Idempotent-Replayed": "true"}


def endpoint(route: Route, context: Context) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of `route`."""

    async def answer_request(request: web.Request) -> web.StreamResponse:
        visitor = admit(context, route, request)
        if visitor is not None:
            request[ROLE] = str(visitor.who.role)
        raw = await bodies.read_body(request, context.limits.body_seconds) if route.body else b""
        body = bodies.decode(raw, request.content_type, route.body) if route.body else None
        ask = Ask(context, visitor, request.match_info, request.query, body, request)
        key = checked_key(request.headers.getall("Idempotency-Key", [])) if route.repeatable else None

        async def carry_out() -> web.StreamResponse:
            if key is None or visitor is None:
                result = await route.handler(ask)
                return result.response() if isinstance(result, Answer) else result
            return await _once(route, ask, visitor, key, raw)

        if visitor is None or context.pass_on is None:
            return await carry_out()  # About this process, whoever leads.
        relay = partial(relay_events, request, visitor, context) if route.status == 101 else None
        return await context.pass_on.answer(request, raw, carry_out, relay)

    return answer_request


async def _once(route: Route, ask: Ask, visitor: Visitor, key: str, raw: bytes) -> web.StreamResponse:
    """Carry the request out unless that has been done; a refusal is an answer like another."""

    async def run() -> Answer:
        try:
            result = await route.handler(ask)
        except Exception as error:
            return answer_of(error, route.path)
        if not isinstance(result, Answer):
            raise TypeError(f"{route.path} cannot be repeated: it gives no plain answer")
        return result

    mark = fingerprint(route.method, ask.request.path, raw)
    answer, repeated = await ask.context.repeats.once(str(visitor.who), key, mark, run)
    return answer.response(_REPLAYED if repeated else None)
