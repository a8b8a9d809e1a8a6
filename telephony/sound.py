"""Sound files as Asterisk plays them on telephone lines: 8 kHz, 16 bit, mono WAV."""

from __future__ import annotations

import array
import io
import math
import sys
import wave
from collections.abc import Iterable
from pathlib import Path

RATE = 8000  # samples a second: what alaw carries
SHORTEST, LONGEST = 0.2, 60.0  # s; what is shorter is a mistake, what is longer keeps people waiting
_LOUDEST = 32767
_CHIME = ((880.0, 0.35), (659.3, 0.6))  # Hz, s
_CHIME_LEVEL = 6000  # of 32767, as loud as the music


class SoundError(Exception):
    """A file is not a sound that Asterisk can play here; the message says what it is instead."""


def encode(samples: Iterable[float]) -> bytes:
    """The samples (of 32767; louder ones are cut off) as a WAV file."""
    whole = array.array("h", (max(-_LOUDEST, min(_LOUDEST, round(sample))) for sample in samples))
    if sys.byteorder == "big":
        whole.byteswap()
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(whole.tobytes())
    return file.getvalue()


def decode(data: bytes) -> tuple[array.array[int], int]:
    """The samples of a 16-bit mono WAV file, and how many there are a second. SoundError if it is something else."""
    try:
        with wave.open(io.BytesIO(data), "rb") as sound:
            kind = (sound.getnchannels(), sound.getsampwidth() * 8)
            rate = sound.getframerate()
            frames = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:
        raise SoundError(f"not a WAV file ({error or 'too short'})") from error
    if kind != (1, 16):
        raise SoundError(f"{kind[0]} channels of {kind[1]} bit")
    samples = array.array("h", frames[: len(frames) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples, rate


def read_recording(path: Path) -> bytes:
    """A recording that can be played as it is. SoundError if it cannot; OSError if it cannot be read."""
    data = path.read_bytes()
    samples, rate = decode(data)
    if rate != RATE:
        raise SoundError(f"{rate} Hz")
    seconds = len(samples) / RATE
    if not SHORTEST <= seconds <= LONGEST:
        raise SoundError(f"{seconds:.1f} s long")
    return data


def chime() -> bytes:
    """Two soft notes, for where words are missing: a person is told that something happens."""
    samples: list[float] = []
    for hertz, seconds in _CHIME:
        length = int(seconds * RATE)
        samples += [
            _CHIME_LEVEL
            * min(1.0, i / 100, (length - i) / 800)
            * math.exp(-3.0 * i / length)
            * math.sin(2 * math.pi * hertz * i / RATE)
            for i in range(length)
        ]
    return encode(samples)
