"""The part of Asterisk's configuration that makes commands of its CLI out of questions to the controller.

Asterisk's realtime engine loads a "row" by `POST URL/single`. Each question is a family of its own with two
backends: the controller, and, should that not answer, a file that says so in words. Measured on 22.10.1:
`realtime load` prints every field of the row on a line of its own, however long and however many, while
`realtime update`, `store` and `destroy` print a count and no reason. So commands that change something are
loads too, and their row says what was done or why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from telephony.printable import printable
from telephony.settings import Address

USER = "asterisk"  # as whom Asterisk comes, with the secret as its password (HTTP Basic)
LOOK = ("show-lines", "show-line", "show-calls", "show-call", "show-seats", "show-seat", "show-controller")
STEER = ("close-line", "open-line", "cancel-transfer")
QUESTIONS = (*LOOK, *STEER)

CONNECT_LIMIT = 2  # seconds
ANSWER_LIMIT = 5  # seconds
_NOTE = "; Written by `telephony provision`; changes here are lost.\n"
_SILENT = ("controller", "does not answer")
_ALONE = (
    "calls",
    "go on by the dialplan alone; see them with: core show channels, queue show, bridge show all",
)
NO_ANSWER = {
    "look": (_SILENT, _ALONE),
    "steer": (_SILENT, ("command", "not carried out, or not known to be: look again"), _ALONE),
}


def form(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values as res_config_curl reads them: everything but letters, digits and `_.-~` in per cent."""
    return "&".join(
        f"{quote(printable(name), safe='')}={quote(printable(value), safe='')}" for name, value in rows
    )


def no_answer_file(generated: Path, kind: str) -> Path:
    """What is printed for commands of this kind (`look`, `steer`) while the controller does not answer."""
    return generated / f"no-answer-{kind}" / "single"


def extconfig(api: Address, generated: Path) -> str:
    """extconfig.conf: the controller first, then the file; it holds no secret (Asterisk logs URLs that fail)."""
    lines = []
    for kind, questions in (("look", LOOK), ("steer", STEER)):
        file = no_answer_file(generated, kind).parent.as_uri()
        for question in questions:
            lines += [
                f"hotline-{question} => curl,http://{api}/cli/{question},,1",
                f"hotline-{question} => curl,{file},,2",
            ]
    return _NOTE + "\n".join(lines) + "\n"


def curl_options(secret: str) -> str:
    """curl.conf, for [globals]: options of every CURL() of this Asterisk; never ask a stranger with it."""
    options = {
        "userpwd": f"{USER}:{secret}",
        "conntimeout": str(CONNECT_LIMIT),
        "httptimeout": str(ANSWER_LIMIT),
        "proxy": "",
    }
    return _NOTE + "".join(f"CURLOPT({name}) = {value}\n" for name, value in options.items())
