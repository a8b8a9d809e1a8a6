"""The defects of pyst2 that touch us, each mended."""

from __future__ import annotations

import ast
import signal
import sys
import threading
from pathlib import Path

import pytest

import telephony.agi
from telephony.agi import (
    AgiHangup,
    pyst,
)
from tests.adapters.agi.peer import (
    NUMBER,
    Call,
    Outcome,
    Serve,
)


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
