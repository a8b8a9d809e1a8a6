"""What the lab needs to know from a `hotline.toml`, and the secrets that provisioning made for it.

Read with the standard library alone: `make status` and `make stop` work before anything is installed.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `host:port`."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hotline:
    """One site's addresses, seats and lines, as its file has them."""

    sip: Address
    ami: Address
    agi: Address
    api: Address
    api_tls: Address
    redis: Address
    carrier_net: str
    seats: list[dict[str, Any]]
    lines: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Hotline:
        """The hotline described at `path`."""
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        redis = urlsplit(raw["redis"]["url"])
        return cls(
            sip=Address.parse(raw["sip"]["bind"]),
            ami=Address.parse(raw["ami"]["bind"]),
            agi=Address.parse(raw["agi"]["bind"]),
            api=Address.parse(raw["api"]["bind"]),
            api_tls=Address.parse(raw["api"]["tls_bind"]),
            redis=Address(redis.hostname or "127.0.0.1", redis.port or 6379),
            carrier_net=",".join(raw["sip"]["carrier_net"]),
            seats=[{"seat": seat["seat"], "queue": seat["queue"]} for seat in raw["seats"]],
            lines=[{name: line[name] for name in ("line", "key", "dtmf")} for line in raw["lines"]],
        )


@dataclass(frozen=True, slots=True)
class Secrets:
    """The files that `telephony provision` writes under `secrets/` of a site's state directory."""

    directory: Path

    @property
    def redis(self) -> str:
        """The password of Redis."""
        return (self.directory / "redis").read_text(encoding="utf-8").strip()

    @property
    def tokens(self) -> dict[str, str]:
        """Bearer tokens by role: `admin`, `seat:1001`, `line:12345`."""
        tokens: dict[str, str] = json.loads((self.directory / "tokens.json").read_text(encoding="utf-8"))
        return tokens

    @property
    def seats(self) -> dict[str, str]:
        """SIP passwords by seat."""
        seats: dict[str, str] = json.loads((self.directory / "seats.json").read_text(encoding="utf-8"))
        return seats
