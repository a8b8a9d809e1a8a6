"""The FastAGI server: peers of every kind, handlers that fail, and the end."""

from __future__ import annotations

import asyncio
import re

import pytest
import structlog

from telephony.agi import (
    AgiServer,
    AgiSession,
)
from tests.adapters.agi.peer import ENVIRONMENT, HOST, NUMBER, SOON, Call, Outcome, Serve
from tests.adapters.waiting import until

HOSTILE = {
    "says nothing": b"",
    "half a line": b"agi_netw",
    "no end": ENVIRONMENT.rstrip().encode() + b"\n",
    "ten megabytes of one line": b"x" * 10_000_000,
    "ten megabytes of lines": b"agi_arg_1: x\n" * 800_000,
    "ten megabytes of blank lines": b"\n" * 10_000_000,
    "invalid UTF-8": b"\xff\xfe\n\n",
    "NUL": b"\0\0\n\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an environment and nothing more": ENVIRONMENT.encode(),
    "answers of its own": ENVIRONMENT.encode() + b"200 result=1 (forged)\n" * 100,
}


class TestServer:
    """Peers of every kind, handlers that fail, and the end."""

    @pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_a_peer_that_is_no_asterisk_is_dropped_by_the_greeting_deadline(
        self, serve: Serve, sent: bytes
    ) -> None:
        async def never(_: AgiSession) -> None:
            pytest.fail("a handler ran")

        server = await serve(never, command_deadline=2 * SOON)
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(sent)
        try:
            while await asyncio.wait_for(reader.read(65_536), SOON):
                pass
        except ConnectionError:
            pass  # closed with our bytes unread
        writer.transport.abort()
        await until(lambda: server.sessions == 0)

    async def test_an_environment_beyond_the_limit_is_dropped_though_it_ends(
        self, serve: Serve, call: Call
    ) -> None:
        server = await serve(max_env_bytes=4_096, greeting_deadline=2 * SOON)
        with structlog.testing.capture_logs() as logs:
            await call(server, ENVIRONMENT.replace("agi_arg_1: a", "agi_arg_1: " + "a" * 5_000), opened=False)
            await until(lambda: "agi_peer_dropped" in [entry["event"] for entry in logs])
        assert [entry["reason"] for entry in logs if "reason" in entry] == ["AgiDesync"]

    async def test_a_peer_that_closes_at_once_leaves_nothing(self, serve: Serve) -> None:
        server = await serve()
        for sent in (b"", b"agi_netw", ENVIRONMENT.encode()):
            _, writer = await asyncio.open_connection(HOST, server.port)
            writer.write(sent)
            await writer.drain()
            writer.transport.abort()
        await until(lambda: server.sessions == 0)

    async def test_a_call_is_served_while_silent_peers_fill_the_machine(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        server = await serve(outcome, greeting_deadline=2 * SOON)
        silent = [await asyncio.open_connection(HOST, server.port) for _ in range(200)]
        far = await call(server)
        assert await far.line() == 'SET VARIABLE "A" "1"\n'
        assert server.sessions == 201
        for _, writer in silent:
            writer.transport.abort()

    async def test_the_connection_beyond_the_limit_is_closed_at_once(self, serve: Serve, call: Call) -> None:
        server = await serve(max_sessions=1, greeting_deadline=2 * SOON)
        await call(server, "", opened=False)
        await until(lambda: server.sessions == 1)
        refused = await call(server, "", opened=False)
        assert await refused.rest() == b"failure\n"

    async def test_an_unknown_script_ends_agi_with_a_failure_and_is_logged(
        self, serve: Serve, call: Call
    ) -> None:
        with structlog.testing.capture_logs() as logs:
            far = await call(await serve(), ENVIRONMENT.replace("arrival", "nonsense"))
            assert await far.rest() == b"failure\n"
        (entry,) = [entry for entry in logs if entry["event"] == "agi_unknown_script"]
        assert (entry["script"], entry["uniqueid"]) == ("nonsense", "1795501078.1")

    async def test_a_handler_that_raises_is_logged_without_the_callers_number(
        self, serve: Serve, call: Call
    ) -> None:
        async def fail(session: AgiSession) -> None:
            raise KeyError(session.request.caller_number)

        with structlog.testing.capture_logs() as logs:
            far = await call(await serve(fail))
            assert await far.rest() == b"failure\n"
        (entry,) = [entry for entry in logs if entry["event"] == "agi_handler_failed"]
        assert entry["error"] == "KeyError"
        assert re.fullmatch(r"test_agi_server\.py:\d+ fail", entry["where"][-1])
        assert NUMBER not in str(logs)

    async def test_a_script_name_that_may_be_a_number_is_not_logged(self, serve: Serve, call: Call) -> None:
        with structlog.testing.capture_logs() as logs:
            far = await call(await serve(), ENVIRONMENT.replace("script: arrival", f"script: {NUMBER}"))
            await far.rest()
        assert NUMBER not in str(logs)

    async def test_a_handler_that_overruns_its_hang_up_is_cancelled(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda _: asyncio.Event().wait())
        server = await serve(outcome)
        far = await call(server)
        await outcome.session
        await far.close()
        assert isinstance(await outcome.get(), asyncio.CancelledError)
        await until(lambda: server.sessions == 0)

    async def test_stop_takes_no_more_but_lets_the_running_session_finish(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        server = await serve(outcome, grace=SOON)
        port = server.port
        far = await call(server)
        await far.line()
        stopping = asyncio.create_task(server.stop())
        await until(lambda: server.port == 0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        far.say("200 result=1\n")
        assert await outcome.get() is None
        await asyncio.wait_for(stopping, 1.0)

    async def test_stop_ends_sessions_that_do_not_finish(self, serve: Serve, call: Call) -> None:
        waits = Outcome(lambda _: asyncio.Event().wait())
        server = await serve(waits)
        far = await call(server)
        idle = await call(server, "", opened=False)
        await waits.session
        await asyncio.wait_for(server.stop(), SOON)
        assert isinstance(await waits.get(), asyncio.CancelledError)
        assert (await far.rest(), await idle.rest()) == (b"failure\n", b"failure\n")
        assert server.sessions == 0

    async def test_stop_before_start_does_nothing(self) -> None:
        await AgiServer(HOST, 0, {}).stop()

    async def test_an_address_in_use_is_an_error_at_start(self, serve: Serve) -> None:
        taken = await serve()
        with pytest.raises(OSError, match="in use"):
            await AgiServer(HOST, taken.port, {}).start()
