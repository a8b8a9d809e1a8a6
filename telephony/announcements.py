"""What callers and partners hear as speech: texts from `dialplan/announcements.toml`, or recordings.

For every announcement Asterisk gets a file: the administrator's recording where there is one, else the text
spoken by espeak-ng, else (espeak-ng is missing or broken) a chime. Set-up goes on in every case, since a hotline
that answers with a chime is better than one that does not answer; it says what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from telephony import sound, speech
from telephony.errors import ConfigError
from telephony.secrets import write_private

MADE = "made.json"  # beside the sounds: what each was made from, so that nothing is made twice
_NAME = re.compile(r"[a-z][a-z-]{0,31}")
_TEXT = re.compile(r"[\u4e00-\u9fff，。？！、]{1,120}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """An announcement in the file: `text` is spoken, `when` says to people at which moment."""

    text: str
    when: str

    def __post_init__(self) -> None:
        if not _TEXT.fullmatch(self.text) or not re.search(r"[\u4e00-\u9fff]", self.text):
            raise ValueError(f"text {self.text!r}: 1 to 120 Chinese characters and ，。？！、 only")
        if not self.when:
            raise ValueError("when must say at which moment it is heard")


@dataclass(frozen=True, slots=True)
class Announcement:
    """`name` is its file's, and what the dialplan plays: `hotline/NAME`."""

    name: str
    text: str


def load(path: Path) -> list[Announcement]:
    """The announcements in the file at `path`; ConfigError says what is wrong and where."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    found = []
    for name, entry in raw.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{path}: [{name!r}] is not a name: small letters and hyphens")
        if isinstance(entry, dict) and (unknown := set(entry) - set(Words.__slots__)):
            raise ConfigError(f"{path}: [{name}]: unknown name {min(unknown)!r}")
        try:
            words = msgspec.convert(entry, Words)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigError(f"{path}: [{name}]: {error}") from error
        found.append(Announcement(name, words.text))
    return found


def renew(
    sounds: Path,
    recordings: Path,
    announcements: Sequence[Announcement],
    speak: Callable[[str], Iterable[float]],
) -> list[str]:
    """Bring `sounds`/NAME.wav up to date for each of `announcements`; what is wrong, in sentences.

    `recordings` is the administrator's directory: read, never written. `speak` gives samples at `sound.RATE` or
    raises SpeechUnavailable.
    """
    sounds.mkdir(parents=True, exist_ok=True)
    recordings.mkdir(mode=0o700, parents=True, exist_ok=True)
    warnings = _strangers(recordings, announcements)
    before = _made(sounds / MADE)
    made: dict[str, str] = {}
    for each in announcements:
        target = sounds / f"{each.name}.wav"
        known = before.get(each.name, "") if target.exists() else ""
        recording = _recording(recordings / target.name, warnings)
        if recording is not None:
            made[each.name] = f"recording {hashlib.sha256(recording).hexdigest()}"
            data: bytes | None = recording if made[each.name] != known else None
        else:
            made[each.name], data = _spoken(each, known, speak, warnings)
        if data is not None:
            write_private(target, data)
    write_private(sounds / MADE, json.dumps(made, indent=2) + "\n")
    return warnings


def _spoken(
    each: Announcement, known: str, speak: Callable[[str], Iterable[float]], warnings: list[str]
) -> tuple[str, bytes | None]:
    """From what, and the sound; None for the sound that is there already."""
    origin = "speech " + hashlib.sha256(" ".join([*speech.VOICE, each.text]).encode()).hexdigest()
    if origin == known:
        return origin, None
    try:
        return origin, sound.encode(speak(each.text))
    except speech.SpeechUnavailable as error:
        warnings.append(f"announcement {each.name} is a chime, not {each.text!r}: {error}")
        return "chime", sound.chime()


def _recording(path: Path, warnings: list[str]) -> bytes | None:
    """The administrator's recording; None where there is none that can be played."""
    if not path.exists():
        return None
    try:
        return sound.read_recording(path)
    except (OSError, sound.SoundError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        wanted = f"{sound.RATE} Hz, 16 bit, mono WAV of {sound.SHORTEST} to {sound.LONGEST:.0f} s"
        warnings.append(f"{path} is not used: {why}; wanted is {wanted}")
        return None


def _strangers(recordings: Path, announcements: Sequence[Announcement]) -> list[str]:
    known = {f"{each.name}.wav" for each in announcements}
    return [
        f"{path} is not used: there is no announcement of that name"
        for path in sorted(recordings.iterdir())
        if path.name not in known
    ]


def _made(path: Path) -> dict[str, str]:
    """What the sounds were made from; nothing where that is unknown: everything is made anew then."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
