"""Calls that are over and can still be read: people ask how a call or a transfer ended after it has."""

from __future__ import annotations

from collections.abc import Callable

from telephony.core.call import Call

KEPT = 1000  # calls, the newest
KEPT_FOR = 600.0  # s


class EndedCalls:
    """The newest calls that are over, each for a while. `clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[str, tuple[float, Call]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: str) -> Call | None:
        kept_at, call = self._calls.get(call_id, (0.0, None))
        return call if self._clock() - kept_at < KEPT_FOR else None

    def add(self, call: Call, ended_at: float | None = None) -> None:
        """Keep `call`, which has ended now, or when `ended_at` says."""
        now = self._clock()
        self._calls[call.id] = (now if ended_at is None else ended_at, call)
        while self._calls:
            oldest, (kept_at, _) = next(iter(self._calls.items()))
            if len(self._calls) <= KEPT and now - kept_at < KEPT_FOR:
                break
            del self._calls[oldest]

    def change(self, call: Call) -> None:
        """Put `call` in the place of the one with its id, for as long as that is kept."""
        if call.id in self._calls:
            self._calls[call.id] = (self._calls[call.id][0], call)

    def forget(self, call_id: str) -> None:
        self._calls.pop(call_id, None)
