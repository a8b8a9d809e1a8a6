"""What the phones did, from the logs that the scenarios of tests/sipp/ write: Unix time, number, word, phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Deed:
    """`word`: calls, answered, gives_up, hangs_up, was_hung_up, was_refused, no_answer_to_bye for citizens; rings,
    answered, refuses, cancelled, hangs_up, was_hung_up, no_reply for those who are called. `number` is empty where
    the phone was not told it; `phone` is the user part that was called, empty for citizens. `dialog`: the INVITE's
    Call-ID, where the phone rings."""

    at: float
    role: str
    number: str
    word: str
    phone: str = ""
    dialog: str = ""

    def __str__(self) -> str:
        return f"{self.role}{f' {self.phone}' if self.phone else ''} {self.word}"


def read(role: str, log: Path) -> Iterator[Deed]:
    """The lines of one log in order; none if the role was never played."""
    if not log.exists():
        return
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            at, number, word, *phone = line.rstrip("\n").split(" ")
            dialog = phone[1] if len(phone) > 1 else ""
            yield Deed(float(at), role, number, word, phone[0] if phone else "", dialog)
