"""The commands of a FastAGI session, and every way in which Asterisk may answer them."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from telephony.agi import (
    AgiDesync,
    AgiError,
    AgiHangup,
    AgiRefused,
    AgiSession,
    AgiTimeout,
)
from tests.adapters.agi.peer import ENVIRONMENT, NUMBER, SOON, Call, Outcome, Serve, parse, with_caller
from tests.adapters.waiting import until


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
