"""Which announcements a phone has received, word for word, and for how long it received nothing at all.

Asterisk plays a file frame by frame, so each of its 20 ms is one packet: what arrives is compared with the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from telephony.sound import decode
from tests.lab.audio import G711
from tests.lab.rtp import RtpPacket, Stream

FRAME = 160  # samples in a packet
LOUD = 2000  # of 32767: a frame that tells one announcement from others
QUIET = 100.0  # root mean square, of 32767


@dataclass(frozen=True, slots=True)
class Heard:
    """One time that an announcement was received: Unix seconds, and whether to its end."""

    began: float
    ended: float
    whole: bool


def heard(stream: Stream, file: Path) -> list[Heard]:
    """Every time that the announcement in `file` is in `stream`, cut off or whole."""
    samples, _ = decode(file.read_bytes())
    frames = [list(samples[at : at + FRAME]) for at in range(0, len(samples) - FRAME + 1, FRAME)]
    loud = next(n for n, frame in enumerate(frames) if max(map(abs, frame)) > LOUD)
    packets, found, first = stream.packets, [], 0
    while first < len(packets):
        if not _same(packets[first], frames[loud]):
            first += 1
            continue
        run = 0
        for packet, frame in zip(packets[first:], frames[loud:], strict=False):
            if not _same(packet, frame):
                break
            run += 1
        found.append(Heard(packets[first].at, packets[first + run - 1].at, loud + run == len(frames)))
        first += run
    return found


def longest_silence(stream: Stream) -> float:
    """Seconds for which nothing arrived, or nothing that can be heard; the window's bounds count."""
    loud = [packet.at for packet in stream.packets if _level(packet) > QUIET]
    assert stream.since is not None
    assert stream.until is not None
    moments = [stream.since, *loud, stream.until]
    return max(after - before for before, after in pairwise(moments))


def _samples(packet: RtpPacket) -> list[int]:
    table = G711.get(packet.payload_type)
    return [table[code] for code in packet.payload] if table else []


def _same(packet: RtpPacket, frame: list[int]) -> bool:
    """Equal but for what G.711 rounds off: a sixteenth of a sample."""
    samples = _samples(packet)
    if len(samples) != len(frame):
        return False
    return all(abs(a - b) <= 16 + abs(b) / 16 for a, b in zip(samples, frame, strict=True))


def _level(packet: RtpPacket) -> float:
    samples = _samples(packet)
    return (sum(each * each for each in samples) / len(samples)) ** 0.5 if samples else 0.0
