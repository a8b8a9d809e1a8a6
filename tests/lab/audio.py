"""Which tones are in a piece of G.711 audio, and from when.

A tone counts as heard where it holds at least `SHARE` of the energy of 200 ms, taken coherently:
over that time a sine that is 5 Hz off cancels itself out, so a musical note, a ring-back (425 Hz)
or a voice near a tone is not taken for it. Energy below `FLOOR` is silence.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul

RATE = 8000
BLOCK = RATE // 5
SHARE = 0.15
FLOOR = 50.0  # root mean square of 16-bit samples: -56 dBFS
LONGEST_FRAME = RATE // 10


def _alaw(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return size if code & 0x80 else -size


def _ulaw(code: int) -> int:
    code = ~code & 0xFF
    size = ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return -size if code & 0x80 else size


# By RTP payload type (RFC 3551): ITU-T G.711 µ-law and A-law.
G711 = {0: [_ulaw(code) for code in range(256)], 8: [_alaw(code) for code in range(256)]}


def encode_alaw(samples: Iterable[float]) -> bytes:
    """16-bit samples as A-law, for senders that tests make themselves."""
    return bytes(_nearest_alaw(round(sample) >> 3) for sample in samples)


@cache
def _nearest_alaw(eighth: int) -> int:
    return min(range(256), key=lambda code: abs(G711[8][code] - eighth * 8))


def sine(*hertz: float, seconds: float, level: float = 8000.0) -> list[float]:
    """The sum of sines of `level` each (peak, of 32767)."""
    steps = [2 * math.pi * each / RATE for each in hertz]
    return [level * sum(math.sin(step * n) for step in steps) for n in range(round(seconds * RATE))]


@dataclass(frozen=True, slots=True)
class Frame:
    """The audio of one packet: when it arrived (Unix seconds), RTP payload type, payload."""

    at: float
    payload_type: int
    payload: bytes


@cache
def _waves(hertz: int) -> tuple[list[float], list[float]]:
    steps = [2 * math.pi * hertz * n / RATE for n in range(LONGEST_FRAME)]
    return [math.cos(step) for step in steps], [math.sin(step) for step in steps]


class Audio:
    """Frames in order of arrival, ready to be asked for tones."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._times: list[float] = []
        self._samples: list[list[int]] = []
        for frame in frames:
            table = G711.get(frame.payload_type)
            if table is None:
                continue
            for start in range(0, len(frame.payload), LONGEST_FRAME):
                self._times.append(frame.at + start / RATE)
                self._samples.append([table[code] for code in frame.payload[start : start + LONGEST_FRAME]])
        self._energies = [float(sum(map(mul, samples, samples))) for samples in self._samples]

    def heard(self, hertz: int) -> list[float]:
        """When a tone was heard: the arrival of each packet in which, and for 200 ms from which, it is.

        The last 200 ms of the audio have too little after them to be judged and are left out.
        """
        waves = self._components(hertz)
        found = []
        for first, last in self._blocks():
            own = _share([waves[first]], [self._energies[first]], len(self._samples[first]))
            length = sum(map(len, self._samples[first:last]))
            if min(own, _share(waves[first:last], self._energies[first:last], length)) >= SHARE:
                found.append(self._times[first])
        return found

    @property
    def level(self) -> float:
        """How loud it is: the root mean square of the samples, of 32767; 0 where there is no audio."""
        count = sum(map(len, self._samples))
        return math.sqrt(sum(self._energies) / count) if count else 0.0

    def presence(self, hertz: int) -> float:
        """The part of the time that a tone is heard, 0 to 1."""
        blocks = len(self._blocks())
        return len(self.heard(hertz)) / blocks if blocks else 0.0

    def tones(self, candidates: Iterable[int]) -> set[int]:
        """The candidates that are heard for most of the time."""
        return {hertz for hertz in candidates if self.presence(hertz) > 0.5}

    def _blocks(self) -> list[tuple[int, int]]:
        """(first, end) frames of each 200 ms, one beginning at every frame that has so much after it."""
        blocks, last, length = [], 0, 0
        for first, samples in enumerate(self._samples):
            while length < BLOCK and last < len(self._samples):
                length += len(self._samples[last])
                last += 1
            if length < BLOCK:
                break
            blocks.append((first, last))
            length -= len(samples)
        return blocks

    def _components(self, hertz: int) -> list[complex]:
        """Each frame's component at a frequency, with phases that run on from frame to frame."""
        cosines, sines = _waves(hertz)
        position, components = 0, []
        for samples in self._samples:
            local = complex(sum(map(mul, samples, cosines)), -sum(map(mul, samples, sines)))
            components.append(local * cmath.exp(-2j * math.pi * hertz * position / RATE))
            position += len(samples)
        return components


def _share(components: Sequence[complex], energies: Sequence[float], length: int) -> float:
    """The part of the energy that is in the components: 1 for a pure tone, 0 for silence."""
    energy = sum(energies)
    if energy < FLOOR * FLOOR * length:
        return 0.0
    return 2 * abs(sum(components)) ** 2 / (length * energy)
