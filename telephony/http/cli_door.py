"""The door for the Asterisk CLI: `hotline show lines` and its like, which Asterisk itself asks here.

Asterisk's realtime engine (res_config_curl) sends `POST /cli/QUESTION/single` with the form `name=...` and
prints the fields of the form that comes back, whatever the status is, so that an error is a row too. It comes
from this machine, without TLS, with the secret of `secrets/cli` (HTTP Basic); for anybody else there is nothing.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from telephony.asterisk_cli import USER, form
from telephony.http.answers import Answer, Failure
from telephony.http.bodies import read_body
from telephony.http.cli_questions import QUESTIONS, Question
from telephony.http.cli_rows import Row
from telephony.http.context import ROLE, Context
from telephony.http.failures import HttpError, answer_of, too_many

FORM = "application/x-www-form-urlencoded"
LONGEST_BODY = 1024  # bytes; Asterisk cuts what it sends at 255
LONGEST_NAME = 64  # characters

_WRONG_SECRET = "the secret is not the controller's: run `telephony provision`, then `core reload`"


def add_cli(app: web.Application, context: Context, secret: str) -> None:
    """Open the door in `app` for who has `secret`."""
    expected = "Basic " + base64.b64encode(f"{USER}:{secret}".encode()).decode()
    for name, question in QUESTIONS.items():
        path = f"/cli/{name}/single"
        app.router.add_post(path, _handler(context, path, question, expected.encode()))


def _handler(
    context: Context, path: str, question: Question, expected: bytes
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            _admit(context, request, expected)
            request[ROLE] = "cli"
            body = await read_body(request, context.limits.body_seconds)
            name = _name(body)

            async def carry_out() -> web.StreamResponse:
                return _rows(await question(context, name) + _missing(context), 200)

            if context.pass_on is None:
                return await carry_out()
            return await context.pass_on.answer(request, body, carry_out)
        except ConnectionError:
            raise
        except Exception as error:
            refused = answer_of(error, path)
            rows, status = _refusal(refused), refused.status
        if ROLE in request:
            rows += _missing(context)
        return _rows(rows, status)

    return answer


def _rows(rows: list[Row], status: int) -> web.Response:
    return Answer(status, form(rows).encode(), FORM).response()


def _admit(context: Context, request: web.Request, expected: bytes) -> None:
    """HttpError: 404 to who is not on this machine, 401 without the right secret, 429 for too many tries."""
    if not from_this_machine(request):
        raise HttpError(404, "not_found", "Not Found")
    address = f"cli from {request.remote}"
    wait = context.requests.take(address)
    if wait:
        raise too_many("too_many_requests", "too many commands in a short time", wait)
    given = request.headers.getall("Authorization", [])
    if len(given) == 1 and hmac.compare_digest(given[0].encode(errors="surrogateescape"), expected):
        return
    wait = context.failures.take(address)
    if wait:
        raise too_many("too_many_failures", "too many wrong secrets", wait)
    raise HttpError(401, "unauthorized", _WRONG_SECRET)


def from_this_machine(request: web.Request) -> bool:
    """Whether the peer is a loopback address, or the very one that it has reached, and without TLS.

    A peer elsewhere cannot finish a TCP handshake in the name of either.
    """
    transport = request.transport
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return False
    peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return bool(peer and here) and (ipaddress.ip_address(peer[0]).is_loopback or peer[0] == here[0])


def _name(raw: bytes) -> str:
    """The one field that Asterisk sends; HttpError (400) if it is not that."""
    try:
        if len(raw) > LONGEST_BODY:
            raise ValueError("too long")
        [(field, name)] = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=1,
        )
    except ValueError as error:
        raise HttpError(
            400, "bad_request", "the question is not a form of one field, or is cut off"
        ) from error
    if field != "name" or not 0 < len(name) <= LONGEST_NAME:
        raise HttpError(400, "bad_request", f"a name has 1 to {LONGEST_NAME} characters")
    return name


def _refusal(answer: Answer) -> list[Row]:
    return [("refused", msgspec.json.decode(answer.body, type=Failure).error.message)]


def _missing(context: Context) -> list[Row]:
    """What the controller itself misses now, so that nobody takes what is shown for the whole truth."""
    missing = [name for name, check in context.checks.items() if not check()]
    return [("attention", f"the controller has no link to: {', '.join(missing)}")] if missing else []
