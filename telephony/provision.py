"""Set-up of one hotline: secrets, and a complete Asterisk configuration, from `hotline.toml`.

What is the same for every hotline stands in `asterisk-conf/` and `dialplan/`, plain files that an
administrator edits; they are copied. What differs is written to `generated/`. Everything may be
run again at any time: secrets stay as they are.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from telephony import announcements, asterisk_cli, asterisk_files, recordings
from telephony.encryption import tls_transport
from telephony.errors import ConfigError
from telephony.music import write_music
from telephony.recordings import Recordings
from telephony.secrets import Secrets, write_private
from telephony.settings import Address, Settings
from telephony.speech import EspeakNg
from telephony.tokens import put_tokens

MEMORY = Path("/dev/shm")
SOURCES = Path(__file__).resolve().parent.parent


class StateDirectory:
    """Where the files of one hotline lie: below `root`, whose layout is at one place, here."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.secrets = Secrets(self.root / "secrets")
        self.tokens = self.root / "secrets" / "tokens.json"
        self.token_hashes = self.root / "secrets" / "tokens.hashed.json"
        self.certificate = self.root / "secrets" / "tls.crt"
        self.key = self.root / "secrets" / "tls.key"
        self.lines_ca = self.root / "secrets" / "lines-ca.crt"  # the administrator's, where lines use TLS
        self.asterisk = self.root / "asterisk"
        self.asterisk_conf = self.asterisk / "asterisk.conf"
        self.etc = self.asterisk / "etc"
        self.data = self.asterisk / "data"
        self.sounds = self.data / "sounds" / "zh" / "hotline"
        self.monitor = self.asterisk / "spool" / "monitor"  # recorded calls
        self.live = self.root / "live"  # leads to `memory`
        self.announcements = self.root / "announcements"  # the administrator's recordings; never written to

    @property
    def memory(self) -> Path:
        """Where Asterisk records calls while they last; `monitor` itself where there is no such place."""
        return self.live.readlink() if self.live.is_symlink() else self.monitor


def provision(
    settings: Settings, state: StateDirectory, asterisk_root: Path, memory: Path = MEMORY
) -> list[str]:
    """Make or renew everything below `state`; `asterisk_root` is where Asterisk is installed (`/` or a root).

    `memory`: a file system in memory (tmpfs), below which calls are recorded while they last.
    Returns what an administrator should mend, though the hotline works without it: one sentence each.
    """
    documentation = asterisk_root / "usr/share/asterisk/documentation"
    if not documentation.is_dir():
        raise ConfigError(f"{asterisk_root}: no Asterisk is installed there ({documentation} is missing)")
    passwords = _make_secrets(settings, state)
    _copy_sources(state)
    pins = state.secrets.ensure_pins("rooms.json", [room.room for room in settings.rooms])
    tls = tls_transport(settings, state.certificate, state.key, state.lines_ca)
    _make_data(state, documentation)
    warnings = _choose_memory(settings, state, memory)
    files = asterisk_files.generated(settings, state.secrets.get("ami"), passwords, pins, tls, state.memory)
    for name, text in files.items():
        write_private(state.etc / "generated" / name, text)
    write_private(
        state.etc / "generated/http.conf",
        asterisk_files.http(settings, state.certificate, state.key),
    )
    _write_console(settings, state)
    write_private(state.asterisk_conf, asterisk_files.asterisk(settings, state.asterisk, asterisk_root))
    texts = announcements.load(SOURCES / "dialplan" / "announcements.toml")
    speak = EspeakNg(asterisk_root).speak
    return warnings + announcements.renew(state.sounds, state.announcements, texts, speak)


def _choose_memory(settings: Settings, state: StateDirectory, memory: Path) -> list[str]:
    """Have `state.memory` be below `memory`. Without it calls are recorded all the same: warnings."""
    folder = recordings.folder_for(memory, settings.hotline, state.root)
    before = state.memory
    try:
        recordings.make_folder(folder)
        _link(folder / "state", state.root)  # whose it is
    except ConfigError as error:
        state.live.unlink(missing_ok=True)
        warnings = [f"calls are recorded straight to the disk, and wait for it, because there is no {error}"]
    else:
        _link(state.live, folder)
        warnings = []
    if before not in (state.memory, state.monitor) and Recordings(before, state.monitor).move(young=0.0):
        warnings.append(f"{before}: recordings of live calls are still there; move them when those are over")
    return warnings


def _make_secrets(settings: Settings, state: StateDirectory) -> dict[str, str]:
    for name in ("ami", "redis", "cli"):
        state.secrets.ensure(name)
    seats = [seat.seat for seat in settings.seats]
    hosts = ["localhost", "127.0.0.1", settings.sip.address.host]
    state.secrets.ensure_certificate(hosts)
    principals = [
        "admin",
        *(f"seat:{seat}" for seat in seats),
        *(f"line:{line.line}" for line in settings.lines),
    ]
    known = set(state.secrets.passwords(state.tokens.name))
    tokens = state.secrets.ensure_passwords(state.tokens.name, principals)
    # Only what is new: a token that was revoked since must not come back, one that was added must stay.
    new = {principal: token for principal, token in tokens.items() if principal not in known}
    put_tokens(state.token_hashes, new)
    return state.secrets.ensure_passwords("seats.json", seats)


def _write_console(settings: Settings, state: StateDirectory) -> None:
    """The commands of Asterisk's CLI that the controller answers."""
    generated, api = state.etc / "generated", Address.parse(settings.api.bind)
    write_private(generated / "extconfig.conf", asterisk_cli.extconfig(api, generated))
    write_private(generated / "curl.conf", asterisk_cli.curl_options(state.secrets.get("cli")))
    for kind, rows in asterisk_cli.NO_ANSWER.items():
        write_private(asterisk_cli.no_answer_file(generated, kind), asterisk_cli.form(rows) + "\n")


def _copy_sources(state: StateDirectory) -> None:
    for name, target in (("asterisk-conf", state.etc), ("dialplan", state.etc / "dialplan")):
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted((SOURCES / name).glob("*.conf")):
            shutil.copyfile(file, target / file.name)


def _make_data(state: StateDirectory, documentation: Path) -> None:
    for name in (
        "run",
        "log",
        "spool/monitor",
        "spool/tmp",
        "db",
        "keys/keys",
        "cache",
        "data/sounds",
        "data/agi-bin",
    ):
        (state.asterisk / name).mkdir(parents=True, exist_ok=True)
    for folder in (state.root, state.asterisk):
        folder.chmod(0o700)  # recordings, logs and callers' numbers are below
    _link(state.data / "documentation", documentation)
    music = state.data / "moh" / "waiting.wav"
    if not music.exists():
        write_music(music)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)
