"""From the Asterisk CLI alone an administrator sees and steers the hotline; and the same from the shell."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time

import pytest

from tests.lab.paths import CHECKOUT
from tests.lab.softphone import Softphone
from tests.lab.stage import PARTNER, TAKER, Stage, Talk
from tests.system.conftest import Lab

COMMANDS = (
    "hotline show lines",
    "hotline show line 119",
    "hotline show calls",
    "hotline show call 1",
    "hotline show seats",
    "hotline show seat 1001",
    "hotline show controller",
    "hotline close line 119",
    "hotline open line 119",
    "hotline cancel transfer 1",
)


class Console:
    """The Asterisk CLI of one hotline, and the command `telephony` beside it."""

    def __init__(self, lab: Lab, site: str = "110") -> None:
        self._site = lab.sites[site]

    async def says(self, command: str) -> str:
        """What `asterisk -rx COMMAND` prints."""
        return await asyncio.to_thread(self._site.asterisk_cli, command)

    async def rows(self, command: str) -> dict[str, str]:
        """The rows printed, by name; of rows with the same name, the last."""
        text = await self.says(command)
        head, rule, *lines = text.rstrip().splitlines()
        assert (head.split(), set(rule) <= {" ", "-"}) == (["Column", "Name", "Column", "Value"], True), text
        return dict(re.match(r" *(\S.*?)  (.*?) *$", line).groups() for line in lines)  # type: ignore[union-attr]

    async def closed(self) -> set[str]:
        """The names of the lines that are closed."""
        lines = await self.rows("hotline show lines")
        return {name for name, text in lines.items() if text.startswith("closed ")}

    async def shell(self, *words: str) -> tuple[int, str, str]:
        """`telephony WORDS`: exit code, standard output and standard error."""
        argv = [sys.executable, "-m", "telephony", *words]
        argv += ["--config", str(self._site.config), "--state", str(self._site.state)]
        done = await asyncio.to_thread(
            subprocess.run, argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=30
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def console(lab: Lab, no_channel_left: None) -> Console:
    return Console(lab)


@pytest.fixture
async def cast(stage: Stage) -> tuple[Softphone, Softphone, Softphone]:
    """A citizen, the taker at seat 1001, and the fire brigade's phone."""
    return await asyncio.gather(stage.citizen(), stage.seat("1001"), stage.unit("119"))


async def hang_up(talk: Talk) -> None:
    await talk.caller.hangup()
    await talk.taker.ended()


async def test_lines_and_seats_are_listed_with_their_labels_in_chinese(
    console: Console, stage: Stage
) -> None:
    await stage.seat("1001")

    lines, seats = await console.rows("hotline show lines"), await console.rows("hotline show seats")

    assert list(lines) == ["line", "12345", "119", "120", "gas"]
    assert re.fullmatch(r"\w+ +0 of 30 +F5 +\*1 +warm cold.* 政务服务热线 12345", lines["12345"])
    assert lines["gas"].endswith(" 燃气抢修")
    assert re.fullmatch(r"idle +110 +-", seats["1001"])
    assert re.fullmatch(r"offline +dedicated +-", seats["1009"])
    assert (await console.rows("hotline show line gas"))["label"] == "燃气抢修"
    assert (await console.rows("hotline show controller"))["controller"] == "answers"


async def test_every_command_that_the_readme_tells_administrators_is_one(console: Console) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## From the Asterisk CLI")[1].split("\n## ")[0]
    told = [
        cell for row in section.splitlines() if row.startswith("| ") for cell in re.findall("`(.+?)`", row)
    ]
    commands = [
        " ".join(word for word in command.split() if re.fullmatch("[a-z]+", word)) for command in told
    ]
    assert {*(" ".join(command.split()[:3]) for command in COMMANDS)} <= set(commands)
    for command in commands:
        assert "No such command" not in await console.says(f"core show help {command}"), command


async def test_live_call_and_transfer_show_and_the_transfer_is_cancelled_by_its_id(
    console: Console, stage: Stage, cast
) -> None:
    citizen, taker, _ = cast
    agent = await stage.seat("1001", site="12345", tone=PARTNER)  # that line is rung for 25 s
    assert await console.rows("hotline show calls") == {"calls": "none"}
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "12345")
    ring = await agent.incoming()
    await ring.ring()
    await stage.api["110"].transfer_in(talk.id, pressed["id"], "ringing")

    calls = await console.rows("hotline show calls")
    call = await console.rows(f"hotline show call {talk.id}")
    line = await console.rows("hotline show line 12345")
    seat = await console.rows("hotline show seat 1001")

    assert re.fullmatch(r"inviting +13800138000 +1001 +0:00:\d\d +12345 ringing", calls[talk.id])
    assert (call["situation"], call["caller"], call["seat"]) == ("inviting", "13800138000", "1001")
    assert call["transfer"].startswith(f"{pressed['id']} to 12345, warm, ringing; asked for by 1001 0:00:")
    assert line["live"].startswith("1 of ")
    assert line["transfer"].startswith(pressed["id"])
    assert (seat["state"], seat["call"]) == ("talking", talk.id)

    done = await console.rows(f"hotline cancel transfer {pressed['id']}")

    assert done["done"] == "its partner is called no more"
    assert "ended: cancelled" in done["transfer"]
    await ring.ended()
    over = await stage.api["110"].transfer(talk.id, pressed["id"])
    assert (over["state"], over["reason"]) == ("ended", "cancelled")
    await stage.hears(talk.caller, TAKER)
    again = await console.rows(f"hotline cancel transfer {pressed['id']}")
    assert again == {"refused": "no partner is being called"}
    await hang_up(talk)


async def test_closed_line_refuses_the_key_until_it_is_opened_and_its_live_call_goes_on(
    console: Console, stage: Stage, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.hears(talk.caller, TAKER, PARTNER)
    try:
        closed = await console.rows("hotline close line 119")
        assert (closed["done"], closed["state"]) == ("closed to new transfers; live ones go on", "closed")
        await stage.goes_on_hearing(talk.caller, TAKER, PARTNER, seconds=0.5)
        await ring.hangup()
        await stage.hears(talk.caller, TAKER)
        status, answer = await stage.api["110"].press("1001", "119")
        assert (status, answer["error"]["code"]) == (409, "line_closed")
        assert await console.closed() == {"119"}
    finally:
        opened = await console.rows("hotline open line 119")
    assert opened["done"] == "open to new transfers"
    status, _ = await stage.api["110"].press("1001", "119")
    assert status == 202
    again = await unit.incoming()
    await hang_up(talk)
    await again.ended()


@pytest.mark.parametrize(
    "name",
    [
        "99999",
        "119%0a",
        "119%0d%0aAction:%20Originate",
        "'119'",
        '"119"x',
        "119;gas",
        "119,gas",
        "119)",
        "119&name=gas",
        "${SHELL(id)}",
        "热线",
        "*",
        "x" * 300,
        "热" * 100,
    ],
)
async def test_wrong_name_is_refused_in_words_and_nothing_is_done(console: Console, name: str) -> None:
    for command in (
        "show line",
        "show call",
        "show seat",
        "close line",
        "open line",
        "cancel transfer",
    ):
        answer = await console.rows(f"hotline {command} {name}")
        assert list(answer) == ["refused"]
        assert re.search("there is no|no live call|a name has|not a form", answer["refused"])
    assert await console.closed() == set()


async def test_command_without_a_name_does_nothing(console: Console) -> None:
    for command in ("show line", "close line", "open line", "cancel transfer"):
        assert (await console.says(f"hotline {command}")).startswith("Usage:")
    assert await console.closed() == set()


async def test_every_command_says_that_the_controller_does_not_answer_when_it_is_stopped(
    console: Console, lab: Lab
) -> None:
    await asyncio.to_thread(lab.sites["110"].stop_controller)

    for command in COMMANDS:
        answer = await console.rows(command)
        assert answer["controller"] == "does not answer"
        assert answer["calls"].startswith("go on by the dialplan alone")
        assert ("command" in answer) is ("show" not in command)
    log = (lab.sites["110"].state / "asterisk/log/messages.log").read_text(encoding="utf-8", errors="replace")
    assert (lab.sites["110"].state / "secrets/cli").read_text().strip() not in log
    for command in ("calls", "lines", "seats"):
        code, out, error = await console.shell(command)
        assert (code, out) == (1, "")
        assert re.fullmatch(
            r"telephony: the controller at 127\.0\.0\.1:8110 does not answer: .*refused\n", error
        )

    await asyncio.to_thread(lab.sites["110"].start_controller)
    assert "119" in await console.rows("hotline show lines")


async def test_frozen_controller_holds_the_cli_for_some_seconds_only(console: Console, lab: Lab) -> None:
    with lab.sites["110"].controller.frozen():
        answer = await console.rows("hotline show lines")
    assert answer["controller"] == "does not answer"


async def test_cli_with_another_secret_is_told_so_and_sees_nothing(console: Console, lab: Lab) -> None:
    curl = lab.sites["110"].state / "asterisk/etc/generated/curl.conf"
    right = curl.read_text(encoding="utf-8")
    curl.write_text(re.sub(r"asterisk:\S+", "asterisk:guess", right), encoding="utf-8")
    try:
        await console.says("core reload")
        assert list(await console.rows("hotline show lines")) == ["refused"]
        assert "secret" in (await console.rows("hotline close line 119"))["refused"]
    finally:
        curl.write_text(right, encoding="utf-8")
        await console.says("core reload")
    assert await console.closed() == set()


async def test_console_tells_what_the_controller_itself_misses(console: Console, lab: Lab) -> None:
    site = lab.sites["110"]
    await asyncio.to_thread(site.redis.kill)
    deadline = time.monotonic() + 10
    while await asyncio.to_thread(site.controller.probe) is None:
        assert time.monotonic() < deadline, "the controller has not noticed after 10 s that Redis is gone"
        await asyncio.sleep(0.05)

    answer = await console.rows("hotline show lines")

    assert answer["attention"] == "the controller has no link to: redis"
    assert (await console.rows("hotline show controller"))["redis"] == "down"
    await asyncio.to_thread(lab.mend)
    assert "attention" not in await console.rows("hotline show lines")


async def test_shell_shows_calls_lines_and_seats_as_tables_and_as_json(
    console: Console, stage: Stage, cast
) -> None:
    citizen, taker, unit = cast
    talk = await stage.talk(citizen, taker)
    _, pressed = await stage.api["110"].press("1001", "119")
    ring = await unit.incoming()
    await ring.answer()
    await stage.api["110"].transfer_in(talk.id, pressed["id"], "joined")

    shown = {what: await console.shell(what) for what in ("calls", "lines", "seats")}
    told = {what: await console.shell(what, "--json") for what in shown}

    assert {code for code, _, _ in (*shown.values(), *told.values())} == {0}
    assert re.search(
        rf"^{talk.id} +three_way +13800138000 +\S+ +1001 +0:\d\d +119 joined \({pressed['id']}\)",
        shown["calls"][1],
        re.MULTILINE,
    )
    assert re.search(r"^gas +燃气抢修 +\w+ +0 of \d+ +F8 +\*4 ", shown["lines"][1], re.MULTILINE)
    assert re.search(rf"^1001 +talking +110 +{talk.id}", shown["seats"][1], re.MULTILINE)
    answers = {what: json.loads(out) for what, (_, out, _) in told.items()}
    assert answers["calls"]["calls"][0]["id"] == talk.id
    assert [line["line"] for line in answers["lines"]["lines"]] == ["12345", "119", "120", "gas"]
    assert answers["seats"]["seats"][0]["call"] == talk.id
    await talk.caller.hangup()
    await ring.hangup()
    await talk.taker.ended()
