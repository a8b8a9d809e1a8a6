"""A right hotline.toml, and what `settings.load` says about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.errors import ConfigError
from telephony.settings import load

GOOD = """
hotline = "110"
label = "公安 110"
node = "110-a"

[sip]
bind = "127.0.110.1:5060"
wss = "127.0.110.1:8089"
carrier_net = ["127.0.111.0/24"]
number = "110"
dedicated = "1100"

[ami]
bind = "127.0.110.1:5038"

[agi]
bind = "127.0.110.1:4573"

[api]
bind = "127.0.0.1:8110"
tls_bind = "127.0.0.1:8111"

[redis]
url = "redis://127.0.110.1:6379/0"

[[seats]]
seat = "1001"
queue = "110"

[[seats]]
seat = "1009"
queue = "dedicated"

[[lines]]
line = "12345"
label = "政务服务热线 12345"
address = "127.0.123.1:5060"
number = "12345"
key = "F5"
dtmf = "*1"

[[lines]]
line = "119"
label = "消防 119"
address = "fire.example.org:5060"
number = "119"
key = "F6"
dtmf = "*2"
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "hotline.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} stands {GOOD.count(old)} times in the good file"
    return GOOD.replace(old, new)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """Why `text` is refused, without the name of the file, which every refusal begins with."""
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def quoted(value: str) -> str:
    """A value as TOML writes it, with every character by its number."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
