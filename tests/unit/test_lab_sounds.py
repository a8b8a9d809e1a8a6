"""What is spoken once on a machine comes into every new state directory, and into none that has its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import sounds
from tests.lab.paths import DebianRoot
from tests.lab.sounds import FOLDERS, KeptSounds


@pytest.fixture
def root(tmp_path: Path) -> DebianRoot:
    return DebianRoot(tmp_path / "cache" / "root-1")


@pytest.fixture
def made(tmp_path: Path, root: DebianRoot) -> Path:
    """A data directory with sounds in it."""
    root.path.mkdir(parents=True)
    data = tmp_path / "data"
    for name in FOLDERS:
        (data / name).mkdir(parents=True)
        (data / name / "sound.wav").write_text(f"made of {name}")
    return data


def test_first_time_nothing_is_lent(root: DebianRoot, tmp_path: Path) -> None:
    KeptSounds(root).lend(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_sounds_of_the_first_are_lent_to_the_next(root: DebianRoot, made: Path, tmp_path: Path) -> None:
    KeptSounds(root).keep(made)
    KeptSounds(root).lend(tmp_path / "new")
    found = {name: (tmp_path / "new" / name / "sound.wav").read_text() for name in FOLDERS}
    assert found == {name: f"made of {name}" for name in FOLDERS}
    assert not list(root.path.parent.glob("*.partial"))


def test_who_has_sounds_of_its_own_keeps_them(root: DebianRoot, made: Path) -> None:
    KeptSounds(root).keep(made)
    own = made / FOLDERS[0] / "sound.wav"
    own.write_text("an administrator's")
    KeptSounds(root).lend(made)
    assert own.read_text() == "an administrator's"


def test_who_comes_second_changes_nothing(root: DebianRoot, made: Path, tmp_path: Path) -> None:
    KeptSounds(root).keep(made)
    (made / FOLDERS[0] / "sound.wav").write_text("another's")
    KeptSounds(root).keep(made)
    KeptSounds(root).lend(tmp_path / "new")
    assert (tmp_path / "new" / FOLDERS[0] / "sound.wav").read_text() == f"made of {FOLDERS[0]}"


def test_other_words_are_spoken_anew(
    root: DebianRoot, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeptSounds(root).keep(made)
    texts = tmp_path / "announcements.toml"
    texts.write_text(sounds.TEXTS.read_text(encoding="utf-8") + "\n# another\n", encoding="utf-8")
    monkeypatch.setattr(sounds, "TEXTS", texts)
    KeptSounds(root).lend(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_espeak_ng_speaks_anew(root: DebianRoot, made: Path, tmp_path: Path) -> None:
    KeptSounds(root).keep(made)
    KeptSounds(DebianRoot(root.path.with_name("root-2"))).lend(tmp_path / "new")
    assert not (tmp_path / "new").exists()
