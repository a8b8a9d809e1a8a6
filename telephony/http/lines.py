"""Lines: looking at them, closing and opening them."""

from __future__ import annotations

from telephony.errors import NotFound
from telephony.http.access import may_see_line
from telephony.http.answers import Answer, Lines, json_answer
from telephony.http.bodies import LineChange
from telephony.http.context import Ask


async def list_lines(ask: Ask) -> Answer:
    seq = ask.context.feed.last_seq
    lines = [line for line in ask.context.switchboard.lines() if may_see_line(ask.who, line.line)]
    return json_answer(Lines(seq, lines))


async def get_line(ask: Ask) -> Answer:
    name = ask.path["line"]
    if not may_see_line(ask.who, name):
        raise NotFound("unknown_line", f"there is no line {name}")
    return json_answer(ask.context.switchboard.line(name))


async def change_line(ask: Ask) -> Answer:
    change: LineChange = ask.body
    closed = change.state == "closed"
    return json_answer(await ask.context.switchboard.set_line(ask.path["line"], closed=closed))
