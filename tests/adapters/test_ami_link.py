"""The link against a manager interface that behaves, misbehaves and dies.

Tests named `test_defect_...` stand for the defects of panoramisk's Manager that this link must not have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from telephony.ami import AmiDown, AmiLink, AmiMessage, AmiRefused, AmiSettings, AmiTimeout, LinkState
from telephony.ami.errors import AmiLost
from telephony.ami.protocol import STALE
from tests.adapters.ami_server import SECRET, AmiServer, Session, ami_server
from tests.adapters.waiting import until

FAST: Mapping[str, Any] = {
    "ping_interval": 30.0,
    "backoff_first": 0.01,
    "backoff_max": 0.05,
    "login_retry": 0.3,
}


class Desk:
    """A link with a notebook: what its owner was told, in order."""

    def __init__(
        self, server: AmiServer, *, clock: Callable[[], float] = time.process_time, **settings: Any
    ) -> None:
        # By that clock a test that is kept from running does not stand still.
        self.events: list[AmiMessage] = []
        self.notes: list[str] = []
        self.on_event: Callable[[AmiMessage], None] = lambda event: None
        self.on_up: Callable[[], Awaitable[None]] = self.nothing
        values = {
            "host": "127.0.0.1",
            "port": server.port,
            "username": "tel",
            "secret": SECRET,
            **FAST,
            **settings,
        }
        self.link = AmiLink(
            AmiSettings(**values),
            on_event=self._event,
            on_up=self._up,
            on_down=lambda why: self.notes.append(f"down: {why}"),
            clock=clock,
        )

    async def nothing(self) -> None:
        """The default of `on_up`."""

    def names(self) -> list[str]:
        return [event.event for event in self.events]

    def _event(self, event: AmiMessage) -> None:
        self.events.append(event)
        self.on_event(event)

    async def _up(self) -> None:
        self.notes.append("up")
        await self.on_up()


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[AmiLink]:
    task = asyncio.create_task(desk.link.run())
    try:
        yield desk.link
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()


@asynccontextmanager
async def connected(desk: Desk, server: AmiServer) -> AsyncIterator[tuple[AmiLink, Session]]:
    async with running(desk) as link:
        session = await server.session()
        await until(lambda: link.up)
        desk.events.clear()
        yield link, session


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with ami_server() as server:
        yield server


@pytest.fixture
def desk(server: AmiServer) -> Desk:
    return Desk(server)


def unanswered(link: AmiLink) -> int:
    """How many actions the link still remembers."""
    assert link._wire is not None
    return len(link._wire.responses)


class TestLogin:
    async def test_login_is_by_challenge_and_the_secret_never_crosses_the_wire(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            login = await session.action("Login")
            assert login["Username"] == ["tel"]
            assert login["Events"] == ["on"]
            assert SECRET.encode() not in session.raw
            assert (link.state, link.reason, link.version) == (LinkState.UP, "", "11.0.0")
        assert desk.notes == ["up", "down: stopped"]

    async def test_defect_a_refused_login_is_said_clearly_and_tried_again_slowly(
        self, server: AmiServer
    ) -> None:
        desk = Desk(server, secret="wrong")
        with capture_logs() as logs:
            async with running(desk) as link:
                began = time.monotonic()
                await until(lambda: len(server.sessions) == 2)
                assert time.monotonic() - began >= 0.3
                assert link.reason == "login as 'tel' refused: Authentication failed"
                with pytest.raises(AmiDown, match="Authentication failed"):
                    await link.send("Ping", {})
        refusals = [entry for entry in logs if entry["event"] == "ami_login_refused"]
        assert refusals[0]["log_level"] == "error"
        assert "wrong" not in str(logs)
        assert desk.notes == []

    async def test_a_silent_peer_is_dropped_after_the_deadline_and_tried_again(
        self, server: AmiServer
    ) -> None:
        server.banner = b""
        desk = Desk(server, connect_deadline=0.05)
        async with running(desk) as link:
            await until(lambda: len(server.sessions) >= 2)
            assert link.reason == "no banner within 0.05 s"

    @pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"Asterisk Call Manager/" + b"1" * 200])
    async def test_a_peer_that_is_not_asterisk_is_dropped(
        self, server: AmiServer, desk: Desk, banner: bytes
    ) -> None:
        server.banner = banner
        async with running(desk) as link:
            await until(lambda: "not Asterisk's manager interface" in link.reason)

    async def test_a_login_that_is_never_answered_is_given_up(self, server: AmiServer) -> None:
        server.answers_login = False
        async with running(Desk(server, login_deadline=0.05)) as link:
            await until(lambda: link.reason == "no answer to Challenge within 0.05 s")

    async def test_an_address_where_nobody_listens_gives_a_reason(
        self, server: AmiServer, desk: Desk
    ) -> None:
        desk = Desk(server, port=1)
        async with running(desk) as link:
            await until(lambda: "cannot connect" in link.reason)

    async def test_recovery_waits_until_asterisk_has_booted(self, server: AmiServer, desk: Desk) -> None:
        server.boots = False
        async with running(desk) as link:
            session = await server.session()
            await until(lambda: link.state is LinkState.RECOVERING)
            assert desk.notes == []
            session.event("FullyBooted")
            await until(lambda: link.up)
        assert desk.names() == ["FullyBooted"]

    async def test_asterisk_that_never_says_booted_is_dropped_with_advice(self, server: AmiServer) -> None:
        server.boots = False
        desk = Desk(server, boot_deadline=0.05)
        async with running(desk) as link:
            await until(lambda: "needs read=system" in link.reason)
        assert "up" not in desk.notes

    async def test_without_boot_deadline_nothing_is_waited_for(self, server: AmiServer) -> None:
        server.boots = False
        async with running(Desk(server, boot_deadline=0)) as link:
            await until(lambda: link.up)


class TestActions:
    async def test_each_answer_goes_to_the_one_who_asked(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            first = asyncio.create_task(link.send("Getvar", {"Variable": "A"}))
            second = asyncio.create_task(link.send("Getvar", {"Variable": "B"}))
            action = await session.action("Getvar", 2)
            session.respond(action, "Value: 2")
            session.respond(await session.action("Getvar"), "Value: 1")
            assert [(await first)["Value"], (await second)["Value"]] == ["1", "2"]
            assert unanswered(link) == 0

    async def test_action_ids_are_long_and_never_the_same(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            await link.send("Ping", {})
            await link.send("Ping", {})
            ids = {action["ActionID"][0] for action in session.actions}
            assert len(ids) == len(session.actions)
            assert {len(action_id) for action_id in ids} == {32}

    async def test_defect_an_error_is_raised_with_asterisk_s_own_words(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Hangup", {"Channel": "x"}))
            session.respond(await session.action("Hangup"), "Message: No such channel", response="Error")
            with pytest.raises(AmiRefused, match="No such channel") as caught:
                await task
            assert caught.value.action == "Hangup"
            assert link.up

    @pytest.mark.parametrize("action", ["Atxfer", "CancelAtxfer", "Originate"])
    async def test_defect_success_of_an_action_without_async_keeps_the_connection(
        self, server: AmiServer, desk: Desk, action: str
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send(action, {"Channel": "x"}))
            session.respond(await session.action(action), f"Message: {action} successfully queued")
            assert (await task).success
            await link.send("Ping", {})

    async def test_defect_a_deadline_passes_leaks_nothing_and_a_late_answer_is_ignored(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            with pytest.raises(AmiTimeout, match=r"no answer to Redirect within 0\.05 s"):
                await link.send("Redirect", {"Channel": "x"}, deadline=0.05)
            assert unanswered(link) == 0
            session.respond(await session.action("Redirect"))
            await link.send("Ping", {})

    async def test_a_cancelled_send_leaves_nothing_behind(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Redirect", {}))
            await session.action("Redirect")
            task.cancel()
            await asyncio.wait([task])
            assert unanswered(link) == 0

    async def test_a_bad_value_is_refused_before_anything_is_sent(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            with pytest.raises(ValueError, match="line end"):
                await link.send("Originate", {"Variable": ["A=1\r\n\r\nAction: Command"]})
            await link.send("Ping", {})
            assert b"Originate" not in session.raw
            assert unanswered(link) == 0

    async def test_several_values_of_a_header_reach_asterisk_as_lines_of_their_own(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Originate", {"Variable": ["A=1", "B=二"]}))
            action = await session.action("Originate")
            assert action["Variable"] == ["A=1", "B=二"]
            session.respond(action)
            await task

    async def test_an_action_while_down_fails_at_once(self, server: AmiServer, desk: Desk) -> None:
        with pytest.raises(AmiDown, match="not started"):
            await desk.link.send("Ping", {})
        with pytest.raises(AmiDown, match="not started"):
            await desk.link.ask("CoreShowChannels")

    async def test_a_peer_that_does_not_read_costs_bounded_memory(self, server: AmiServer) -> None:
        desk = Desk(server, max_unsent=100_000)
        async with connected(desk, server) as (link, session):
            session.reader._transport.pause_reading()  # type: ignore[attr-defined]
            tasks = []
            while len(desk.notes) == 1:
                tasks += [asyncio.create_task(link.send("X", {"V": ["v" * 1000] * 100})) for _ in range(100)]
                await asyncio.sleep(0)
                assert len(tasks) < 10_000
            await asyncio.wait(tasks)
            assert {type(task.exception()) for task in tasks} == {AmiDown, AmiLost}
            assert desk.notes[1] == "down: Asterisk does not read what it is sent"


class TestLists:
    async def test_a_list_is_collected_and_kept_from_the_handler(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.ask("CoreShowChannels"))
            action = await session.action("CoreShowChannels")
            ours = f"ActionID: {action['ActionID'][0]}"
            session.respond(action, "EventList: start")
            session.event("CoreShowChannel", ours, "Channel: a", "ChanVariable: X=1", "ChanVariable: Y=2")
            session.event("Newchannel", "Channel: c")
            session.event("CoreShowChannel", "ActionID: forged", "Channel: evil")
            session.event("CoreShowChannel", ours, "Channel: b")
            session.event("CoreShowChannelsComplete", ours, "EventList: Complete", "ListItems: 2")
            items = await task
            assert [item["Channel"] for item in items] == ["a", "b"]
            assert items[0].all("ChanVariable") == ("X=1", "Y=2")
            assert [event["Channel"] for event in desk.events] == ["c", "evil"]

    async def test_an_error_instead_of_a_list_is_raised(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.ask("PJSIPShowContacts"))
            session.respond(
                await session.action("PJSIPShowContacts"), "Message: No Contacts found", "", response="Error"
            )
            with pytest.raises(AmiRefused, match="No Contacts found"):
                await task

    @pytest.mark.parametrize("end", ["cancelled", "no list"])
    async def test_an_incomplete_list_is_not_taken_for_a_whole_one(
        self, server: AmiServer, desk: Desk, end: str
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.ask("QueueStatus"))
            action = await session.action("QueueStatus")
            if end == "cancelled":
                session.respond(action, "EventList: start")
                session.event(
                    "QueueStatusComplete", f"ActionID: {action['ActionID'][0]}", "EventList: Cancelled"
                )
            else:
                session.respond(action)
            with pytest.raises(AmiRefused, match="no complete list"):
                await task

    async def test_the_deadline_is_for_the_whole_list(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.ask("CoreShowChannels", deadline=0.1))
            session.respond(await session.action("CoreShowChannels"), "EventList: start")
            with pytest.raises(AmiTimeout):
                await task
            assert unanswered(link) == 0


class TestEvents:
    async def test_defect_an_event_with_a_pending_action_id_reaches_the_handler(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Originate", {}))
            action = await session.action("Originate")
            ours = f"ActionID: {action['ActionID'][0]}"
            session.event("OriginateResponse", ours, "Response: Failure")
            await until(lambda: desk.events)
            assert not task.done()
            session.respond(action)
            await task
            session.event("UserEvent", ours)
            await until(lambda: len(desk.events) == 2)
            assert desk.names() == ["OriginateResponse", "UserEvent"]

    async def test_defect_a_raising_handler_drops_neither_the_connection_nor_the_next_events(
        self, server: AmiServer, desk: Desk
    ) -> None:
        def fail(event: AmiMessage) -> None:
            if event.event == "Bad":
                raise KeyError("a fault of the handler")

        desk.on_event = fail
        with capture_logs() as logs:
            async with connected(desk, server) as (link, session):
                session.write("Event: A\r\n\r\nEvent: Bad\r\n\r\nEvent: B\r\n\r\n")
                await until(lambda: len(desk.events) == 3)
                await link.send("Ping", {})
        assert [entry["ami_event"] for entry in logs if entry["event"] == "ami_event_handler_failed"] == [
            "Bad"
        ]

    async def test_an_answer_and_the_events_around_it_keep_the_order_of_the_wire(
        self, server: AmiServer, desk: Desk
    ) -> None:
        order: list[str] = []
        desk.on_event = lambda event: order.append(event.event)

        async def ask_twice(link: AmiLink) -> None:
            tasks = [asyncio.create_task(note(link, name)) for name in ("First", "Second")]
            await asyncio.wait(tasks)

        async def note(link: AmiLink, name: str) -> None:
            await link.send(name, {})
            order.append(name)

        async with connected(desk, server) as (link, session):
            order.clear()
            task = asyncio.create_task(ask_twice(link))
            second, first = await session.action("Second"), await session.action("First")
            session.event("A")
            session.respond(first)
            session.event("B")
            session.respond(second)
            session.event("C")
            await task
            await until(lambda: "C" in order)
        assert order == ["A", "First", "B", "Second", "C"]

    async def test_events_come_while_recovery_awaits_its_own_actions(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async def recover() -> None:
            items = await desk.link.ask("CoreShowChannels")
            desk.notes.append(f"{len(items)} channel, {desk.names()}, {desk.link.state}")

        desk.on_up = recover
        async with running(desk) as link:
            session = await server.session()
            action = await session.action("CoreShowChannels")
            ours = f"ActionID: {action['ActionID'][0]}"
            session.event("Before")
            session.respond(action, "EventList: start")
            session.event("CoreShowChannel", ours)
            session.event("Within")
            session.event("CoreShowChannelsComplete", ours, "EventList: Complete")
            session.event("After")
            await until(lambda: link.up)
        assert desk.notes[:2] == ["up", "1 channel, ['FullyBooted', 'Before', 'Within'], recovering"]
        assert desk.names()[-1] == "After"

    async def test_a_flood_of_events_neither_loses_one_nor_starves_an_answer(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Redirect", {}, deadline=20))
            action = await session.action("Redirect")
            for number in range(50_000):
                session.event("VarSet", "Channel: PJSIP/1001-00000001", f"Value: {number}")
            session.respond(action)
            await task
            assert [int(event["Value"]) for event in desk.events] == list(range(50_000))


class TestHostility:
    async def test_a_forged_response_has_no_effect(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Redirect", {}))
            action = await session.action("Redirect")
            session.event(
                "Newchannel", "CallerIDNum: 1\r\n\r\nResponse: Success\r\nActionID: guess\r\n", "Uniqueid: 1"
            )
            session.event("Newchannel", "CallerIDNum: 1\r\n\r\nResponse: Success\r\n", "Uniqueid: 1")
            await until(lambda: len(desk.events) == 2)
            assert not task.done()
            session.respond(action, "Message: the true one")
            assert (await task)["Message"] == "the true one"

    async def test_an_answer_within_an_event_is_no_answer(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            task = asyncio.create_task(link.send("Redirect", {}))
            action = await session.action("Redirect")
            session.event(
                "Newchannel", "CallerIDNum: 1", "Response: Success", f"ActionID: {action['ActionID'][0]}"
            )
            await until(lambda: desk.events)
            assert not task.done()
            session.respond(action)
            await task

    async def test_slow_bytes_and_split_characters_arrive_whole(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (_, session):
            for byte in "Event: UserEvent\r\nWord: 你好\r\n\r\n".encode():
                session.write(bytes([byte]))
                await session.writer.drain()
                await asyncio.sleep(0)
            await until(lambda: desk.events)
            assert desk.events == [AmiMessage({"Event": "UserEvent", "Word": "你好"})]

    @pytest.mark.parametrize("begin", [b"", b"Event: X\r\n"])
    async def test_defect_eight_megabytes_without_an_end_drop_the_connection_quickly(
        self, server: AmiServer, desk: Desk, begin: bytes
    ) -> None:
        line = b"Header: value\r\n" if begin else b"x"
        async with connected(desk, server) as (link, session):
            began = time.process_time()
            session.write(begin + line * (8_000_000 // len(line)))
            await until(lambda: len(desk.notes) == 2)
            assert time.process_time() - began < 1
            assert desk.notes[1] == "down: a message of more than 1048576 bytes"
            await until(lambda: link.up)


class TestLoss:
    async def test_defect_nothing_is_sent_again_after_a_loss(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            tasks = [asyncio.create_task(link.send(name, {})) for name in ("Originate", "Redirect", "Hangup")]
            tasks.append(asyncio.create_task(link.ask("CoreShowChannels")))
            session.respond(await session.action("CoreShowChannels"), "EventList: start")
            session.cut()
            for task in tasks:
                with pytest.raises(AmiDown):
                    await task
            again = await server.session(2)
            await until(lambda: link.up)
            await link.send("Ping", {})
            assert [action["Action"][0] for action in again.actions] == ["Challenge", "Login", "Ping"]

    async def test_what_arrived_before_the_end_is_still_handed_over(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            tasks = [asyncio.create_task(link.send("Redirect", {})) for _ in range(10)]
            await session.action("Redirect", 10)
            for action in session.actions[-10:]:
                session.respond(action)
            session.event("Shutdown", "Restart: False")
            session.writer.close()
            await asyncio.wait(tasks)
            assert [task.exception() for task in tasks] == [None] * 10
            await until(lambda: len(desk.notes) == 2)
            assert desk.names() == ["Shutdown"]
            assert desk.notes[1] == "down: Asterisk closed the connection"

    async def test_defect_a_half_open_link_is_found_by_ping(self, server: AmiServer) -> None:
        desk = Desk(server, ping_interval=0.05, ping_deadline=0.05)
        async with connected(desk, server) as (link, session):
            await until(lambda: link.round_trip is not None)
            server.answers_ping = False
            await until(lambda: len(desk.notes) == 2)
            assert desk.notes[1] == "down: half-open: no answer to Ping within 0.05 s"
            await until(lambda: session.ended)

    async def test_a_busy_asterisk_gets_time_for_its_pong_but_not_for_ever(self, server: AmiServer) -> None:
        desk = Desk(server, ping_interval=0.02, ping_deadline=0.3)
        server.answers_ping = False
        with capture_logs() as logs:
            async with connected(desk, server) as (_, session):
                while len(desk.notes) == 1:
                    session.event("VarSet")
                    await asyncio.sleep(0.01)
        assert [entry["late"] for entry in logs if entry["event"] == "ami_ping_late"] == [1, 2, 3, 4]

    async def test_a_failing_recovery_drops_the_connection_and_is_tried_again(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async def recover() -> None:
            if desk.notes.count("up") == 1:
                raise RuntimeError("Redis does not answer")

        desk.on_up = recover
        async with running(desk) as link:
            await until(lambda: link.up)
            assert desk.notes == ["up", "down: recovery failed: Redis does not answer", "up"]

    async def test_a_loss_during_recovery_ends_the_recovery(self, server: AmiServer, desk: Desk) -> None:
        ended: list[str] = []

        async def recover() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("recovery")

        desk.on_up = recover
        async with running(desk) as link:
            session = await server.session()
            await until(lambda: desk.notes == ["up"])
            session.cut()
            await until(lambda: ended)
            assert link.state is not LinkState.UP

    async def test_a_raising_down_handler_does_not_end_the_link(self, server: AmiServer) -> None:
        def fail(reason: str) -> None:
            raise RuntimeError(reason)

        desk = Desk(server)
        desk.link._on_down = fail
        async with connected(desk, server) as (link, session):
            session.cut()
            await server.session(2)
            await until(lambda: link.up)

    async def test_a_reconnect_storm_is_slowed_down(self, server: AmiServer) -> None:
        server.after_login = Session.cut
        desk = Desk(server, backoff_first=0.01, backoff_max=0.2)
        async with running(desk):
            began = time.monotonic()
            await until(lambda: len(server.sessions) == 8)
            # 10 + 20 + 40 + 80 + 160 + 200 + 200 ms, each shortened by at most a half.
            assert time.monotonic() - began > 0.355


class TestStandingStill:
    """This process was frozen, or kept from running: what has come meanwhile is old, and not to be acted on."""

    @pytest.fixture
    def desk(self, server: AmiServer) -> Desk:
        return Desk(server, clock=time.monotonic)

    async def test_what_came_meanwhile_is_looked_up_instead_of_believed(
        self, server: AmiServer, desk: Desk
    ) -> None:
        async with connected(desk, server) as (link, session):
            session.event("Hangup", "Uniqueid: 1")
            assert link.open
            time.sleep(STALE + 0.3)  # noqa: ASYNC251 - nothing may run meanwhile
            assert not link.open, "what is read first may be a key press"
            await until(lambda: desk.notes[-1] == "up" and len(desk.notes) == 3)
            assert "we stood still" in desk.notes[1]
            assert [event.event for event in desk.events if event.event == "Hangup"] == []
            assert link.up
            assert link.open

    async def test_a_link_that_is_dropped_is_closed_at_once(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, _):
            link.drop("of no use")
            assert not link.open

    async def test_a_short_stop_is_nothing(self, server: AmiServer, desk: Desk) -> None:
        async with connected(desk, server) as (link, session):
            session.event("Hangup", "Uniqueid: 1")
            time.sleep(STALE / 2)  # noqa: ASYNC251 - nothing may run meanwhile
            await until(lambda: [event.event for event in desk.events] == ["Hangup"])
            assert link.up


class TestStop:
    async def test_cancellation_closes_everything(self, server: AmiServer, desk: Desk) -> None:
        before = asyncio.all_tasks()
        task = asyncio.create_task(desk.link.run())
        session = await server.session()
        await until(lambda: desk.link.up)
        pending = asyncio.create_task(desk.link.send("Redirect", {}))
        await session.action("Redirect")
        task.cancel()
        await asyncio.wait([task, pending])
        assert task.cancelled()
        assert isinstance(pending.exception(), AmiDown)
        await until(lambda: session.ended)
        ours = {other.get_name() for other in asyncio.all_tasks() - before}
        assert not {name for name in ours if name.startswith("ami-")}
        assert desk.notes == ["up", "down: stopped"]

    async def test_defect_cancellation_between_two_tries_leaves_no_reconnect(self, server: AmiServer) -> None:
        desk = Desk(server, secret="wrong", login_retry=0.05)
        async with running(desk) as link:
            await until(lambda: "refused" in link.reason)
        count = len(server.sessions)
        await asyncio.sleep(0.2)
        assert len(server.sessions) == count
