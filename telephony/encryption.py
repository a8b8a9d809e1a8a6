"""Which of a hotline's SIP and audio is encrypted, as the parts of Asterisk's configuration that say so.

A seat in a browser is always encrypted (`webrtc=yes`: secure WebSocket and DTLS-SRTP). A phone or a line is where
`hotline.toml` says so: SIP over TLS, and audio as SRTP whose keys travel in it (RFC 4568), so never without TLS.
"""

from __future__ import annotations

from pathlib import Path

from telephony.settings import LineSettings, Media, Settings, Transport


def tls_transport(settings: Settings, certificate: Path, key: Path, lines_ca: Path) -> dict[str, str]:
    """The transport for SIP over TLS; empty if there is none.

    Lines' certificates are checked where an administrator has put their CA's at `lines_ca`.
    """
    if not settings.sip.tls:
        return {}
    values = {"type": "transport", "protocol": "tls", "bind": settings.sip.tls, "method": "tlsv1_2"}
    values |= {"cert_file": str(certificate), "priv_key_file": str(key)}
    if lines_ca.exists():
        values |= {"ca_list_file": str(lines_ca), "verify_server": "yes"}
    return values


def line_address(line: LineSettings) -> str:
    """Where the line's far end is, with the transport that leads there."""
    return line.address + (";transport=tls" if line.transport is Transport.TLS else "")


def line_media(line: LineSettings) -> dict[str, str]:
    return _SRTP if line.media is Media.SRTP else {}


def seat_media(settings: Settings, seat: str) -> dict[str, str]:
    """What the endpoint of a seat's phone (not of its browser) has for it."""
    own = next((found.media for found in settings.seats if found.seat == seat), None)
    return _SRTP if (own or settings.sip.seat_media) is Media.SRTP else {}


# Without media_encryption_optimistic: an offer without SRTP is refused (488).
_SRTP = {"media_encryption": "sdes"}
