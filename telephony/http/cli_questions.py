"""What the Asterisk CLI may ask and tell, by the names that `asterisk_cli` gives the questions.

Everything goes through the same operations of the switchboard as HTTP and the phones' keys.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from telephony.http import cli_rows
from telephony.http.cli_rows import Row
from telephony.http.context import Context
from telephony.views import transfer_view

Question = Callable[[Context, str], Awaitable[list[Row]]]


async def show_lines(context: Context, _: str) -> list[Row]:
    return cli_rows.line_rows(context.switchboard.lines())


async def show_line(context: Context, name: str) -> list[Row]:
    switchboard = context.switchboard
    return cli_rows.line_row(switchboard.line(name), switchboard.calls(), time.time())


async def show_calls(context: Context, _: str) -> list[Row]:
    return cli_rows.call_rows(context.switchboard.calls(), time.time())


async def show_call(context: Context, name: str) -> list[Row]:
    return cli_rows.call_row(context.switchboard.call(name), time.time())


async def show_seats(context: Context, _: str) -> list[Row]:
    return cli_rows.seat_rows(context.switchboard.seats())


async def show_seat(context: Context, name: str) -> list[Row]:
    seat = context.switchboard.seat(name)
    call = context.switchboard.call(seat.call) if seat.call else None
    return cli_rows.seat_row(seat, call, time.time())


async def show_controller(context: Context, _: str) -> list[Row]:
    parts = [(name, "up" if check() else "down") for name, check in context.checks.items()]
    return [("controller", "answers"), *parts, ("calls", str(len(context.switchboard.calls())))]


async def close_line(context: Context, name: str) -> list[Row]:
    return await _set_line(context, name, closed=True, done="closed to new transfers; live ones go on")


async def open_line(context: Context, name: str) -> list[Row]:
    return await _set_line(context, name, closed=False, done="open to new transfers")


async def _set_line(context: Context, name: str, *, closed: bool, done: str) -> list[Row]:
    line = await context.switchboard.set_line(name, closed=closed)
    return [("done", done), *cli_rows.line_row(line, context.switchboard.calls(), time.time())]


async def cancel_transfer(context: Context, name: str) -> list[Row]:
    call = context.switchboard.call_of_transfer(name)
    pressed = await context.switchboard.cancel(call.id, name)
    views = [transfer_view(call.id, transfer) for transfer in pressed.transfers]
    return [
        ("done", "its partner is called no more"),
        *(cli_rows.transfer_row(v, time.time()) for v in views),
    ]


QUESTIONS: dict[str, Question] = {
    "show-lines": show_lines,
    "show-line": show_line,
    "show-calls": show_calls,
    "show-call": show_call,
    "show-seats": show_seats,
    "show-seat": show_seat,
    "show-controller": show_controller,
    "close-line": close_line,
    "open-line": open_line,
    "cancel-transfer": cancel_transfer,
}
