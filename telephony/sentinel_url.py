"""`redis+sentinel://host:26379,host2:26379/service/0`: where to ask which Redis is the master of a service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telephony import checks

PATTERN = r"redis(s?)\+sentinel://([^@/\s]+)/([A-Za-z0-9._-]+)(?:/([0-9]{1,4}))?"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """`sentinels` are hosts and ports; with `tls` (`rediss+sentinel`) they and the master are asked over TLS."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> SentinelUrl | None:
        """From a URL; None if it is of another kind. ValueError if one of its addresses is not host:port."""
        found = re.fullmatch(PATTERN, url)
        if found is None:
            return None
        tls, addresses, service, database = found.groups()
        sentinels = tuple(_address(address) for address in addresses.split(","))
        return cls(sentinels, service, int(database or 0), bool(tls))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not checks.is_host(host) or not checks.is_port(port):
        raise ValueError(f"redis.url: {checks.shown(text)} is not host:port")
    return host, int(port)
