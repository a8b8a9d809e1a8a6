"""How much one user may ask of the HTTP door, and how a rate is kept with bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds, rates per second.

    `rate`, `burst`: requests of one principal, or of one address without a token. `failures`: wrong tokens
    from one address in `failure_seconds`. `watchers`: WebSockets at once. `watcher_seconds`: how long a
    watcher may take to accept one message. `pulse`: how often an idle watcher hears of us.
    """

    body: int = 64 * 1024
    body_seconds: float = 10.0
    idle_seconds: float = 30.0
    rate: float = 100.0
    burst: int = 200
    failures: int = 30
    failure_seconds: float = 10.0
    repeat_seconds: float = 600.0
    repeat_keys: int = 1000
    watchers: int = 256
    watcher_seconds: float = 10.0
    pulse: float = 15.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Buckets:
    """A token bucket for each key. The `most` keys seen last are kept; who is forgotten starts afresh."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float], most: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take one; 0.0 if there was one, else the seconds until there is."""
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0
