"""What the values of a configuration must be, so that they can go into Asterisk's files, its manager and a log.

Each check raises ValueError with a sentence that names the place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network
from itertools import pairwise
from typing import Any

from msgspec import inspect

SHOWN = 70  # characters of a wrong value in a message
LONGEST_LABEL = 64  # characters

_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NETWORK = re.compile(r"[0-9A-Fa-f.:/]{1,49}")
# Neither what ends a quoted or comma-separated value in Asterisk, nor what begins an expression there.
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!&*+=%-]{1,256}")


def within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:  # nan is not either
        raise ValueError(f"{name} must be {low:g} to {high:g}{unit}")


def not_reserved(name: str, value: str, reserved: frozenset[str]) -> None:
    """What the name would meet in Asterisk's files or among the keys is something of ours."""
    if value in reserved:
        raise ValueError(f"{name}: {value!r} is a name of our own")


def each_code_can_be_dialled(name: str, codes: list[str]) -> None:
    """Asterisk takes a code as soon as it is complete, so none may begin another."""
    for code, longer in pairwise(sorted(codes)):
        if longer.startswith(code):
            raise ValueError(f"{name}: {longer!r} can never be dialled, because {code!r} begins it")


def label(name: str, value: str) -> None:
    """A text for people: one line, and nothing invisible in it that turns or hides what follows."""
    invisible = (unicodedata.category(character) for character in value)
    if not value.strip() or len(value) > LONGEST_LABEL:
        raise ValueError(f"{name}: {shown(value)} must have 1 to {LONGEST_LABEL} characters")
    if any(category[0] == "C" or category in ("Zl", "Zp") for category in invisible):
        raise ValueError(f"{name}: {shown(value)} has control characters")


def network(name: str, value: str) -> None:
    """An address or a network, as Asterisk's access lists read it."""
    try:
        # The library would take a zone after `%`, and in that any character at all.
        if not _NETWORK.fullmatch(value):
            raise ValueError("it has characters that no address has")
        if ip_network(value).prefixlen == 0:
            raise ValueError("it is every address there is")
    except ValueError as error:
        raise ValueError(f"{name}: {shown(value)} is no network: {error}") from None


def is_host(value: str) -> bool:
    """Whether it is an IPv4 address or the name of a host."""
    labels = value.split(".")
    if len(value) > 253 or not all(map(_HOST_LABEL.fullmatch, labels)):
        return False
    return not labels[-1].isdecimal() or is_ipv4(value)


def is_ipv4(value: str) -> bool:
    try:
        IPv4Address(value)
    except ValueError:
        return False
    return True


def is_port(value: str) -> bool:
    return _PORT.fullmatch(value) is not None and int(value) < 65536


def case_url(name: str, value: str) -> None:
    """The address of a web page, in which `{case_id}` is the only thing to be filled in; or nothing."""
    if value and not _URL.fullmatch(value.replace("{case_id}", "x")):
        raise ValueError(f"{name}: {shown(value)} is no web address with {{case_id}} in it")


def unknown_names(raw: Any, kind: inspect.Type, place: str = "") -> Iterator[str]:
    """Where in `raw`, which is to become a `kind`, there are names that `kind` does not have."""
    if isinstance(kind, inspect.DataclassType) and isinstance(raw, dict):
        known = {field.encode_name: field.type for field in kind.fields}
        for name, value in raw.items():
            here = f"{place}.{name}" if place else name
            if name not in known:
                yield here
            else:
                yield from unknown_names(value, known[name], here)
    elif isinstance(kind, inspect.ListType) and isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from unknown_names(value, kind.item_type, f"{place}[{index}]")


def shown(value: str) -> str:
    """As much of a wrong value as a message needs, with its control characters made visible."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "…")
