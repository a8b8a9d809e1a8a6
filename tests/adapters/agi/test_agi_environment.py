"""What is believed of the lines that Asterisk writes first, which a caller may have written too."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.agi.request import Environment
from tests.adapters.agi.peer import (
    ENVIRONMENT,
    parse,
    with_caller,
)


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
