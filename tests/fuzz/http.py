"""The HTTP API: schemathesis plays our own OpenAPI document, and every answer must be as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.adapters.http_hotline import TOKENS
from tests.fuzz.door import Door
from tests.fuzz.run import LIMIT
from tests.fuzz.served import Served, served
from tests.fuzz.text import nasty

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REAL = {
    "seat": ("1001", "1002"),
    "key": (
        "12345",
        "119",
        "gas",
        "cancel",
        "leave",
        "hold",
        "resume",
        "merge",
        "return",
        "platform",
        "room",
    ),
    "call": ("@1", "@2"),
    "transfer": ("t-1", "t-2", "t-3"),
    "line": ("12345", "119", "gas"),
    "leg": ("@1", "@1-1001", "@2-1002", "t-1"),
    "number": ("13800138000", "%2B86", "%23"),
    "room": ("room",),
    "member": ("m-1", "m-2"),
}
BODIES: tuple[Any, ...] = (
    {},
    {"mode": "warm"},
    {"mode": "cold", "note": "警情"},
    {"mode": "consult"},
    {"line": "12345"},
    {"line": "gas", "mode": "cold"},
    {"kind": "guidance"},
    {"kind": "platform", "line": "119"},
    {"state": "closed"},
    {"state": "open"},
    {"call": "@1"},
    {"lines": ["gas"], "seats": []},
)


@dataclass(frozen=True)
class Request:
    """A case of schemathesis's, with names that mean something in the place of some of its own."""

    case: Any
    names: dict[str, str]
    body: Any
    who: str | None


def requests_of(document: dict[str, Any]) -> st.SearchStrategy[Request]:
    """Right ones and wrong ones for every operation but the WebSocket, which has a door of its own."""
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    plain = [each for each in operations if each.path != "/v1/events"]
    cases = st.one_of(
        *(
            each.as_strategy(mode)
            for each in plain
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        )
    )
    names = st.fixed_dictionaries({}, optional={name: st.sampled_from(real) for name, real in REAL.items()})
    # One segment of the path: what leads to another path is no input of the operation.
    segment = nasty.filter(lambda text: text not in ("", ".", "..")).map(
        lambda text: quote(text[:1000], safe="")
    )
    strange = st.fixed_dictionaries({}, optional=dict.fromkeys(REAL, segment))
    return st.builds(
        Request,
        cases,
        st.one_of(names, names, strange),
        st.none() | st.none() | st.sampled_from(BODIES),
        st.sampled_from(("admin", "admin", "admin", "seat:1001", "line:12345", None)),
    )


def _give(there: Served, session: requests.Session, request: Request) -> None:
    there.furnish(every=50)
    case = request.case
    path = dict(case.path_parameters or {})
    path |= {name: there.named(value) for name, value in request.names.items() if name in path}
    case.path_parameters = path
    if request.body is not None and case.operation.body:
        case.body = {k: there.named(v) if isinstance(v, str) else v for k, v in request.body.items()}
        case.media_type = "application/json"
    headers = {"Authorization": f"Bearer {TOKENS[request.who]}"} if request.who else {}
    try:
        answer = case.call(
            base_url=there.url, session=session, headers=headers, timeout=LIMIT, allow_redirects=False
        )
    except requests.exceptions.InvalidHeader:
        return  # the client itself does not send it
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    case.validate_response(answer, checks=CHECKS)


@contextmanager
def http(folder: Path) -> Iterator[Door]:
    """Every operation of the document, against the real application with a real switchboard."""
    with served(folder) as there, requests.Session() as session:
        document = session.get(f"{there.url}/openapi.json", timeout=LIMIT).json()
        yield Door(requests_of(document), lambda request: _give(there, session, request))
