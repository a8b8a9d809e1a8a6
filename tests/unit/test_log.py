"""The log: one JSON line per event, and no caller in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from telephony import log
from telephony.settings import load
from tests.unit.hotline_toml import GOOD, changed
from tests.unit.hotline_toml import written as written_file

NUMBER = "13800138000"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written, with logging set up as the controller has it."""
    before = structlog.get_config()
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    output = io.StringIO()
    log.configure(output)
    yield output
    structlog.configure(**before)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().removesuffix("\n").split("\n")]


def test_an_event_is_one_line_of_json_with_its_time_and_level(written: io.StringIO) -> None:
    structlog.get_logger("call").info("transition", call="c", old="queued", new="talking")
    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "transition", "level": "info", "call": "c", "old": "queued", "new": "talking"}


@pytest.mark.parametrize("name", ["number", "caller", "caller_number"])
@pytest.mark.parametrize(
    ("value", "left"),
    [(NUMBER, "138***00"), ("02012345678", "020***78"), ("1234567", "***"), ("110", "***"), ("", "***")],
)
def test_of_a_callers_number_only_enough_to_tell_two_apart_is_left(
    written: io.StringIO, name: str, value: str, left: str
) -> None:
    structlog.get_logger("call").warning("arrived", **{name: value})
    assert lines(written)[0][name] == left
    assert not value or len(value) < 4 or value not in written.getvalue()


def test_a_number_that_a_logger_is_bound_to_is_left_out_too(written: io.StringIO) -> None:
    structlog.get_logger("call").bind(caller=NUMBER).info("arrived")
    assert NUMBER not in written.getvalue()


def test_what_the_callers_phone_wrote_cannot_begin_a_line_of_its_own(written: io.StringIO) -> None:
    structlog.get_logger("agi").info("forged", name='x\n{"event": "evil"}\r\n\u2028\0')
    assert len(lines(written)) == 1
    assert lines(written)[0]["name"].startswith("x\n")


def test_chinese_stays_readable(written: io.StringIO) -> None:
    structlog.get_logger("lines").info("closed", label="消防")
    assert "消防" in written.getvalue()


def test_a_value_that_json_does_not_know_costs_no_line(written: io.StringIO) -> None:
    structlog.get_logger("call").info("odd", thing={1, 2}, raw=b"\xff")
    assert lines(written)[0]["event"] == "odd"


def test_half_a_surrogate_pair_costs_no_line(written: io.StringIO) -> None:
    structlog.get_logger("call").info("odd", name="x\ud800", raw=b"y")
    assert lines(written)[0]["name"] == "x\ud800"


def test_a_traceback_says_where_and_what_but_no_local_variable(written: io.StringIO) -> None:
    def fail(number: str) -> None:
        token = f"token-of-{number}"
        raise KeyError(len(token))

    try:
        fail(NUMBER)
    except KeyError:
        structlog.get_logger("call").exception("event_failed", call="c")
    assert NUMBER not in written.getvalue()
    (line,) = lines(written)
    (error,) = line["exception"]
    assert error["exc_type"] == "KeyError"
    assert [frame["name"] for frame in error["frames"]][-1] == "fail"
    assert all(not frame.get("locals") for frame in error["frames"])


def test_what_libraries_say_is_a_line_like_all_others(
    written: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("aiohttp.server").info("nothing that anybody needs")
    logging.getLogger("aiohttp.server").warning("odd: %s", "x\ny")
    try:
        raise KeyError(NUMBER)
    except KeyError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    odd, failed = lines(written)
    assert (odd["level"], odd["name"], odd["says"]) == ("warning", "aiohttp.server", "odd: x\ny")
    assert (failed["level"], failed["exception"][0]["exc_type"]) == ("error", "KeyError")
    assert capsys.readouterr().err == ""


def test_where_the_configuration_says_so_the_number_is_left_whole(
    written: io.StringIO, tmp_path: Path
) -> None:
    text = changed("[ami]", '[log]\nnumbers = "full"\n\n[ami]')
    assert load(written_file(tmp_path, text)).log.numbers == "full"
    assert load(written_file(tmp_path, GOOD)).log.numbers == "short"
    log.configure(written, full_numbers=True)
    structlog.get_logger("call").info("arrived", caller=NUMBER)
    assert lines(written)[0]["caller"] == NUMBER
