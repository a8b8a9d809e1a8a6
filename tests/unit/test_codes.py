"""Short codes in hotline.toml: given or guessed, digits, and one line's only."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.errors import ConfigError
from telephony.settings import Settings, load
from tests.lab.paths import SITES, hotline_file


def changed(tmp_path: Path, old: str, new: str) -> Settings:
    """110's settings with one thing changed in its file."""
    text = hotline_file("110").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "hotline.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("site", SITES)
def test_lines_name_is_its_code_and_else_its_number(site: str) -> None:
    codes = {line.line: line.code for line in load(hotline_file(site)).lines}
    assert codes.pop("gas") == "96833"
    assert all(line == code for line, code in codes.items())


def test_code_that_is_given_is_the_code(tmp_path: Path) -> None:
    line = changed(tmp_path, 'number = "96833"', 'number = "96833"\ncode = "74"').line("gas")
    assert line is not None
    assert line.code == "74"


@pytest.mark.parametrize("code", ["*1", "_X.", "12 34", "119&120", "gas", "1" * 17, "\u0661"])
def test_code_that_is_not_digits_is_refused(tmp_path: Path, code: str) -> None:
    with pytest.raises(ConfigError, match=r"lines\.code of gas"):
        changed(tmp_path, 'number = "96833"', f'number = "96833"\ncode = "{code}"')


def test_line_with_neither_a_name_nor_a_number_of_digits_must_have_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lines\.code of gas"):
        changed(tmp_path, 'number = "96833"', 'number = "+8620"')


@pytest.mark.parametrize("code", ["119", "1001"])
def test_code_of_another_line_or_seat_is_refused(tmp_path: Path, code: str) -> None:
    with pytest.raises(ConfigError, match=code):
        changed(tmp_path, 'number = "96833"', f'number = "96833"\ncode = "{code}"')
