"""What `telephony calls`, `lines` and `seats` print for people: a table made of the HTTP interface's JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from telephony.printable import printable

PIPED = 200  # columns when nobody's screen says how many there are


def calls_table(answer: dict[str, Any], now: float) -> Table:
    """Live calls; `now` in seconds since the epoch."""
    heads = ("call", "situation", "caller", "came over", "seat", "for", "transfers")
    return _table(heads, (_call(call, now) for call in answer["calls"]))


def _call(call: dict[str, Any], now: float) -> Iterable[str]:
    caller = "withheld" if call["caller"]["withheld"] else call["caller"]["number"] or "unknown"
    transfers = [f"{t['line']} {t['reason'] or t['state']} ({t['id']})" for t in call["transfers"]]
    minutes, seconds = divmod(max(0, round(now - call["arrived_at"])), 60)
    since = f"{minutes}:{seconds:02}"
    return call["id"], call["situation"], caller, call["via"], call["seat"], since, "\n".join(transfers)


def lines_table(answer: dict[str, Any]) -> Table:
    heads = ("line", "label", "state", "live", "key", "digits", "modes")
    return _table(heads, (_line(line) for line in answer["lines"]))


def _line(line: dict[str, Any]) -> Iterable[str]:
    live = f"{line['live']} of {line['capacity']}"
    return (
        line["line"],
        line["label"],
        line["state"],
        live,
        line["key"],
        line["dtmf"],
        " ".join(line["modes"]),
    )


def seats_table(answer: dict[str, Any]) -> Table:
    heads = ("seat", "state", "queue", "call")
    return _table(
        heads, ((seat["seat"], seat["state"], seat["queue"], seat["call"]) for seat in answer["seats"])
    )


def show(table: Table) -> None:
    """Print it as wide as the screen is."""
    Console(width=None if sys.stdout.isatty() else PIPED).print(table)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head)
    for row in rows:
        # Text, not markup: brackets in a label are brackets, and nothing in it steers a terminal.
        table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in row))
    return table
