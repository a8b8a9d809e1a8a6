"""How many legs each line carries, kept as calls change: nobody counts all live calls at every press."""

from __future__ import annotations

from collections import Counter

from telephony.core.call import Call


class LineLoad:
    def __init__(self) -> None:
        self._of: dict[str, tuple[str, ...]] = {}
        self._legs: Counter[str] = Counter()

    def __getitem__(self, line: str) -> int:
        """Live transfers over the line, and live calls that came in over it."""
        return self._legs[line]

    def note(self, call: Call) -> None:
        """The call is now like this; one that has ended uses no line."""
        now = () if call.ended else (call.via, *(t.line for t in call.transfers if t.live))
        before = self._of.get(call.id, ())
        if now == before:
            return
        self._legs.subtract(before)
        self._legs.update(now)
        if now:
            self._of[call.id] = now
        else:
            del self._of[call.id]
