"""Secrets of a hotline: made once at set-up, kept in files of mode 600, never in the repository or a log."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telephony.errors import ConfigError

# One word of ASCII, without what begins a comment in Asterisk's files: administrators may put in their own.
_PASSWORD = re.compile(r"[!-:<-~]{1,128}")
_TEN_YEARS = dt.timedelta(days=3650)


def write_private(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` at once and whole, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


class Secrets:
    """The secrets of one hotline below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> str:
        """The secret `name`; ConfigError if set-up has not made it, or if it is empty."""
        path = self._directory / name
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{path}: no such secret; run `telephony provision` first") from error
        if not secret:
            raise ConfigError(f"{path}: is empty; remove it, and `telephony provision` makes another")
        return secret

    def optional(self, name: str) -> str:
        """The secret `name`, which an administrator puts there where it is needed; else empty. ConfigError."""
        return self.get(name) if (self._directory / name).exists() else ""

    def ensure(self, name: str) -> str:
        """The secret `name`, made now if there is none yet."""
        if not (self._directory / name).exists():
            write_private(self._directory / name, secrets.token_urlsafe(24) + "\n")
        return self.get(name)

    def passwords(self, file: str) -> dict[str, str]:
        """What the JSON file `file` has; empty if there is none yet. ConfigError says what is wrong with it."""
        path = self._directory / file
        if not path.exists():
            return {}
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: is no object of names and passwords: {error}") from error
        for name, password in found.items():
            if not _PASSWORD.fullmatch(password):
                raise ConfigError(f"{path}: the password of {name!r} does not match {_PASSWORD.pattern}")
        return found

    def ensure_passwords(self, file: str, names: list[str]) -> dict[str, str]:
        """A password for each of `names`, kept together in the JSON file `file`.

        Hexadecimal digits only: people type them into phones, and there are phones (SIPp is one) that take what
        begins with `0x` for a number.
        """
        return self._ensure(file, names, lambda: secrets.token_hex(16))

    def ensure_pins(self, file: str, names: list[str]) -> dict[str, str]:
        """A PIN of eight digits for each of `names`, kept together in the JSON file `file`."""
        return self._ensure(file, names, lambda: f"{secrets.randbelow(10**8):08d}")

    def _ensure(self, file: str, names: list[str], make: Callable[[], str]) -> dict[str, str]:
        known = self.passwords(file)
        passwords = {name: known.get(name) or make() for name in names}
        if passwords != known:
            write_private(self._directory / file, json.dumps(passwords, indent=2) + "\n")
        return passwords

    def ensure_certificate(self, hosts: list[str]) -> tuple[Path, Path]:
        """A certificate and its key for `hosts`, signed by itself; for production put your own in their place."""
        certificate, key = self._directory / "tls.crt", self._directory / "tls.key"
        if not (certificate.exists() and key.exists()):
            private = ec.generate_private_key(ec.SECP256R1())
            write_private(
                key,
                private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ).decode(),
            )
            write_private(certificate, _self_signed(private, hosts))
        return certificate, key


def _self_signed(private: ec.EllipticCurvePrivateKey, hosts: list[str]) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = dt.datetime.now(dt.UTC)
    alternatives = [_alternative(host) for host in hosts]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _TEN_YEARS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
