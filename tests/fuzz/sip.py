"""SIP: datagrams to a real Asterisk with its controller; both must live on, and a real call works afterwards."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.door import Door, Loop, resident
from tests.fuzz.text import change_lines, in_pieces, nasty_bytes, spoil
from tests.lab import probes
from tests.lab.paths import DebianRoot, hotline_file
from tests.lab.site import Site
from tests.lab.stage import CALLER, SIP, TAKER, Stage

PLACES = (
    "127.0.111.77",
    "127.0.119.1",
    "127.0.30.7",
)  # the carrier, the fire brigade's end, a stranger (seats)
ASKER = "127.0.111.78"
QUIET = 0.9  # s; for an OPTIONS to be answered after an input
HANG_UP = 100  # inputs; then the calls that have come about are ended
METHODS = ("INVITE", "INVITE", "REGISTER", "SUBSCRIBE", "OPTIONS", "ACK", "BYE", "CANCEL", "INFO", "REFER")
METHODS_MORE = ("NOTIFY", "MESSAGE", "PUBLISH", "UPDATE", "PRACK", "invite", "X" * 300, "SIP/2.0")
NUMBERS = ("110", "1100", "12345", "1001", "1003", "*8", "", "s", "%00", "9" * 300)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.111.77\r\ns=-\r\nc=IN IP4 127.0.111.77\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
_SERIAL = count(1)


@dataclass(frozen=True)
class Datagrams:
    """What is sent, from where; `#` stands for a number that no other input has."""

    place: int
    pieces: list[bytes]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as a phone sends it, with some lines and bytes changed."""
    method, number = draw(st.sampled_from(METHODS + METHODS_MORE)), draw(st.sampled_from(NUMBERS))
    site, dialog = SIP["110"], draw(st.sampled_from(("#", "#", "#", "same")))
    body = SDP if method == "INVITE" else ""
    lines = [
        f"{method} sip:{number}@{site} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.111.77:5060;branch=z9hG4bK{dialog};rport",
        "Max-Forwards: 70",
        f"From: <sip:{draw(st.sampled_from(('13800138000', '1001', '1003', 'anonymous')))}@{site}>;tag=f{dialog}",
        f"To: <sip:{number}@{site}>",
        f"Call-ID: {dialog}@fuzz",
        f"CSeq: 1 {method}",
        "Contact: <sip:fuzz@127.0.111.77:5060>",
        f"Event: {draw(st.sampled_from(('dialog', 'presence', 'refer', 'message-summary')))}",
        f"Expires: {draw(st.sampled_from(('0', '60', '-1', '4294967296')))}",
        "User-to-User: 4a31;encoding=hex",
        "P-Asserted-Identity: <sip:13800138000@carrier>",
        'Authorization: Digest username="1001", realm="asterisk", nonce="1/a", uri="sip:110", response="0"',
        f"Content-Type: {draw(st.sampled_from(('application/sdp', 'application/dtmf-relay', 'multipart/mixed')))}",
        f"Content-Length: {draw(st.sampled_from((str(len(body)),) * 5 + ('0', '-1', '99999')))}",
    ]
    head = "\r\n".join([lines[0], *change_lines(draw, lines[1:], most=draw(st.sampled_from((0, 1, 4))))])
    whole = f"{head}\r\n\r\n{body}".encode(errors="replace")
    match draw(st.integers(0, 7)):
        case 0:
            return draw(nasty_bytes)
        case 1 | 2 | 3:
            return spoil(draw, whole)
        case _:
            return whole


datagrams = st.builds(
    Datagrams,
    st.integers(0, len(PLACES) - 1),
    st.one_of(requests().map(lambda one: [one]), in_pieces(requests(), 1)),
)


def _udp(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 5060))
    host, _, port = SIP["110"].rpartition(":")
    made.connect((host, int(port)))
    return made


class _Wire:
    """Sockets at every place, and one that asks Asterisk whether it still listens."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._places = [_udp(address) for address in PLACES]
        self._asker = _udp(ASKER)
        self._given = 0

    def close(self) -> None:
        for each in (*self._places, self._asker):
            each.close()

    def give(self, sent: Datagrams) -> None:
        """An OPTIONS from the carrier is answered after it, within a second."""
        place = self._places[sent.place]
        serial = str(next(_SERIAL)).encode()
        for piece in sent.pieces:
            try:
                place.send(piece.replace(b"#", serial)[:65_507])
            except ConnectionRefusedError as error:
                raise AssertionError("Asterisk does not listen any more") from error
        self._ask(serial.decode())
        place.setblocking(False)
        try:
            while place.recv(65_536):
                pass
        except (BlockingIOError, ConnectionRefusedError):
            pass
        self._given += 1

    def _ask(self, serial: str) -> None:
        site, call_id = SIP["110"], f"ask-{serial}"
        self._asker.send(
            (
                f"OPTIONS sip:110@{site} SIP/2.0\r\nVia: SIP/2.0/UDP {ASKER}:5060;branch=z9hG4bK{call_id}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:a@{ASKER}>;tag=1\r\nTo: <sip:110@{site}>\r\n"
                f"Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )
        deadline = time.monotonic() + QUIET
        while (left := deadline - time.monotonic()) > 0:
            self._asker.settimeout(left)
            try:
                if call_id.encode() in self._asker.recv(65_536):
                    return
            except TimeoutError:
                break
        raise AssertionError(f"Asterisk has not answered an OPTIONS within {QUIET} s")

    def rest(self) -> None:
        """Calls that have come about are ended; controller and Asterisk are as they were."""
        site = self._site
        site.asterisk_cli("channel request hangup all")
        deadline = time.monotonic() + 40  # a dialog without an answer to our BYE lasts for 32 s
        while (left := site.channels()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"channels left: {left}"
        trouble = probes.http_ready(site.hotline.api.host, site.hotline.api.port)
        assert trouble is None, f"the controller is not ready: {trouble}"


async def _a_call(states: dict[str, Path]) -> None:
    async with Stage(states) as stage:
        taker, citizen = await stage.seat("1001"), await stage.citizen()
        talk = await stage.talk(citizen, taker)
        await stage.hears(talk.taker, CALLER)
        await stage.hears(talk.caller, TAKER)
        await talk.caller.hangup()
        await talk.taker.ended()


@contextmanager
def sip(folder: Path) -> Iterator[Door]:
    """Hotline 110 alone, with everything that it is made of."""
    config = folder / "110.toml"
    config.write_text(hotline_file("110").read_text(encoding="utf-8"), encoding="utf-8")
    with Site("110", folder / "110", DebianRoot.from_environment(), config=config) as site, Loop() as loop:
        wire = _Wire(site)
        pids = {service.name.lower(): service.pid for service in site.services}

        def memory() -> dict[str, int]:
            now = {service.name.lower(): service.pid for service in site.services}
            assert now == pids, f"not the same processes any more: {pids}, {now}"
            return {name: resident(pid) for name, pid in pids.items() if pid is not None}

        try:
            yield Door(
                datagrams,
                wire.give,
                rest=wire.rest,
                after=lambda: loop.run(_a_call({"110": site.state})),
                memory=memory,
            )
        finally:
            wire.close()
