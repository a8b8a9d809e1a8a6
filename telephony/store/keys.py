"""The names of our keys in Redis; the package's docstring says what is in them."""

from __future__ import annotations


class Keys:
    """The keys of one hotline, whose name the settings have checked."""

    def __init__(self, hotline: str) -> None:
        prefix = f"tel:{hotline}:"
        self.calls = f"{prefix}calls"
        self.recent = f"{prefix}recent"
        self.closed_lines = f"{prefix}closed-lines"
        self.feed = f"{prefix}feed"
        self.feed_closed = f"{prefix}feed:closed"
        self.lease = f"{prefix}lease"
        self.fence = f"{prefix}fence"
        self.probe = f"{prefix}probe"
        self.history_prefix = f"{prefix}history:"
        self.call_prefix = f"{prefix}call:".encode()

    def history(self, number: str) -> str:
        """`number` has been checked: digits, `+`, `*`, `#`."""
        return f"{self.history_prefix}{number}"

    def call(self, call_id: str) -> bytes:
        return self.call_prefix + call_id.encode()
