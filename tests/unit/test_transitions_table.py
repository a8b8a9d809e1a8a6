"""Every situation x every event: the outcome, what is done, and how transfers ended. Cell by cell."""

from __future__ import annotations

from typing import get_args

import pytest

from telephony.core.call import Call, DiversionKind, Mode, Role, Situation
from telephony.core.commands import Refused
from telephony.core.events import (
    CallerFreed,
    CancelPressed,
    DiversionRecorded,
    DropPressed,
    Event,
    FreedTimeout,
    GiveBackPressed,
    GroupPressed,
    HistoryRead,
    HoldPressed,
    InviteFailed,
    InviteTimeout,
    LeavePressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegJoined,
    LegLeft,
    LegMuted,
    LegRinging,
    LegStarted,
    LegUnheld,
    LinePressed,
    MutePressed,
    ResumePressed,
    ReturnPressed,
)
from telephony.core.transitions import decide
from tests.unit.story import LOST, NORMAL, Story, brief, line

AT = 2000.0
WARM = frozenset({Mode.WARM})

GROUP = (("119", "t3"), ("gas", "t4"))
LEGS = {"caller": "c", "taker": "k", "partner": "t1", "stranger": "x"}


def _events() -> dict[str, Event]:
    events: dict[str, Event] = {
        "a taker is called": LegStarted(AT, "k9", "PJSIP/k9", Role.TAKER, "1009"),
        "a partner is called": LegStarted(AT, "t9", "PJSIP/t9", Role.PARTNER, "119"),
        "caller is told again": LegStarted(AT, "c", "PJSIP/c", Role.CALLER, "carrier"),
    }
    for who, leg in LEGS.items():
        events |= {
            f"{who} rings": LegRinging(AT, leg),
            f"{who} answers": LegAnswered(AT, leg),
            f"{who} joins": LegJoined(AT, leg, "b1"),
            f"{who} leaves": LegLeft(AT, leg, "b1"),
            f"{who} holds": LegHeld(AT, leg),
            f"{who} unholds": LegUnheld(AT, leg),
            f"{who} hangs up": LegEnded(AT, leg, NORMAL),
            f"{who} is lost": LegEnded(AT, leg, LOST),
        }
    for what, transfer in {"12345": "t1", "unknown": "x"}.items():
        events |= {
            f"invite {what} fails": InviteFailed(AT, transfer, "refused"),
            f"invite {what} is late": InviteTimeout(AT, transfer),
        }
    return events | {
        "the caller is free": CallerFreed(AT),
        "news is late": FreedTimeout(AT),
        "key 12345": LinePressed(AT, "1001", line("12345"), "t2"),
        "key 119": LinePressed(AT, "1001", line("119"), "t2"),
        "key 119 closed": LinePressed(AT, "1001", line("119", closed=True), "t2"),
        "key 119 full": LinePressed(AT, "1001", line("119", full=True), "t2"),
        "key 119, no such mode": LinePressed(AT, "1001", line("119", modes=WARM), "t2", Mode.COLD),
        "key 119, other seat": LinePressed(AT, "1002", line("119"), "t2"),
        "key cancel": CancelPressed(AT),
        "cancel 12345": CancelPressed(AT, "t1"),
        "cancel unknown": CancelPressed(AT, "x"),
        "key leave": LeavePressed(AT, "1001"),
        "key leave, other seat": LeavePressed(AT, "1002"),
        "key group": GroupPressed(AT, tuple(_press(name, transfer) for name, transfer in GROUP)),
        "key hold": HoldPressed(AT, "1001"),
        "key resume": ResumePressed(AT, "1001"),
        "key resume, other seat": ResumePressed(AT, "1002"),
        "key return": GiveBackPressed(AT, "1001"),
        "partner's key": ReturnPressed(AT, "t1"),
        "partner's key, no partner": ReturnPressed(AT, "k"),
        "mute taker": MutePressed(AT, "k", True),
        "unmute taker": MutePressed(AT, "k", False),
        "taker is muted": LegMuted(AT, "k", True),
        "stranger is muted": LegMuted(AT, "x", True),
        "mute stranger": MutePressed(AT, "x", True),
        "drop caller": DropPressed(AT, "c"),
        "drop taker": DropPressed(AT, "k"),
        "drop partner": DropPressed(AT, "t1"),
        "drop stranger": DropPressed(AT, "x"),
        "key platform": DiversionRecorded(AT, "1001", "d1", DiversionKind.PLATFORM, "12345"),
        "key platform, other seat": DiversionRecorded(AT, "1002", "d1", DiversionKind.PLATFORM, "12345"),
        "history is read": HistoryRead(AT, 3),
    }


def _press(name: str, transfer: str) -> LinePressed:
    return LinePressed(AT, "1001", line(name), transfer)


EVENTS = _events()


def _asking() -> Call:
    story = Story().taken()
    story.leave("c")
    story.freed()
    return story.call


def _ended() -> Call:
    story = Story().handed_over()
    story.end("t1")
    story.end("c")
    return story.call


# What each name in the table stands for. `asking` is `talking` as far as the legs are known: the caller
# has left, asks in the dialplan what comes next, and how the taker left is not known yet.
CALLS: dict[str, Call] = {
    "queued": Story().call,
    "talking": Story().taken().call,
    "asking": _asking(),
    "inviting": Story().inviting().call,
    "held": Story().held().call,
    "consult": Story().consult().call,
    "three_way": Story().three_way().call,
    "waiting": Story().waiting().call,
    "handed_over": Story().handed_over().call,
    "staff": Story().staff().call,
    "ended": _ended(),
}

# event | outcome | the situation if it is another one | what is done, and `line: reason` for each transfer
# that this ended
TABLE = {
    "queued": """
    a taker is called         | taker_called              |             |
    a partner is called       | partner_adopted           | waiting     |
    caller is told again      | known_leg                 |             |
    caller rings              | no_change                 |             |
    caller answers            | no_change                 |             |
    caller joins              | caller_joined             |             |
    caller leaves             | no_change                 |             |
    caller holds              | phone_on_hold             |             |
    caller unholds            | no_change                 |             |
    caller hangs up           | caller_ended              | ended       |
    caller is lost            | caller_ended              | ended       |
    taker rings               | no_change                 |             |
    taker answers             | no_change                 |             |
    taker joins               | unknown_leg               |             |
    taker leaves              | no_change                 |             |
    taker holds               | no_change                 |             |
    taker unholds             | no_change                 |             |
    taker hangs up            | unknown_leg               |             |
    taker is lost             | unknown_leg               |             |
    partner rings             | no_change                 |             |
    partner answers           | no_change                 |             |
    partner joins             | unknown_leg               |             |
    partner leaves            | no_change                 |             |
    partner holds             | no_change                 |             |
    partner unholds           | no_change                 |             |
    partner hangs up          | unknown_leg               |             |
    partner is lost           | unknown_leg               |             |
    stranger rings            | no_change                 |             |
    stranger answers          | no_change                 |             |
    stranger joins            | unknown_leg               |             |
    stranger leaves           | no_change                 |             |
    stranger holds            | no_change                 |             |
    stranger unholds          | no_change                 |             |
    stranger hangs up         | unknown_leg               |             |
    stranger is lost          | unknown_leg               |             |
    invite 12345 fails        | no_change                 |             |
    invite 12345 is late      | no_change                 |             |
    invite unknown fails      | no_change                 |             |
    invite unknown is late    | no_change                 |             |
    the caller is free        | caller_freed_rescue       |             | answer rescue
    news is late              | no_change                 |             |
    key 12345                 | refused_no_call           |             |
    key 119                   | refused_no_call           |             |
    key 119 closed            | refused_no_call           |             |
    key 119 full              | refused_no_call           |             |
    key 119, no such mode     | refused_no_call           |             |
    key 119, other seat       | refused_no_call           |             |
    key cancel                | refused_nothing_to_cancel |             |
    cancel 12345              | refused_nothing_to_cancel |             |
    cancel unknown            | refused_nothing_to_cancel |             |
    key leave                 | refused_no_call           |             |
    key leave, other seat     | refused_no_call           |             |
    key group                 | refused_no_call           |             |
    key hold                  | refused_no_call           |             |
    key resume                | refused_no_call           |             |
    key resume, other seat    | refused_no_call           |             |
    key return                | refused_no_call           |             |
    partner's key             | refused_no_call           |             |
    partner's key, no partner | refused_no_call           |             |
    mute taker                | refused_unknown_leg       |             |
    unmute taker              | refused_unknown_leg       |             |
    taker is muted            | no_change                 |             |
    stranger is muted         | no_change                 |             |
    mute stranger             | refused_unknown_leg       |             |
    drop caller               | refused_never_the_caller  |             |
    drop taker                | refused_unknown_leg       |             |
    drop partner              | refused_unknown_leg       |             |
    drop stranger             | refused_unknown_leg       |             |
    key platform              | refused_no_call           |             |
    key platform, other seat  | refused_no_call           |             |
    history is read           | history_read              |             |
    """,
    "talking": """
    a taker is called         | taker_called                  |             |
    a partner is called       | partner_adopted               | inviting    |
    caller is told again      | known_leg                     |             |
    caller rings              | no_change                     |             |
    caller answers            | no_change                     |             |
    caller joins              | caller_joined                 |             |
    caller leaves             | caller_left                   | held        |
    caller holds              | phone_on_hold                 |             |
    caller unholds            | no_change                     |             |
    caller hangs up           | caller_ended                  | staff       |
    caller is lost            | caller_ended                  | staff       |
    taker rings               | no_change                     |             |
    taker answers             | no_change                     |             |
    taker joins               | taker_joined                  |             |
    taker leaves              | taker_left                    | queued      |
    taker holds               | phone_on_hold_caller_to_music |             | hold
    taker unholds             | no_change                     |             |
    taker hangs up            | taker_ended                   | queued      |
    taker is lost             | taker_ended                   | queued      |
    partner rings             | no_change                     |             |
    partner answers           | no_change                     |             |
    partner joins             | unknown_leg                   |             |
    partner leaves            | no_change                     |             |
    partner holds             | no_change                     |             |
    partner unholds           | no_change                     |             |
    partner hangs up          | unknown_leg                   |             |
    partner is lost           | unknown_leg                   |             |
    stranger rings            | no_change                     |             |
    stranger answers          | no_change                     |             |
    stranger joins            | unknown_leg                   |             |
    stranger leaves           | no_change                     |             |
    stranger holds            | no_change                     |             |
    stranger unholds          | no_change                     |             |
    stranger hangs up         | unknown_leg                   |             |
    stranger is lost          | unknown_leg                   |             |
    invite 12345 fails        | no_change                     |             |
    invite 12345 is late      | no_change                     |             |
    invite unknown fails      | no_change                     |             |
    invite unknown is late    | no_change                     |             |
    the caller is free        | caller_freed                  |             | await news
    news is late              | no_change                     |             |
    key 12345                 | invited                       | inviting    | invite 12345, watch
    key 119                   | invited                       | inviting    | invite 119, watch
    key 119 closed            | refused_line_closed           |             | 119: line_closed
    key 119 full              | refused_line_full             |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode          |             |
    key 119, other seat       | refused_no_call               |             |
    key cancel                | refused_nothing_to_cancel     |             |
    cancel 12345              | refused_nothing_to_cancel     |             |
    cancel unknown            | refused_nothing_to_cancel     |             |
    key leave                 | refused_nobody_to_leave_with  |             |
    key leave, other seat     | refused_no_call               |             |
    key group                 | group_invited                 | inviting    | invite 119, watch, invite gas, watch
    key hold                  | hold_asked                    |             | hold
    key resume                | refused_not_held              |             |
    key resume, other seat    | refused_no_call               |             |
    key return                | refused_not_over_a_line       |             |
    partner's key             | refused_no_call               |             |
    partner's key, no partner | refused_no_call               |             |
    mute taker                | mute_asked                    |             | mute k
    unmute taker              | unmute_asked                  |             | unmute k
    taker is muted            | taker_muted                   |             |
    stranger is muted         | no_change                     |             |
    mute stranger             | refused_unknown_leg           |             |
    drop caller               | refused_never_the_caller      |             |
    drop taker                | refused_last_with_caller      |             |
    drop partner              | refused_unknown_leg           |             |
    drop stranger             | refused_unknown_leg           |             |
    key platform              | diversion_recorded            |             |
    key platform, other seat  | refused_no_call               |             |
    history is read           | history_read                  |             |
    """,
    "asking": """
    a taker is called         | taker_called                 |             |
    a partner is called       | partner_adopted              | inviting    |
    caller is told again      | known_leg                    |             |
    caller rings              | no_change                    |             |
    caller answers            | no_change                    |             |
    caller joins              | caller_joined                |             | answer rescue
    caller leaves             | no_change                    |             |
    caller holds              | phone_on_hold                |             |
    caller unholds            | no_change                    |             |
    caller hangs up           | caller_ended                 | staff       | answer end
    caller is lost            | caller_ended                 | staff       | answer end
    taker rings               | no_change                    |             |
    taker answers             | no_change                    |             |
    taker joins               | taker_joined                 |             |
    taker leaves              | taker_left                   | queued      |
    taker holds               | phone_on_hold                |             |
    taker unholds             | no_change                    |             |
    taker hangs up            | taker_ended_end              | queued      | answer end
    taker is lost             | taker_ended_rescue           | queued      | answer rescue
    partner rings             | no_change                    |             |
    partner answers           | no_change                    |             |
    partner joins             | unknown_leg                  |             |
    partner leaves            | no_change                    |             |
    partner holds             | no_change                    |             |
    partner unholds           | no_change                    |             |
    partner hangs up          | unknown_leg                  |             |
    partner is lost           | unknown_leg                  |             |
    stranger rings            | no_change                    |             |
    stranger answers          | no_change                    |             |
    stranger joins            | unknown_leg                  |             |
    stranger leaves           | no_change                    |             |
    stranger holds            | no_change                    |             |
    stranger unholds          | no_change                    |             |
    stranger hangs up         | unknown_leg                  |             |
    stranger is lost          | unknown_leg                  |             |
    invite 12345 fails        | no_change                    |             |
    invite 12345 is late      | no_change                    |             |
    invite unknown fails      | no_change                    |             |
    invite unknown is late    | no_change                    |             |
    the caller is free        | caller_freed                 |             | await news
    news is late              | freed_without_news_rescue    |             | answer rescue
    key 12345                 | invited                      | inviting    | invite 12345, watch
    key 119                   | invited                      | inviting    | invite 119, watch
    key 119 closed            | refused_line_closed          |             | 119: line_closed
    key 119 full              | refused_line_full            |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode         |             |
    key 119, other seat       | refused_no_call              |             |
    key cancel                | refused_nothing_to_cancel    |             |
    cancel 12345              | refused_nothing_to_cancel    |             |
    cancel unknown            | refused_nothing_to_cancel    |             |
    key leave                 | refused_nobody_to_leave_with |             |
    key leave, other seat     | refused_no_call              |             |
    key group                 | group_invited                | inviting    | invite 119, watch, invite gas, watch
    key hold                  | refused_no_call              |             |
    key resume                | refused_not_held             |             |
    key resume, other seat    | refused_no_call              |             |
    key return                | refused_not_over_a_line      |             |
    partner's key             | refused_no_call              |             |
    partner's key, no partner | refused_no_call              |             |
    mute taker                | mute_asked                   |             | mute k
    unmute taker              | unmute_asked                 |             | unmute k
    taker is muted            | taker_muted                  |             |
    stranger is muted         | no_change                    |             |
    mute stranger             | refused_unknown_leg          |             |
    drop caller               | refused_never_the_caller     |             |
    drop taker                | refused_last_with_caller     |             |
    drop partner              | refused_unknown_leg          |             |
    drop stranger             | refused_unknown_leg          |             |
    key platform              | diversion_recorded           |             |
    key platform, other seat  | refused_no_call              |             |
    history is read           | history_read                 |             |
    """,
    "inviting": """
    a taker is called         | taker_called                  |             |
    a partner is called       | partner_adopted               |             |
    caller is told again      | known_leg                     |             |
    caller rings              | no_change                     |             |
    caller answers            | no_change                     |             |
    caller joins              | caller_joined                 |             |
    caller leaves             | caller_left                   | held        |
    caller holds              | phone_on_hold                 |             |
    caller unholds            | no_change                     |             |
    caller hangs up           | caller_ended                  | staff       | cancel t1, watch, 12345: caller_hung_up
    caller is lost            | caller_ended                  | staff       | cancel t1, watch, 12345: caller_hung_up
    taker rings               | no_change                     |             |
    taker answers             | no_change                     |             |
    taker joins               | taker_joined                  |             |
    taker leaves              | taker_left                    | waiting     |
    taker holds               | phone_on_hold_caller_to_music |             | hold
    taker unholds             | no_change                     |             |
    taker hangs up            | taker_ended                   | waiting     |
    taker is lost             | taker_ended                   | waiting     |
    partner rings             | no_change                     |             |
    partner answers           | partner_waiting               |             |
    partner joins             | partner_joined                | three_way   |
    partner leaves            | no_change                     |             |
    partner holds             | phone_on_hold                 |             |
    partner unholds           | no_change                     |             |
    partner hangs up          | invite_no_answer              | talking     | 12345: no_answer
    partner is lost           | invite_unreachable            | talking     | 12345: unreachable
    stranger rings            | no_change                     |             |
    stranger answers          | no_change                     |             |
    stranger joins            | unknown_leg                   |             |
    stranger leaves           | no_change                     |             |
    stranger holds            | no_change                     |             |
    stranger unholds          | no_change                     |             |
    stranger hangs up         | unknown_leg                   |             |
    stranger is lost          | unknown_leg                   |             |
    invite 12345 fails        | leg_will_tell                 |             |
    invite 12345 is late      | invite_no_answer              | talking     | hang up t1, 12345: no_answer
    invite unknown fails      | no_change                     |             |
    invite unknown is late    | no_change                     |             |
    the caller is free        | caller_freed                  |             | await news
    news is late              | no_change                     |             |
    key 12345                 | same_transfer                 |             |
    key 119                   | invited                       |             | invite 119, watch
    key 119 closed            | refused_line_closed           |             | 119: line_closed
    key 119 full              | refused_line_full             |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode          |             |
    key 119, other seat       | refused_no_call               |             |
    key cancel                | cancelled                     | talking     | hang up t1, 12345: cancelled
    cancel 12345              | cancelled                     | talking     | hang up t1, 12345: cancelled
    cancel unknown            | refused_nothing_to_cancel     |             |
    key leave                 | taker_leaves                  |             | hang up k
    key leave, other seat     | refused_no_call               |             |
    key group                 | group_invited                 |             | invite 119, watch, invite gas, watch
    key hold                  | hold_asked                    |             | hold
    key resume                | refused_not_held              |             |
    key resume, other seat    | refused_no_call               |             |
    key return                | refused_not_over_a_line       |             |
    partner's key             | refused_no_call               |             |
    partner's key, no partner | refused_no_call               |             |
    mute taker                | mute_asked                    |             | mute k
    unmute taker              | unmute_asked                  |             | unmute k
    taker is muted            | taker_muted                   |             |
    stranger is muted         | no_change                     |             |
    mute stranger             | refused_unknown_leg           |             |
    drop caller               | refused_never_the_caller      |             |
    drop taker                | refused_last_with_caller      |             |
    drop partner              | cancelled                     | talking     | hang up t1, 12345: cancelled
    drop stranger             | refused_unknown_leg           |             |
    key platform              | diversion_recorded            |             |
    key platform, other seat  | refused_no_call               |             |
    history is read           | history_read                  |             |
    """,
    "held": """
    a taker is called         | taker_called                 |             |
    a partner is called       | partner_adopted              |             |
    caller is told again      | known_leg                    |             |
    caller rings              | no_change                    |             |
    caller answers            | no_change                    |             |
    caller joins              | caller_joined                | queued      |
    caller leaves             | no_change                    |             |
    caller holds              | phone_on_hold                |             |
    caller unholds            | no_change                    |             |
    caller hangs up           | caller_ended                 | staff       |
    caller is lost            | caller_ended                 | staff       |
    taker rings               | no_change                    |             |
    taker answers             | no_change                    |             |
    taker joins               | taker_joined                 |             |
    taker leaves              | no_change                    |             |
    taker holds               | phone_on_hold                |             |
    taker unholds             | no_change                    |             |
    taker hangs up            | taker_ended_rescued          | queued      | rescue
    taker is lost             | taker_ended_rescued          | queued      | rescue
    partner rings             | no_change                    |             |
    partner answers           | no_change                    |             |
    partner joins             | unknown_leg                  |             |
    partner leaves            | no_change                    |             |
    partner holds             | no_change                    |             |
    partner unholds           | no_change                    |             |
    partner hangs up          | unknown_leg                  |             |
    partner is lost           | unknown_leg                  |             |
    stranger rings            | no_change                    |             |
    stranger answers          | no_change                    |             |
    stranger joins            | unknown_leg                  |             |
    stranger leaves           | no_change                    |             |
    stranger holds            | no_change                    |             |
    stranger unholds          | no_change                    |             |
    stranger hangs up         | unknown_leg                  |             |
    stranger is lost          | unknown_leg                  |             |
    invite 12345 fails        | no_change                    |             |
    invite 12345 is late      | no_change                    |             |
    invite unknown fails      | no_change                    |             |
    invite unknown is late    | no_change                    |             |
    the caller is free        | caller_freed                 | queued      | await news
    news is late              | no_change                    |             |
    key 12345                 | invited                      |             | invite 12345, watch
    key 119                   | invited                      |             | invite 119, watch
    key 119 closed            | refused_line_closed          |             | 119: line_closed
    key 119 full              | refused_line_full            |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode         |             |
    key 119, other seat       | refused_no_call              |             |
    key cancel                | refused_nothing_to_cancel    |             |
    cancel 12345              | refused_nothing_to_cancel    |             |
    cancel unknown            | refused_nothing_to_cancel    |             |
    key leave                 | refused_nobody_to_leave_with |             |
    key leave, other seat     | refused_no_call              |             |
    key group                 | group_invited                |             | invite 119, watch, invite gas, watch
    key hold                  | already_held                 |             |
    key resume                | brought_back                 |             | bring back
    key resume, other seat    | refused_no_call              |             |
    key return                | refused_not_over_a_line      |             |
    partner's key             | refused_no_call              |             |
    partner's key, no partner | refused_no_call              |             |
    mute taker                | mute_asked                   |             | mute k
    unmute taker              | unmute_asked                 |             | unmute k
    taker is muted            | taker_muted                  |             |
    stranger is muted         | no_change                    |             |
    mute stranger             | refused_unknown_leg          |             |
    drop caller               | refused_never_the_caller     |             |
    drop taker                | refused_last_with_caller     |             |
    drop partner              | refused_unknown_leg          |             |
    drop stranger             | refused_unknown_leg          |             |
    key platform              | diversion_recorded           |             |
    key platform, other seat  | refused_no_call              |             |
    history is read           | history_read                 |             |
    """,
    "consult": """
    a taker is called         | taker_called               |             |
    a partner is called       | partner_adopted            |             |
    caller is told again      | known_leg                  |             |
    caller rings              | no_change                  |             |
    caller answers            | no_change                  |             |
    caller joins              | caller_joined              | three_way   |
    caller leaves             | no_change                  |             |
    caller holds              | phone_on_hold              |             |
    caller unholds            | no_change                  |             |
    caller hangs up           | caller_ended               | staff       | 12345: caller_hung_up
    caller is lost            | caller_ended               | staff       | 12345: caller_hung_up
    taker rings               | no_change                  |             |
    taker answers             | no_change                  |             |
    taker joins               | taker_joined               |             |
    taker leaves              | no_change                  |             |
    taker holds               | phone_on_hold              |             |
    taker unholds             | no_change                  |             |
    taker hangs up            | taker_ended                | handed_over |
    taker is lost             | taker_ended                | handed_over |
    partner rings             | no_change                  |             |
    partner answers           | no_change                  |             |
    partner joins             | partner_joined             |             |
    partner leaves            | no_change                  |             |
    partner holds             | phone_on_hold              |             |
    partner unholds           | no_change                  |             |
    partner hangs up          | partner_ended_partner_left | held        | 12345: partner_left
    partner is lost           | partner_ended_link_lost    | held        | 12345: link_lost
    stranger rings            | no_change                  |             |
    stranger answers          | no_change                  |             |
    stranger joins            | unknown_leg                |             |
    stranger leaves           | no_change                  |             |
    stranger holds            | no_change                  |             |
    stranger unholds          | no_change                  |             |
    stranger hangs up         | unknown_leg                |             |
    stranger is lost          | unknown_leg                |             |
    invite 12345 fails        | no_change                  |             |
    invite 12345 is late      | no_change                  |             |
    invite unknown fails      | no_change                  |             |
    invite unknown is late    | no_change                  |             |
    the caller is free        | caller_freed               | three_way   | await news
    news is late              | no_change                  |             |
    key 12345                 | same_transfer              |             |
    key 119                   | invited                    |             | invite 119, watch
    key 119 closed            | refused_line_closed        |             | 119: line_closed
    key 119 full              | refused_line_full          |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode       |             |
    key 119, other seat       | refused_no_call            |             |
    key cancel                | cancelled                  |             | hang up t1, 12345: cancelled
    cancel 12345              | cancelled                  |             | hang up t1, 12345: cancelled
    cancel unknown            | refused_nothing_to_cancel  |             |
    key leave                 | taker_leaves               |             | hang up k
    key leave, other seat     | refused_no_call            |             |
    key group                 | group_invited              |             | invite 119, watch, invite gas, watch
    key hold                  | already_held               |             |
    key resume                | brought_back               |             | bring back
    key resume, other seat    | refused_no_call            |             |
    key return                | refused_not_over_a_line    |             |
    partner's key             | partner_returns            |             | hang up t1, 12345: returned
    partner's key, no partner | refused_no_call            |             |
    mute taker                | mute_asked                 |             | mute k
    unmute taker              | unmute_asked               |             | unmute k
    taker is muted            | taker_muted                |             |
    stranger is muted         | no_change                  |             |
    mute stranger             | refused_unknown_leg        |             |
    drop caller               | refused_never_the_caller   |             |
    drop taker                | taker_dropped              |             | hang up k
    drop partner              | partner_dropped            |             | hang up t1
    drop stranger             | refused_unknown_leg        |             |
    key platform              | diversion_recorded         |             |
    key platform, other seat  | refused_no_call            |             |
    history is read           | history_read               |             |
    """,
    "three_way": """
    a taker is called         | taker_called              |             |
    a partner is called       | partner_adopted           |             |
    caller is told again      | known_leg                 |             |
    caller rings              | no_change                 |             |
    caller answers            | no_change                 |             |
    caller joins              | caller_joined             |             |
    caller leaves             | caller_left               | consult     |
    caller holds              | phone_on_hold             |             |
    caller unholds            | no_change                 |             |
    caller hangs up           | caller_ended              | staff       | 12345: caller_hung_up
    caller is lost            | caller_ended              | staff       | 12345: caller_hung_up
    taker rings               | no_change                 |             |
    taker answers             | no_change                 |             |
    taker joins               | taker_joined              |             |
    taker leaves              | taker_left                | handed_over |
    taker holds               | phone_on_hold             |             |
    taker unholds             | no_change                 |             |
    taker hangs up            | taker_ended               | handed_over |
    taker is lost             | taker_ended               | handed_over |
    partner rings             | no_change                 |             |
    partner answers           | no_change                 |             |
    partner joins             | partner_joined            |             |
    partner leaves            | partner_left              | talking     |
    partner holds             | phone_on_hold             |             |
    partner unholds           | no_change                 |             |
    partner hangs up          | partner_ended_returned    | talking     | 12345: returned
    partner is lost           | partner_ended_link_lost   | talking     | 12345: link_lost
    stranger rings            | no_change                 |             |
    stranger answers          | no_change                 |             |
    stranger joins            | unknown_leg               |             |
    stranger leaves           | no_change                 |             |
    stranger holds            | no_change                 |             |
    stranger unholds          | no_change                 |             |
    stranger hangs up         | unknown_leg               |             |
    stranger is lost          | unknown_leg               |             |
    invite 12345 fails        | no_change                 |             |
    invite 12345 is late      | no_change                 |             |
    invite unknown fails      | no_change                 |             |
    invite unknown is late    | no_change                 |             |
    the caller is free        | caller_freed              |             | await news
    news is late              | no_change                 |             |
    key 12345                 | same_transfer             |             |
    key 119                   | invited                   |             | invite 119, watch
    key 119 closed            | refused_line_closed       |             | 119: line_closed
    key 119 full              | refused_line_full         |             | 119: line_full
    key 119, no such mode     | refused_unknown_mode      |             |
    key 119, other seat       | refused_no_call           |             |
    key cancel                | refused_nothing_to_cancel |             |
    cancel 12345              | refused_nothing_to_cancel |             |
    cancel unknown            | refused_nothing_to_cancel |             |
    key leave                 | taker_leaves              |             | hang up k
    key leave, other seat     | refused_no_call           |             |
    key group                 | group_invited             |             | invite 119, watch, invite gas, watch
    key hold                  | hold_asked                |             | hold
    key resume                | refused_not_held          |             |
    key resume, other seat    | refused_no_call           |             |
    key return                | refused_not_over_a_line   |             |
    partner's key             | partner_returns           |             | hang up t1, 12345: returned
    partner's key, no partner | refused_no_call           |             |
    mute taker                | mute_asked                |             | mute k
    unmute taker              | unmute_asked              |             | unmute k
    taker is muted            | taker_muted               |             |
    stranger is muted         | no_change                 |             |
    mute stranger             | refused_unknown_leg       |             |
    drop caller               | refused_never_the_caller  |             |
    drop taker                | taker_dropped             |             | hang up k
    drop partner              | partner_dropped           |             | hang up t1
    drop stranger             | refused_unknown_leg       |             |
    key platform              | diversion_recorded        |             |
    key platform, other seat  | refused_no_call           |             |
    history is read           | history_read              |             |
    """,
    "waiting": """
    a taker is called         | taker_called               |             |
    a partner is called       | partner_adopted            |             |
    caller is told again      | known_leg                  |             |
    caller rings              | no_change                  |             |
    caller answers            | no_change                  |             |
    caller joins              | caller_joined              |             |
    caller leaves             | no_change                  |             |
    caller holds              | phone_on_hold              |             |
    caller unholds            | no_change                  |             |
    caller hangs up           | caller_ended               | staff       | cancel t1, watch, 12345: caller_hung_up
    caller is lost            | caller_ended               | staff       | cancel t1, watch, 12345: caller_hung_up
    taker rings               | no_change                  |             |
    taker answers             | no_change                  |             |
    taker joins               | unknown_leg                |             |
    taker leaves              | no_change                  |             |
    taker holds               | no_change                  |             |
    taker unholds             | no_change                  |             |
    taker hangs up            | unknown_leg                |             |
    taker is lost             | unknown_leg                |             |
    partner rings             | no_change                  |             |
    partner answers           | partner_waiting            |             |
    partner joins             | partner_joined             | handed_over |
    partner leaves            | no_change                  |             |
    partner holds             | phone_on_hold              |             |
    partner unholds           | no_change                  |             |
    partner hangs up          | invite_no_answer_rescued   | queued      | rescue, 12345: no_answer
    partner is lost           | invite_unreachable_rescued | queued      | rescue, 12345: unreachable
    stranger rings            | no_change                  |             |
    stranger answers          | no_change                  |             |
    stranger joins            | unknown_leg                |             |
    stranger leaves           | no_change                  |             |
    stranger holds            | no_change                  |             |
    stranger unholds          | no_change                  |             |
    stranger hangs up         | unknown_leg                |             |
    stranger is lost          | unknown_leg                |             |
    invite 12345 fails        | leg_will_tell              |             |
    invite 12345 is late      | invite_no_answer_rescued   | queued      | hang up t1, rescue, 12345: no_answer
    invite unknown fails      | no_change                  |             |
    invite unknown is late    | no_change                  |             |
    the caller is free        | caller_freed_wait          |             | answer wait
    news is late              | no_change                  |             |
    key 12345                 | refused_no_call            |             |
    key 119                   | refused_no_call            |             |
    key 119 closed            | refused_no_call            |             |
    key 119 full              | refused_no_call            |             |
    key 119, no such mode     | refused_no_call            |             |
    key 119, other seat       | refused_no_call            |             |
    key cancel                | cancelled_rescued          | queued      | hang up t1, rescue, 12345: cancelled
    cancel 12345              | cancelled_rescued          | queued      | hang up t1, rescue, 12345: cancelled
    cancel unknown            | refused_nothing_to_cancel  |             |
    key leave                 | refused_no_call            |             |
    key leave, other seat     | refused_no_call            |             |
    key group                 | refused_no_call            |             |
    key hold                  | refused_no_call            |             |
    key resume                | refused_no_call            |             |
    key resume, other seat    | refused_no_call            |             |
    key return                | refused_no_call            |             |
    partner's key             | refused_no_call            |             |
    partner's key, no partner | refused_no_call            |             |
    mute taker                | refused_unknown_leg        |             |
    unmute taker              | refused_unknown_leg        |             |
    taker is muted            | no_change                  |             |
    stranger is muted         | no_change                  |             |
    mute stranger             | refused_unknown_leg        |             |
    drop caller               | refused_never_the_caller   |             |
    drop taker                | refused_unknown_leg        |             |
    drop partner              | cancelled_rescued          | queued      | hang up t1, rescue, 12345: cancelled
    drop stranger             | refused_unknown_leg        |             |
    key platform              | diversion_recorded         |             |
    key platform, other seat  | refused_no_call            |             |
    history is read           | history_read               |             |
    """,
    "handed_over": """
    a taker is called         | taker_called              |             |
    a partner is called       | partner_adopted           |             |
    caller is told again      | known_leg                 |             |
    caller rings              | no_change                 |             |
    caller answers            | no_change                 |             |
    caller joins              | caller_joined             |             |
    caller leaves             | caller_left               |             |
    caller holds              | phone_on_hold             |             |
    caller unholds            | no_change                 |             |
    caller hangs up           | caller_ended              | staff       | hang up t1, 12345: completed
    caller is lost            | caller_ended              | staff       | hang up t1, 12345: completed
    taker rings               | no_change                 |             |
    taker answers             | no_change                 |             |
    taker joins               | unknown_leg               |             |
    taker leaves              | no_change                 |             |
    taker holds               | no_change                 |             |
    taker unholds             | no_change                 |             |
    taker hangs up            | unknown_leg               |             |
    taker is lost             | unknown_leg               |             |
    partner rings             | no_change                 |             |
    partner answers           | no_change                 |             |
    partner joins             | partner_joined            |             |
    partner leaves            | partner_left              | queued      |
    partner holds             | phone_on_hold             |             |
    partner unholds           | no_change                 |             |
    partner hangs up          | partner_ended_completed   | queued      | 12345: completed
    partner is lost           | partner_ended_link_lost   | queued      | 12345: link_lost
    stranger rings            | no_change                 |             |
    stranger answers          | no_change                 |             |
    stranger joins            | unknown_leg               |             |
    stranger leaves           | no_change                 |             |
    stranger holds            | no_change                 |             |
    stranger unholds          | no_change                 |             |
    stranger hangs up         | unknown_leg               |             |
    stranger is lost          | unknown_leg               |             |
    invite 12345 fails        | no_change                 |             |
    invite 12345 is late      | no_change                 |             |
    invite unknown fails      | no_change                 |             |
    invite unknown is late    | no_change                 |             |
    the caller is free        | caller_freed              |             | await news
    news is late              | no_change                 |             |
    key 12345                 | refused_no_call           |             |
    key 119                   | refused_no_call           |             |
    key 119 closed            | refused_no_call           |             |
    key 119 full              | refused_no_call           |             |
    key 119, no such mode     | refused_no_call           |             |
    key 119, other seat       | refused_no_call           |             |
    key cancel                | refused_nothing_to_cancel |             |
    cancel 12345              | refused_nothing_to_cancel |             |
    cancel unknown            | refused_nothing_to_cancel |             |
    key leave                 | refused_no_call           |             |
    key leave, other seat     | refused_no_call           |             |
    key group                 | refused_no_call           |             |
    key hold                  | refused_no_call           |             |
    key resume                | refused_no_call           |             |
    key resume, other seat    | refused_no_call           |             |
    key return                | refused_no_call           |             |
    partner's key             | caller_returned           |             | rescue, hang up t1, 12345: returned
    partner's key, no partner | refused_no_call           |             |
    mute taker                | refused_unknown_leg       |             |
    unmute taker              | refused_unknown_leg       |             |
    taker is muted            | no_change                 |             |
    stranger is muted         | no_change                 |             |
    mute stranger             | refused_unknown_leg       |             |
    drop caller               | refused_never_the_caller  |             |
    drop taker                | refused_unknown_leg       |             |
    drop partner              | refused_last_with_caller  |             |
    drop stranger             | refused_unknown_leg       |             |
    key platform              | diversion_recorded        |             |
    key platform, other seat  | refused_no_call           |             |
    history is read           | history_read              |             |
    """,
    "staff": """
    a taker is called         | taker_called              |             |
    a partner is called       | late_partner_released     |             | hang up t9
    caller is told again      | known_leg                 |             |
    caller rings              | no_change                 |             |
    caller answers            | no_change                 |             |
    caller joins              | unknown_leg               |             |
    caller leaves             | no_change                 |             |
    caller holds              | no_change                 |             |
    caller unholds            | no_change                 |             |
    caller hangs up           | unknown_leg               |             |
    caller is lost            | unknown_leg               |             |
    taker rings               | no_change                 |             |
    taker answers             | no_change                 |             |
    taker joins               | taker_joined              |             |
    taker leaves              | taker_left                |             |
    taker holds               | phone_on_hold             |             |
    taker unholds             | no_change                 |             |
    taker hangs up            | taker_ended               |             | hang up t1
    taker is lost             | taker_ended               |             | hang up t1
    partner rings             | no_change                 |             |
    partner answers           | no_change                 |             |
    partner joins             | partner_joined            |             |
    partner leaves            | partner_left              |             |
    partner holds             | phone_on_hold             |             |
    partner unholds           | no_change                 |             |
    partner hangs up          | partner_gone              |             | hang up k
    partner is lost           | partner_gone              |             | hang up k
    stranger rings            | no_change                 |             |
    stranger answers          | no_change                 |             |
    stranger joins            | unknown_leg               |             |
    stranger leaves           | no_change                 |             |
    stranger holds            | no_change                 |             |
    stranger unholds          | no_change                 |             |
    stranger hangs up         | unknown_leg               |             |
    stranger is lost          | unknown_leg               |             |
    invite 12345 fails        | no_change                 |             |
    invite 12345 is late      | no_change                 |             |
    invite unknown fails      | no_change                 |             |
    invite unknown is late    | no_change                 |             |
    the caller is free        | caller_already_gone       |             | answer end
    news is late              | no_change                 |             |
    key 12345                 | refused_no_call           |             |
    key 119                   | refused_no_call           |             |
    key 119 closed            | refused_no_call           |             |
    key 119 full              | refused_no_call           |             |
    key 119, no such mode     | refused_no_call           |             |
    key 119, other seat       | refused_no_call           |             |
    key cancel                | refused_nothing_to_cancel |             |
    cancel 12345              | refused_nothing_to_cancel |             |
    cancel unknown            | refused_nothing_to_cancel |             |
    key leave                 | taker_leaves              |             | hang up k
    key leave, other seat     | refused_no_call           |             |
    key group                 | refused_no_call           |             |
    key hold                  | refused_no_call           |             |
    key resume                | refused_no_call           |             |
    key resume, other seat    | refused_no_call           |             |
    key return                | refused_no_call           |             |
    partner's key             | refused_no_call           |             |
    partner's key, no partner | refused_no_call           |             |
    mute taker                | mute_asked                |             | mute k
    unmute taker              | unmute_asked              |             | unmute k
    taker is muted            | taker_muted               |             |
    stranger is muted         | no_change                 |             |
    mute stranger             | refused_unknown_leg       |             |
    drop caller               | refused_unknown_leg       |             |
    drop taker                | taker_dropped             |             | hang up k
    drop partner              | partner_dropped           |             | hang up t1
    drop stranger             | refused_unknown_leg       |             |
    key platform              | diversion_recorded        |             |
    key platform, other seat  | refused_no_call           |             |
    history is read           | history_read              |             |
    """,
    "ended": """
    a taker is called         | taker_called              |             |
    a partner is called       | late_partner_released     |             | hang up t9
    caller is told again      | known_leg                 |             |
    caller rings              | no_change                 |             |
    caller answers            | no_change                 |             |
    caller joins              | unknown_leg               |             |
    caller leaves             | no_change                 |             |
    caller holds              | no_change                 |             |
    caller unholds            | no_change                 |             |
    caller hangs up           | unknown_leg               |             |
    caller is lost            | unknown_leg               |             |
    taker rings               | no_change                 |             |
    taker answers             | no_change                 |             |
    taker joins               | unknown_leg               |             |
    taker leaves              | no_change                 |             |
    taker holds               | no_change                 |             |
    taker unholds             | no_change                 |             |
    taker hangs up            | unknown_leg               |             |
    taker is lost             | unknown_leg               |             |
    partner rings             | no_change                 |             |
    partner answers           | no_change                 |             |
    partner joins             | unknown_leg               |             |
    partner leaves            | no_change                 |             |
    partner holds             | no_change                 |             |
    partner unholds           | no_change                 |             |
    partner hangs up          | unknown_leg               |             |
    partner is lost           | unknown_leg               |             |
    stranger rings            | no_change                 |             |
    stranger answers          | no_change                 |             |
    stranger joins            | unknown_leg               |             |
    stranger leaves           | no_change                 |             |
    stranger holds            | no_change                 |             |
    stranger unholds          | no_change                 |             |
    stranger hangs up         | unknown_leg               |             |
    stranger is lost          | unknown_leg               |             |
    invite 12345 fails        | no_change                 |             |
    invite 12345 is late      | no_change                 |             |
    invite unknown fails      | no_change                 |             |
    invite unknown is late    | no_change                 |             |
    the caller is free        | caller_already_gone       |             | answer end
    news is late              | no_change                 |             |
    key 12345                 | refused_no_call           |             |
    key 119                   | refused_no_call           |             |
    key 119 closed            | refused_no_call           |             |
    key 119 full              | refused_no_call           |             |
    key 119, no such mode     | refused_no_call           |             |
    key 119, other seat       | refused_no_call           |             |
    key cancel                | refused_nothing_to_cancel |             |
    cancel 12345              | refused_nothing_to_cancel |             |
    cancel unknown            | refused_nothing_to_cancel |             |
    key leave                 | refused_no_call           |             |
    key leave, other seat     | refused_no_call           |             |
    key group                 | refused_no_call           |             |
    key hold                  | refused_no_call           |             |
    key resume                | refused_no_call           |             |
    key resume, other seat    | refused_no_call           |             |
    key return                | refused_no_call           |             |
    partner's key             | refused_no_call           |             |
    partner's key, no partner | refused_no_call           |             |
    mute taker                | refused_unknown_leg       |             |
    unmute taker              | refused_unknown_leg       |             |
    taker is muted            | no_change                 |             |
    stranger is muted         | no_change                 |             |
    mute stranger             | refused_unknown_leg       |             |
    drop caller               | refused_unknown_leg       |             |
    drop taker                | refused_unknown_leg       |             |
    drop partner              | refused_unknown_leg       |             |
    drop stranger             | refused_unknown_leg       |             |
    key platform              | diversion_recorded        |             |
    key platform, other seat  | refused_no_call           |             |
    history is read           | history_read              |             |
    """,
}


Cell = tuple[str, str, str]


def _cells(text: str) -> dict[str, Cell]:
    rows = [[cell.strip() for cell in row.split("|")] for row in text.strip().splitlines()]
    cells = {event: (outcome, situation, effects) for event, outcome, situation, effects in rows}
    assert len(cells) == len(rows), "a cell is there twice"
    return cells


CELLS = {name: _cells(text) for name, text in TABLE.items()}


def _cell(before: Call, event: Event) -> Cell:
    decision = decide(before, event)
    after = decision.call
    over = {transfer.id for transfer in before.transfers if not transfer.live}
    ended = [f"{t.line}: {t.reason}" for t in after.transfers if not t.live and t.id not in over]
    situation = "" if after.situation is before.situation else str(after.situation)
    return decision.outcome, situation, ", ".join([*map(brief, decision.commands), *ended])


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", CALLS)
def test_cell(name: str, event: str) -> None:
    assert _cell(CALLS[name], EVENTS[event]) == CELLS[name][event]


def test_every_situation_has_a_block_of_the_table() -> None:
    assert {call.situation for call in CALLS.values()} == set(Situation)
    assert TABLE.keys() == CALLS.keys()


def test_every_kind_of_event_has_a_row_in_every_block() -> None:
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event))
    for name, cells in CELLS.items():
        assert list(cells) == list(EVENTS), name


def test_calls_are_of_the_situation_that_they_are_named_after() -> None:
    for name, call in CALLS.items():
        assert call.situation == ("talking" if name == "asking" else name)


@pytest.mark.parametrize(
    "event", [e for e in EVENTS if e.startswith(("key", "cancel", "partner's", "mute", "unmute", "drop"))]
)
@pytest.mark.parametrize("name", CALLS)
def test_every_press_is_answered(name: str, event: str) -> None:
    decision = decide(CALLS[name], EVENTS[event])
    assert decision.reply is not None
    assert isinstance(decision.reply, Refused) == decision.outcome.startswith("refused_")
