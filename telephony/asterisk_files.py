"""The part of Asterisk's configuration that `hotline.toml` decides, as text.

The values come from checked settings: names and numbers that match strict patterns, so nothing in
them can end a line or begin a section.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from telephony import encryption
from telephony.settings import WEB, LineSettings, Settings, Transport

# What the controller uses, and nothing else: Asterisk drops the rest at the source.
EVENTS = (
    "FullyBooted",
    "Newchannel",
    "Newstate",
    "Hangup",
    "BridgeEnter",
    "BridgeLeave",
    "Hold",
    "Unhold",
    "OriginateResponse",
    "DeviceStateChange",
    "ConfbridgeEnd",
    "ConfbridgeJoin",
    "ConfbridgeLeave",
    "ConfbridgeMute",
    "ConfbridgeUnmute",
)
_NOTE = "; Written by `telephony provision` from hotline.toml; changes here are lost.\n"


def generated(
    settings: Settings,
    ami_secret: str,
    passwords: dict[str, str],
    pins: dict[str, str],
    tls: dict[str, str],
    memory: Path,
) -> dict[str, str]:
    """Name and text of each file below `generated/`.

    `passwords` are the seats', `pins` the rooms'; `tls` is the transport for SIP over TLS, if there is to be one;
    `memory` is where calls are recorded while they last.
    """
    return {
        "globals.conf": _globals(settings, pins, memory),
        "rooms.conf": _rooms(settings),
        "pjsip.conf": _pjsip(settings, passwords, tls),
        "codes.conf": _codes(settings),
        "queues.conf": _queues(settings),
        "features.conf": _features(settings),
        "manager.conf": _manager(settings, ami_secret),
        "rtp.conf": _NOTE + "rtpstart = {}\nrtpend = {}\n".format(*settings.sip.rtp_ports),
    }


def asterisk(settings: Settings, base: Path, root: Path) -> str:
    """asterisk.conf: all that Asterisk writes is below `base`, all that it only reads below `root`."""
    directories = {
        "astetcdir": base / "etc",
        "astmoddir": _modules(root),
        "astvarlibdir": base / "data",
        "astdbdir": base / "db",
        "astkeydir": base / "keys",
        "astdatadir": base / "data",
        "astagidir": base / "data/agi-bin",
        "astcachedir": base / "cache",
        "astspooldir": base / "spool",
        "astrundir": base / "run",
        "astlogdir": base / "log",
        "astsbindir": root / "usr/sbin",
    }
    lines = [f"{name} => {path}" for name, path in directories.items()]
    options = [
        f"systemname = {settings.node}",
        f"entityid = {_entity_id(settings.node)}",
        "documentation_language = en_US",
        "defaultlanguage = zh",
        "live_dangerously = no",
        "dontwarn = yes",
        "nocolor = yes",
        "hideconnect = yes",
    ]
    return _NOTE + "\n".join(["[directories]", *lines, "", "[options]", *options]) + "\n"


def _modules(root: Path) -> Path:
    """Debian keeps modules below the architecture's own library directory; others do not."""
    found = sorted(root.glob("usr/lib/*/asterisk/modules"))
    return found[0] if found else root / "usr/lib/asterisk/modules"


def http(settings: Settings, certificate: Path, key: Path) -> str:
    """Secure WebSocket only; plain HTTP listens nowhere but on this machine's loopback."""
    host, port = settings.sip.wss.rsplit(":", 1)
    return _NOTE + "\n".join(
        [
            "enabled = yes",
            f"bindaddr = {host}",
            f"bindport = {int(port) - 1}",
            "tlsenable = yes",
            f"tlsbindaddr = {host}:{port}",
            f"tlscertfile = {certificate}",
            f"tlsprivatekey = {key}",
            "",
        ]
    )


def line_uri(line: LineSettings) -> str:
    """What Asterisk dials for the line: the far end by its full URI, whether or not it answered OPTIONS lately."""
    return f"PJSIP/line-{line.line}/sip:{line.number}@{encryption.line_address(line)}"


def _globals(settings: Settings, pins: dict[str, str], memory: Path) -> str:
    values = {
        "HOTLINE": settings.hotline,
        "HOTLINE_NUMBER": settings.sip.number,
        "DEDICATED_NUMBER": settings.sip.dedicated,
        "SIP_HOST": settings.sip.address.host,
        "AGI": settings.agi.bind,
        "RING_LIMIT": str(settings.sip.ring_limit),
        "LONGEST_LEG": str(settings.sip.longest_leg),
        "RECORDING": "yes" if settings.recording.enabled else "no",
        "RECORDING_FOLDER": str(memory),
    }
    for line in settings.lines:
        values[f"LINE_{line.line}"] = _quoted(line_uri(line))
        values[f"LINE_TIMEOUT_{line.line}"] = str(int(line.answer_timeout))
    for group in settings.groups:
        values[f"GROUP_{group.group}"] = "&".join(group.lines)
    for room in settings.rooms:
        values[f"ROOM_PIN_{room.room}"] = pins[room.room]
    return _NOTE + "".join(f"{name} = {value}\n" for name, value in values.items())


def _rooms(settings: Settings) -> str:
    """What late comers dial: exact numbers, no patterns."""
    lines = ["[rooms]"]
    for room in settings.rooms:
        lines += [f"exten => {room.number},1,Set(TEL_ROOM={room.room})", " same => n,Goto(room-door,s,1)"]
    return _NOTE + "\n".join([*lines, ""])


def _pjsip(settings: Settings, passwords: dict[str, str], tls: dict[str, str]) -> str:
    # Media stays on the address that signalling is on: two hotlines share a machine, and the world is not let in.
    media = {
        "media_address": settings.sip.address.host,
        "bind_rtp_to_media_address": "yes",
        "rtp_timeout": str(settings.sip.rtp_timeout),
    }
    sections = [
        _section("udp", "", type="transport", protocol="udp", bind=settings.sip.bind),
        *([_section("tls", "", **tls)] if tls else []),
        _section("wss", "", type="transport", protocol="wss", bind=settings.sip.wss),
        _section("carrier", "carrier", **media),
        _section(
            "carrier-address",
            "",
            type="identify",
            endpoint="carrier",
            match=",".join(settings.sip.carrier_net),
        ),
    ]
    for line in settings.lines:
        sections += _line(line, media)
    keys = "#".join(f"key-{name}" for name in _keys(settings))
    if settings.sip.seat_net:
        media |= {"deny": "0.0.0.0/0,::/0", "permit": ",".join(settings.sip.seat_net)}
    for seat in settings.seats:
        password = passwords[seat.seat]
        phone = media | encryption.seat_media(settings, seat.seat)
        sections += _seat(seat.seat, "seat", seat.seat, keys, password, phone)
        sections += _seat(seat.seat + WEB, "web-seat", seat.seat, keys, password, media)
    return _NOTE + "\n".join(sections)


def _line(line: LineSettings, media: dict[str, str]) -> list[str]:
    name = f"line-{line.line}"
    host = line.address.rsplit(":", 1)[0]
    address = encryption.line_address(line)
    if line.transport is Transport.TLS:
        media = media | {"transport": "tls"} | encryption.line_media(line)
    return [
        _section(
            name,
            "line" if line.trusted else "untrusted-line",
            aors=name,
            # `hide`: it steers our requests and does not stand in them.
            outbound_proxy=_quoted(f"sip:{address};lr;hide"),
            **media,
            device_state_busy_at=str(line.capacity),
            set_var=f"TEL_PARTY={line.line}",
        ),
        _section(name, "line-aor", contact=_quoted(f"sip:{line.number}@{address}")),
        _section(f"{name}-address", "", type="identify", endpoint=name, match=host),
    ]


def _seat(name: str, template: str, seat: str, keys: str, password: str, media: dict[str, str]) -> list[str]:
    endpoint = _section(
        name,
        template,
        aors=name,
        auth=name,
        callerid=f'"{seat}" <{seat}>',
        **media,
    )
    variables = {"TEL_ROLE": "taker", "TEL_PARTY": seat, "DYNAMIC_FEATURES": keys}
    endpoint += "".join(f"set_var = {key}={value}\n" for key, value in variables.items())
    return [
        endpoint,
        _section(name, "seat-aor"),
        _section(name, "digest", username=name, password=password),
    ]


def _queues(settings: Settings) -> str:
    def queue(name: str, template: str, seats: list[str]) -> str:
        members = [f"member => PJSIP/{seat + suffix}" for seat in seats for suffix in ("", WEB)]
        return "\n".join([f"[{name}]({template})", *members, ""])

    own = [seat.seat for seat in settings.seats if seat.queue == settings.hotline]
    dedicated = [seat.seat for seat in settings.seats if seat.queue == "dedicated"]
    return _NOTE + "\n".join(
        [
            queue(settings.hotline, "seats", own),
            queue("dedicated", "dedicated-seats", dedicated),
            queue("any", "any-seat", own + dedicated),
        ]
    )


def _keys(settings: Settings) -> dict[str, str]:
    """The keys that a taker's phone has, and their digits."""
    lines = {line.line: line.dtmf for line in settings.lines}
    groups = {group.group: group.dtmf for group in settings.groups}
    return lines | groups | {room.room: room.dtmf for room in settings.rooms if room.dtmf}


def _features(settings: Settings) -> str:
    return _NOTE + "".join(
        f"key-{name} => {dtmf},self,Gosub(key,s,1({name}))\n" for name, dtmf in _keys(settings).items()
    )


def _codes(settings: Settings) -> str:
    """The lines' short codes: exact numbers, and a lamp for each (what it shows: `ami/lamps.py`)."""
    text = "[from-seat](+)\n"
    for line in settings.lines:
        device = f"line-{line.line}"
        text += f"exten => {line.code},hint,PJSIP/{device}&Custom:{device}\n"
        text += f"exten => {line.code},1,Set(TEL_KEY={line.line})\n same => n,Goto(short-code,s,1)\n"
    return _NOTE + text


def _manager(settings: Settings, secret: str) -> str:
    address = settings.ami.address
    lines = [
        f"bindaddr = {address.host}",
        f"port = {address.port}",
        "",
        "[controller]",
        f"secret = {secret}",
        "deny = 0.0.0.0/0.0.0.0",
        f"permit = {address.host}/255.255.255.255",
        "permit = 127.0.0.1/255.255.255.255",
        # Without `system`, which would let it load modules and read every file of Asterisk's configuration
        # (GetConfig), and `Originate` is kept from applications that run commands (main/manager.c).
        "read = system,call",
        "write = call,originate,reporting",
        "writetimeout = 1000",
        *(f"eventfilter(action(include),name({event})) =" for event in EVENTS),
        "eventfilter(action(exclude),header(Channel),method(starts_with)) = Local/",
    ]
    return _NOTE + "\n".join(lines) + "\n"


def _entity_id(node: str) -> str:
    """An address of our own for this node (locally administered), where there is no network card to take one from."""
    digits = hashlib.sha256(node.encode()).hexdigest()
    return ":".join(["02", *(digits[i : i + 2] for i in range(0, 10, 2))])


def _quoted(value: str) -> str:
    """A value with semicolons, which would begin a comment."""
    return value.replace(";", "\\;")


def _section(name: str, template: str, **values: str) -> str:
    head = f"[{name}]({template})" if template else f"[{name}]"
    return "\n".join([head, *(f"{key} = {value}" for key, value in values.items()), ""])
