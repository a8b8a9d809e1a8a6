"""Both hotlines, up for the whole session, and nothing left in them after any test."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import memory
from tests.lab.paths import CHECKOUT, SITES, DebianRoot, hotline_file
from tests.lab.site import Site
from tests.lab.softphone import Softphone
from tests.lab.softphone_call import Call
from tests.lab.stage import SIP, TAKER, Stage
from tests.lab.stalls import Stalls
from tests.lab.witness import Witness, tell_steps

CHANNELS_GONE = 3.0  # seconds after a test
POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Lab:
    """The two hotlines by name, where their files and logs are, and when the machine stood still."""

    sites: dict[str, Site]
    state: Path
    stalls: Stalls

    def channels(self) -> dict[str, list[str]]:
        """The names of Asterisk's channels by site, without sites that have none or are down."""
        found = {site.name: site.channels() for site in self.sites.values() if site.asterisk.pid}
        return {name: channels for name, channels in found.items() if channels}

    def channels_left(self) -> dict[str, list[str]]:
        """The channels that do not go within CHANNELS_GONE."""
        deadline = time.monotonic() + CHANNELS_GONE
        while (left := self.channels()) and time.monotonic() < deadline:
            time.sleep(POLL)
        return left

    def token(self, site: str, who: str) -> str:
        """The HTTP token of `who` (`seat:1001`, `line:12345`) at a site."""
        tokens = json.loads((self.sites[site].state / "secrets" / "tokens.json").read_text(encoding="utf-8"))
        return str(tokens[who])

    def password(self, site: str, seat: str) -> str:
        """The SIP password of a seat."""
        passwords = json.loads(
            (self.sites[site].state / "secrets" / "seats.json").read_text(encoding="utf-8")
        )
        return str(passwords[seat])

    async def command(self, site: str, *words: str) -> str:
        """What the command `telephony` prints, for a site."""
        argv = [sys.executable, "-m", "telephony", *words, "--state", str(self.sites[site].state)]
        done = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, cwd=CHECKOUT, check=True
        )
        return done.stdout.strip()

    def hang_up(self) -> None:
        """End every channel there is."""
        for site in self.sites.values():
            if site.asterisk.pid:
                site.asterisk_cli("channel request hangup all")

    def mend(self) -> None:
        """Bring back whatever a test has broken."""
        for site in self.sites.values():
            for service in site.services:
                service.ensure()
            tell_steps(site)


def _config(name: str, state: Path) -> Path:
    """The hotline's own file, but a partner is given up after 3 s (120 after 6), a silent leg taken for lost
    after 4, and the line to the gas company takes one call at a time.
    """
    text = hotline_file(name).read_text(encoding="utf-8")
    for old, new in (
        ("answer_timeout = 20", "answer_timeout = 3"),
        ('dtmf = "*3"\nanswer_timeout = 3', 'dtmf = "*3"\nanswer_timeout = 6'),
        ("[sip]\n", "[sip]\nrtp_timeout = 4\n"),
        ('number = "96833"\n', 'number = "96833"\ncapacity = 1\n'),
    ):
        assert old in text
        text = text.replace(old, new)
    config = state / f"{name}.toml"
    config.write_text(text, encoding="utf-8")
    return config


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Hotlines 110 and 12345, ready; their files are kept and named when a test has failed."""
    state = Path(tempfile.mkdtemp(prefix="lab-"))
    root = DebianRoot.from_environment()
    sites = {name: Site(name, state / name, root, config=_config(name, state)) for name in SITES}
    lab = Lab(sites, state, Stalls())
    try:
        with ThreadPoolExecutor(len(SITES)) as pool:
            list(pool.map(Site.start, sites.values()))
            list(pool.map(tell_steps, sites.values()))
        with lab.stalls:
            yield lab
    finally:
        for site in lab.sites.values():
            site.stop()
        if request.session.testsfailed:
            print(f"\nthe lab's files and logs are kept in {state}")
        else:
            memory.remove(state)


@pytest.fixture(autouse=True)
async def witness(lab: Lab) -> Witness:
    """Every test starts with everything up; what is seen from then on is for its report when it fails."""
    await asyncio.to_thread(lab.mend)
    return Witness(lab.sites.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test tells what its phones, the wire and the logs have seen."""
    report = yield
    if report.failed and (witness := item.funcargs.get("witness")) is not None:
        stage = item.funcargs.get("stage") or getattr(item.funcargs.get("house"), "stage", None)
        if stage is not None and call.when == "call":
            report.sections.extend(witness.stage(stage))
        report.sections.extend(witness.logs())
    return report


@pytest.fixture(autouse=True)
async def no_channel_left(lab: Lab, witness: Witness) -> AsyncIterator[None]:
    """A test fails when it leaves a channel in either Asterisk."""
    yield
    # In a thread: phones of the test, in its loop, may still be answering.
    if left := await asyncio.to_thread(lab.channels_left):
        await asyncio.to_thread(lab.hang_up)
        pytest.fail(f"channels left after the test: {left}")


@pytest.fixture
async def stage(lab: Lab, no_channel_left: None) -> AsyncIterator[Stage]:
    """Phones and the wire for one test."""
    states = {name: site.state for name, site in lab.sites.items()}
    async with Stage(states, stalls=lab.stalls) as stage:
        yield stage


async def ring_partner(
    stage: Stage, cast: tuple[Softphone, Softphone, Softphone], digits: str = "*2"
) -> tuple[Call, Call, Call]:
    """Citizen and taker talk, the taker's phone sends the line's code, and the partner's phone rings.

    12345 (`*1`) may ring for 25 s; the fire brigade (`*2`) is given up after 3 s in tests.
    """
    citizen, taker, unit = cast
    caller = await citizen.dial(f"sip:110@{SIP['110']}", number="13800138000")
    ring = await taker.incoming()
    await ring.answer()
    await caller.answered()
    await stage.hears(caller, TAKER)
    await ring.dtmf(digits)
    partner = await unit.incoming()
    await partner.ring()
    return caller, ring, partner
