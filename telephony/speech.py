"""Speech in Mandarin, by espeak-ng: made at set-up, never during a call."""

from __future__ import annotations

import array
import math
import subprocess
import tempfile
from functools import cache
from operator import mul
from pathlib import Path

from telephony import sound

VOICE = ("-v", "cmn", "-s", "170", "-z")
"""Mandarin, about 3.5 syllables a second, without the pause that ends a sentence."""
LIMIT = 20.0  # s; a text takes 0.1 s
LEVEL = 2900.0  # root mean square, of 32767: 21 dB below the loudest, like the music
_CUTOFF = 3500.0  # Hz: what a telephone line carries
_HALF = 60  # samples of espeak-ng's on either side: nothing above 4 kHz is left (-50 dB)


class SpeechUnavailable(Exception):
    """No speech can be made here; the message says why."""


class EspeakNg:
    """espeak-ng as it is installed below `root`: `/`, or an unpacked Debian system."""

    def __init__(self, root: Path) -> None:
        self._program = root / "usr/bin/espeak-ng"
        self._root = root

    def speak(self, text: str) -> list[float]:
        """`text` as samples at `sound.RATE`. Raises SpeechUnavailable."""
        if not self._program.exists():
            raise SpeechUnavailable(f"espeak-ng is not installed ({self._program} is missing)")
        with tempfile.TemporaryDirectory(prefix="speech-") as folder:
            spoken = Path(folder) / "spoken.wav"
            self._run([*self._command(), *VOICE, "-b", "1", "-w", str(spoken), "--stdin"], text)
            try:
                samples, rate = sound.decode(spoken.read_bytes())
            except (OSError, sound.SoundError) as error:
                raise SpeechUnavailable(f"espeak-ng has made no sound: {error}") from error
        if not any(samples):
            raise SpeechUnavailable("espeak-ng has made silence")
        return levelled(resampled(samples, rate))

    def _command(self) -> list[str]:
        """A program of an unpacked system runs through that system's own loader, with its own libraries and data."""
        if self._root == Path("/"):
            return [str(self._program)]
        loaders = sorted(self._root.glob("usr/lib*/ld-linux-*.so.*"))
        libraries = sorted(self._root.glob("usr/lib/*-linux-gnu*"))
        if not loaders or not libraries:
            raise SpeechUnavailable(f"{self._root} is not an unpacked Debian system")
        path = f"{libraries[0]}:{libraries[0] / 'pulseaudio'}"
        return [str(loaders[0]), "--library-path", path, str(self._program), f"--path={libraries[0]}"]

    def _run(self, command: list[str], text: str) -> None:
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SpeechUnavailable(f"espeak-ng does not run: {error}") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            last = words[-1] if words else "no word of why"
            raise SpeechUnavailable(f"espeak-ng failed ({done.returncode}): {last}")


def levelled(samples: list[float]) -> list[float]:
    """As loud as every other announcement."""
    power = sum(map(mul, samples, samples)) / len(samples)
    gain = LEVEL / math.sqrt(power) if power else 0.0
    return [sample * gain for sample in samples]


def resampled(samples: array.array[int], rate: int) -> list[float]:
    """From `rate` to `sound.RATE`, without what is above a telephone's band: a windowed sinc for each position
    that a sample can have between two of the old ones."""
    common = math.gcd(rate, sound.RATE)
    steps, step = sound.RATE // common, rate // common
    padded = [0.0] * _HALF + [float(sample) for sample in samples] + [0.0] * (_HALF + 1)
    found = []
    for n in range(len(samples) * steps // step):
        first, phase = divmod(n * step, steps)
        found.append(sum(map(mul, _kernel(phase, steps, rate), padded[first : first + 2 * _HALF + 1])))
    return found


@cache
def _kernel(phase: int, steps: int, rate: int) -> tuple[float, ...]:
    """The weights of the old samples around a new one that lies `phase`/`steps` behind the middle one."""
    weights = []
    for i in range(-_HALF, _HALF + 1):
        at = i - phase / steps
        turn = 2 * math.pi * _CUTOFF / rate * at
        sinc = math.sin(turn) / turn if turn else 1.0
        window = 0.5 + 0.5 * math.cos(math.pi * at / (_HALF + 1))
        weights.append(sinc * window)
    total = sum(weights)
    return tuple(weight / total for weight in weights)
