"""Text for terminals: what comes from outside must not steer the screen of who reads it."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line: control and format characters (ESC, line ends, bidirectional overrides) replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
