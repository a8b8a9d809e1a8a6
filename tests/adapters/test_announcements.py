"""Announcements at set-up: real speech by the installed espeak-ng, an administrator's recordings, and neither."""

from __future__ import annotations

import array
import io
import math
import subprocess
import sys
import wave
from collections.abc import Iterable
from pathlib import Path

import pytest

from telephony import announcements, sound, speech
from telephony.announcements import Announcement
from telephony.provision import StateDirectory
from telephony.speech import LEVEL, EspeakNg, SpeechUnavailable, resampled
from tests.lab.audio import sine
from tests.lab.paths import CHECKOUT, DebianRoot, hotline_file

FILE = CHECKOUT / "dialplan" / "announcements.toml"
WAIT = Announcement("please-wait", "请稍候。")
GONE = Announcement("caller-gone", "来电人已挂机。")


class Places:
    """The two directories of one hotline, and how often speech was asked for."""

    def __init__(self, root: Path) -> None:
        self.sounds, self.recordings = root / "sounds", root / "recordings"
        self.recordings.mkdir(parents=True)
        self.spoken: list[str] = []
        self.broken = ""

    def renew(self, *wanted: Announcement) -> list[str]:
        return announcements.renew(self.sounds, self.recordings, wanted, self.speak)

    def speak(self, text: str) -> Iterable[float]:
        if self.broken:
            raise SpeechUnavailable(self.broken)
        self.spoken.append(text)
        return sine(300.0 + len(text), seconds=0.5)

    def sound(self, each: Announcement) -> bytes:
        return (self.sounds / f"{each.name}.wav").read_bytes()

    def record(self, each: Announcement, data: bytes) -> Path:
        path = self.recordings / f"{each.name}.wav"
        path.write_bytes(data)
        return path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def wav(rate: int = 8000, channels: int = 1, bits: int = 16, seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(bits // 8)
        written.setframerate(rate)
        written.writeframes(b"\x10" * int(rate * seconds) * channels * (bits // 8))
    return file.getvalue()


def provision(state: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "telephony", "provision", "--config", str(hotline_file("110"))),
            *("--state", str(state), "--asterisk-root", str(root)),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_provision_speaks_every_text_of_the_repository(tmp_path: Path) -> None:
    done = provision(tmp_path / "state", DebianRoot.from_environment().path)

    assert (done.returncode, done.stderr) == (0, "")
    state = StateDirectory(tmp_path / "state")
    for each in announcements.load(FILE):
        file = state.sounds / f"{each.name}.wav"
        assert file.stat().st_mode & 0o777 == 0o600
        samples, rate = sound.decode(file.read_bytes())
        assert rate == 8000
        syllables = sum(character >= "一" for character in each.text)
        assert (
            0.15 < len(samples) / rate / syllables < 0.5
        )  # s; a slip of the voice or the language is far off
        level = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
        assert level == pytest.approx(LEVEL, rel=0.05)


def test_provision_leaves_recordings_and_sounds_alone_the_second_time(tmp_path: Path) -> None:
    state, root = StateDirectory(tmp_path / "state"), DebianRoot.from_environment().path
    provision(state.root, root)
    recording = state.announcements / "caller-gone.wav"
    recording.write_bytes(wav())
    before = {path: path.stat().st_mtime_ns for path in [recording, *state.sounds.glob("*.wav")]}

    done = provision(state.root, root)

    assert (done.returncode, done.stderr) == (0, "")
    after = {path: path.stat().st_mtime_ns for path in before}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed == {"caller-gone.wav"}
    assert after[recording] == before[recording]
    assert (state.sounds / "caller-gone.wav").read_bytes() == recording.read_bytes() == wav()


def test_provision_goes_on_without_espeak_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/share/asterisk/documentation").mkdir(parents=True)

    done = provision(tmp_path / "state", root)

    assert done.returncode == 0
    assert done.stderr.count("espeak-ng is not installed") == len(announcements.load(FILE))
    for file in StateDirectory(tmp_path / "state").sounds.glob("*.wav"):
        assert file.read_bytes() == sound.chime()


def test_recording_goes_before_the_text_until_it_is_taken_away(places: Places) -> None:
    places.renew(WAIT, GONE)
    spoken = places.sound(WAIT)
    path = places.record(WAIT, wav())

    assert places.renew(WAIT, GONE) == []
    assert places.sound(WAIT) == wav()
    path.unlink()
    assert places.renew(WAIT, GONE) == []
    assert places.sound(WAIT) == spoken


def test_nothing_is_spoken_twice_and_a_new_text_is_spoken(places: Places) -> None:
    places.renew(WAIT, GONE)
    places.renew(WAIT, GONE)
    assert places.spoken == [WAIT.text, GONE.text]

    places.renew(Announcement(WAIT.name, "请稍等。"), GONE)

    assert places.spoken[2:] == ["请稍等。"]


def test_sound_that_was_deleted_or_whose_record_was_spoilt_is_made_again(places: Places) -> None:
    places.renew(WAIT)
    (places.sounds / "please-wait.wav").unlink()
    places.renew(WAIT)
    (places.sounds / announcements.MADE).write_text("[")
    places.renew(WAIT)

    assert places.spoken == [WAIT.text] * 3
    assert sound.decode(places.sound(WAIT))


def test_speech_that_cannot_be_made_is_a_chime_and_is_made_later(places: Places) -> None:
    places.broken = "espeak-ng is ill"

    (said,) = places.renew(WAIT)

    assert "please-wait is a chime" in said
    assert "espeak-ng is ill" in said
    assert places.sound(WAIT) == sound.chime()
    places.broken = ""
    assert places.renew(WAIT) == []
    assert places.sound(WAIT) != sound.chime()


def test_speech_stays_when_espeak_is_taken_away(places: Places) -> None:
    places.renew(WAIT)
    spoken = places.sound(WAIT)
    places.broken = "espeak-ng is not installed"

    assert places.renew(WAIT) == []
    assert places.sound(WAIT) == spoken


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (wav(rate=44100), "44100 Hz"),
        (wav(channels=2), "2 channels"),
        (wav(bits=8), "8 bit"),
        (wav(seconds=0.01), "0.0 s long"),
        (wav(seconds=61), "61.0 s long"),
        (b"", "not a WAV file"),
        (b"ID3\x04 an MP3", "not a WAV file"),
        (wav()[:30], "not a WAV file"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", "not a WAV file"),
    ],
)
def test_recording_that_cannot_be_played_is_named_and_the_text_spoken(
    places: Places, data: bytes, said: str
) -> None:
    path = places.record(WAIT, data)

    (warning,) = places.renew(WAIT)

    assert warning.startswith(f"{path} is not used")
    assert said in warning
    assert path.read_bytes() == data
    assert places.spoken == [WAIT.text]


def test_directory_in_a_recordings_place_is_named(places: Places) -> None:
    (places.recordings / "please-wait.wav").mkdir()
    (warning,) = places.renew(WAIT)
    assert "is not used" in warning


def test_misspelt_recording_is_named(places: Places) -> None:
    places.record(Announcement("plaese-wait", ""), wav())
    (warning,) = places.renew(WAIT)
    assert "plaese-wait.wav is not used" in warning


@pytest.fixture
def fake_root(tmp_path: Path) -> Path:
    """An unpacked system whose loader, through which espeak-ng is run, is a script that a test writes."""
    for file in ("usr/bin/espeak-ng", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("")
    return tmp_path


def set_loader(root: Path, script: str) -> None:
    """The name of the WAV file to be written is in `$file`."""
    find = 'while [ "$1" != -w ]; do shift; done; file=$2'
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    loader.write_text(f"#!/bin/sh\n{find}\n{script}\n")
    loader.chmod(0o700)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no voice' >&2; exit 3", "failed (3): no voice"),
        ("exit 3", "failed (3): no word of why"),
        ("exit 0", "has made no sound"),
        ('printf broken > "$file"', "has made no sound: not a WAV file"),
        ('cp "$0.wav" "$file"', "has made silence"),
        ("kill -9 $$", "failed (-9)"),
        ("exec sleep 60", "does not run"),
    ],
)
def test_espeak_that_fails_is_unavailable_with_the_reason(
    fake_root: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(speech, "LIMIT", 1.0)
    set_loader(fake_root, script)
    (fake_root / "usr/lib64/ld-linux-x86-64.so.2.wav").write_bytes(sound.encode([0.0] * 8000))

    with pytest.raises(SpeechUnavailable) as refused:
        EspeakNg(fake_root).speak("请稍候。")
    assert said in str(refused.value)


def test_root_that_is_no_debian_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/espeak-ng").write_text("")
    with pytest.raises(SpeechUnavailable, match="not an unpacked Debian system"):
        EspeakNg(tmp_path).speak("请稍候。")


@pytest.mark.parametrize(
    ("hertz", "least", "most"), [(300, 0.97, 1.03), (3000, 0.9, 1.03), (5000, 0.0, 0.01)]
)
def test_what_a_telephone_line_carries_is_kept_and_the_rest_is_gone(
    hertz: int, least: float, most: float
) -> None:
    rate = 22050
    tone = array.array("h", (round(8000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(rate)))
    new = resampled(tone, rate)
    assert len(new) == sound.RATE
    middle = new[1000:-1000]
    peak = math.sqrt(2 * sum(sample * sample for sample in middle) / len(middle))
    assert least * 8000 <= peak <= most * 8000
