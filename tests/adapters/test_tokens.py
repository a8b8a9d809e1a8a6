"""Tokens: the file, its changes, and what is no token."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from telephony.cli import commands
from telephony.errors import ConfigError
from telephony.secrets import write_private
from telephony.tokens import (
    Principal,
    TokenBook,
    TokenRole,
    add_token,
    new_token,
    put_tokens,
    revoke_principal,
    revoke_token,
    token_hash,
)

SEAT = Principal(TokenRole.SEAT, "1001")
ADMIN = Principal(TokenRole.ADMIN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.hashed.json"
    put_tokens(path, {"admin": "a-token", "seat:1001": "s-token"})
    return path


def test_a_token_is_its_principals_and_no_one_elses(path: Path) -> None:
    book = TokenBook.load(path)
    assert book.check("a-token") == ADMIN
    assert book.check("s-token") == SEAT
    assert book.check("x-token") is None


@pytest.mark.parametrize("token", ["", "密码", "a" * 513, "a-token\n", " a-token", "A-TOKEN", "\ud800"])
def test_what_is_no_token_is_refused(path: Path, token: str) -> None:
    assert TokenBook.load(path).check(token) is None


def test_the_hash_of_a_token_is_not_a_token(path: Path) -> None:
    assert TokenBook.load(path).check(token_hash("a-token")) is None


def test_new_tokens_differ_and_can_be_sent_in_a_header() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 and token.isascii() and " " not in token for token in tokens)


def test_an_added_token_works_at_once_and_is_not_in_the_file(path: Path) -> None:
    book = TokenBook.load(path)
    token = add_token(path, Principal(TokenRole.LINE, "119"))
    assert book.check(token) == Principal(TokenRole.LINE, "119")
    assert book.check("a-token") == ADMIN
    assert token not in path.read_text()


def test_a_revoked_token_stops_working_at_once(path: Path) -> None:
    book = TokenBook.load(path)
    assert revoke_token(path, "s-token")
    assert book.check("s-token") is None
    assert not revoke_token(path, "s-token")


def test_revoking_a_principal_takes_all_its_tokens(path: Path) -> None:
    book, second = TokenBook.load(path), add_token(path, SEAT)
    assert revoke_principal(path, SEAT) == 2
    assert book.check("s-token") is None
    assert book.check(second) is None
    assert book.check("a-token") == ADMIN


def test_the_file_stays_readable_for_its_owner_alone(path: Path) -> None:
    add_token(path, ADMIN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_first_token_makes_the_file(tmp_path: Path) -> None:
    token = add_token(tmp_path / "new.json", ADMIN)
    assert TokenBook.load(tmp_path / "new.json").check(token) == ADMIN


def test_tokens_added_at_the_same_time_are_all_kept(path: Path) -> None:
    added: list[str] = []
    threads = [threading.Thread(target=lambda: added.append(add_token(path, SEAT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    book = TokenBook.load(path)
    assert [book.check(token) for token in added] == [SEAT] * 8


def test_a_file_that_breaks_later_leaves_the_last_good_tokens_in_force(path: Path) -> None:
    book = TokenBook.load(path)
    write_private(path, "{")
    assert book.check("a-token") == ADMIN
    path.unlink()
    assert book.check("a-token") == ADMIN
    put_tokens(path, {"admin": "b-token"})
    assert book.check("a-token") is None
    assert book.check("b-token") == ADMIN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be an object"),
        ('{"abc": "admin"}', "not a SHA-256"),
        (json.dumps({"0" * 64: "root"}), "neither admin nor"),
        (json.dumps({"0" * 64: "seat:"}), "neither admin nor"),
        (json.dumps({"0" * 64: "seat:../x"}), "neither admin nor"),
        (json.dumps({"0" * 64: "admin:"}), "neither admin nor"),
        (json.dumps({"0" * 64: 5}), "neither admin nor"),
    ],
)
def test_a_wrong_file_is_refused_and_the_message_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tokens.json"
    write_private(path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        TokenBook.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        TokenBook.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        TokenBook.load(tmp_path / "none.json")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b'{"\xff": "admin"}')
    with pytest.raises(ConfigError, match="not JSON"):
        TokenBook.load(path)


@pytest.mark.parametrize("text", ["admin", "seat:1001", "line:12345"])
def test_a_principal_reads_back_as_it_is_written(text: str) -> None:
    assert str(Principal.parse(text)) == text


def test_a_token_made_for_some_days_is_none_when_they_are_over(path: Path) -> None:
    token = add_token(path, SEAT, days=2)
    assert TokenBook(path, lambda: time.time() + 47 * 3600).check(token) == SEAT
    assert TokenBook(path, lambda: time.time() + 49 * 3600).check(token) is None
    assert TokenBook(path, lambda: time.time() + 49 * 3600).check("s-token") == SEAT


def test_changes_of_other_tokens_leave_the_end_of_one_as_it_is(path: Path) -> None:
    token = add_token(path, SEAT, days=2)
    revoke_token(path, "a-token")
    assert TokenBook(path, lambda: time.time() + 49 * 3600).check(token) is None


@pytest.mark.parametrize("until", ["tomorrow", "", "2026-01-01T00:00:00", "2026-13-01T00:00:00+00:00"])
def test_an_end_that_is_no_time_is_refused_and_not_taken_for_for_ever(path: Path, until: str) -> None:
    path.write_text(json.dumps({token_hash("t"): f"admin until {until}"}))
    with pytest.raises(ConfigError):
        TokenBook.load(path)


def test_administrator_makes_lists_and_revokes_tokens_and_never_sees_one_again(tmp_path: Path) -> None:
    def says(*words: str) -> str:
        result = CliRunner().invoke(commands, ["token", *words, "--state", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.output.strip()

    (tmp_path / "secrets").mkdir()
    put_tokens(tmp_path / "secrets" / "tokens.hashed.json", {"admin": "a-token"})
    token = says("add", "seat:1001", "--days", "7")
    book = TokenBook.load(tmp_path / "secrets" / "tokens.hashed.json")
    assert book.check(token) == SEAT

    listed = says("list").splitlines()
    assert [line.split()[1] for line in listed] == ["admin", "seat:1001"]
    assert token_hash(token)[:8] in listed[1]
    assert " until 2" in listed[1]
    assert token not in "".join(listed)

    assert says("revoke", "seat:1001") == "1 revoked"
    assert book.check(token) is None
