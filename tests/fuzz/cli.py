"""The door of the Asterisk CLI, `/cli/*`: bodies as res_config_curl sends them, and as it never would."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus

import requests
from hypothesis import strategies as st

from telephony.asterisk_cli import USER
from telephony.http.cli_questions import QUESTIONS
from tests.adapters.http_hotline import CLI_SECRET
from tests.fuzz.door import Door
from tests.fuzz.run import LIMIT
from tests.fuzz.served import Served, served
from tests.fuzz.text import nasty, nasty_bytes, spoil

NAMES = ("all", "12345", "119", "gas", "1001", "1002", "@1", "@2", "t-1", "%20", "room")


@dataclass(frozen=True)
class Asked:
    """A question, the form's body (`@1` in it is the call at seat 1001), and the secret that is shown."""

    question: str
    body: bytes
    secret: str


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES) | nasty)
    body = f"name={name if name.startswith('@') else quote_plus(name, errors='replace')}".encode()
    match draw(st.integers(0, 5)):
        case 0:
            return spoil(draw, body)
        case 1:
            return draw(nasty_bytes)
        case _:
            return body


asked = st.builds(
    Asked,
    st.sampled_from(sorted(QUESTIONS)),
    bodies(),
    st.sampled_from((CLI_SECRET,) * 15 + ("", "guess", "é\x80")),
)


def _give(there: Served, session: requests.Session, ask: Asked) -> None:
    there.furnish(every=50)
    body = ask.body
    for name in ("@1", "@2"):
        body = body.replace(name.encode(), there.named(name).encode())
    basic = base64.b64encode(f"{USER}:{ask.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = session.post(f"{there.url}/cli/{ask.question}/single", data=body, headers=headers, timeout=LIMIT)
    assert answer.status_code < 500, answer.text
    rows = parse_qsl(answer.content.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert rows, "an answer without a word"
    assert all(character.isprintable() for row in rows for field in row for character in field), rows
    if ask.secret != CLI_SECRET:
        assert answer.status_code == 401


@contextmanager
def cli(folder: Path) -> Iterator[Door]:
    """Every question, with the right secret most of the time."""
    with served(folder, failures=10**6) as there, requests.Session() as session:
        yield Door(asked, lambda ask: _give(there, session, ask))
