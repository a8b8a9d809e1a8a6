"""Tokens: the file, its changes, and what is no token."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

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
