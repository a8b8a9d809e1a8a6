"""SIP messages as the tests look at them: read only, forgiving, never used to send."""

from __future__ import annotations

import re
from dataclasses import dataclass

COMPACT = {
    "i": "call-id",
    "f": "from",
    "t": "to",
    "v": "via",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
    "k": "supported",
    "s": "subject",
}  # RFC 3261 §7.3.3
REQUEST_LINE = re.compile(r"([A-Z]+) (\S+) SIP/2\.0$")
STATUS_LINE = re.compile(r"SIP/2\.0 (\d{3})(?: .*)?$")
ADDRESS = re.compile(r'\s*(?:"((?:\\.|[^"\\])*)"|([^<"]*?))\s*<?(sips?|tel):([^@;>\s]*)(?:@([^;>\s]*))?')


class NotSipError(ValueError):
    """These bytes are not a SIP message."""


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr header value (From, To, P-Asserted-Identity ...): who, and at which host."""

    name: str
    user: str
    host: str

    @classmethod
    def parse(cls, value: str) -> Address:
        found = ADDRESS.match(value)
        if not found:
            return cls("", "", "")
        quoted, plain, scheme, user, host = found.groups()
        if host is None and scheme != "tel":
            user, host = "", user
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip()
        return cls(name, user, host or "")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One request or response; header names compare without regard to case, compact forms are spelt out."""

    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: str

    @classmethod
    def parse(cls, data: bytes | str) -> SipMessage:
        """Raises NotSipError when the first line is neither a request line nor a status line."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        head, _, body = text.partition("\r\n\r\n")
        first_line, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        if not (REQUEST_LINE.match(first_line) or STATUS_LINE.match(first_line)):
            raise NotSipError(first_line[:80])
        return cls(first_line, tuple(_header(line) for line in lines if line), body)

    @property
    def method(self) -> str | None:
        """The method of a request, None for a response."""
        found = REQUEST_LINE.match(self.first_line)
        return found[1] if found else None

    @property
    def status(self) -> int | None:
        """The status of a response, None for a request."""
        found = STATUS_LINE.match(self.first_line)
        return int(found[1]) if found else None

    @property
    def call_id(self) -> str:
        return self.header("Call-ID") or ""

    @property
    def cseq_method(self) -> str:
        """The method that this message is about, also in a response."""
        return (self.header("CSeq") or "").rpartition(" ")[2]

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The first value of a header, None where it is absent."""
        return next(iter(self.all(name)), None)

    def address(self, name: str) -> Address:
        """The first value of a header as an address; empty where it is absent."""
        return Address.parse(self.header(name) or "")

    @property
    def audio(self) -> tuple[str, int] | None:
        """Where the sender of this message wants its audio, by its SDP (RFC 8866); None without one."""
        session, *media = re.split(r"(?m)^(?=m=)", self.body)
        for section in media:
            port = re.match(r"m=audio (\d+)", section)
            host = re.search(r"(?m)^c=IN IP4 (\S+)", section) or re.search(r"(?m)^c=IN IP4 (\S+)", session)
            if port and host and int(port[1]):
                return host[1], int(port[1])
        return None


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    name = name.strip()
    return COMPACT.get(name.lower(), name), value.strip()
