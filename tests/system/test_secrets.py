"""Secrets and callers' numbers: in files for their owner only, and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony.ami import AmiLink
from telephony.ami.action import Headers
from telephony.ami.errors import AmiRefused
from tests.lab import log_lines
from tests.lab.manager import as_controller
from tests.lab.site import Site
from tests.lab.stage import TAKER, Stage
from tests.lab.witness import STEPS
from tests.system.conftest import Lab

NUMBER = "13711137222"
SECRET_FILES = ("ami", "redis", "cli", "seats.json", "tokens.json", "rooms.json")


def secrets_of(site: Site) -> set[str]:
    """Every password, token and PIN of a site."""
    found: set[str] = set()
    for name in SECRET_FILES:
        text = (site.state / "secrets" / name).read_text(encoding="utf-8")
        found |= set(json.loads(text).values()) if name.endswith(".json") else {text.strip()}
    return found


def logs_of(site: Site) -> Iterator[Path]:
    yield from (path for path in (site.state / "log").iterdir() if path.is_file())
    # The dialplan's steps are written down by the tests alone.
    asterisk = (site.state / "asterisk/log").rglob("*")
    yield from (path for path in asterisk if path.is_file() and path.name != STEPS)


async def test_no_secret_is_in_any_log_or_command_line(stage: Stage, lab: Lab) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"), number=NUMBER)
    await stage.api["110"].press("1001", "119")
    await talk.caller.hangup()
    await talk.taker.ended()
    await log_lines.call_ended(lab.sites["110"].state / "log" / "controller.jsonl", talk.id)
    for site in lab.sites.values():
        secrets = secrets_of(site)
        assert len(secrets) > 10
        for log in logs_of(site):
            text = log.read_text(encoding="utf-8", errors="replace")
            assert not [secret for secret in secrets if secret in text], log
        for service in site.services:
            seen = _command_line_and_environment(service.pid)
            assert not [secret for secret in secrets if secret in seen], service.name


def _command_line_and_environment(pid: int | None) -> str:
    return "".join(Path(f"/proc/{pid}/{what}").read_text(errors="replace") for what in ("cmdline", "environ"))


async def test_callers_number_is_whole_in_no_log(stage: Stage, lab: Lab) -> None:
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"), number=NUMBER)
    await stage.api["110"].press("1001", "gas")
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()
    await stage.api["110"].no_calls()
    await log_lines.call_ended(lab.sites["110"].state / "log" / "controller.jsonl", talk.id)
    for log in logs_of(lab.sites["110"]):
        assert NUMBER not in log.read_text(encoding="utf-8", errors="replace"), log


def test_everything_of_a_hotline_can_be_read_by_its_owner_only(lab: Lab) -> None:
    for site in lab.sites.values():
        assert site.state.stat().st_mode & 0o077 == 0
        assert (site.state / "asterisk").stat().st_mode & 0o077 == 0
        for path in (site.state / "secrets").iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
        assert (site.state / "secrets").stat().st_mode & 0o777 == 0o700


def test_nothing_listens_beyond_this_machine(lab: Lab) -> None:
    """But for the DNS client of Asterisk's SIP stack: two sockets that ask, and read answers of its servers only."""
    found: list[str] = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host = address.split(":")[0]
            listens = state == "0A" if table.startswith("tcp") else True
            if listens and not host.endswith("7F") and host != "00000000000000000000000001000000":
                found.append(f"{table} {address}")
    resolvers = [line for line in found if re.fullmatch(r"udp6? 0+:[0-9A-F]{4}", line)]
    assert found == resolvers
    assert len(resolvers) <= 2 * len(lab.sites)


FORBIDDEN: tuple[tuple[str, Headers], ...] = (
    ("Command", {"Command": "core show version"}),
    ("GetConfig", {"Filename": "pjsip.conf"}),
    ("GetConfigJSON", {"Filename": "manager.conf"}),
    ("UpdateConfig", {"SrcFilename": "manager.conf", "DstFilename": "manager.conf"}),
    ("CreateConfig", {"Filename": "evil.conf"}),
    ("ListCategories", {"Filename": "pjsip.conf"}),
    ("ModuleLoad", {"Module": "app_system.so", "LoadType": "load"}),
    ("Reload", {"Module": "manager"}),
    ("DBPut", {"Family": "a", "Key": "b", "Val": "c"}),
    ("UserEvent", {"UserEvent": "x"}),
    (
        "DialplanExtensionAdd",
        {"Context": "from-carrier", "Extension": "9", "Priority": "1", "Application": "Wait"},
    ),
    ("QueueRemove", {"Queue": "110", "Interface": "PJSIP/1001"}),
    ("Originate", {"Channel": "Local/*43@from-seat", "Application": "System", "Data": "id"}),
    ("Originate", {"Channel": "Local/*43@from-seat", "Application": "MixMonitor", "Data": "a.wav,,id"}),
    ("Originate", {"Channel": "Local/*43@from-seat", "Application": "Exec", "Data": "System(id)"}),
)


@pytest.mark.parametrize(
    ("action", "headers"), FORBIDDEN, ids=[f"{a} {next(iter(h.values()))}" for a, h in FORBIDDEN]
)
async def test_the_managers_user_may_not(lab: Lab, action: str, headers: Headers) -> None:
    async with as_controller(lab.sites["110"]) as link:
        with pytest.raises(AmiRefused):
            await link.send(action, headers)


async def test_the_managers_user_may_what_a_controller_needs(lab: Lab) -> None:
    async with as_controller(lab.sites["110"]) as link:
        await link.send("Setvar", {"Variable": "LEASE_TEST", "Value": "1"})
        assert (await link.send("Getvar", {"Variable": "LEASE_TEST"}))["Value"] == "1"
        for question in ("CoreShowChannels", "DeviceStateList"):
            assert isinstance(await link.ask(question), list)
        await link.send("Ping", {})
        for dangerous in ("SHELL(id)", "FILE(/etc/passwd)", "DB(a/b)"):
            assert await _value(link, dangerous) == ""


async def _value(link: AmiLink, variable: str) -> str:
    """What the manager says that `variable` is; nothing if it refuses to say."""
    try:
        return (await link.send("Getvar", {"Variable": variable}))["Value"]
    except AmiRefused:
        return ""
