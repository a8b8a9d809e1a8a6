"""Tokens: who may use the HTTP interface, and as what.

A hotline's token file (mode 600) holds `{"<SHA-256 of the token, in hex>": "<grant>"}`, where a grant is a
principal (`admin`, `seat:NAME` or `line:NAME`), and where it ends by itself, ` until ` and a time in ISO 8601.
A token is shown once, when it is made, and cannot be had from the file. It has 256 random bits, so a plain hash
is enough: there is nothing to guess.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import structlog

from telephony.errors import ConfigError
from telephony.secrets import write_private

log = structlog.get_logger("tokens")

LONGEST = 512  # characters; what is longer is no token of ours
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HASH = re.compile(r"[0-9a-f]{64}")


class TokenRole(StrEnum):
    """What kind of user a token stands for."""

    ADMIN = "admin"
    SEAT = "seat"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: an administrator, or the seat or line called `name`."""

    role: TokenRole
    name: str = ""

    def __str__(self) -> str:
        return f"{self.role}:{self.name}" if self.name else str(self.role)

    @classmethod
    def parse(cls, text: str) -> Principal:
        """From `admin`, `seat:NAME` or `line:NAME`; ValueError if it is none of them."""
        role, colon, name = text.partition(":")
        if text == TokenRole.ADMIN:
            return cls(TokenRole.ADMIN)
        if role not in (TokenRole.SEAT, TokenRole.LINE) or not colon or not _NAME.fullmatch(name):
            raise ValueError(f"{text!r} is neither admin nor seat:NAME nor line:NAME")
        return cls(TokenRole(role), name)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token is good for: whom it stands for, and until when (None: until it is revoked)."""

    principal: Principal
    until: datetime | None = None

    def __str__(self) -> str:
        return f"{self.principal} until {self.until.isoformat()}" if self.until else str(self.principal)

    @classmethod
    def parse(cls, text: str) -> Grant:
        """From what `str` gives; ValueError if it is not that, or the time is without its zone."""
        principal, limited, until = text.partition(" until ")
        if not limited:
            return cls(Principal.parse(principal))
        end = datetime.fromisoformat(until)
        if end.tzinfo is None:
            raise ValueError(f"{until!r} does not say in which zone")
        return cls(Principal.parse(principal), end)

    def over(self, now: float) -> bool:
        """Whether its time has run out at `now`, in Unix seconds."""
        return self.until is not None and now >= self.until.timestamp()


def new_token() -> str:
    """A fresh token of 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What the token file keeps of `token`."""
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(path: Path, principal: Principal, days: float | None = None) -> str:
    """Make a token for `principal`, for so many `days` or until it is revoked, and put its hash into the file.

    The token is told only now.
    """
    token = new_token()
    until = None if days is None else datetime.fromtimestamp(round(time.time() + days * 86_400), UTC)
    with _changing(path) as book:
        book[token_hash(token)] = Grant(principal, until)
    return token


def grants(path: Path) -> list[tuple[str, Grant]]:
    """Every token's hash and grant in the file at `path`, by principal."""
    return sorted(_read(path).items(), key=lambda entry: (str(entry[1]), entry[0]))


def put_tokens(path: Path, tokens: Mapping[str, str]) -> None:
    """Put the hashes of `tokens`, which gives each principal's token, into the file at `path`, new or not."""
    added = {token_hash(token): Grant(Principal.parse(principal)) for principal, token in tokens.items()}
    with _changing(path) as book:
        book |= added


def revoke_token(path: Path, token: str) -> bool:
    """Take `token` out of the file at `path`; whether it was there."""
    with _changing(path) as book:
        return book.pop(token_hash(token), None) is not None


def revoke_principal(path: Path, principal: Principal) -> int:
    """Take all tokens of `principal` out of the file at `path`; how many there were."""
    with _changing(path) as book:
        held = [digest for digest, grant in book.items() if grant.principal == principal]
        for digest in held:
            del book[digest]
    return len(held)


class TokenBook:
    """The tokens in force. The file is read again by itself when it changes."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._seen = _stamp(path)
        self._book = _read(path)

    @classmethod
    def load(cls, path: Path) -> TokenBook:
        """The book in the file at `path`; ConfigError says what is wrong with it."""
        return cls(path)

    def check(self, token: str) -> Principal | None:
        """Whose token this is; None if nobody's, or no longer.

        Every entry is compared, each in constant time, so the time taken says nothing about the hashes.
        """
        self._reload_if_changed()
        if not token or len(token) > LONGEST or not token.isascii():
            return None
        asked = token_hash(token)
        found = None
        for digest, grant in self._book.items():
            if hmac.compare_digest(digest, asked):
                found = grant
        return None if found is None or found.over(self._clock()) else found.principal

    def _reload_if_changed(self) -> None:
        """A file that has become unreadable leaves the last good tokens in force: seats must work on."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._book = _read(self._path)
        except ConfigError as error:
            log.error("tokens_not_reloaded", error=str(error))
        else:
            log.info("tokens_reloaded", tokens=len(self._book))


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does; empty while there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode)


def _read(path: Path) -> dict[str, Grant]:
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"{path}: others than its owner can read it; chmod 600 it")
            raw = json.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be an object of hashes and principals")
    return dict(_entry(path, digest, grant) for digest, grant in raw.items())


def _entry(path: Path, digest: str, grant: object) -> tuple[str, Grant]:
    if not _HASH.fullmatch(digest):
        raise ConfigError(f"{path}: {digest[:70]!r} is not a SHA-256 in small hex digits")
    try:
        return digest, Grant.parse(str(grant))
    except ValueError as error:
        raise ConfigError(f"{path}: {digest[:8]}...: {error}") from error


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Grant]]:
    """The file's entries, written back whole at the end; two who change it at once wait for each other."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        book = _read(path) if path.exists() else {}
        yield book
        text = json.dumps({digest: str(grant) for digest, grant in book.items()}, indent=2)
        write_private(path, text + "\n")
    finally:
        os.close(folder)
