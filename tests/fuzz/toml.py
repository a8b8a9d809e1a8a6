"""hotline.toml: a wrong one is refused with ConfigError; from one that is taken, Asterisk's files can be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import strategies as st

from telephony import asterisk_files
from telephony.errors import ConfigError
from telephony.settings import load
from tests.fuzz.door import Door
from tests.fuzz.text import change_lines, nasty, spoil
from tests.lab.paths import hotline_file
from tests.unit.hotline_toml import GOOD, quoted

_VALUES = (
    *(
        "1",
        "-1",
        "0",
        "1e400",
        "nan",
        "inf",
        "true",
        "[]",
        "{}",
        "[[]]",
        "1979-05-27",
        "''",
        '"""',
        "0x7fffffff",
    ),
    *('"*1"', '"F5"', '"12345"', '"127.0.0.1:0"', '"[::1]:5060"', '"0.0.0.0/0"', '"110"', '["1001"]'),
    "9" * 5000,
)
values = st.sampled_from(range(len(_VALUES))).map(lambda number: _VALUES[number]) | nasty.map(quoted)


_RIGHT = (GOOD, *(hotline_file(site).read_text(encoding="utf-8") for site in ("110", "12345")))


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A right file of which lines, values or bytes are changed."""
    changed = _RIGHT[draw(st.integers(0, 2))].splitlines()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(changed) - 1))
        changed[at] = re.sub(r"=.*", lambda _: f"= {draw(values)}", changed[at])
    if draw(st.integers(0, 2)) == 0:
        changed = change_lines(draw, changed, " = ")
    whole = "\n".join(changed).encode(errors="replace")
    return spoil(draw, whole) if draw(st.integers(0, 3)) == 0 else whole


def _give(folder: Path, text: bytes) -> None:
    file = folder / "hotline.toml"
    file.write_bytes(text)
    with suppress(ConfigError):
        settings = load(file)
        passwords = {seat.seat: "password" for seat in settings.seats}
        pins = {room.room: "1234" for room in settings.rooms}
        files = asterisk_files.generated(settings, "secret", passwords, pins, {}, folder)
        for name, content in files.items():
            assert not _CONTROL.search(content), f"a control character in {name}"


_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def toml(folder: Path) -> Iterator[Door]:
    """`settings.load`, and what is written for Asterisk."""
    yield Door(texts(), lambda text: _give(folder, text))
