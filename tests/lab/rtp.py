"""RTP packets (RFC 3550) seen on the wire, and what can be measured on a stream of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.lab.audio import G711, Audio, Frame

Place = tuple[str, int]  # IP address and port

HEADER = struct.Struct("!BBHII")
KNOWN_TYPES = (*range(35), *range(96, 128))  # RFC 3551; RTCP would show as 72 to 76 (RFC 5761 §4)
MAX_DROPOUT = 3000  # RFC 3550 appendix A.1
MAX_MISORDER = 100
TICKS = 160  # of the 8 kHz clock in 20 ms
TONES = (530, 1130, 1790)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet; `at` is when the kernel saw it, in Unix seconds."""

    at: float
    source: Place
    destination: Place
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, at: float, source: Place, destination: Place, data: bytes) -> RtpPacket | None:
        """None for what is not RTP: another version, RTCP, an odd port, an unknown payload type."""
        if len(data) < HEADER.size or data[0] >> 6 != 2 or destination[1] % 2:
            return None
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        payload_type = second & 0x7F
        if payload_type not in KNOWN_TYPES:
            return None
        start, end = HEADER.size + 4 * (first & 15), len(data)
        if first & 0x10 and end >= start + 4:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        if first & 0x20:
            end -= data[-1]
        if start > end:
            return None
        return cls(
            at,
            source,
            destination,
            payload_type,
            bool(second & 0x80),
            sequence,
            timestamp,
            ssrc,
            data[start:end],
        )


@dataclass(frozen=True, slots=True)
class Jump:
    """Where a stream began anew: another SSRC, or numbering that does not go on. Not a loss by itself."""

    at: float
    why: str


@dataclass(slots=True)
class _Run:
    """Packets of one SSRC whose numbering goes on; sequence numbers without their wrap."""

    newest: int
    packet: RtpPacket
    seen: dict[int, int]  # number -> time stamp

    def lost(self) -> int:
        return max(self.seen) - min(self.seen) + 1 - len(self.seen)


class Stream:
    """The packets that went one way in one call, in order of arrival, from `since` to `until`."""

    def __init__(
        self,
        packets: Iterable[RtpPacket],
        since: float | None = None,
        until: float | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.since = since
        self.until = until
        self.packets: list[RtpPacket] = [
            packet
            for packet in packets
            if (since is None or packet.at >= since) and (until is None or packet.at <= until)
        ]
        self.lost = 0
        self.duplicates = 0
        self.jumps: list[Jump] = []
        self._arrivals: list[float] = []
        self._count()

    def __repr__(self) -> str:
        return (
            f"<stream {self.name}: {len(self.packets)} packets, {self.lost} lost, {self.duplicates} twice, "
            f"{len(self.jumps)} jumps, largest gap {self.largest_gap_ms:.1f} ms>"
        )

    def between(self, since: float | None = None, until: float | None = None) -> Stream:
        """The same stream in a narrower window."""
        since = self.since if since is None else since
        until = self.until if until is None else until
        return Stream(self.packets, since, until, self.name)

    @property
    def gaps_ms(self) -> list[tuple[float, float]]:
        """(when it began, length in ms) of every space between two packets, duplicates not counted.

        The window's own bounds count too: a stream that stops before `until` has a gap there.
        """
        arrivals = list(self._arrivals)
        if self.since is not None:
            arrivals.insert(0, self.since)
        if self.until is not None:
            arrivals.append(self.until)
        return [(before, (after - before) * 1000) for before, after in pairwise(arrivals)]

    @property
    def largest_gap_ms(self) -> float:
        """Infinite where there are not two moments to measure between."""
        return max((length for _, length in self.gaps_ms), default=float("inf"))

    def audio(self) -> Audio:
        """What was said, for `Audio.heard` and `Audio.presence`."""
        return Audio(Frame(each.at, each.payload_type, each.payload) for each in self.packets)

    def tones(
        self, candidates: Sequence[int] = TONES, since: float | None = None, until: float | None = None
    ) -> set[int]:
        """Which of these frequencies (Hz) are heard for most of the window: see `audio.py`."""
        return self.between(since, until).audio().tones(candidates)

    def first_heard(self, hertz: int, since: float | None = None) -> float | None:
        """When the first packet with a tone arrived (to one packet, 20 ms); None if it never did."""
        return next(iter(self.between(since).audio().heard(hertz)), None)

    def last_heard(self, hertz: int, until: float | None = None) -> float | None:
        """When the last 200 ms with a tone began; None if it was never heard."""
        return next(reversed(self.between(None, until).audio().heard(hertz)), None)

    def _count(self) -> None:
        runs: dict[int, _Run] = {}
        previous = None
        for packet in self.packets:
            if previous is not None and packet.ssrc != previous:
                self.jumps.append(Jump(packet.at, f"SSRC {previous:08x} -> {packet.ssrc:08x}"))
            previous = packet.ssrc
            if self._take(runs, packet):
                self._arrivals.append(packet.at)
        self.lost += sum(run.lost() for run in runs.values())

    def _take(self, runs: dict[int, _Run], packet: RtpPacket) -> bool:
        """Count one packet in its SSRC's run; False for a duplicate."""
        run = runs.get(packet.ssrc)
        if run is not None:
            step = _signed(packet.sequence - run.newest, 16)
            number = run.newest + step
            if run.seen.get(number) == packet.timestamp:
                self.duplicates += 1
                return False
            why = _break(run.packet, packet, step)
            if why is None:
                run.seen[number] = packet.timestamp
                if step > 0:
                    run.newest, run.packet = number, packet
                return True
            self.jumps.append(Jump(packet.at, why))
            self.lost += run.lost()
        runs[packet.ssrc] = _Run(packet.sequence, packet, {packet.sequence: packet.timestamp})
        return True


def _break(before: RtpPacket, packet: RtpPacket, step: int) -> str | None:
    """Why the numbering does not go on from one packet to the next; None when it does.

    A hole whose time stamps agree with its sequence numbers is a loss. Where they disagree and the
    sender has set the marker, it has switched to another source, and nothing need be missing.
    """
    if step > MAX_DROPOUT or step < -MAX_MISORDER or step == 0:
        return f"sequence {before.sequence} -> {packet.sequence}"
    if step > 1 and packet.marker:
        ticks = _signed(packet.timestamp - before.timestamp, 32)
        if ticks != step * (len(packet.payload) if packet.payload_type in G711 else TICKS):
            return f"marker, sequence +{step}, time stamp {ticks:+d}"
    return None


def _signed(difference: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
