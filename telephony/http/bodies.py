"""What may be sent in: the request bodies, and how one is read."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web

from telephony.core.call import DiversionKind, Mode
from telephony.errors import Refusal
from telephony.http.answers import JSON
from telephony.http.failures import HttpError

T = TypeVar("T")

NOTE_LENGTH = 2000
_PLACE = re.compile(r" - at `(?P<path>[^`]+)`$|unknown field `(?P<field>[^`]{1,100})`$")

# `(?![\s\S])` is the end of the text both in Python and in JSON Schema; Python's `$` lets a line feed by.
Note = Annotated[
    str,
    msgspec.Meta(
        max_length=NOTE_LENGTH,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*(?![\s\S])",
        description="For the partner's eyes; no control characters.",
    ),
]
# A word that is no mode is 422 `unknown_mode`, not a malformed body, so it is read as text first.
ModeWord = Annotated[
    str,
    msgspec.Meta(
        description="`warm`: the taker stays until leaving. `cold`: released once the partner has joined.",
        extra_json_schema={"enum": [mode.value for mode in Mode]},
    ),
]


KindWord = Annotated[
    str,
    msgspec.Meta(
        description="`platform`: the case goes to the unit (平台流转). `guidance`: the caller was told where to "
        "turn (线上指引).",
        extra_json_schema={"enum": [kind.value for kind in DiversionKind]},
    ),
]


class KeyPress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a line's key is pressed; other keys do not look at it."""

    mode: ModeWord = Mode.WARM.value
    note: Note = ""


class NewTransfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which line is to join the call, and how."""

    line: Annotated[str, msgspec.Meta(description="The line's name.")]
    mode: ModeWord = Mode.WARM.value
    note: Note = ""


class NewDiversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the call's matter is handed on without a call, and to whom."""

    kind: KindWord
    line: Annotated[str, msgspec.Meta(description="The unit's line; `platform` needs one.")] = ""
    note: Note = ""


Names = Annotated[list[Annotated[str, msgspec.Meta(max_length=32)]], msgspec.Meta(max_length=100)]


class OpenRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be called in; who is left out, is as configured. `call`: a live call whose parties are brought in."""

    lines: Names | None = None
    seats: Names | None = None
    call: Annotated[str, msgspec.Meta(max_length=150)] | None = None


class LineChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`closed`: no new transfers, live ones go on; `open`: in use again."""

    state: Literal["open", "closed"]


def mode_of(word: str) -> Mode:
    """The mode called `word`; Refusal (`unknown_mode`) if there is none."""
    try:
        return Mode(word)
    except ValueError:
        raise Refusal("unknown_mode", f"mode must be one of: {', '.join(Mode)}") from None


def kind_of(word: str) -> DiversionKind:
    """The kind called `word`; Refusal (`unknown_kind`) if there is none."""
    try:
        return DiversionKind(word)
    except ValueError:
        raise Refusal("unknown_kind", f"kind must be one of: {', '.join(DiversionKind)}") from None


async def read_body(request: web.Request, seconds: float) -> bytes:
    """The whole body; HttpError if it takes longer than `seconds`, is cut off or too large."""
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise HttpError(
            408,
            "body_too_slow",
            f"the body did not come within {seconds:g} s",
            headers={"Connection": "close"},
        ) from None
    except web.RequestPayloadError as error:
        raise HttpError(400, "bad_request", "the body is not what its headers say") from error


def decode(raw: bytes, content_type: str, shape: type[T]) -> T:
    """`raw` as a `shape`; nothing at all is an object without fields. HttpError: 400 or 415."""
    if raw and content_type != JSON and not content_type.endswith("+json"):
        raise HttpError(415, "unsupported_media_type", f"the body must be {JSON}")
    try:
        return msgspec.json.decode(raw or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise _bad_field(error) from error
    except UnicodeDecodeError as error:
        raise HttpError(400, "bad_json", "the body is not UTF-8") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpError(400, "bad_json", f"the body is not JSON: {error}") from error


def _bad_field(error: msgspec.ValidationError) -> HttpError:
    text = str(error)
    found = _PLACE.search(text)
    where = (found["path"] or f"$.{found['field']}") if found else "$"
    return HttpError(400, "bad_input", text, {"at": where})
