"""Set-up of a hotline: secrets that stay secret and stay, and Asterisk's files that say what the settings say."""

from __future__ import annotations

import array
import ipaddress
import json
import math
import os
import re
import stat
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from telephony.errors import ConfigError
from telephony.provision import StateDirectory, provision
from telephony.settings import Settings, load
from telephony.tokens import Principal, TokenBook, TokenRole, add_token, revoke_principal, revoke_token
from tests.lab.paths import CHECKOUT, hotline_file

ADMIN = Principal(TokenRole.ADMIN)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What set-up looks for in a Debian root with Asterisk."""
    root = tmp_path / "root"
    (root / "usr/share/asterisk/documentation").mkdir(parents=True)
    (root / "usr/lib/x86_64-linux-gnu/asterisk/modules").mkdir(parents=True)
    return root


@pytest.fixture
def settings() -> Settings:
    return load(hotline_file("110"))


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What set-up takes for a tmpfs."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr("telephony.provision.provision.__defaults__", (memory,))
    return memory


@pytest.fixture
def state(tmp_path: Path, root: Path, settings: Settings) -> StateDirectory:
    """A hotline that has been set up once."""
    state = StateDirectory(tmp_path / "state")
    provision(settings, state, root)
    return state


def files(state: StateDirectory) -> dict[str, bytes]:
    return {
        str(path.relative_to(state.root)): path.read_bytes()
        for path in sorted(state.root.rglob("*"))
        if path.is_file() and not path.is_symlink() and "documentation" not in path.parts
    }


def generated(state: StateDirectory, name: str) -> str:
    return (state.etc / "generated" / name).read_text(encoding="utf-8")


def tokens(state: StateDirectory) -> dict[str, str]:
    found: dict[str, str] = json.loads(state.tokens.read_text(encoding="utf-8"))
    return found


def section(text: str, head: str) -> list[str]:
    """The lines of the one section that begins with `head` (`[1001](seat)`)."""
    (body,) = re.findall(rf"^{re.escape(head)}\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    return [line for line in body.splitlines() if line]


class TestSecrets:
    def test_passwords_are_of_128_bits_and_no_phone_takes_them_for_numbers(
        self, state: StateDirectory
    ) -> None:
        made = [*state.secrets.passwords("seats.json").values(), *tokens(state).values()]
        assert made
        assert {each for each in made if not re.fullmatch(r"[0-9a-f]{32}", each)} == set()
        assert len(set(made)) == len(made)

    def test_secrets_can_be_read_by_their_owner_alone_whatever_the_umask(
        self, tmp_path: Path, root: Path, settings: Settings
    ) -> None:
        before = os.umask(0)
        try:
            state = StateDirectory(tmp_path / "open")
            provision(settings, state, root)
        finally:
            os.umask(before)
        below = [*(state.root / "secrets").rglob("*"), *(state.etc / "generated").rglob("*")]
        private = [path for path in below if path.is_file()]
        assert {path.name for path in private} >= {
            *("ami", "redis", "seats.json", "tokens.json", "tokens.hashed.json", "tls.key"),
            *("manager.conf", "pjsip.conf"),
        }
        assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in private} == dict.fromkeys(
            (path.name for path in private), "0o600"
        )
        folders = [path for path in below if path.is_dir()]
        for folder in (state.root / "secrets", state.etc / "generated", *folders):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_a_second_run_changes_nothing(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        first = files(state)
        provision(settings, state, root)
        assert files(state) == first

    def test_two_hotlines_have_no_secret_in_common(
        self, tmp_path: Path, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        other = StateDirectory(tmp_path / "other")
        provision(settings, other, root)
        assert _all_secrets(state) & _all_secrets(other) == set()

    def test_no_secret_is_outside_the_private_folders(self, state: StateDirectory) -> None:
        secrets = {secret.encode() for secret in _all_secrets(state)}
        assert len(secrets) == 2 + 4 + 9 + 1  # ami, redis; seats; admin, seats and lines; the key
        private = ("secrets/", "asterisk/etc/generated/")
        leaks = {
            name
            for name, content in files(state).items()
            if not name.startswith(private) and any(secret in content for secret in secrets)
        }
        assert leaks == set()
        hashed = state.token_hashes.read_bytes()
        assert not any(token.encode() in hashed for token in tokens(state).values())

    def test_a_new_seat_gets_a_password_and_a_token_and_the_others_keep_theirs(
        self, tmp_path: Path, state: StateDirectory, root: Path
    ) -> None:
        passwords, known = state.secrets.passwords("seats.json"), tokens(state)
        text = hotline_file("110").read_text(encoding="utf-8")
        larger = tmp_path / "larger.toml"
        larger.write_text(text + '\n[[seats]]\nseat = "1004"\nqueue = "110"\n', encoding="utf-8")
        provision(load(larger), state, root)
        now = state.secrets.passwords("seats.json")
        assert {name for name in now if name not in passwords} == {"1004"}
        assert now | passwords == now
        assert set(tokens(state)) - set(known) == {"seat:1004"}
        assert tokens(state) | known == tokens(state)
        book = TokenBook.load(state.token_hashes)
        assert book.check(tokens(state)["seat:1004"]) == Principal(TokenRole.SEAT, "1004")

    @pytest.mark.parametrize("name", ["seats.json", "tokens.json", "tokens.hashed.json"])
    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"1001": 7}', b"\xff", b"[" * 100_000])
    def test_a_broken_file_of_secrets_is_named_and_left_as_it_is(
        self, state: StateDirectory, root: Path, settings: Settings, name: str, content: bytes
    ) -> None:
        """Written anew in silence, it would lock out every phone, or let a revoked token in again."""
        path = state.root / "secrets" / name
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            provision(settings, state, root)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("name", ["ami", "redis"])
    def test_an_empty_secret_is_none(
        self, state: StateDirectory, root: Path, settings: Settings, name: str
    ) -> None:
        (state.root / "secrets" / name).write_text(" \n")
        with pytest.raises(ConfigError, match=f"{name}: is empty"):
            provision(settings, state, root)

    def test_a_secret_that_was_never_made_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"secrets/ami: no such secret; run `telephony provision` first"
        ):
            StateDirectory(tmp_path / "nothing").secrets.get("ami")


class TestTokens:
    def test_everybody_who_is_to_have_a_token_has_one_that_works(
        self, state: StateDirectory, settings: Settings
    ) -> None:
        expected = {"admin"}
        expected |= {f"seat:{seat.seat}" for seat in settings.seats}
        expected |= {f"line:{line.line}" for line in settings.lines}
        assert set(tokens(state)) == expected
        book = TokenBook.load(state.token_hashes)
        assert {name: str(book.check(token)) for name, token in tokens(state).items()} == {
            name: name for name in expected
        }

    def test_a_revoked_token_stays_revoked_and_an_added_one_stays(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        revoked, by_name = tokens(state)["seat:1001"], tokens(state)["line:gas"]
        assert revoke_token(state.token_hashes, revoked)
        assert revoke_principal(state.token_hashes, Principal(TokenRole.LINE, "gas")) == 1
        added = add_token(state.token_hashes, ADMIN)
        provision(settings, state, root)
        book = TokenBook.load(state.token_hashes)
        assert book.check(revoked) is None
        assert book.check(by_name) is None
        assert book.check(added) == ADMIN
        assert book.check(tokens(state)["admin"]) == ADMIN


class TestCertificate:
    def test_the_certificate_is_the_keys_and_names_where_the_hotline_is(
        self, state: StateDirectory, settings: Settings
    ) -> None:
        certificate = x509.load_pem_x509_certificate(state.certificate.read_bytes())
        key = serialization.load_pem_private_key(state.key.read_bytes(), None)
        assert certificate.public_key() == key.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert names.get_values_for_type(x509.IPAddress) == [
            ipaddress.ip_address("127.0.0.1"),
            ipaddress.ip_address(settings.sip.address.host),
        ]
        certificate.verify_directly_issued_by(certificate)

    def test_a_certificate_that_somebody_put_there_stays(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        state.certificate.write_text("ours")
        state.key.write_text("ours too")
        provision(settings, state, root)
        assert (state.certificate.read_text(), state.key.read_text()) == ("ours", "ours too")

    def test_a_certificate_without_its_key_is_made_anew_with_one(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        state.key.unlink()
        provision(settings, state, root)
        self.test_the_certificate_is_the_keys_and_names_where_the_hotline_is(state, settings)

    def test_asterisk_serves_that_certificate(self, state: StateDirectory) -> None:
        lines = generated(state, "http.conf").splitlines()
        assert f"tlscertfile = {state.certificate}" in lines
        assert f"tlsprivatekey = {state.key}" in lines
        assert "tlsbindaddr = 127.0.110.1:8089" in lines


class TestAsteriskFiles:
    """What the generated files say, from the settings of 110."""

    def test_a_line_is_dialled_at_its_number_and_address_for_as_long_as_it_allows(
        self, state: StateDirectory, settings: Settings
    ) -> None:
        globals_ = generated(state, "globals.conf").splitlines()
        for line in settings.lines:
            assert f"LINE_{line.line} = PJSIP/line-{line.line}/sip:{line.number}@{line.address}" in globals_
            assert f"LINE_TIMEOUT_{line.line} = {line.answer_timeout:.0f}" in globals_
        assert "LINE_gas = PJSIP/line-gas/sip:96833@127.0.121.1:5060" in globals_
        assert {"HOTLINE = 110", "HOTLINE_NUMBER = 110", "DEDICATED_NUMBER = 1100"} <= set(globals_)
        assert "AGI = 127.0.110.1:4573" in globals_

    def test_a_line_is_known_by_its_address_alone(self, state: StateDirectory) -> None:
        pjsip = generated(state, "pjsip.conf")
        assert section(pjsip, "[line-gas-address]") == [
            "type = identify",
            "endpoint = line-gas",
            "match = 127.0.121.1",
        ]
        assert "set_var = TEL_PARTY=gas" in section(pjsip, "[line-gas](line)")
        assert section(pjsip, "[line-gas](line-aor)") == ["contact = sip:96833@127.0.121.1:5060"]

    def test_a_line_that_is_not_trusted_is_told_no_numbers(
        self, tmp_path: Path, state: StateDirectory, root: Path
    ) -> None:
        text = hotline_file("110").read_text(encoding="utf-8")
        (tmp_path / "h.toml").write_text(text.replace('line = "gas"', 'line = "gas"\ntrusted = false'))
        provision(load(tmp_path / "h.toml"), state, root)
        pjsip = generated(state, "pjsip.conf")
        assert section(pjsip, "[line-gas](untrusted-line)")
        assert "[line-gas](line)" not in pjsip

    def test_citizens_come_from_the_carriers_net_alone(self, state: StateDirectory) -> None:
        pjsip = generated(state, "pjsip.conf")
        assert section(pjsip, "[carrier-address]")[-1] == "match = 127.0.111.0/24"
        assert section(pjsip, "[udp]")[-1] == "bind = 127.0.110.1:5060"

    def test_a_seat_has_its_password_its_own_number_and_every_key(
        self, state: StateDirectory, settings: Settings
    ) -> None:
        pjsip = generated(state, "pjsip.conf")
        passwords = state.secrets.passwords("seats.json")
        keys = "DYNAMIC_FEATURES=key-12345#key-119#key-120#key-gas#key-gas-leak#key-room"
        for seat in (seat.seat for seat in settings.seats):
            for name, template in ((seat, "seat"), (f"{seat}-web", "web-seat")):
                endpoint = section(pjsip, f"[{name}]({template})")
                assert f'callerid = "{seat}" <{seat}>' in endpoint
                assert {f"set_var = {keys}", "set_var = TEL_ROLE=taker"} <= set(endpoint)
                assert section(pjsip, f"[{name}](digest)") == [
                    f"username = {name}",
                    f"password = {passwords[seat]}",
                ]

    def test_each_lines_and_groups_code_is_a_key_of_the_takers_phone(self, state: StateDirectory) -> None:
        assert generated(state, "features.conf").splitlines()[1:] == [
            "key-12345 => *1,self,Gosub(key,s,1(12345))",
            "key-119 => *2,self,Gosub(key,s,1(119))",
            "key-120 => *3,self,Gosub(key,s,1(120))",
            "key-gas => *4,self,Gosub(key,s,1(gas))",
            "key-gas-leak => *5,self,Gosub(key,s,1(gas-leak))",
            "key-room => *8,self,Gosub(key,s,1(room))",
        ]

    def test_each_queue_has_its_seats_by_phone_and_by_browser(self, state: StateDirectory) -> None:
        queues = generated(state, "queues.conf")

        def members(*seats: str) -> list[str]:
            return [f"member => PJSIP/{seat}{way}" for seat in seats for way in ("", "-web")]

        assert section(queues, "[110](seats)") == members("1001", "1002", "1003")
        assert section(queues, "[dedicated](dedicated-seats)") == members("1009")
        assert section(queues, "[any](any-seat)") == members("1001", "1002", "1003", "1009")

    def test_the_manager_lets_in_the_controller_alone_from_this_machine(self, state: StateDirectory) -> None:
        manager = section(generated(state, "manager.conf"), "[controller]")
        assert f"secret = {state.secrets.get('ami')}" in manager
        assert [line for line in manager if line.startswith(("deny", "permit"))] == [
            "deny = 0.0.0.0/0.0.0.0",
            "permit = 127.0.110.1/255.255.255.255",
            "permit = 127.0.0.1/255.255.255.255",
        ]

    def test_asterisk_writes_below_the_state_directory_alone(self, state: StateDirectory, root: Path) -> None:
        text = state.asterisk_conf.read_text(encoding="utf-8")
        places = dict(re.findall(r"^(ast\w+) => (.*)$", text, re.MULTILINE))
        assert len(places) == 12
        outside = {name for name, path in places.items() if not Path(path).is_relative_to(state.asterisk)}
        assert outside == {"astmoddir", "astsbindir"}
        assert places["astmoddir"] == str(root / "usr/lib/x86_64-linux-gnu/asterisk/modules")
        assert all(Path(path).is_dir() for name, path in places.items() if name not in outside)

    def test_what_an_administrator_may_edit_is_copied_as_it_stands(self, state: StateDirectory) -> None:
        for name, target in (("asterisk-conf", state.etc), ("dialplan", state.etc / "dialplan")):
            sources = sorted((CHECKOUT / name).glob("*.conf"))
            assert sources
            for source in sources:
                assert (target / source.name).read_bytes() == source.read_bytes()

    def test_every_file_that_an_asterisk_file_includes_is_there(self, state: StateDirectory) -> None:
        included = {
            state.etc / name
            for path in state.etc.rglob("*.conf")
            for name in re.findall(r'^#include "(.*)"', path.read_text(encoding="utf-8"), re.MULTILINE)
        }
        assert included
        assert {path for path in included if not path.is_file()} == set()


class TestMissing:
    def test_without_asterisk_nothing_is_written_and_the_error_says_what_is_missing(
        self, tmp_path: Path, settings: Settings
    ) -> None:
        state = StateDirectory(tmp_path / "state")
        with pytest.raises(ConfigError, match=r"bare: no Asterisk is installed there \(.*is missing\)"):
            provision(settings, state, tmp_path / "bare")
        assert not state.root.exists()

    def test_a_later_asterisk_takes_the_place_of_an_earlier_one(
        self, tmp_path: Path, state: StateDirectory, settings: Settings
    ) -> None:
        later = tmp_path / "later"
        (later / "usr/share/asterisk/documentation").mkdir(parents=True)
        provision(settings, state, later)
        assert (state.data / "documentation").resolve() == later / "usr/share/asterisk/documentation"
        assert str(later / "usr/lib/asterisk/modules") in state.asterisk_conf.read_text(encoding="utf-8")


class TestMusic:
    def test_who_waits_hears_music_without_a_hole_and_not_too_loud(self, state: StateDirectory) -> None:
        with wave.open(str(state.data / "moh/waiting.wav")) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
            samples = array.array("h", file.readframes(file.getnframes()))
        tenth = [samples[start : start + 800] for start in range(0, len(samples), 800)]
        levels = [math.sqrt(sum(sample * sample for sample in part) / len(part)) for part in tenth]
        assert len(samples) > 5 * 8000
        assert min(levels) > 500  # -36 dBFS, well above a line's noise
        assert max(map(abs, samples)) < 16_384  # -6 dBFS: nothing is clipped, nobody is startled

    def test_a_recording_that_was_put_in_its_place_stays(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        music = state.data / "moh/waiting.wav"
        music.write_bytes(b"a recording")
        provision(settings, state, root)
        assert music.read_bytes() == b"a recording"


def _all_secrets(state: StateDirectory) -> set[str]:
    key = "".join(state.key.read_text(encoding="utf-8").splitlines()[1:-1])
    return {
        state.secrets.get("ami"),
        state.secrets.get("redis"),
        key[:64],
        *state.secrets.passwords("seats.json").values(),
        *tokens(state).values(),
    }


class TestRecordings:
    def keep(self, state: StateDirectory) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "telephony", "keep-recordings", "--state", str(state.root)]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)

    def test_what_is_left_is_kept_by_the_command_that_systemd_calls_last(self, state: StateDirectory) -> None:
        (state.memory / "a.wav").write_bytes(b"sound")
        assert self.keep(state).returncode == 0
        assert (state.monitor / "a.wav").read_bytes() == b"sound"
        assert self.keep(state).returncode == 0

    def test_the_command_says_what_it_could_not_move(self, state: StateDirectory) -> None:
        with (state.memory / "a.wav").open("wb") as asterisk:
            asterisk.write(b"sound")
            done = self.keep(state)
        assert (done.returncode, done.stderr) == (
            1,
            f"telephony: 1 recordings could not be moved from {state.memory}\n",
        )

    def test_asterisk_records_into_memory_and_state_directory_says_where(
        self, state: StateDirectory, memory: Path
    ) -> None:
        assert state.memory.parent == memory
        assert f"RECORDING_FOLDER = {state.memory}" in generated(state, "globals.conf").splitlines()
        assert (state.live.resolve(), (state.memory / "state").resolve()) == (state.memory, state.root)
        assert stat.S_IMODE(state.memory.stat().st_mode) == 0o700

    def test_without_such_a_place_calls_are_recorded_straight_to_the_disk_and_that_is_told(
        self, state: StateDirectory, root: Path, settings: Settings
    ) -> None:
        (state.memory / "a.wav").write_bytes(b"sound")
        (warning,) = (
            each for each in provision(settings, state, root, Path("/nowhere")) if "recorded" in each
        )
        assert "straight to the disk" in warning
        assert "/nowhere/" in warning
        assert state.memory == state.monitor
        assert f"RECORDING_FOLDER = {state.monitor}" in generated(state, "globals.conf").splitlines()
        assert (state.monitor / "a.wav").read_bytes() == b"sound", "what was in the former place"
        assert self.keep(state).returncode == 0
        assert (state.monitor / "a.wav").read_bytes() == b"sound"

    def test_what_live_calls_record_in_the_former_place_is_named(
        self, state: StateDirectory, root: Path, settings: Settings, tmp_path: Path
    ) -> None:
        former = state.memory
        (tmp_path / "other").mkdir()
        with (former / "a.wav").open("wb"):
            warnings = provision(settings, state, root, tmp_path / "other")
        assert any(each.startswith(f"{former}: recordings of live calls") for each in warnings)
        assert state.memory.parent == tmp_path / "other"
