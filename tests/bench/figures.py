"""The bench's arithmetic: percentiles, ratios, and whether a goal is met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of `values` do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no samples")
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row must keep: each limit that is given.

    `ratio`, `ours`: at most so much of the reference, at most so much by itself; `least`: at least so many
    times the reference; `better`: less than the reference.
    """

    ratio: float | None = None
    least: float | None = None
    ours: float | None = None
    better: bool = False

    def __str__(self) -> str:
        parts = []
        if self.ratio is not None:
            parts.append(f"<= {self.ratio:g} x")
        if self.least is not None:
            parts.append(f">= {self.least:g} x")
        if self.ours is not None:
            parts.append(f"<= {self.ours:g}")
        if self.better:
            parts.append("< reference")
        return ", ".join(parts)

    def met(self, ours: float, reference: float | None) -> bool:
        """Whether all limits are kept; a limit against a reference that there is none of is not."""
        ratio = ratio_of(ours, reference)
        if self.ours is not None and ours > self.ours:
            return False
        if self.better and (reference is None or ours >= reference):
            return False
        if self.ratio is not None and (ratio is None or ratio > self.ratio):
            return False
        return self.least is None or (ratio is not None and ratio >= self.least)


def ratio_of(ours: float, reference: float | None) -> float | None:
    """None without a reference, or with one of nothing."""
    return None if not reference else ours / reference


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `samples`: how many measurements are in it; `why`: the reason where the goal is not met."""

    name: str
    unit: str
    ours: float
    reference: float | None
    goal: Goal
    samples: int
    against: str = ""
    why: str = ""

    @property
    def met(self) -> bool:
        return self.goal.met(self.ours, self.reference)

    def as_json(self) -> dict[str, object]:
        ratio = ratio_of(self.ours, self.reference)
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": round(self.ours, 4),
            "reference": None if self.reference is None else round(self.reference, 4),
            "ratio": None if ratio is None else round(ratio, 3),
            "goal": str(self.goal),
            "met": self.met,
            "samples": self.samples,
            "against": self.against,
            "why": "" if self.met else self.why,
        }


def table(rows: Sequence[Row]) -> str:
    """As it is printed: one line a row, and below it why where a goal is not met."""
    head = ("figure", "unit", "ours", "reference", "ratio", "goal", "met", "samples")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    text = [lines[0].rstrip(), "-" * len(lines[0].rstrip())]
    for row, line in zip(rows, lines[1:], strict=True):
        text.append(line.rstrip())
        if row.against:
            text.append(f"    against: {row.against}")
        if not row.met and row.why:
            text.append(f"    NOT MET: {row.why}")
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = ratio_of(row.ours, row.reference)
    return (
        row.name,
        row.unit,
        _number(row.ours),
        "-" if row.reference is None else _number(row.reference),
        "-" if ratio is None else f"{ratio:.2f}",
        str(row.goal),
        "yes" if row.met else "NO",
        str(row.samples),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
