"""The music that a waiting caller hears, made at set-up: a slow broken chord, soft on old handsets.

Any recording may take its place: Asterisk plays whatever lies in the `moh` directory.
"""

from __future__ import annotations

import math
from pathlib import Path

from telephony.secrets import write_private
from telephony.sound import RATE, encode

NOTE = 0.6  # s
ROUNDS = 3  # 29 s; an announcement is spoken again between two of these
_CHORDS = (
    (261.6, 329.6, 392.0, 329.6),
    (220.0, 261.6, 329.6, 261.6),
    (174.6, 220.0, 261.6, 220.0),
    (196.0, 246.9, 293.7, 246.9),
)
_LEVEL = 6000  # of 32767, about -15 dBm0


def write_music(path: Path) -> None:
    """Write the music to `path` as 16-bit mono WAV."""
    samples = [sample for chord in _CHORDS for frequency in chord for sample in _note(frequency)]
    write_private(path, encode(samples * ROUNDS))


def _note(frequency: float) -> list[int]:
    length = int(RATE * NOTE)
    return [
        int(
            _LEVEL
            * min(1.0, i / 200, (length - i) / 800)
            * (0.35 + 0.65 * math.exp(-2.5 * i / length))
            * math.sin(2 * math.pi * frequency * i / RATE)
        )
        for i in range(length)
    ]
