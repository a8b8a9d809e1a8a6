"""The FastAGI server against raw sockets: a small Asterisk of our own, and peers that are none."""

from __future__ import annotations

import ast
import asyncio
import gc
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import telephony.agi
from telephony.agi import (
    AgiDesync,
    AgiError,
    AgiHangup,
    AgiRefused,
    AgiServer,
    AgiSession,
    AgiTimeout,
    Handler,
    pyst,
)
from telephony.agi.request import Environment

HOST = "127.0.78.1"
NUMBER = "13800138000"
SOON = 10.0  # seconds; the limit of every wait, reached only by a failure
GREETING = 0.3  # seconds, the server's deadline in these tests

ENVIRONMENT = """\
agi_network: yes
agi_network_script: arrival
agi_request: agi://127.0.78.1:4573/arrival
agi_channel: PJSIP/carrier-00000001
agi_language: zh
agi_type: PJSIP
agi_uniqueid: 1795501078.1
agi_version: 22.10.1
agi_callerid: 13800138000
agi_calleridname: unknown
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: 110
agi_rdnis: unknown
agi_context: citizens
agi_extension: 110
agi_priority: 6
agi_enhanced: 0.0
agi_accountcode:\x20
agi_threadid: 140451132618432
agi_arg_1: a
agi_arg_2: b

"""
VARIABLES = {
    "UNIQUEID": "1795501078.1",
    "CHANNEL": "PJSIP/carrier-00000001",
    "CONTEXT": "citizens",
    "EXTEN": "110",
    "CALLERID(num)": NUMBER,
}


def with_caller(number: str) -> str:
    return ENVIRONMENT.replace(f"agi_callerid: {NUMBER}", f"agi_callerid: {number}")


def parse(environment: str) -> Environment:
    return Environment.parse(environment.split("\n\n")[0].split("\n"))


class FakeAsterisk:
    """Asterisk's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.variables = dict(VARIABLES)

    def say(self, text: str) -> None:
        self.writer.write(text.encode())

    async def line(self) -> str:
        """The next line from the server; empty at the end."""
        return (await asyncio.wait_for(self.reader.readline(), SOON)).decode()

    async def answer_variables(self, before: str = "") -> None:
        """Answer one GET FULL VARIABLE as Asterisk does, with `before` in front of the answer."""
        asked = re.fullmatch(r'GET FULL VARIABLE "(.*)"\n', await self.line())
        assert asked
        value = re.sub(r"\$\{([^}]*)\}", lambda name: self.variables.get(name[1], ""), asked[1])
        self.say(f"{before}200 result=1 ({value})\n")

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), SOON)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


Call = Callable[..., Awaitable[FakeAsterisk]]
Serve = Callable[..., Awaitable[AgiServer]]


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[None]:
    """Fails a test after which the event loop has an error that nobody has taken."""
    found: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert found == []


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[AgiServer] = []

    async def start(handler: Handler | None = None, **limits: float) -> AgiServer:
        handlers = {"arrival": handler} if handler else {}
        chosen = {"greeting_deadline": GREETING, "command_deadline": 1.0, "grace": 0.2, **limits}
        server = AgiServer(HOST, 0, handlers, **chosen)  # type: ignore[arg-type]
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    open_ends: list[FakeAsterisk] = []

    async def connect(
        server: AgiServer, environment: str = ENVIRONMENT, *, opened: bool = True
    ) -> FakeAsterisk:
        far = FakeAsterisk(*await asyncio.open_connection(HOST, server.port))
        open_ends.append(far)
        far.say(environment)
        if opened:
            await far.answer_variables()
        return far

    yield connect
    for far in open_ends:
        await far.close()


@asynccontextmanager
async def limit() -> AsyncIterator[None]:
    async with asyncio.timeout(SOON):
        yield


async def until(condition: Callable[[], bool]) -> None:
    async with limit():
        while not condition():  # noqa: ASYNC110 -- the server has no event for this, nor needs one
            await asyncio.sleep(0.005)


class Outcome:
    """A handler that runs one coroutine function on its session and keeps what became of it."""

    def __init__(self, act: Callable[[AgiSession], Awaitable[object]]) -> None:
        self.act = act
        self.session: asyncio.Future[AgiSession] = asyncio.get_running_loop().create_future()
        self.result: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def __call__(self, session: AgiSession) -> None:
        self.session.set_result(session)
        try:
            self.result.set_result(await self.act(session))
        except (AgiError, ValueError, asyncio.CancelledError) as error:
            self.result.set_result(error)
            raise

    async def get(self) -> object:
        return await asyncio.wait_for(asyncio.shield(self.result), SOON)


class TestEnvironment:
    """What is believed of the lines that Asterisk writes first."""

    def test_asterisks_own_environment_has_no_faults(self) -> None:
        environment = parse(ENVIRONMENT)
        assert environment.faults == ()
        assert environment.script == "arrival"
        assert environment.arguments == ("a", "b")
        assert environment.values["agi_accountcode"] == ""

    @pytest.mark.parametrize(
        ("number", "fault"),
        [
            ("1\r\nX: y", "unknown line"),
            ("1\nagi_context: dedicated", "agi_context twice"),
            ("1\nagi_arg_1: evil", "agi_arg_1 twice"),
            ("1\nagi_arg_3: evil", "order"),
            ("1\n\n", "agi_threadid missing"),
            ("1\r", "control character in agi_callerid"),
            ("1\nno colon", "unknown line"),
        ],
    )
    def test_a_callers_line_end_is_found_out_and_the_arguments_are_dropped(
        self, number: str, fault: str
    ) -> None:
        environment = parse(with_caller(number))
        assert fault in environment.faults
        assert environment.arguments == ()
        assert environment.script == "arrival"

    def test_an_environment_without_a_uniqueid_is_marked(self) -> None:
        assert "agi_uniqueid missing" in parse(re.sub("agi_uniqueid.*\n", "", ENVIRONMENT)).faults

    def test_an_environment_in_another_order_is_marked(self) -> None:
        lines = ENVIRONMENT.strip().split("\n")
        lines[-1], lines[-2] = lines[-2], lines[-1]
        assert Environment.parse(lines).faults == ("order",)

    @given(st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",))))
    def test_a_number_without_line_ends_never_costs_the_arguments_unless_it_has_control_characters(
        self, number: str
    ) -> None:
        control = any(ord(character) < 32 or ord(character) == 127 for character in number)
        assert parse(with_caller(number)).arguments == (() if control else ("a", "b"))

    @given(st.lists(st.sampled_from(["", "x", *ENVIRONMENT.strip().split("\n")]), min_size=1, max_size=12))
    def test_no_lines_of_a_caller_go_unnoticed(self, lines: list[str]) -> None:
        assert parse(with_caller("\n".join(["1", *lines]))).faults


class TestPyst2:
    """The defects of pyst2 0.5.1 that touch us (facts §4), each mended."""

    def test_pyst2_does_not_install_its_signal_handler(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        errors: list[BaseException] = []

        def off_the_main_thread() -> None:
            try:
                pyst.command("set_variable", "A", "1")
            except ValueError as error:
                errors.append(error)

        thread = threading.Thread(target=off_the_main_thread)
        thread.start()
        thread.join()
        assert errors == []
        assert signal.getsignal(signal.SIGHUP) is before

    def test_pyst2_escapes_quotes_and_backslashes(self) -> None:
        assert pyst.command("set_variable", "A", 'a"b\\c" d') == r'SET VARIABLE "A" "a\"b\\c\" d"' + "\n"

    @pytest.mark.parametrize("value", ["a\nEXEC System x", "a\rb", "a\0b"])
    def test_pyst2_sends_no_line_end_or_nul_in_a_value(self, value: str) -> None:
        with pytest.raises(ValueError, match="line end or NUL") as refused:
            pyst.command("set_variable", "A", value)
        assert "EXEC" not in str(refused.value)

    def test_pyst2_sends_no_line_that_asterisk_would_cut_in_two(self) -> None:
        room = pyst.MAX_COMMAND - len('SET VARIABLE "A" ""\n')
        assert len(pyst.command("set_variable", "A", "x" * room)) == 2047
        with pytest.raises(ValueError, match="2048 bytes"):
            pyst.command("set_variable", "A", "x" * (room + 1))

    def test_pyst2_does_not_loop_on_a_usage_answer_of_one_line(self) -> None:
        with pytest.raises(pyst.AGIError):
            pyst.conclude("520 Invalid command syntax.  Proper usage not available.")

    def test_pyst2_writes_no_callers_to_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        pyst.command("set_variable", "A", NUMBER)
        pyst.conclude(f"200 result=1 ({NUMBER})")
        assert capsys.readouterr() == ("", "")

    def test_pyst2_is_imported_in_one_file_and_its_broken_modules_nowhere(self) -> None:
        importers = set()
        root = Path(telephony.agi.__file__).parents[1]
        for file in root.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                importers |= {
                    str(file.relative_to(root)) for name in names if name.split(".")[0] == "asterisk"
                }
        assert importers == {"agi/pyst.py"}
        assert "asterisk.fastagi" not in sys.modules

    async def test_pyst2_ends_when_the_connection_ends_before_the_answer(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome))
        assert await far.line()
        await far.close()
        assert isinstance(await outcome.get(), AgiHangup)

    async def test_pyst2_ends_when_the_connection_ends_in_a_usage_answer(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome))
        assert await far.line()
        far.say("520-Invalid command syntax.  Proper usage follows:\nSets a variable\n")
        await far.close()
        assert isinstance(await outcome.get(), AgiHangup)

    async def test_pyst2_writes_bytes_in_utf_8_to_the_socket(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda session: session.set_variable("LABEL", "来电人"))
        far = await call(await serve(outcome))
        assert await far.line() == 'SET VARIABLE "LABEL" "来电人"\n'

    @pytest.mark.parametrize("value", ["hangup", "a) result=-1 (b", "(1)", "a\nb", 'q"\\', "-1"])
    async def test_pyst2_gives_every_value_as_it_is(self, serve: Serve, call: Call, value: str) -> None:
        outcome = Outcome(lambda session: session.get_variable("A"))
        far = await call(await serve(outcome))
        far.variables["A"] = value
        await far.answer_variables()
        assert await outcome.get() == value


class TestSession:
    """Commands, and every way in which Asterisk may answer them."""

    async def test_a_request_carries_what_asterisk_itself_says(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda _: asyncio.sleep(0))
        await call(await serve(outcome))
        request = (await asyncio.wait_for(outcome.session, SOON)).request
        assert (request.script, request.arguments) == ("arrival", ("a", "b"))
        assert (request.uniqueid, request.channel) == ("1795501078.1", "PJSIP/carrier-00000001")
        assert (request.context, request.extension) == ("citizens", "110")
        assert (request.caller_number, request.suspicious) == (NUMBER, False)

    @pytest.mark.parametrize(
        "number",
        [
            "1\nagi_uniqueid: forged\nagi_extension: 119",
            "1\n\n200 result=1 (forged)",
            "1\n\n200 result=1\n511 Command Not Permitted on a dead channel",
        ],
    )
    async def test_a_forged_environment_is_marked_and_changes_nothing(
        self, serve: Serve, call: Call, number: str
    ) -> None:
        outcome = Outcome(lambda _: asyncio.sleep(0))
        with structlog.testing.capture_logs() as logs:
            await call(await serve(outcome), with_caller(number))
            request = (await asyncio.wait_for(outcome.session, SOON)).request
        assert request.suspicious
        assert request.arguments == ()
        assert (request.uniqueid, request.extension) == ("1795501078.1", "110")
        assert "agi_environment_forged" in [entry["event"] for entry in logs]

    async def test_lines_that_come_while_the_first_answer_is_awaited_are_seen(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda _: asyncio.sleep(0))
        far = await call(await serve(outcome), opened=False)
        await far.answer_variables(before="200 result=1 (forged)\n")
        request = (await asyncio.wait_for(outcome.session, SOON)).request
        assert request.faults == ("lines after the end",)

    async def test_an_end_forged_in_the_last_lines_is_seen_by_what_follows_it(
        self, serve: Serve, call: Call
    ) -> None:
        """An extension of 70 bytes has room for a whole end of the environment."""
        tail = (
            "110\nagi_priority: 1\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 1\nagi_arg_1: evil\n\n"
        )
        forged = ENVIRONMENT.replace("agi_extension: 110\n", f"agi_extension: {tail}")
        assert parse(forged).faults == ()
        outcome = Outcome(lambda _: asyncio.sleep(0))
        await call(await serve(outcome), forged)
        request = (await asyncio.wait_for(outcome.session, SOON)).request
        assert request.faults == ("lines after the end",)
        assert request.arguments == ()

    async def test_a_variable_that_asterisk_confirms_is_set(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome))
        assert await far.line() == 'SET VARIABLE "A" "1"\n'
        assert not outcome.result.done()
        far.say("200 result=1\n")
        assert await outcome.get() is None
        assert await far.rest() == b""

    async def test_an_answer_and_a_hang_up_in_one_packet_still_confirm(
        self, serve: Serve, call: Call
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome))
        await far.line()
        far.say("200 result=1\nHANGUP\n")
        assert await outcome.get() is None

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ("510 Invalid or unknown command\n", AgiRefused),
            ("511 Command Not Permitted on a dead channel or intercept routine\n", AgiHangup),
            (
                "520-Invalid command syntax.  Proper usage follows:\nSets it\n520 End of proper usage.\n",
                AgiRefused,
            ),
            ("520-Invalid command syntax.\nSets it520 End of proper usage.\n", AgiRefused),
            ("520 Invalid command syntax.  Proper usage not available.\n", AgiRefused),
            ("200 result=-1\n", AgiHangup),
            ("HANGUP\n", AgiHangup),
            ("agi_channel: what\n", AgiDesync),
            ("\n", AgiDesync),
            ("x" * 20_000, AgiDesync),
        ],
    )
    async def test_anything_but_200_is_an_error(
        self, serve: Serve, call: Call, answer: str, error: type[AgiError]
    ) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome))
        await far.line()
        far.say(answer)
        assert type(await outcome.get()) is error

    async def test_no_answer_in_time_is_an_error_and_ends_the_session(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda session: session.set_variable("A", "1"))
        far = await call(await serve(outcome, command_deadline=0.1))
        await far.line()
        assert isinstance(await outcome.get(), AgiTimeout)
        assert await far.rest() == b""

    async def test_a_variable_that_is_not_set_is_none(self, serve: Serve, call: Call) -> None:
        outcome = Outcome(lambda session: session.get_variable("NOPE"))
        far = await call(await serve(outcome))
        await far.answer_variables()
        assert await outcome.get() is None

    async def test_a_value_cannot_forge_the_answer_to_the_next_command(
        self, serve: Serve, call: Call
    ) -> None:
        async def read_twice(session: AgiSession) -> tuple[str | None, str | None]:
            return await session.get_variable("CALLERID(name)"), await session.get_variable("UNIQUEID")

        outcome = Outcome(read_twice)
        far = await call(await serve(outcome))
        far.variables["CALLERID(name)"] = name = "n)\n200 result=1 (forged)\nHANGUP\n200 result=1"
        await far.answer_variables()
        await far.answer_variables()
        assert await outcome.get() == (name, "1795501078.1")

    async def test_a_line_that_nobody_asked_for_ends_the_session(self, serve: Serve, call: Call) -> None:
        async def wait(session: AgiSession) -> None:
            await session.unless_hung_up(asyncio.Event().wait())

        outcome = Outcome(wait)
        far = await call(await serve(outcome))
        await outcome.session
        far.say("200 result=1\n")
        assert isinstance(await outcome.get(), AgiHangup)
        assert await far.rest() == b""

    async def test_commands_at_the_same_time_take_turns(self, serve: Serve, call: Call) -> None:
        async def both(session: AgiSession) -> None:
            await asyncio.gather(session.set_variable("A", "1"), session.verbose("hello", 1))

        outcome = Outcome(both)
        far = await call(await serve(outcome))
        for line in ('SET VARIABLE "A" "1"\n', 'VERBOSE "hello" 1\n'):
            assert await far.line() == line
            far.say("200 result=1\n")
        assert await outcome.get() is None

    async def test_a_question_given_up_ends_the_session(self, serve: Serve, call: Call) -> None:
        async def give_up(session: AgiSession) -> bool:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.set_variable("A", "1"), 0.05)
            return session.hung_up

        outcome = Outcome(give_up)
        far = await call(await serve(outcome))
        await far.line()
        assert await outcome.get() is True

    @pytest.mark.parametrize("name", ["", "A B", "A}", 'A"', "A\n", "${A}", "来", "A(${B})"])
    async def test_a_name_that_is_none_is_refused_and_nothing_is_sent(
        self, serve: Serve, call: Call, name: str
    ) -> None:
        async def try_both(session: AgiSession) -> None:
            with pytest.raises(ValueError, match="not the name"):
                await session.get_variable(name)
            await session.set_variable(name, "1")

        outcome = Outcome(try_both)
        far = await call(await serve(outcome))
        assert isinstance(await outcome.get(), ValueError)
        assert await far.rest() == b"failure\n"

    @pytest.mark.parametrize("end", ["HANGUP\n", None])
    async def test_a_handler_that_waits_learns_at_once_that_the_channel_has_gone(
        self, serve: Serve, call: Call, end: str | None
    ) -> None:
        decision: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def wait(session: AgiSession) -> None:
            await session.set_variable("A", await session.unless_hung_up(asyncio.shield(decision)))

        outcome = Outcome(wait)
        far = await call(await serve(outcome))
        session = await outcome.session
        assert not session.hung_up
        if end:
            far.say(end)
        else:
            await far.close()
        assert isinstance(await outcome.get(), AgiHangup)
        assert session.hung_up
        assert not decision.cancelled()

    async def test_a_wait_that_begins_after_the_hang_up_ends_at_once(self, serve: Serve, call: Call) -> None:
        async def wait_late(session: AgiSession) -> None:
            with pytest.raises(AgiHangup):
                await session.set_variable("A", "1")
            await session.unless_hung_up(asyncio.Event().wait())

        outcome = Outcome(wait_late)
        far = await call(await serve(outcome, grace=2 * SOON))
        await far.line()
        await far.close()
        assert isinstance(await outcome.get(), AgiHangup)

    async def test_a_decision_after_the_hang_up_is_not_taken_for_delivered(
        self, serve: Serve, call: Call
    ) -> None:
        decided = asyncio.Event()

        async def decide(session: AgiSession) -> None:
            await decided.wait()
            await session.set_variable("A", "1")

        outcome = Outcome(decide)
        far = await call(await serve(outcome))
        session = await outcome.session
        await far.close()
        await until(lambda: session.hung_up)
        decided.set()
        assert isinstance(await outcome.get(), AgiHangup)

    async def test_a_timeout_of_the_handlers_own_is_not_taken_for_a_hang_up(
        self, serve: Serve, call: Call
    ) -> None:
        async def wait(session: AgiSession) -> str:
            try:
                await session.unless_hung_up(asyncio.wait_for(asyncio.Event().wait(), 0.01))
            except TimeoutError:
                return "own"
            return "none"

        outcome = Outcome(wait)
        await call(await serve(outcome))
        assert await outcome.get() == "own"


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
        assert re.fullmatch(r"test_agi\.py:\d+ fail", entry["where"][-1])
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
