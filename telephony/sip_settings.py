"""The `[sip]` part of `hotline.toml`: where phones, carriers and lines reach a hotline, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from telephony import checks
from telephony.core.number import is_number


@dataclass(frozen=True, slots=True)
class Address:
    """`host:port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `host:port`; ValueError if it is not that."""
        host, colon, port = text.rpartition(":")
        if not colon or not checks.is_host(host) or not checks.is_port(port):
            raise ValueError(f"{checks.shown(text)} is not host:port")
        return cls(host, int(port))


class Transport(StrEnum):
    """How SIP goes to a line."""

    UDP = "udp"
    TLS = "tls"


class Media(StrEnum):
    """How audio goes: open, or encrypted with keys that the SIP carries."""

    RTP = "rtp"
    SRTP = "srtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """Where phones and carriers reach this hotline.

    `number` is what citizens dial; `dedicated` what lines dial. A leg that sends no audio for `rtp_timeout`
    seconds is taken for lost. `tls`: where SIP over TLS is listened for; empty: nowhere. `seat_media`: how audio
    goes to phones of seats that do not say it themselves. `seat_net`: from where seats may register and call;
    empty: from anywhere, with their password. `ring_limit`: for how many seconds a call over a line may ring here; it
    must not be shorter than the other hotline's patience, and ends a call whose Asterisk died without a word.
    `longest_leg`: seconds after which a partner's leg is ended, and a caller is brought to a seat afresh.
    """

    bind: str
    wss: str
    carrier_net: list[str]
    number: str
    dedicated: str
    rtp_ports: tuple[int, int] = (10000, 19999)
    rtp_timeout: int = 30
    tls: str = ""
    seat_media: Media = Media.RTP
    seat_net: list[str] = field(default_factory=list)
    ring_limit: int = 120
    longest_leg: int = 6 * 3600

    def __post_init__(self) -> None:
        # Asterisk binds media to these, and a name would let it choose.
        for bind in (self.bind, self.wss, *([self.tls] if self.tls else [])):
            if not checks.is_ipv4(Address.parse(bind).host):
                raise ValueError(f"sip: {bind!r} does not begin with an IPv4 address")
        if not self.carrier_net:
            raise ValueError("sip.carrier_net must name at least one network")
        for net in self.carrier_net:
            checks.network("sip.carrier_net", net)
        for net in self.seat_net:
            checks.network("sip.seat_net", net)
        must_be_number("sip.number", self.number)
        must_be_number("sip.dedicated", self.dedicated)
        checks.within("sip.rtp_timeout", self.rtp_timeout, 1, 3600, " seconds")
        checks.within("sip.ring_limit", self.ring_limit, 10, 600, " seconds")
        checks.within("sip.longest_leg", self.longest_leg, 300, 86400, " seconds")
        low, high = self.rtp_ports
        if not 1024 <= low < high <= 65535:
            raise ValueError("sip.rtp_ports must be two ports, low and high")

    @property
    def address(self) -> Address:
        return Address.parse(self.bind)


def must_be_number(name: str, value: str) -> None:
    if not is_number(value):
        raise ValueError(f"{name}: {value!r} is not a number: digits, +, * and #, at most 32")
