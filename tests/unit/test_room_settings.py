"""Joint rooms in hotline.toml: what is wrong is refused before Asterisk sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.errors import ConfigError
from telephony.settings import Settings, load

CHECKOUT = Path(__file__).resolve().parents[2]
GOOD = (CHECKOUT / "docker/hotlines/110.toml").read_text(encoding="utf-8").partition("[[rooms]]")[0]

ROOM = """
[[rooms]]
room = "room"
label = "联合会商"
number = "8000"
key = "F10"
dtmf = "*8"
lines = ["12345", "119"]
seats = ["1009"]
"""

WRONG = {
    "a name with a space": ('room = "room"', 'room = "the room"', "rooms.room"),
    "a name that is a key": ('room = "room"', 'room = "leave"', "name of a key"),
    "a name that is a line": ('room = "room"', 'room = "119"', "119"),
    "a name that is a seat": ('room = "room"', 'room = "1001"', "1001"),
    "a number that is a pattern": ('"8000"', '"_X."', "rooms.number"),
    "a number that dials a second target": ('"8000"', '"8000&PJSIP/x"', "rooms.number"),
    "the hotline's own number": ('"8000"', '"110"', "own number"),
    "the code of a line": ('"8000"', '"119"', "code of a line"),
    "the dedicated number": ('"8000"', '"1100"', "own number"),
    "a label with a line end": ('"联合会商"', r'"a\r\nAction: Command"', "rooms.label"),
    "a label with a quote": ('"联合会商"', r'"a\" <1>"', "rooms.label"),
    "a line that there is not": ('lines = ["12345", "119"]', 'lines = ["122"]', "122"),
    "a seat that there is not": ('seats = ["1009"]', 'seats = ["2001"]', "2001"),
    "a line's digits": ('"*8"', '"*1"', "*1"),
}


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hotline.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_a_room_is_read(tmp_path: Path) -> None:
    room = read(tmp_path, GOOD + ROOM).room("room")
    assert room is not None
    assert (room.number, room.lines, room.seats) == ("8000", ["12345", "119"], ["1009"])


@pytest.mark.parametrize(("old", "new", "place"), WRONG.values(), ids=WRONG)
def test_a_wrong_room_is_refused_with_its_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in ROOM
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, GOOD + ROOM.replace(old, new, 1))
    assert place in str(refused.value)


def test_two_rooms_with_one_number_are_refused(tmp_path: Path) -> None:
    second = ROOM.replace('room = "room"', 'room = "other"').replace('dtmf = "*8"\n', "")
    with pytest.raises(ConfigError):
        read(tmp_path, GOOD + ROOM + second)
