"""What Asterisk says when it connects, and how far it can be believed.

Asterisk writes the environment line by line and does not escape the values, so a caller whose number or
name contains line ends writes lines of their own, or an early end of it (seen on 22.10.1). Hence:

- The lines before `agi_callerid` are Asterisk's alone: the script is taken from there.
- Everything that a handler acts on is read again from Asterisk, with an answer that cannot be forged.
- `agi_arg_N` cannot be read again. An environment that differs from Asterisk's in any line is marked
  with its `faults` and has no arguments. The dialplan must not pass callers' text as an argument: a line
  end in the last one would be an argument more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_KEYS = (
    "agi_network",
    "agi_network_script",
    "agi_request",
    "agi_channel",
    "agi_language",
    "agi_type",
    "agi_uniqueid",
    "agi_version",
    "agi_callerid",
    "agi_calleridname",
    "agi_callingpres",
    "agi_callingani2",
    "agi_callington",
    "agi_callingtns",
    "agi_dnid",
    "agi_rdnis",
    "agi_context",
    "agi_extension",
    "agi_priority",
    "agi_enhanced",
    "agi_accountcode",
    "agi_threadid",
)
"""In the order of Asterisk 22 (launch_netscript and setup_env, res_agi.c); `agi_arg_N` follow."""

_ARGUMENT = "agi_arg_"


@dataclass(frozen=True, slots=True)
class Environment:
    """The lines as received: the first value of each key, the arguments, and what is wrong with it."""

    values: Mapping[str, str]
    arguments: tuple[str, ...]
    faults: tuple[str, ...]

    @classmethod
    def parse(cls, lines: Sequence[str]) -> Environment:
        """Read the lines before the blank one; never fails, but finds faults."""
        pairs = [_pair(line) for line in lines]
        values: dict[str, str] = {}
        for key, value in pairs:
            values.setdefault(key, value)
        faults = _faults(pairs)
        arguments = () if faults else tuple(value for _, value in pairs[len(_KEYS) :])
        return cls(MappingProxyType(values), arguments, faults)

    @property
    def script(self) -> str:
        """The path of `agi://host/path`, without its slash."""
        return self.values.get("agi_network_script", "")


@dataclass(frozen=True, slots=True)
class AgiRequest:
    """What a handler is asked. All but `script`, `arguments` and `env` was read again from Asterisk.

    `caller_number` and `extension` are as the far end sent them, line ends and all, and may be empty;
    check them before use. `faults` are names, never values, and fit for a log.
    """

    script: str
    arguments: tuple[str, ...]
    uniqueid: str
    channel: str
    context: str
    extension: str
    caller_number: str
    faults: tuple[str, ...]
    env: Mapping[str, str]
    """As received. The keys from `agi_callerid` on may be the caller's invention."""

    @property
    def suspicious(self) -> bool:
        """Whether somebody has written into the environment; `arguments` is empty then."""
        return bool(self.faults)


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key, value.removeprefix(" ")


def _faults(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    keys = [key for key, _ in pairs]
    expected = [*_KEYS, *(f"{_ARGUMENT}{n}" for n in range(1, len(pairs) - len(_KEYS) + 1))]
    faults = [f"{key} missing" for key in _KEYS if key not in keys]
    faults += [f"{key} twice" for key in dict.fromkeys(expected) if keys.count(key) > 1]
    if not set(keys) <= set(expected):
        faults.append("unknown line")
    if not faults and keys != expected:
        faults.append("order")
    faults += [f"control character in {key}" for key, value in pairs if key in expected and not _plain(value)]
    return tuple(dict.fromkeys(faults))


def _plain(value: str) -> bool:
    return not any(ord(character) < 0x20 or ord(character) == 0x7F for character in value)
