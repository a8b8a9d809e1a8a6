"""The aiohttp application: routes, the access log, and the last place where an error gets its shape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from aiohttp import web

from telephony.feed import Feed
from telephony.http.cli_door import add_cli
from telephony.http.context import ROLE, Context
from telephony.http.docs import page
from telephony.http.endpoint import endpoint
from telephony.http.failures import answer_of
from telephony.http.limits import Buckets, Limits
from telephony.http.messages import CloseCode
from telephony.http.openapi import document
from telephony.http.pass_on import PassOn
from telephony.http.repeats import Repeats
from telephony.http.routes import ROUTES
from telephony.metrics import Metrics
from telephony.switchboard import Switchboard
from telephony.tokens import TokenBook

log = structlog.get_logger("http")

CONTEXT = web.AppKey("context", Context)
TITLE = "Hotline telephony"
UNROUTED = "unrouted"


def make_app(
    switchboard: Switchboard,
    feed: Feed,
    tokens: TokenBook,
    metrics: Metrics,
    checks: Mapping[str, Callable[[], bool]],
    *,
    warnings: Callable[[], list[str]] = list,
    cli_secret: str = "",
    pass_on: PassOn | None = None,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
    title: str = TITLE,
) -> web.Application:
    """The HTTP door to one hotline; `HttpServer` listens for it.

    `checks`: what readiness depends on, by the name that `/health/ready` gives it when it is missing.
    `warnings`: what `/health/ready` tells besides, and is ready all the same.
    `cli_secret`: what the Asterisk CLI shows at its door; without one it has no door.
    `pass_on`: how to answer while another controller of the hotline leads; without it this is the only one.
    `clock` (seconds, never backwards) times rates, repeats and pulses.
    """
    limits = limits or Limits()
    description = document(ROUTES, title)
    context = Context(
        switchboard=switchboard,
        feed=feed,
        tokens=tokens,
        metrics=metrics,
        checks=checks,
        warnings=warnings,
        limits=limits,
        clock=clock,
        requests=Buckets(limits.rate, limits.burst, clock),
        failures=Buckets(limits.failures / limits.failure_seconds, limits.failures, clock),
        repeats=Repeats(clock, limits.repeat_seconds, limits.repeat_keys),
        document=msgspec.json.encode(description),
        page=page(description).encode(),
        pass_on=pass_on,
    )
    app = web.Application(client_max_size=limits.body, middlewares=[_envelope])
    app[CONTEXT] = context
    for route in ROUTES:
        handler = endpoint(route, context)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and route.status != 101:
            app.router.add_route("HEAD", route.path, handler)
    if cli_secret:
        add_cli(app, context, cli_secret)
    app.on_response_prepare.append(_hide_server)
    app.on_shutdown.append(_close_watchers)
    app.on_cleanup.append(_close_repeats)
    return app


@web.middleware
async def _envelope(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """One log line for each request, with the route's pattern: paths hold ids, queries hold tokens."""
    start = time.perf_counter()
    resource = request.match_info.route.resource
    where = resource.canonical if resource is not None else UNROUTED
    status = 0  # the other side went away before there was an answer
    try:
        try:
            response = await handler(request)
        except ConnectionError:
            raise
        except Exception as error:
            response = answer_of(error, where).response()
        status = response.status
        return response
    finally:
        log.info(
            "request",
            method=request.method if resource is not None else "",
            route=where,
            status=status,
            ms=round((time.perf_counter() - start) * 1000, 1),
            role=request.get(ROLE, ""),
        )


async def _hide_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "telephony"


async def _close_watchers(app: web.Application) -> None:
    closing = (
        socket.close(code=CloseCode.GOING_AWAY, message=b"the controller stops")
        for socket in app[CONTEXT].watchers
        if socket.prepared
    )
    await asyncio.gather(*closing, return_exceptions=True)


async def _close_repeats(app: web.Application) -> None:
    await app[CONTEXT].repeats.close()
    pass_on = app[CONTEXT].pass_on
    if pass_on is not None:
        await pass_on.close()
