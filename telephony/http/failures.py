"""From whatever went wrong to `{"error": {"code", "message", "details"}}` and its status: at one place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import structlog
from aiohttp import web

from telephony.errors import BadInput, LinkDown, NotFound, Refusal, StoreDown
from telephony.http.answers import Answer, Failure, Problem, json_answer

log = structlog.get_logger("http")

# Refusals that are not 409; the classes NotFound and BadInput go before this table.
STATUS_OF_CODE = {
    "unknown_key": 422,
    "unknown_kind": 422,
    "unknown_line": 422,
    "unknown_mode": 422,
    "unknown_seat_named": 422,
    "overloaded": 429,
    "internal_error": 500,
    "no_leader": 503,
}

# RFC 9110 §15 names, where ours is to be another one.
_CODES = {400: "bad_request", 413: "too_large", 500: "internal_error"}
_RETRY = {"Retry-After": "1"}


class HttpError(Exception):
    """A request that the HTTP door itself refuses."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def too_many(code: str, message: str, wait: float) -> HttpError:
    """429; `wait`: seconds until it is worth while to ask again."""
    return HttpError(429, code, message, headers={"Retry-After": str(max(1, math.ceil(wait)))})


def status_of(refusal: Refusal) -> int:
    """The status that a refusal of the switchboard has."""
    match refusal:
        case NotFound():
            return 404
        case BadInput():
            return 400
        case _:
            return STATUS_OF_CODE.get(refusal.code, 409)


def failure(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An error as it is sent."""
    return json_answer(Failure(Problem(code, message, dict(details or {}))), status, headers)


def answer_of(error: Exception, where: str) -> Answer:
    """The answer to a request that ended in `error`; `where` is the route, for the log.

    What nobody foresaw is logged and answered with 500; nothing of it is told to the asker.
    """
    match error:
        case HttpError():
            return failure(error.status, error.code, error.message, error.details, error.headers)
        case Refusal():
            status = status_of(error)
            headers = _RETRY if status == 429 else {}
            return failure(status, error.code, error.message, error.details, headers)
        case LinkDown():
            log.warning("link_down", route=where, error=str(error))
            return failure(503, "link_down", "Asterisk cannot be asked now", headers=_RETRY)
        case StoreDown():
            log.warning("store_down", route=where, error=str(error))
            return failure(503, "store_down", "the store cannot be asked now", headers=_RETRY)
        case web.HTTPException():
            return _of_aiohttp(error)
        case _:
            log.error("request_failed", route=where, exc_info=error)
            return failure(500, "internal_error", "the request could not be carried out")


def _of_aiohttp(error: web.HTTPException) -> Answer:
    code = _CODES.get(error.status) or re.sub(r"[^a-z]+", "_", error.reason.lower())
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return failure(error.status, code, error.reason, headers=headers)
