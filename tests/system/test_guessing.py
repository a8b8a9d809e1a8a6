"""Who guesses passwords, seats' names or tokens is refused, slowed down, and named in a log that fail2ban reads."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp

from tests.lab.fail2ban import Filter
from tests.lab.paths import CHECKOUT
from tests.lab.raw_sip import RawSip
from tests.lab.stage import API, CARRIER, SIP, TAKER, Stage
from tests.system.conftest import Lab

HOST = SIP["110"].split(":")[0]
FILTERS = CHECKOUT / "docker" / "fail2ban" / "filter.d"
VICTIM = "127.0.119.1"
FORGED = (
    f"x%22,RemoteAddress=%22IPV4/UDP/{VICTIM}/5060",
    f"x%22,SessionID=%22a%22,RemoteAddress=%22IPV4/UDP/{VICTIM}/1%22,Challenge=%22",
    "1%0d%0a%7b%22forged",
)


class Growth:
    """What is written to a log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size

    async def lines(self, count: int, which: Filter, within: float = 3.0) -> list[str]:
        """The addresses that `which` finds, once there are so many."""
        deadline = time.monotonic() + within
        while len(found := which.banned(self._text().splitlines())) < count:
            assert time.monotonic() < deadline, f"only {found} after {within} s"
            await asyncio.sleep(0.05)
        return found

    def _text(self) -> str:
        with self._path.open(encoding="utf-8") as file:
            file.seek(self._from)
            return file.read()


async def test_who_guesses_by_sip_is_refused_and_banned_and_can_have_nobody_else_banned(
    stage: Stage, lab: Lab
) -> None:
    log = Growth(lab.sites["110"].state / "asterisk/log/security.log")
    async with RawSip("127.0.66.6", SIP["110"], "1001", "guess") as thief:
        for seat in ("1001", "1002", "9999"):
            answer = await thief.ask("REGISTER", f"sip:{HOST}", {"To": f"<sip:{seat}@{HOST}>"})
            assert answer.status == 401
    async with RawSip("127.0.66.6", SIP["110"]) as stranger:
        for user in FORGED:
            answer = await stranger.ask("INVITE", f"sip:110@{HOST}", sender=f"<sip:{user}@x>")
            assert answer.status == 401
    assert set(await log.lines(6, Filter(FILTERS / "hotline-sip.conf"))) == {"127.0.66.6"}


async def test_ordinary_calls_and_registrations_ban_nobody(stage: Stage, lab: Lab) -> None:
    path = lab.sites["110"].state / "asterisk/log/security.log"
    log = Growth(path)
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    async with RawSip(f"{CARRIER['110']}.77", SIP["110"]) as carrier:
        await carrier.ask("REGISTER", f"sip:{HOST}")
    await talk.caller.hangup()
    await talk.taker.ended()
    assert await log.lines(0, Filter(FILTERS / "hotline-sip.conf")) == []


async def test_who_guesses_tokens_is_slowed_down_and_banned_while_calls_go_on(stage: Stage, lab: Lab) -> None:
    log = Growth(lab.sites["110"].state / "log/controller.jsonl")
    talk = await stage.talk(await stage.citizen(), await stage.seat("1001"))
    # From another address than that of the test's own API, which is on this machine too.
    local = aiohttp.TCPConnector(local_addr=("127.0.66.7", 0))
    async with aiohttp.ClientSession(connector=local) as session:
        statuses = []
        for number in range(40):
            headers = {"Authorization": f"Bearer guess{number}"}
            async with session.get(f"{API['110']}/v1/calls", headers=headers) as answer:
                statuses.append(answer.status)
                if answer.status == 429:
                    assert int(answer.headers["Retry-After"]) >= 1
    assert statuses[:30] == [401] * 30
    assert 429 in statuses[30:]
    assert set(await log.lines(30, Filter(FILTERS / "hotline-api.conf"))) == {"127.0.66.7"}
    await stage.hears(talk.caller, TAKER)
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_token_that_is_revoked_by_command_stops_working_on_the_running_controller(
    stage: Stage, lab: Lab
) -> None:
    site = lab.sites["110"]
    token = await lab.command("110", "token", "add", "seat:1003", "--days", "1")
    headers = {"Authorization": f"Bearer {token}"}
    before = site.controller.pid
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{API['110']}/v1/seats", headers=headers) as answer:
            assert answer.status == 200
        # One token of several: the lab's own goes on.
        path = site.state / "secrets/tokens.hashed.json"
        kept = path.read_text(encoding="utf-8")
        await lab.command("110", "token", "revoke", "seat:1003")
        async with session.get(f"{API['110']}/v1/seats", headers=headers) as answer:
            assert answer.status == 401
        path.write_text(kept, encoding="utf-8")
    assert site.controller.pid == before
