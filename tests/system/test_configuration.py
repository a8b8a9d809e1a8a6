"""Asterisk's files: they load without a warning, listen on loopback only, and match the code."""

from __future__ import annotations

import re

from tests.lab.paths import CHECKOUT
from tests.system.conftest import Lab

DIALPLAN = "".join(
    path.read_text(encoding="utf-8") for path in sorted((CHECKOUT / "dialplan").glob("*.conf"))
)
LOOPBACK = re.compile(r"^(7F|0100007F)", re.IGNORECASE)


def test_both_hotlines_load_their_files_without_a_warning(lab: Lab) -> None:
    for site in lab.sites.values():
        path = site.state / "asterisk" / "log" / "messages.log"
        site.asterisk.stop()
        told = path.stat().st_size  # what other tests have made of it before is theirs
        site.asterisk.ensure()
        site.asterisk_cli("core reload")
        log = path.read_bytes()[told:].decode()
        booted = [line for line in log.splitlines() if re.search(r"(WARNING|ERROR)\[\d+\] ", line)]
        # Now and then: the other hotline's OPTIONS is being answered while Asterisk still loads.
        booted = [line for line in booted if "registered during operation" not in line]
        assert booted == []


def test_every_context_that_dialplan_or_code_names_exists(lab: Lab) -> None:
    contexts = set(re.findall(r"^\[([\w-]+)\]", DIALPLAN, re.MULTILINE))
    named = set(re.findall(r"(?:Goto|GotoIf)\([^)]*?\b([a-z-]+),s,1\)", DIALPLAN))
    named |= {"join", "rescue", "leg-gone", "from-carrier", "from-line", "from-seat"}
    named |= {"room-member", "room-caller", "room-door"}
    assert named <= contexts
    for name in contexts:
        assert "There is no existence" not in lab.sites["110"].asterisk_cli(f"dialplan show {name}")


def test_agi_scripts_of_the_dialplan_are_those_that_the_controller_answers() -> None:
    asked = set(re.findall(r"agi://\$\{AGI\}/(\w+)", DIALPLAN))
    code = (CHECKOUT / "telephony/agi/scripts.py").read_text(encoding="utf-8")
    answered = set(re.findall(r'^\s+"(\w+)": self\.\w+,$', code, re.MULTILINE))
    assert asked == answered
    assert asked >= {"arrival", "key", "after"}


def test_context_that_asks_the_controller_goes_on_when_it_does_not_answer() -> None:
    for context in re.split(r"^\[", DIALPLAN, flags=re.MULTILINE)[1:]:
        if "AGI(" in context:
            assert "TIMEOUT(absolute)=" in context, context
            assert "AGIEXITONHANGUP=yes" in context, context
            assert "exten => T,1," in context, context


def test_manager_user_has_no_more_rights_than_it_needs(lab: Lab) -> None:
    shown = lab.sites["110"].asterisk_cli("manager show user controller")
    assert "read perm: system,call" in shown
    assert "write perm: call,reporting,originate" in shown


def test_only_the_events_that_are_used_leave_asterisk(lab: Lab) -> None:
    text = (lab.sites["110"].state / "asterisk/etc/generated/manager.conf").read_text(encoding="utf-8")
    named = set(re.findall(r"name\((\w+)\)", text))
    code = "".join(
        (CHECKOUT / f"telephony/ami/{name}.py").read_text(encoding="utf-8") for name in ("events", "rooms")
    )
    used = {name for name in named if f'"{name}"' in code}
    assert named - used == {"FullyBooted"}


def test_secrets_are_readable_by_their_owner_only(lab: Lab) -> None:
    for site in lab.sites.values():
        secrets = [*(site.state / "secrets").iterdir(), *(site.state / "asterisk/etc/generated").iterdir()]
        assert len(secrets) > 8
        assert [path for path in secrets if path.stat().st_mode & 0o077] == []
