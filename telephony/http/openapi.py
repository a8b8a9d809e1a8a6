"""The OpenAPI 3.1 document of the routes, which are its only source.

aiohttp's OpenAPI libraries were weighed and left: they want pydantic views of their own (aiohttp-pydantic),
docstrings in YAML (apispec), or describe one response of status 200 only (defspec); msgspec does the
schemas, and what is left is this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from telephony.http.answers import JSON, Failure, Problem, Ready
from telephony.http.examples import EXAMPLES
from telephony.http.meanings import MEANINGS
from telephony.http.route import EVERYONE, Query, Route

VERSION = "1.0.0"
_PARAMETER = re.compile(r"\{(\w+)\}")
_PARAMETERS = {
    "seat": ("The seat's name.", "1001"),
    "key": (
        "A line's, group's or room's name, `cancel`, `leave`, `hold`, `resume`, `merge`, `return`, `platform` or "
        "`guidance`.",
        "12345",
    ),
    "call": ("The call's id.", "110-1767225600.1"),
    "transfer": ("The transfer's id.", "t-4f1c9a"),
    "line": ("The line's name.", "12345"),
    "leg": ("The party's leg id, from the call's `legs`.", "110-1767225600.2"),
    "number": ("A caller's number: digits, `+`, `*`, `#` (as `%23`).", "13800138000"),
    "room": ("The joint room's name.", "room"),
    "member": ("The member's id.", "110-a-4f1c9a8e2b71"),
}
_ABOUT = (
    "One key press hands a caller over from one hotline to another. Requests carry "
    "`Authorization: Bearer TOKEN`; a token belongs to an administrator, a seat or a line (the linked unit "
    "behind it), and what is not the token's to see is answered as if it were not there. Every error has "
    "the shape `Failure`; its `code` is stable. A POST with an `Idempotency-Key` may be repeated for ten "
    "minutes: it is carried out once and answered the same. Times are seconds since the epoch."
)


def document(routes: Sequence[Route], title: str) -> dict[str, Any]:
    """The document as plain data, ready for JSON."""
    shapes = _shapes(routes)
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `telephony token`."},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "WebSockets of browsers only.",
    },
}


def _shapes(routes: Sequence[Route]) -> list[type]:
    bodies = [route.body for route in routes if route.body is not None]
    answers = [answer for route in routes for answer in route.answers]
    return list(dict.fromkeys([*bodies, *answers, Failure]))


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": getattr(route.handler, "__name__", route.path),
        "tags": [route.tag],
        "summary": route.summary,
        "description": " ".join(filter(None, [route.about, _who_may(route)])),
        "parameters": [*_path_parameters(route.path), *map(_query, route.query), *_headers(route)],
        "responses": _responses(route, schema_of),
        "security": _security(route),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": _has_required(route.body),
            "content": {JSON: _content(route.body, schema_of)},
        }
    return operation


def _who_may(route: Route) -> str:
    if route.roles is None:
        return "No token is needed."
    return f"For tokens of: {', '.join(sorted(route.roles))}."


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.roles is None:
        return []
    ways = ("bearer", "query") if route.token_in_query else ("bearer",)
    return [{way: []} for way in ways]


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        about, example = _PARAMETERS[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": {"type": "string"},
            "example": example,
        }


def _query(query: Query) -> dict[str, Any]:
    parameter = {"name": query.name, "in": "query", "description": query.about, "schema": {"type": "string"}}
    return {**parameter, "example": query.example} if query.example else parameter


def _headers(route: Route) -> Iterable[dict[str, Any]]:
    if route.repeatable:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A word of your own, up to 128 characters, that makes the request safe to repeat.",
            "schema": {"type": "string", "maxLength": 128},
            "example": "7f9c2ba4",
        }


def _has_required(body: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(body))


def _content(shape: type, schema_of: dict[type, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema_of[shape]}
    if shape in EXAMPLES:
        content["example"] = msgspec.to_builtins(EXAMPLES[shape])
    return content


def _responses(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): _success(route, schema_of)}
    for status, codes in sorted(_problems(route).items()):
        responses[str(status)] = _error(codes, schema_of)
    if Ready in route.answers:
        content = {
            "schema": schema_of[Ready],
            "example": {"ready": False, "missing": ["asterisk"], "role": "leader", "leader": "110-a"},
        }
        responses["503"] = {"description": "Something is missing.", "content": {JSON: content}}
    return responses


def _success(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": route.summary}
    if len(route.answers) == 1:
        response["content"] = {route.media: _content(route.answers[0], schema_of)}
    elif route.answers:
        content = {"schema": {"anyOf": [schema_of[answer] for answer in route.answers]}}
        response["content"] = {route.media: {**_content(route.answers[0], schema_of), **content}}
    return response


def _error(codes: Sequence[str], schema_of: dict[type, Any]) -> dict[str, Any]:
    examples = {code: {"value": msgspec.to_builtins(_failure(code))} for code in codes}
    description = " ".join(f"`{code}`: {MEANINGS[code]}." for code in codes)
    return {
        "description": description or "Error.",
        "content": {JSON: {"schema": schema_of[Failure], "examples": examples}},
    }


def _failure(code: str) -> Failure:
    return Failure(Problem(code, MEANINGS[code], {}))


def _problems(route: Route) -> dict[int, list[str]]:
    """The codes that a route can answer, by status: its own, and those that come with what it is."""
    common: dict[int, tuple[str, ...]] = {429: ("too_many_requests",), 500: ("internal_error",)}
    if route.roles is not None:
        common |= {
            401: ("unauthorized",),
            429: ("too_many_requests", "too_many_failures"),
            503: ("no_leader",),
        }
        if route.roles != EVERYONE:
            common[403] = ("forbidden",)
    if route.body is not None:
        common |= {
            400: ("bad_json", "bad_input"),
            408: ("body_too_slow",),
            413: ("too_large",),
            415: ("unsupported_media_type",),
        }
    if route.repeatable:
        common[400] = (*common.get(400, ()), "bad_idempotency_key")
        common[422] = ("idempotency_key_reused",)
    statuses = {*common, *route.refusals}
    return {status: [*route.refusals.get(status, ()), *common.get(status, ())] for status in statuses}
