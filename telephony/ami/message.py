"""One message from Asterisk: an event, a response, or an item of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from panoramisk.message import Message

_SUCCESS = frozenset(Message.success_responses)


class AmiMessage:
    """The headers of one message, read-only, by the names as Asterisk writes them (`Uniqueid`, `Cause-txt`).

    A header that comes more than once (`ChanVariable`, `Output`) is read with `all`; `get` and `[]` give
    its first value. A caller can forge headers through line ends in his number or name, so a repeated
    `Channel` or `Uniqueid` is hostile: see `repeated`.
    """

    __slots__ = ("_first", "_repeats")

    def __init__(self, first: Mapping[str, str], repeats: Mapping[str, Sequence[str]] | None = None) -> None:
        self._first = first
        self._repeats = repeats

    @classmethod
    def parse(cls, text: str) -> AmiMessage:
        """Read a message without its closing blank line. Lines that are no header are left out.

        Only CR LF ends a line here: Asterisk never writes a bare LF as an end, so one within a value is
        part of that value and cannot begin a forged header.
        """
        first: dict[str, str] = {}
        repeats: dict[str, list[str]] | None = None
        for line in text.split("\r\n"):
            name, separator, value = line.partition(": ")
            if name in first:
                if repeats is None:
                    repeats = {}
                repeats.setdefault(name, [first[name]]).append(value)
            elif separator:
                first[name] = value
        return cls(first, repeats)

    def __getitem__(self, name: str) -> str:
        return self._first[name]

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AmiMessage):
            return NotImplemented
        return self._first == other._first and (self._repeats or {}) == (other._repeats or {})

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        headers = " ".join(f"{name}={value!r}" for name in self for value in self.all(name))
        return f"<AmiMessage {headers}>"

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header; `default` where there is none."""
        return self._first.get(name, default)

    def all(self, name: str) -> Sequence[str]:
        """Every value of a header, in Asterisk's order; empty where there is none."""
        if self._repeats is not None and name in self._repeats:
            return tuple(self._repeats[name])
        return (self._first[name],) if name in self._first else ()

    @property
    def repeated(self) -> frozenset[str]:
        """The names that came more than once though Asterisk writes them once.

        It repeats `ChanVariable` and its kin (`DestChanVariable`, `ChanVariable(Local/...)`) itself.
        """
        return frozenset(name for name in self._repeats or () if "ChanVariable" not in name)

    @property
    def variables(self) -> dict[str, str]:
        """The channel's variables that manager.conf has named (`channelvars`)."""
        return dict(value.partition("=")[::2] for value in self.all("ChanVariable"))

    @property
    def event(self) -> str:
        """The event's name; empty for a response."""
        return self._first.get("Event", "")

    @property
    def success(self) -> bool:
        """Whether this response is not an error."""
        return self._first.get("Response") in _SUCCESS
