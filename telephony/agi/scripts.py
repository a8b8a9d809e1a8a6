"""The questions that the dialplan asks: a call has come, a key was pressed, a conversation has ended.

Each may go unanswered: the dialplan then does what is safe by itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog

from telephony.agi.server import Handler
from telephony.agi.session import AgiSession
from telephony.core.call import Call, Caller, Leg, LegState, Role
from telephony.core.number import is_number
from telephony.dispatcher import Dispatcher
from telephony.errors import LinkDown, NotFound, Refusal
from telephony.switchboard import Switchboard

log = structlog.get_logger("agi")


class Scripts:
    """`expect(channel_id, call_id)` is told of each caller, so that events about its legs are understood."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        switchboard: Switchboard,
        expect: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dispatcher = dispatcher
        self._switchboard = switchboard
        self._expect = expect
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The scripts by the names that the dialplan calls them."""
        scripts: dict[str, Callable[[AgiSession], Awaitable[None]]] = {
            "arrival": self.arrival,
            "key": self.key,
            "after": self.after,
            "return": self.give_back,
        }
        return scripts

    async def arrival(self, session: AgiSession) -> None:
        """A caller's channel is here, its number cleaned by the dialplan: the call begins."""
        number, presentation, party, case_id = await session.get_variables(
            "TEL_NUMBER", "CALLERID(pres)", "TEL_PARTY", "TEL_CASE"
        )
        call = self._new_call(session, number, presentation, party, case_id)
        self._expect(call.id, call.id)
        await self._dispatcher.open(call)
        await session.set_variable("TEL_CASE", call.case_id)

    def _new_call(
        self, session: AgiSession, number: str, presentation: str, party: str, case_id: str
    ) -> Call:
        request = session.request
        clean = number if is_number(number) else ""
        now = self._clock()
        leg = Leg(request.uniqueid, request.channel, Role.CALLER, party, LegState.WAITING, since=now)
        withheld = not clean or presentation.startswith(("prohib", "unavailable"))
        return Call(
            id=request.uniqueid,
            caller=Caller(clean, withheld=withheld),
            via=party,
            arrived_at=now,
            legs=(leg,),
            case_id=case_id or f"J{request.uniqueid}",
        )

    async def key(self, session: AgiSession) -> None:
        """The taker's phone sent a line's code. Taken is also what is refused: a closed line stays closed."""
        if len(session.request.arguments) != 2:
            return
        key, taker = session.request.arguments
        seat = next(
            (leg.party for call in self._dispatcher for leg in call.alive(Role.TAKER) if leg.id == taker), ""
        )
        if not seat:
            return
        try:
            await self._switchboard.press(seat, key)
        except LinkDown:
            return
        except Refusal as refusal:
            log.info("key_refused", seat=seat, key=key, code=refusal.code)
            await session.set_variable("TEL_REFUSED", refusal.code)
        await session.set_variable("TEL_TAKEN", "yes")

    async def give_back(self, session: AgiSession) -> None:
        """The partner's phone sent the digits that send the caller back to a seat."""
        if len(session.request.arguments) != 1:
            return
        try:
            await self._switchboard.partner_returns(session.request.arguments[0])
        except (LinkDown, NotFound):
            return  # The dialplan does it by itself.
        except Refusal as refusal:
            log.info("return_refused", code=refusal.code)
        await session.set_variable("TEL_TAKEN", "yes")

    async def after(self, session: AgiSession) -> None:
        """A conversation has ended and the caller is still there: where to?"""
        place = await session.unless_hung_up(self._dispatcher.ask_next(session.request.uniqueid))
        if place is not None:
            await session.set_variable("TEL_NEXT", place)
