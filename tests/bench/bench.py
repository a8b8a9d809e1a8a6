"""One run of the bench: how much is measured, and where the rows and the raw data go."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.figures import Row


@dataclass(slots=True)
class Bench:
    """`presses`: how many keys are measured one by one. `state`: a short path for the sites' files. `raw`: a folder for
    what was measured, one file a figure."""

    full: bool
    presses: int
    state: Path
    raw: Path
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def samples(self, quick: int, full: int) -> int:
        return full if self.full else quick

    def say(self, words: str) -> None:
        print(f"    {time.monotonic() - self.began:5.0f} s  {words}", flush=True)

    def add(self, *rows: Row) -> None:
        self.rows += rows

    def leave_out(self, what: str) -> None:
        self.left_out.append(what)

    def keep(self, name: str, records: list[dict[str, Any]]) -> None:
        """The raw data of a figure."""
        file = self.raw / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in records)
        file.write_text(text, encoding="utf-8")
