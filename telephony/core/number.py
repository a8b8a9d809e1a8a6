"""A telephone number: digits, `+`, `*` and `#`, at most 32 of them. Anything else is no number of ours."""

from __future__ import annotations

CHARACTERS = frozenset("0123456789+*#")
LONGEST = 32


def is_number(text: str) -> bool:
    return 0 < len(text) <= LONGEST and CHARACTERS.issuperset(text)
