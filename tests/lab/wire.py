"""What really went over the loopback interface: SIP and RTP with the kernel's time stamps.

    with Wire() as wire:
        ...                                   # calls happen
        heard = wire.received("127.0.0.31", call.call_id)
        assert heard.tones() == {530}
        assert heard.between(pressed).largest_gap_ms < 30

A thread collects the packets; they are parsed when somebody asks. Each question first lets the
tap catch up with everything sent before it. Where the kernel dropped packets or the memory set
aside was full, every question raises WireLostPacketsError: a wrong figure is worse than none.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import select
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from tests.lab.rtp import Place, RtpPacket, Stream
from tests.lab.sip import NotSipError, SipMessage

Found = TypeVar("Found")

ETH_P_IP = 0x0800
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6
# Classic BPF on the IP header: UDP that is no later fragment, the rest away.
UDP_ONLY = (
    (0x30, 0, 0, 9),
    (0x15, 0, 3, 17),
    (0x28, 0, 0, 6),
    (0x45, 1, 0, 0x1FFF),
    (0x06, 0, 0, 0xFFFFFFFF),
    (0x06, 0, 0, 0),
)
TIMESPEC = struct.Struct("qq")
BUFFER = 64 << 20
CATCH_UP_S = 0.5
CATCH_UP_TRIES = 10


class WireError(Exception):
    """The tap cannot measure."""


class WireNotPermittedError(WireError):
    """An AF_PACKET socket needs root (CAP_NET_RAW)."""


class WireLostPacketsError(WireError):
    """Packets are missing from the record: nothing measured on it would be true."""


@dataclass(frozen=True, slots=True)
class SipPacket:
    """A SIP message on the wire; `at` is when the kernel saw it, in Unix seconds."""

    at: float
    source: Place
    destination: Place
    message: SipMessage

    def __str__(self) -> str:
        return f"{self.at:.4f} {self.source[0]} -> {self.destination[0]} {self.message.first_line}"


class Wire:
    """A tap on an interface of the present network namespace; a context manager.

    `sip_port` is what tells SIP from the rest; `limit` is the number of packets kept (a two-party
    call over a PBX makes 200 a second, each about 600 bytes of memory); `buffer` is the kernel's, in bytes.
    """

    def __init__(
        self, interface: str = "lo", *, sip_port: int = 5060, limit: int = 500_000, buffer: int = BUFFER
    ) -> None:
        self._interface = interface
        self._sip_port = sip_port
        self._limit = limit
        self._buffer = buffer
        self._raw: deque[tuple[float, bytes]] = deque()
        self._count = 0
        self._lost = ""
        self._token = b""
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._sip: list[SipPacket] = []
        self._to: defaultdict[Place, list[RtpPacket]] = defaultdict(list)
        self._from: defaultdict[Place, list[RtpPacket]] = defaultdict(list)

    def __enter__(self) -> Self:
        """Raises WireNotPermittedError without root."""
        try:
            self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError as error:
            raise WireNotPermittedError("tapping the wire needs root (CAP_NET_RAW)") from error
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, self._buffer)
        self._tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        _attach(self._tap, UDP_ONLY)
        # Bound to one protocol a tap sees what arrives; with ETH_P_ALL it would see lo's packets twice.
        self._tap.bind((self._interface, ETH_P_IP))
        self._marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._marker.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._collect, name="wire", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._lost:
            self._catch_up()
        self._stopping.set()
        self._thread.join()
        self._tap.close()
        self._marker.close()

    def sip(self, *, call_id: str | None = None, ip: str | None = None) -> list[SipPacket]:
        """SIP messages in order, of one call or to and from one address where given."""
        self._read()
        return [
            packet
            for packet in self._sip
            if (call_id is None or packet.message.call_id == call_id)
            and (ip is None or ip in (packet.source[0], packet.destination[0]))
        ]

    def stream_to(self, destination: Place, since: float | None = None, until: float | None = None) -> Stream:
        """All RTP that arrived at an address and port."""
        self._read()
        return Stream(self._to[destination], since, until, f"to {destination[0]}:{destination[1]}")

    def destinations(self) -> list[Place]:
        """Every address and port that RTP was sent to."""
        self._read()
        return sorted(address for address, packets in self._to.items() if packets)

    def received(self, bind: str, call_id: str) -> Stream:
        """The audio that reached the phone at `bind` in a call, by the SDP that the phone sent.

        From its first SDP to the call's BYE: a port may serve another call later. Raises
        WireError where the phone sent no SDP in that call.
        """
        return self._media(self._to, bind, call_id, "received by")

    def sent(self, bind: str, call_id: str) -> Stream:
        """The audio that the phone at `bind` sent in a call: how regular the phone itself was."""
        return self._media(self._from, bind, call_id, "sent by")

    async def until(self, condition: Callable[[], Found | None], what: str, within: float = 5) -> Found:
        """Wait until a condition on what the wire saw holds, and return its value; raises WireError."""
        try:
            async with asyncio.timeout(within):
                # The tap is a thread with nothing to say to the event loop: it has to be asked.
                while not (found := condition()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return found
        except TimeoutError:
            raise WireError(f"the wire did not see {what} within {within} s") from None

    def forget(self) -> None:
        """Drop what was collected so far, so that a long test stays within the limit."""
        self._read()
        self._sip.clear()
        self._to.clear()
        self._from.clear()
        self._count = 0

    def _media(self, index: defaultdict[Place, list[RtpPacket]], bind: str, call_id: str, how: str) -> Stream:
        messages = self.sip(call_id=call_id, ip=bind)
        offers = [packet for packet in messages if packet.source[0] == bind and packet.message.audio]
        if not offers:
            seen = "".join(f"\n    {packet}" for packet in messages) or "\n    (no SIP at all)"
            raise WireError(f"{bind} sent no SDP with audio in call {call_id!r}; the wire saw{seen}")
        places = {packet.message.audio for packet in offers}
        begin, over = offers[0].at, _end(messages)
        packets = [
            packet
            for place in places
            if place
            for packet in index[place]
            if packet.at >= begin and (over is None or packet.at <= over)
        ]
        return Stream(sorted(packets, key=lambda packet: packet.at), name=f"{how} {bind}")

    def _read(self) -> None:
        if self._thread.is_alive():
            self._catch_up()
        if self._lost:
            raise WireLostPacketsError(self._lost)
        for _ in range(len(self._raw)):  # the thread goes on appending
            self._sort(*self._raw.popleft())

    def _sort(self, at: float, data: bytes) -> None:
        source, destination, payload = _udp(data)
        if self._sip_port in (source[1], destination[1]):
            try:
                self._sip.append(SipPacket(at, source, destination, SipMessage.parse(payload)))
            except NotSipError:
                return  # keep-alives are not messages
        elif packet := RtpPacket.parse(at, source, destination, payload):
            self._to[destination].append(packet)
            self._from[source].append(packet)

    def _catch_up(self) -> None:
        self._caught_up.clear()
        self._token = secrets.token_bytes(16)
        for _ in range(CATCH_UP_TRIES):
            self._marker.sendto(self._token, self._marker.getsockname())
            self._marker.recv(64)
            if self._caught_up.wait(CATCH_UP_S) or self._lost:
                return
        raise WireError(f"the tap on {self._interface} does not see its own packets")

    def _collect(self) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._tap], [], [], 0.2)
            if ready:
                for at, data in self._available():
                    self._keep(at, data)
                self._admit_drops()

    def _available(self) -> Iterator[tuple[float, bytes]]:
        while True:
            try:
                data, extra, _, _ = self._tap.recvmsg(65535, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            seconds, nanoseconds = TIMESPEC.unpack(extra[0][2])
            yield seconds + nanoseconds / 1e9, data

    def _admit_drops(self) -> None:
        _, dropped = struct.unpack("II", self._tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if dropped:
            self._lost = f"the kernel dropped {dropped} packets before the tap could read them"

    def _keep(self, at: float, data: bytes) -> None:
        if self._token and data.endswith(self._token):
            self._token = b""
            self._admit_drops()
            self._caught_up.set()
        elif self._count >= self._limit:
            self._lost = (
                self._lost or f"more than {self._limit} packets: raise the limit, or forget() between"
            )
        else:
            self._count += 1
            self._raw.append((at, data))


def _end(messages: list[SipPacket]) -> float | None:
    """When a call was over: at its BYE; None while it lasts, or where it was never answered."""
    byes = [packet.at for packet in messages if packet.message.method == "BYE"]
    return byes[0] if byes else None


def _udp(data: bytes) -> tuple[Place, Place, bytes]:
    start = (data[0] & 15) * 4
    source_port, destination_port, length = struct.unpack_from("!HHH", data, start)
    source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    return (source, source_port), (destination, destination_port), data[start + 8 : start + length]


def _attach(tap: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    tap.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code))
    )
