"""Handing a matter on without a call (分流): what seats and programs may ask for. Asterisk is not needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from telephony.core.call import Call, Diversion, DiversionKind
from telephony.core.commands import Accepted
from telephony.core.events import DiversionRecorded
from telephony.errors import BadInput, NotFound, Refusal

if TYPE_CHECKING:
    from telephony.dispatcher import Dispatcher
    from telephony.settings import Settings


class Diversions:
    """Records diversions on calls that are live, or over for no longer than the dispatcher remembers them."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        new_id: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._new_id = new_id
        self._clock = clock

    async def record(
        self, call_id: str, kind: DiversionKind, *, seat: str = "", line: str = "", note: str = ""
    ) -> Diversion:
        """Put on record that `seat` (empty: the call's own) handed the call's matter on to `line`.

        The same again is the same diversion. NotFound: no such call. BadInput: `platform` without a line.
        Refusal: `unknown_line`, `no_call` (the seat has not had the caller last), `too_many_diversions`.
        """
        call = self._dispatcher.get(call_id)
        if call is None:
            raise NotFound("unknown_call", "there is no such call")
        if kind is DiversionKind.PLATFORM and not line:
            raise BadInput(
                "bad_input", "platform needs the line of the unit that it goes to", {"at": "$.line"}
            )
        if line and self._settings.line(line) is None:
            raise Refusal("unknown_line", f"there is no line {line}")
        event = DiversionRecorded(self._clock(), seat or call.seat, self._new_id(), kind, line, note)
        return await self._ask(call_id, event)

    async def press(self, seat: str, kind: DiversionKind, *, note: str = "") -> tuple[str, Diversion]:
        """The seat's key, on the call that it has; the call's id comes back too.

        `platform` goes to the unit of the line that was tried last and did not come.

        NotFound: no such seat. Refusal: as in `record`, and `nothing_to_hand_on` if no line has failed.
        """
        if self._settings.seat(seat) is None:
            raise NotFound("unknown_seat", f"there is no seat {seat}")
        call = self._dispatcher.call_of_seat(seat)
        if call is None:
            raise Refusal("no_call", f"seat {seat} has no call")
        line = failed_line(call) if kind is DiversionKind.PLATFORM else ""
        if kind is DiversionKind.PLATFORM and not line:
            raise Refusal("nothing_to_hand_on", "no line has been tried in vain in this call")
        return call.id, await self.record(call.id, kind, seat=seat, line=line, note=note)

    async def _ask(self, call_id: str, event: DiversionRecorded) -> Diversion:
        reply = await self._dispatcher.ask(call_id, event)
        if not isinstance(reply, Accepted):
            raise Refusal(reply.code, reply.message)
        call = self._dispatcher.get(call_id)
        diversion = call.diversion(reply.diversion_id) if call is not None else None
        if diversion is None:
            raise NotFound("unknown_call", "there is no such call")
        return diversion


def failed_line(call: Call) -> str:
    """The line whose partner was last wanted and never came; empty if there is none."""
    vain = (t.line for t in reversed(call.transfers) if not t.live and t.joined_at is None)
    return next(vain, "")
