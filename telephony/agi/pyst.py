"""The only file that imports pyst2: its verbs and its reading of answers, over text instead of sockets.

pyst2's AGI writes to a stream and reads from one, and blocks meanwhile. Here it gets a text to read and
one to write, so that a verb becomes the line to send (`command`), and an answer becomes a result or one of
pyst2's exceptions (`conclude`), with the network left to `connection.py`.

Mended on the way: __init__ (signal handler, reading of standard input), quoting, end of file, usage
answers of one line. Not used: reading of values, which pyst2 cannot do when a value is `hangup` or has
several lines; see `connection.Reply`.
"""

from __future__ import annotations

import io
from contextlib import suppress

from asterisk.agi import AGI, AGIAppError, AGIError, AGIException, AGIHangup

__all__ = ["MAX_COMMAND", "AGIAppError", "AGIError", "AGIException", "AGIHangup", "command", "conclude"]

MAX_COMMAND = 2047
"""Bytes of a line with its end. Asterisk runs what lies beyond its buffer (AGI_BUF_LEN, res_agi.c) as another
command: beyond 8191 bytes on 22.10.1 (measured), 2047 in older sources. The smaller is enough for us."""


class _NoAnswerYetError(Exception):
    """A verb has written its line and wants to read."""


class _Silent(io.StringIO):
    """pyst2 writes every line, callers' numbers included, to its standard error; ours keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


class _TextAgi(AGI):  # type: ignore[misc]
    """pyst2's AGI over an answer that has already come, or has not."""

    def __init__(self, answer: str = "") -> None:
        # AGI.__init__ is left out on purpose: it installs a signal handler and reads an environment.
        self.stdin = io.StringIO(answer)
        self.stdout = io.StringIO()
        self.stderr = _Silent()
        self.env: dict[str, str] = {}
        self._got_sighup = False

    def _quote(self, value: object) -> str:
        text = str(value)
        if any(mark in text for mark in "\r\n\0"):
            raise ValueError("line end or NUL in an AGI argument")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    def get_result(self, stdin: object = None) -> dict[str, tuple[str, str]]:
        answer = self.stdin.getvalue()
        if not answer:
            raise _NoAnswerYetError
        if answer.startswith("520") and "\n520" not in answer:
            # pyst2 would wait for a second 520 line for ever; Asterisk has none when it knows no usage.
            raise AGIError(answer.strip())
        result: dict[str, tuple[str, str]] = super().get_result()
        return result


def command(verb: str, *arguments: str | int) -> str:
    """The line, with its end, that pyst2's `verb` (`set_variable`) sends.

    Raises ValueError for an argument with CR, LF or NUL, and for a line of more than MAX_COMMAND bytes.
    """
    agi = _TextAgi()
    with suppress(_NoAnswerYetError):
        getattr(agi, verb)(*arguments)
    line: str = agi.stdout.getvalue()
    size = len(line.encode())
    if size > MAX_COMMAND:
        raise ValueError(f"an AGI command of {size} bytes; at most {MAX_COMMAND} are safe")
    return line


def conclude(answer: str) -> None:
    """Let pyst2 judge an answer to a verb whose result is of no interest.

    Raises AGIHangup or AGIAppError for a lost channel, and another AGIError when Asterisk refused.
    """
    _TextAgi(answer).get_result()
