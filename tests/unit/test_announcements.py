"""The texts that are spoken: the repository's are right, and what could do harm is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telephony import announcements
from telephony.errors import ConfigError
from tests.lab.paths import CHECKOUT

FILE = CHECKOUT / "dialplan" / "announcements.toml"
PLACES = "".join(
    path.read_text(encoding="utf-8")
    for path in (*(CHECKOUT / "dialplan").glob("*.conf"), CHECKOUT / "asterisk-conf" / "musiconhold.conf")
)


def write(folder: Path, text: str) -> Path:
    path = folder / "announcements.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_announcement_that_asterisk_plays_has_a_text() -> None:
    played = set(re.findall(r"hotline/([a-z-]+)", PLACES))
    names = {each.name for each in announcements.load(FILE)}
    assert played == names


def test_every_class_of_music_that_the_dialplan_names_exists() -> None:
    named = set(re.findall(r"(?:StartMusicOnHold\(|m\()([a-z-]+)\)", PLACES))
    classes = set(re.findall(r"^\[([a-z-]+)\]\(music\)", PLACES, re.MULTILINE))
    assert named
    assert named <= classes


def test_words_fit_every_hotline() -> None:
    for each in announcements.load(FILE):
        assert not re.search(r"\d|报警|接警|政务|热线", each.text), each


@pytest.mark.parametrize(
    "text",
    [
        "",
        "。",
        "请拨打12345",
        "[[t_i51]]请稍候",
        "<audio src='x'/>",
        "请稍候\\n-f /etc/shadow",
        "请稍候\\u0000",
        "请稍候\\u202e",
        "${SHELL(id)}",
        "請" * 121,
    ],
)
def test_text_with_anything_but_chinese_words_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, f'[please-wait]\ntext = "{text}"\nwhen = "x"\n')
    with pytest.raises(ConfigError, match="please-wait"):
        announcements.load(path)


@pytest.mark.parametrize("name", ["../etc", "a/b", "A", "", "-v", "a" * 33, ".hidden", "名"])
def test_name_that_is_not_a_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f'["{name}"]\ntext = "请稍候"\nwhen = "x"\n')
    with pytest.raises(ConfigError, match="not a name"):
        announcements.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("please-wait = 1", "please-wait"),
        ('[a]\ntext = "好"', "when"),
        ('[a]\ntext = "好"\nwhen = ""', "when"),
        ('[a]\ntext = 1\nwhen = "x"', "text"),
        ('[a]\ntext = "好"\nwhen = "x"\nvoice = "x"', "voice"),
        ("[a", "announcements.toml"),
    ],
)
def test_file_that_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        announcements.load(write(tmp_path, text))
    assert "announcements.toml" in str(refused.value)


def test_file_that_is_missing_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        announcements.load(tmp_path / "announcements.toml")
    (tmp_path / "announcements.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="utf-8"):
        announcements.load(tmp_path / "announcements.toml")
