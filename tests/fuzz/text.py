"""Hostile texts and bytes, and ways of spoiling good ones; what every door's inputs are made of."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NASTY = (
    "",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\r\n\r\n",
    "\ufffd",
    "\u2028",
    "\x85",
    "\x1b[31m",
    "警" * 40,
    "-1",
    "0",
    "1e999",
    "9" * 400,
    "٣",
    "²",
    "%00%0d%0a",
    "${SHELL(id)}",
    "../../etc/passwd",
    ": ",
    "a" * 5000,
    "[" * 3000,
    "true",
    "null",
    "NaN",
)
NASTY_BYTES = (*(text.encode() for text in NASTY), b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xff" * 70_000)

# By their numbers, because hypothesis writes out what a strategy chooses from.
nasty = st.sampled_from(range(len(NASTY))).map(lambda number: NASTY[number]) | st.text(max_size=12)
nasty_bytes = st.sampled_from(range(len(NASTY_BYTES))).map(lambda number: NASTY_BYTES[number]) | st.binary(
    max_size=12
)


def spoil(draw: st.DrawFn, good: bytes, most: int = 4) -> bytes:
    """Good bytes with up to `most` cuts, insertions, repetitions and exchanges at any place."""
    data = bytearray(good)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 2, 8, 60, 100_000))))
        piece = bytes(data[start:end])
        other = draw(st.none() | nasty_bytes)
        changed = (b"", piece * 2, piece * 40, piece[::-1], piece.swapcase())
        data[start:end] = changed[draw(st.integers(0, 4))] if other is None else other
        del data[400_000:]
    return bytes(data)


@st.composite
def in_pieces(draw: st.DrawFn, whole: SearchStrategy[bytes], most: int = 5) -> list[bytes]:
    """The same bytes as they may come in: cut at any places."""
    data = draw(whole)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def change_lines(draw: st.DrawFn, lines: Sequence[str], separator: str = ": ", most: int = 3) -> list[str]:
    """Lines of `name: value` of which some are left out, repeated, moved, or have another value."""
    changed = list(lines)
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        if not changed:
            break
        name = changed[at].partition(separator)[0]
        match draw(st.sampled_from(("value", "value", "out", "twice", "moved", "new"))):
            case "value":
                changed[at] = f"{name}{separator}{draw(nasty)}"
            case "out":
                del changed[at]
            case "twice":
                changed.insert(at, f"{name}{separator}{draw(nasty)}")
            case "moved":
                changed.append(changed.pop(at))
            case _:
                changed.insert(at, draw(nasty))
    return changed
