"""What is remembered of a number's calls."""

from __future__ import annotations

from telephony.core.number import is_number
from telephony.errors import NotFound
from telephony.http.access import may_see_call
from telephony.http.answers import Answer, json_answer
from telephony.http.context import Ask
from telephony.http.failures import HttpError
from telephony.tokens import TokenRole
from telephony.views import call_view


async def get_history(ask: Ask) -> Answer:
    number = ask.path["number"]
    if not is_number(number):
        raise HttpError(400, "bad_input", "a number is 1 to 32 of 0-9 + * #", {"at": "number"})
    if ask.who.role is not TokenRole.ADMIN and not _calls_now(ask, number):
        raise NotFound("unknown_number", "no call that you have is from this number")
    return json_answer(await ask.context.switchboard.histories.of_number(number))


def _calls_now(ask: Ask, number: str) -> bool:
    views = (call_view(call) for call in ask.context.switchboard.calls())
    return any(view.caller.number == number and may_see_call(ask.who, view) for view in views)
