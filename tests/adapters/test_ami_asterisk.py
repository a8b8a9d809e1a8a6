"""The link against a real Asterisk, whose root TELEPHONY_ROOT names."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from telephony.ami import AmiDown, AmiLink, AmiMessage, AmiRefused, AmiSettings, verbs
from telephony.ami.action import MAX_LINE, MAX_LINES
from telephony.ami.events import hangup_of
from tests.adapters.ami_server import SECRET
from tests.adapters.asterisk import Asterisk, installed
from tests.adapters.waiting import until

ROOT = installed()
ADDRESS = "127.0.77.1"
MODULES = ("pbx_config", "app_userevent", "bridge_simple")

MANAGER = f"""
[general]
enabled = yes
bindaddr = {ADDRESS}
port = PORT
channelvars = TEL_CALL,TEL_ROLE

[tel]
secret = {SECRET}
read = all
write = system,call,originate,reporting,user

[few]
secret = {SECRET}
read = all
write = system,call,originate,reporting,user
eventfilter(action(include),name(FullyBooted)) =
eventfilter(action(include),name(Hangup)) =
"""

EXTENSIONS = """
[test]
exten => talk,1,Answer()
 same => n,UserEvent(Hello,Word: 你好)
 same => n,Wait(30)
"""

pytestmark = pytest.mark.skipif(
    ROOT is None, reason="NO REAL ASTERISK TESTED: TELEPHONY_ROOT names no root with usr/sbin/asterisk"
)


@pytest.fixture
def port() -> int:
    """Where Asterisk's manager will listen."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def asterisk(tmp_path: Path, port: int) -> AsyncIterator[Asterisk]:
    assert ROOT is not None
    files = {"manager.conf": MANAGER.replace("PORT", str(port)), "extensions.conf": EXTENSIONS}
    asterisk = Asterisk(ROOT, tmp_path / "asterisk", MODULES, files)
    await asterisk.start()
    try:
        yield asterisk
    finally:
        await asterisk.kill()


class Desk:
    """A link to that Asterisk, with the events and losses that its owner was told of."""

    def __init__(self, port: int, **settings: Any) -> None:
        self.events: list[AmiMessage] = []
        self.downs: list[str] = []
        values = {"host": ADDRESS, "port": port, "username": "tel", "secret": SECRET, **settings}
        self.link = AmiLink(
            AmiSettings(**values),
            on_event=self.events.append,
            on_up=self._nothing,
            on_down=self.downs.append,
            clock=time.process_time,  # a test that is kept from running is no controller that stands still
        )

    def all(self, name: str) -> list[AmiMessage]:
        return [event for event in self.events if event.event == name]

    async def the(self, name: str) -> AmiMessage:
        """The first event of that name, as soon as it has come."""
        await until(lambda: self.all(name))
        return self.all(name)[0]

    async def _nothing(self) -> None:
        """Nothing to recover."""


@asynccontextmanager
async def up(desk: Desk) -> AsyncIterator[AmiLink]:
    task = asyncio.create_task(desk.link.run())
    try:
        await until(lambda: desk.link.up, 20)
        yield desk.link
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def desk(asterisk: Asterisk, port: int) -> Desk:
    return Desk(port)


TALK = {
    "Channel": "Local/talk@test",
    "Application": "Wait",
    "Data": "30",
    "Account": "sorts before Action",
    "ChannelId": "our-1",
    "OtherChannelId": "our-2",
    "Async": "true",
    "Variable": ["__TEL_CALL=c1", "TEL_ROLE=partner", 'NOTE="a, b=c"', "NAME=张三"],
}


class TestRealAsterisk:
    async def test_login_boot_and_ping(self, asterisk: Asterisk, port: int) -> None:
        desk = Desk(port, ping_interval=0.05)
        async with up(desk) as link:
            # Asterisk may tell of the login itself first, to a user who reads everything.
            assert (await desk.the("FullyBooted"))["Status"] == "Fully Booted"
            assert link.version.split(".")[0].isdigit()
            await until(lambda: link.round_trip is not None)
            assert (await link.send("Ping", {}))["Ping"] == "Pong"

    async def test_a_wrong_secret_is_refused_in_asterisk_s_words(self, asterisk: Asterisk, port: int) -> None:
        desk = Desk(port, secret="wrong")
        task = asyncio.create_task(desk.link.run())
        await until(lambda: "login as 'tel' refused: Authentication failed" in desk.link.reason, 20)
        task.cancel()
        await asyncio.wait([task])
        assert desk.events == []

    async def test_an_originated_channel_carries_our_ids_and_variables(self, desk: Desk) -> None:
        async with up(desk) as link:
            assert await link.ask("CoreShowChannels") == []
            assert (await link.send("Originate", TALK)).success
            response = await desk.the("OriginateResponse")
            assert (response["Response"], response["Uniqueid"]) == ("Success", "our-1")
            listed = {item["Uniqueid"]: item for item in await link.ask("CoreShowChannels")}
            assert set(listed) == {"our-1", "our-2"}
            assert listed["our-1"].all("ChanVariable") == ("TEL_CALL=c1", "TEL_ROLE=partner")

            def sets() -> dict[str, str]:
                return {event["Variable"]: event["Value"] for event in desk.all("VarSet")}

            # Asterisk tells of these by another thread than the answer to an action.
            await until(lambda: {"NOTE", "NAME"} <= sets().keys())
            assert (sets()["NOTE"], sets()["NAME"]) == ("a, b=c", "张三")

    async def test_events_of_the_dialplan_and_of_ours_arrive(self, desk: Desk) -> None:
        async with up(desk) as link:
            await link.send("Originate", TALK)
            hello = await desk.the("UserEvent")
            assert (hello["Uniqueid"], hello["Word"]) == ("our-2", "你好")
            await link.send("UserEvent", {"UserEvent": "Bye", "Word": "再见"})
            await until(lambda: len(desk.all("UserEvent")) == 2)
            assert desk.all("UserEvent")[1]["Word"] == "再见"

    async def test_a_failed_originate_is_told_by_its_event(self, desk: Desk) -> None:
        async with up(desk) as link:
            assert (await link.send("Originate", {**TALK, "Channel": "PJSIP/nobody"})).success
            response = await desk.the("OriginateResponse")
            assert (response["Response"], response["Uniqueid"]) == ("Failure", "our-1")

    async def test_defect_originate_without_async_keeps_the_connection(self, desk: Desk) -> None:
        async with up(desk) as link:
            headers = {name: value for name, value in TALK.items() if name != "Async"}
            assert (await link.send("Originate", headers)).success
            await link.send("Ping", {})
            assert desk.downs == []

    async def test_a_leg_that_we_end_does_not_look_like_a_person_who_hangs_up(self, desk: Desk) -> None:
        async with up(desk) as link:
            await link.send("Originate", TALK)
            await desk.the("UserEvent")
            await verbs.hang_up(link, "our-1")
            await until(lambda: any(event["Uniqueid"] == "our-1" for event in desk.all("Hangup")))
            (ours,) = (event for event in desk.all("Hangup") if event["Uniqueid"] == "our-1")
            assert not hangup_of(ours).normal

    async def test_errors_come_in_asterisk_s_words(self, desk: Desk) -> None:
        async with up(desk) as link:
            with pytest.raises(AmiRefused, match="No such channel"):
                await link.send("Hangup", {"Channel": "nope"})
            with pytest.raises(AmiRefused, match="Invalid/unknown command"):
                await link.ask("Nonsense")
            with pytest.raises(AmiRefused, match="Permission denied"):
                await link.send("Command", {"Command": "core show version"})

    async def test_our_limits_are_those_of_asterisk(self, desk: Desk) -> None:
        async with up(desk) as link:
            await link.send("Ping", {"X": "a" * (MAX_LINE - len("X: "))})
            await link.send("Ping", {"X": ["a"] * (MAX_LINES - 2)})

    async def test_an_include_filter_drops_other_events_at_the_source(
        self, asterisk: Asterisk, port: int
    ) -> None:
        everything, few = Desk(port), Desk(port, username="few")
        async with up(everything) as link, up(few):
            await link.send("Originate", TALK)
            await everything.the("UserEvent")
            await link.send("Hangup", {"Channel": "/^Local/"})
            await few.the("Hangup")
            assert {event.event for event in few.events} == {"FullyBooted", "Hangup"}
            assert len(everything.events) > 20
            assert len(await few.link.ask("CoreShowChannels")) <= 2

    async def test_the_link_comes_back_after_asterisk_was_killed(
        self, asterisk: Asterisk, desk: Desk
    ) -> None:
        async with up(desk) as link:
            await link.send("Originate", TALK)
            await desk.the("UserEvent")
            await asterisk.kill()
            await until(lambda: desk.downs)
            with pytest.raises(AmiDown):
                await link.send("Ping", {})
            await asterisk.start()
            await until(lambda: link.up, 20)
            assert await link.ask("CoreShowChannels") == []
