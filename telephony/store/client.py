"""The one place where a Redis client is made."""

from __future__ import annotations

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from telephony.errors import ConfigError
from telephony.settings import RedisSettings

CONNECTIONS = 16
"""Commands at once; more do not make one Redis faster."""


def make_client(settings: RedisSettings, password: str) -> Redis:
    """A client for `settings.url`; ConfigError if that is no URL of a Redis.

    Nothing in it waits or tries again by itself: the link's deadline covers a command as a whole.
    """
    try:
        pool = ConnectionPool.from_url(
            settings.url,
            password=password or None,
            max_connections=CONNECTIONS + 1,  # one for the probe
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=settings.deadline,
        )
    except ValueError as error:
        raise ConfigError(f"redis.url: {error}") from error
    return Redis.from_pool(pool)
