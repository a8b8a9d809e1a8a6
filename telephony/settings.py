"""`hotline.toml`: everything by which one hotline differs from another.

The file is read with the standard library and checked by msgspec against the dataclasses below,
so a misspelt name, a wrong type or a value out of range is refused with its place in the file.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import inspect

from telephony import checks, sentinel_url
from telephony.core.call import Mode
from telephony.errors import ConfigError
from telephony.sip_settings import Address as Address
from telephony.sip_settings import Media as Media
from telephony.sip_settings import SipSettings as SipSettings
from telephony.sip_settings import Transport as Transport
from telephony.sip_settings import must_be_number

WEB = "-web"  # suffix of the endpoint by which a seat registers from a browser

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_DTMF = re.compile(r"\*[0-9]{1,3}")
_CODE = re.compile(r"[0-9]{1,16}")
_DIAL_IN = re.compile(r"[0-9]{2,16}")
_REDIS = re.compile(rf"(rediss?|unix)://[^@\s]+|{sentinel_url.PATTERN}")
_RESERVED_KEYS = frozenset(  # keys that are no line
    {"cancel", "leave", "hold", "resume", "merge", "return", "platform", "guidance"}
)
# What asterisk-conf/ and asterisk_files.py call sections of pjsip.conf and of queues.conf.
_ENDPOINTS = frozenset(
    {"global", "system", "udp", "tls", "wss", "anonymous", "party", "carrier", "carrier-address", "line"}
    | {"untrusted-line", "seat", "web-seat", "seat-aor", "line-aor", "digest"}
)
_QUEUES = frozenset({"general", "seats", "dedicated", "dedicated-seats", "any", "any-seat"})
_LARGEST = 1 << 20  # bytes of a hotline.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a door of the controller listens, or where Asterisk's manager does."""

    bind: str

    def __post_init__(self) -> None:
        Address.parse(self.bind)

    @property
    def address(self) -> Address:
        return Address.parse(self.bind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The HTTP door: plain on loopback, and the same over TLS."""

    bind: str
    tls_bind: str

    def __post_init__(self) -> None:
        Address.parse(self.bind)
        Address.parse(self.tls_bind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """`url` without its password, which is a secret file's; of one Redis, or of its sentinels (`sentinel_url`).

    `deadline` of one command in seconds.
    """

    url: str
    deadline: float = 0.5

    def __post_init__(self) -> None:
        _must(_REDIS, "redis.url", self.url)
        sentinel_url.SentinelUrl.parse(self.url)
        checks.within("redis.deadline", self.deadline, 0.01, 60, " seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSettings:
    """With less than `least_free` megabytes on its disk, people are warned; calls go on."""

    enabled: bool = True
    least_free: int = 1024

    def __post_init__(self) -> None:
        checks.within("recording.least_free", self.least_free, 0, 1 << 30, " MB")


class LogNumbers(StrEnum):
    """How much of a caller's number stands in the controller's log."""

    SHORT = "short"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    numbers: LogNumbers = LogNumbers.SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """What is remembered of each number's calls: the newest `most`, for so many `days`."""

    days: int = 90
    most: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 3650:
            raise ValueError("history.days must be 1 to 3650")
        if not 1 <= self.most <= 1000:
            raise ValueError("history.most must be 1 to 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatSettings:
    """A seat: the name it registers with, and the queue that it serves (the hotline's, or `dedicated`).

    `media`: how audio goes to its phone, if not as `sip.seat_media` says.
    """

    seat: str
    queue: str
    media: Media | None = None

    def __post_init__(self) -> None:
        _must(_NAME, "seats.seat", self.seat)
        _must(_NAME, "seats.queue", self.queue)
        checks.not_reserved("seats.seat", self.seat, _ENDPOINTS)
        if self.seat.startswith("line-") or self.seat.endswith(WEB):
            raise ValueError(f"seats.seat: {self.seat!r} looks like a line's or a browser's endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """A dedicated trunk to a linked unit.

    `address`: host:port of the far end. `number`: what is dialled there. `key`: the hotkey's label on the
    seat. `dtmf`: what the taker's phone sends for it. `capacity`: calls at once. `answer_timeout`: seconds
    that the partner's phone is called. `trusted`: whether callers' numbers are asserted to it and believed
    from it. `case_url`: where the far end can read a case, with `{case_id}` in it. `code`: what a phone's
    speed-dial or BLF key dials for it, by default the line's name or else its number, where that is digits.
    `transport`, `media`: how SIP and audio go to it.
    """

    line: str
    label: str
    address: str
    number: str
    key: str
    dtmf: str
    modes: list[Mode] = field(default_factory=lambda: list(Mode))
    capacity: int = 30
    answer_timeout: float = 25.0
    trusted: bool = True
    case_url: str = ""
    code: str = ""
    transport: Transport = Transport.UDP
    media: Media = Media.RTP

    def __post_init__(self) -> None:
        _must(_NAME, "lines.line", self.line)
        checks.not_reserved("lines.line", self.line, _RESERVED_KEYS | {"aor"})
        checks.label("lines.label", self.label)
        checks.label("lines.key", self.key)
        Address.parse(self.address)
        must_be_number("lines.number", self.number)
        _must(_DTMF, "lines.dtmf", self.dtmf)
        if not self.code:
            object.__setattr__(self, "code", self.line if _CODE.fullmatch(self.line) else self.number)
        _must(_CODE, f"lines.code of {self.line}", self.code)
        if not self.modes:
            raise ValueError("lines.modes must name at least one mode")
        _unique("lines.modes", [str(mode) for mode in self.modes])
        checks.within("lines.capacity", self.capacity, 1, 10_000)
        checks.within("lines.answer_timeout", self.answer_timeout, 1, 300, " seconds")
        checks.case_url("lines.case_url", self.case_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """One key for several lines at once (gas leak: fire brigade and gas company)."""

    group: str
    label: str
    lines: list[str]
    key: str
    dtmf: str

    def __post_init__(self) -> None:
        _must(_NAME, "groups.group", self.group)
        checks.not_reserved("groups.group", self.group, _RESERVED_KEYS)
        checks.label("groups.label", self.label)
        checks.label("groups.key", self.key)
        _must(_DTMF, "groups.dtmf", self.dtmf)
        if not self.lines:
            raise ValueError("groups.lines must name at least one line")
        _unique("groups.lines", self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """A standing conference of duty officers.

    `room`: its name, which is also its key's. `number`: what late comers dial, from a seat or over a line, and
    what is shown to those who are called in. `lines`, `seats`: whom the key calls in. `key`, `dtmf`: the
    hotkey's label on the seat, and what the taker's phone sends for it (empty: nothing).
    """

    room: str
    label: str
    number: str
    key: str
    dtmf: str = ""
    lines: list[str] = field(default_factory=list)
    seats: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _must(_NAME, "rooms.room", self.room)
        _must(_DIAL_IN, "rooms.number", self.number)
        if self.dtmf:
            _must(_DTMF, "rooms.dtmf", self.dtmf)
        if self.room in _RESERVED_KEYS:
            raise ValueError(f"rooms.room: {self.room!r} is the name of a key")
        if any(mark in self.label for mark in '"<>;\\\r\n\0'):
            raise ValueError("rooms.label must not have quotes, brackets, semicolons or line ends in it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One hotline."""

    hotline: str
    label: str
    node: str
    sip: SipSettings
    ami: Listener
    agi: Listener
    api: ApiSettings
    redis: RedisSettings
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    log: LogSettings = field(default_factory=LogSettings)
    seats: list[SeatSettings]
    lines: list[LineSettings]
    groups: list[GroupSettings] = field(default_factory=list)
    rooms: list[RoomSettings] = field(default_factory=list)

    def __post_init__(self) -> None:
        _must(_NAME, "hotline", self.hotline)
        checks.not_reserved("hotline", self.hotline, _QUEUES)
        checks.label("label", self.label)
        _must(_NAME, "node", self.node)
        _unique("seats.seat", [seat.seat for seat in self.seats])
        _unique("lines.line", [line.line for line in self.lines])
        codes = [line.dtmf for line in self.lines] + [group.dtmf for group in self.groups]
        codes += [room.dtmf for room in self.rooms if room.dtmf]
        _unique("dtmf", codes)
        checks.each_code_can_be_dialled("dtmf", codes)
        _unique("lines.code", [line.code for line in self.lines])
        _unique("key", [line.key for line in self.lines] + [group.key for group in self.groups])
        _unique("lines and groups", [line.line for line in self.lines] + [g.group for g in self.groups])
        for group in self.groups:
            unknown = set(group.lines) - {line.line for line in self.lines}
            if unknown:
                raise ValueError(f"groups.lines: there is no line {min(unknown)!r}")
        if not self.seats:
            raise ValueError("seats: at least one seat is needed")
        for seat in self.seats:
            if seat.queue not in (self.hotline, "dedicated"):
                raise ValueError(f"seats.queue: {seat.queue!r} is neither {self.hotline!r} nor 'dedicated'")
            if seat.seat in {line.line for line in self.lines}:
                raise ValueError(f"seats.seat: {seat.seat!r} is the name of a line too")
            if seat.seat in {line.code for line in self.lines}:
                raise ValueError(f"seats.seat: {seat.seat!r} is the code of a line too")
        self._check_encryption()
        self._check_rooms()

    def _check_encryption(self) -> None:
        """Keys of SRTP travel in SIP, which must then be encrypted itself."""
        medias = [self.sip.seat_media, *(seat.media for seat in self.seats)]
        if not self.sip.tls and (
            Media.SRTP in medias or any(ln.transport is Transport.TLS for ln in self.lines)
        ):
            raise ValueError(
                "sip.tls must say where SIP over TLS is listened for: a seat or line is to use it"
            )
        for line in self.lines:
            if line.media is Media.SRTP and line.transport is not Transport.TLS:
                raise ValueError(f'lines.media of {line.line}: srtp needs transport = "tls"')

    def _check_rooms(self) -> None:
        _unique("rooms.room", [room.room for room in self.rooms])
        _unique("rooms.number", [room.number for room in self.rooms])
        for room in self.rooms:
            if self.line(room.room) or self.group(room.room) or self.seat(room.room):
                raise ValueError(f"rooms.room: {room.room!r} is the name of a line, group or seat too")
            if room.number in (self.sip.number, self.sip.dedicated):
                raise ValueError(f"rooms.number: {room.number!r} is the hotline's own number")
            if room.number in {line.code for line in self.lines}:
                raise ValueError(f"rooms.number: {room.number!r} is the code of a line too")
            strangers = [name for name in room.lines if self.line(name) is None]
            strangers += [name for name in room.seats if self.seat(name) is None]
            if strangers:
                raise ValueError(f"rooms: {strangers[0]!r} is no line or seat of this hotline")

    def line(self, name: str) -> LineSettings | None:
        return next((line for line in self.lines if line.line == name), None)

    def group(self, name: str) -> GroupSettings | None:
        return next((group for group in self.groups if group.group == name), None)

    def seat(self, name: str) -> SeatSettings | None:
        return next((seat for seat in self.seats if seat.seat == name), None)

    def room(self, name: str) -> RoomSettings | None:
        return next((room for room in self.rooms if room.room == name), None)


def load(path: Path) -> Settings:
    """The hotline described by the file at `path`; ConfigError says what is wrong and where."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"{path}: has more than {_LARGEST} bytes")
        raw = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: has lists in lists beyond all measure") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    for place in checks.unknown_names(raw, inspect.type_info(Settings)):
        raise ConfigError(f"{path}: unknown name {checks.shown(place)}")
    try:
        return msgspec.convert(raw, Settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _must(pattern: re.Pattern[str], name: str, value: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{name}: {checks.shown(value)} does not match {pattern.pattern}")


def _unique(name: str, values: list[str]) -> None:
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise ValueError(f"{name}: {min(twice)!r} is there twice")
