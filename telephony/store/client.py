"""The one place where a Redis client is made."""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from telephony.errors import ConfigError
from telephony.sentinel_url import SentinelUrl
from telephony.settings import RedisSettings

CONNECTIONS = 16
"""Commands at once; more do not make one Redis faster."""


def make_client(settings: RedisSettings, password: str, sentinel_password: str = "") -> Redis:
    """A client for `settings.url`; ConfigError if that is no URL of a Redis.

    Nothing in it waits or tries again by itself: the link's deadline covers a command as a whole.
    """
    options: dict[str, Any] = {
        "password": password or None,
        "max_connections": CONNECTIONS + 1,  # one for the probe
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": settings.deadline,
    }
    sentinels = SentinelUrl.parse(settings.url)
    if sentinels is not None:
        return Redis.from_pool(_pool_by_sentinel(sentinels, options, settings.deadline, sentinel_password))
    try:
        return Redis.from_pool(ConnectionPool.from_url(settings.url, **options))
    except ValueError as error:
        raise ConfigError(f"redis.url: {error}") from error


class _SentinelPool(SentinelConnectionPool):
    """Every new connection goes to the master that the sentinels name then."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _pool_by_sentinel(
    url: SentinelUrl, options: dict[str, Any], deadline: float, password: str
) -> SentinelConnectionPool:
    """The sentinels are asked in turn, within the deadline as a whole: one that is frozen hides no other."""
    each = deadline / (len(url.sentinels) + 1)
    asking = {
        "password": password or None,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": each,
        "socket_connect_timeout": each,
        "ssl": url.tls,
    }
    manager = Sentinel(url.sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    options |= {"db": url.database, "ssl": url.tls}
    return _SentinelPool(url.service, manager, **options)  # type: ignore[no-untyped-call]
