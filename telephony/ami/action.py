"""Writes an action for Asterisk, and refuses what Asterisk would misread.

The limits are Asterisk's own (main/manager.c): a line of 1,024 bytes with its end, 128 lines, and CR, LF
or both as the end of a line. A line too long gets an error; a line too many gets one without ActionID,
which nobody could match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from panoramisk.actions import Action

Headers = Mapping[str, str | Sequence[str]]

MAX_LINE = 1022
"""Bytes in `Name: value`, without CR LF."""
MAX_LINES = 128

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z").match
_RESERVED = frozenset({"action", "actionid"})


def encode(action: str, action_id: str, headers: Headers) -> bytes:
    """The bytes of one action. A header with several values becomes several lines, in their order.

    Raises ValueError for a name that is no header name or one of ours (Action, ActionID), a name given
    twice in different case, a value with CR, LF or NUL or that is not text, a line over 1,022 bytes, or
    more than 128 lines.
    """
    fields: dict[str, str | list[str]] = {"Action": action, "ActionID": action_id}
    seen = set(_RESERVED)
    for name, value in headers.items():
        if not _NAME(name) or name.lower() in seen:
            raise ValueError(f"not a header of an action, or given twice: {name!r}")
        seen.add(name.lower())
        fields[name] = value if isinstance(value, str) else list(value)
    lines = 0
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            lines += 1
            _check(name, value)
    if lines > MAX_LINES:
        raise ValueError(f"an action of {lines} lines; Asterisk reads {MAX_LINES}")
    return str(Action(fields)).encode()


def _check(name: str, value: str) -> None:
    if any(mark in value for mark in "\r\n\0"):
        raise ValueError(f"line end or NUL in the value of {name}: {value!r}")
    length = len(f"{name}: {value}".encode())
    if length > MAX_LINE:
        raise ValueError(f"{name} makes a line of {length} bytes; Asterisk reads {MAX_LINE}")
