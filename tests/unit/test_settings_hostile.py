"""Values of a hotline.toml that somebody has made to break out of it: into Asterisk's files, or into a call."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.settings import load
from tests.unit.hotline_toml import GOOD, changed, quoted, refusal, written

HOSTILE_NUMBERS = [
    "",
    "12345a",
    "１２３４５",
    "12 345",
    "300&PJSIP/itsp/0014",
    "1\r\nAction: Originate",
    "1\n",
    "${SHELL(id)}",
    "sip:1@evil",
    "-1",
    "1" * 33,
]
HOSTILE_NAMES = ["", "A", "警", "a b", "a\nb", "a]", "[a", "a;b", "a/b", "a&b", "-a", "a.b", "a" * 33]
HOSTILE_ADDRESSES = [
    "",
    "127.0.0.1",
    "127.0.0.1:",
    ":5060",
    "127.0.0.1:0",
    "127.0.0.1:05060",
    "127.0.0.1:65536",
    "127.0.0.1:5060 ",
    "127.0.0.1:-1",
    "127.0.0.1:+1",
    "127.0.0.1:٥",
    "127.0.0.1:sip",
    "127.0.0.1:5060\n[evil]",
    "127.0.0.1\n:5060",
    "127.0.0.256:5060",
    "127.0.1:5060",
    "[::1]:5060",
    "a..b:5060",
    "-a:5060",
    ".:5060",
    "a@b:5060",
    "a;b:5060",
    "a" * 64 + ":5060",
]
HOSTILE_TEXTS = ["", " ", "a\nb", "a\rb", "a\0", "a\x1b[31m", "a\u2028b", "a\u202eb", "a\u200bb", "消" * 65]


def _each(values: list[str], *places: tuple[str, str]) -> list[Any]:
    return [
        pytest.param(line, value, place, id=f"{place} {value[:24]!a}")
        for line, place in places
        for value in values
    ]


@pytest.mark.parametrize(
    ("line", "value", "place"),
    [
        *_each(
            HOSTILE_NUMBERS,
            ('number = "110"', "sip.number"),
            ('dedicated = "1100"', "sip.dedicated"),
            ('number = "12345"', "lines.number"),
        ),
        *_each(
            HOSTILE_NAMES,
            ('hotline = "110"', "hotline"),
            ('node = "110-a"', "node"),
            ('seat = "1001"', "seats.seat"),
            ('queue = "dedicated"', "seats.queue"),
            ('line = "12345"', "lines.line"),
        ),
        *_each(
            HOSTILE_ADDRESSES,
            ('bind = "127.0.110.1:5060"', "$.sip"),
            ('wss = "127.0.110.1:8089"', "$.sip"),
            ('bind = "127.0.110.1:5038"', "$.ami"),
            ('bind = "127.0.110.1:4573"', "$.agi"),
            ('bind = "127.0.0.1:8110"', "$.api"),
            ('tls_bind = "127.0.0.1:8111"', "$.api"),
            ('address = "127.0.123.1:5060"', "$.lines[0]"),
        ),
        *_each(
            HOSTILE_TEXTS,
            ('label = "公安 110"', "label"),
            ('label = "消防 119"', "lines.label"),
            ('key = "F6"', "lines.key"),
        ),
        *_each(
            ["", "*", "1", "#1", "*#", "*1234", "**1", "*1,self,System(id)", "*1\n", "*１", "*A"],
            ('dtmf = "*2"', "lines.dtmf"),
        ),
        *_each(["localhost:5060", "asterisk.example.org:5060"], ('bind = "127.0.110.1:5060"', "sip")),
    ],
)
def test_a_value_that_must_not_be_is_refused_in_one_line_that_names_it(
    tmp_path: Path, line: str, value: str, place: str
) -> None:
    name = line.split(" = ", 1)[0]
    message = refusal(tmp_path, changed(line, f"{name} = {quoted(value)}"))
    assert place in message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    "net",
    [
        "",
        "all",
        "127.0.0.1/24",
        "127.0.0.0/33",
        "127.0.0.256",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/0\n[evil]",
        "fe80::1%eth0",
        "fe80::1%a\ntype=endpoint\n;/128",
        "carrier.example.org",
        "127.0.0.0/8,10.0.0.0/8",
    ],
)
def test_a_carriers_net_that_is_none_is_refused(tmp_path: Path, net: str) -> None:
    message = refusal(tmp_path, changed('"127.0.111.0/24"', quoted(net)))
    assert message.startswith("sip.carrier_net: ")
    assert message.isprintable()


def test_a_hotline_that_nobody_can_call_is_refused(tmp_path: Path) -> None:
    """`match =` with nothing after it is no identify section for Asterisk."""
    message = refusal(tmp_path, changed('["127.0.111.0/24"]', "[]"))
    assert message.startswith("sip.carrier_net must name at least one network")


@pytest.mark.parametrize("net", ["10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "2001:db8::/32"])
def test_a_carriers_net_may_be_an_address_or_a_net(tmp_path: Path, net: str) -> None:
    assert load(written(tmp_path, changed('"127.0.111.0/24"', quoted(net)))).sip.carrier_net == [net]


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("", True),
        ("https://cases.example.org/{case_id}", True),
        ("http://10.0.0.1:8080/c?id={case_id}&from=110", True),
        ("https://cases.example.org/{}", False),
        ("https://cases.example.org/{0}", False),
        ("https://cases.example.org/{case_id.__class__}", False),
        ("https://cases.example.org/{case_id!r}", False),
        ("https://cases.example.org/{", False),
        ("https://cases.example.org/${SHELL(id)}", False),
        ("https://cases.example.org/>;purpose=x,<", False),
        ('https://cases.example.org/"', False),
        ("https://cases.example.org/\r\nX: y", False),
        ("https://cases.example.org/ x", False),
        ("javascript:alert(1)", False),
        ("//cases.example.org", False),
    ],
)
def test_a_case_address_is_a_web_address_with_nothing_but_the_case_to_fill_in(
    tmp_path: Path, url: str, right: bool
) -> None:
    text = changed('dtmf = "*2"', f'dtmf = "*2"\ncase_url = {quoted(url)}')
    if right:
        line = load(written(tmp_path, text)).line("119")
        assert line is not None
        assert line.case_url.format(case_id="J1") == url.replace("{case_id}", "J1")
    else:
        assert refusal(tmp_path, text).startswith("lines.case_url: ")


STRINGS = [line for line in GOOD.splitlines() if line.endswith('"')]


@given(
    line=st.sampled_from(STRINGS), end=st.sampled_from(["\n", "\r", "\r\n", "\0"]), tail=st.text(max_size=20)
)
def test_no_value_can_end_a_line_in_what_asterisk_reads(
    line: str, end: str, tail: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands before and after the line end, in any value that is a text."""
    name, value = line.split(" = ", 1)
    if name == "url":
        return  # goes to the client of Redis alone
    text = GOOD.replace(line, f"{name} = {quoted(tomllib.loads(f'x = {value}')['x'] + end + tail)}", 1)
    refusal(tmp_path_factory.mktemp("end"), text)
