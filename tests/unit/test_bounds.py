"""A call that goes on for hours, with a key held down all the time, can still be written down."""

from __future__ import annotations

from telephony.core.bounds import MOST_LEGS, MOST_NOTES
from telephony.core.call import DiversionKind, Hangup, LegState, Role
from telephony.core.events import DiversionRecorded, LinePressed
from telephony.store import records
from tests.unit.story import NORMAL, Story, line

NOTE = "火" * 2000  # the longest that is taken, and three bytes a character


def test_the_longest_call_there_can_be_is_written_and_read_again() -> None:
    story = Story().taken()
    for number in range(1000):
        story.wait(15)
        leg = f"110-1767225600.{number + 100}"
        story.start(leg, Role.TAKER, "1002")
        story.end(leg, Hangup(19))
    for number in range(250):
        transfer = f"110-a-{number:012x}"
        view = line("12345", closed=number % 2 == 0)
        story.tell(LinePressed(story.wait(1).at, "1001", view, transfer, note="\x01" * 2000))
        story.start(transfer, Role.PARTNER, "12345")
        story.end(transfer, NORMAL)
    for number in range(30):
        at = story.wait(1).at
        story.tell(DiversionRecorded(at, "1001", f"d{number}", DiversionKind.GUIDANCE, "", f"{number}{NOTE}"))

    record = records.encode(story.call)

    assert len(record) < records.LIMIT / 1.5
    assert records.decode(record) == story.call


def test_the_newest_notes_are_kept_and_no_press_is_refused_for_them() -> None:
    story = Story().taken()
    pressed = 60
    for number in range(pressed):
        transfer = f"t{number}"
        told = story.tell(LinePressed(story.wait(1).at, "1001", line("12345"), transfer, note=NOTE))
        assert told.outcome == "invited"
        story.start(transfer, Role.PARTNER, "12345")
        story.end(transfer, NORMAL)

    notes = [transfer.note for transfer in story.call.transfers]

    kept = MOST_NOTES // len(NOTE)
    assert notes == [""] * (pressed - kept) + [NOTE] * kept


def test_seats_that_rang_in_vain_are_forgotten_and_those_who_talk_or_ring_are_not() -> None:
    story = Story().taken()
    story.start("k0", Role.TAKER, "1003")
    for number in range(2 * MOST_LEGS):
        story.start(f"v{number}", Role.TAKER, "1002")
        story.end(f"v{number}", Hangup(19))
    legs = [leg.id for leg in story.call.legs]
    assert len(legs) == MOST_LEGS
    assert {"c", "k", "k0", f"v{2 * MOST_LEGS - 1}"} <= set(legs)
    assert story.call.leg("v0") is None
    assert [leg.id for leg in story.call.legs if leg.state is not LegState.ENDED] == ["c", "k", "k0"]
