"""The lines' lamps on phones: a device state of ours beside the endpoint's own, in each line's hint.

A hint is `PJSIP/line-NAME&Custom:line-NAME` (generated/codes.conf). Of two states Asterisk shows the stronger
(main/devicestate.c, measured on 22.10.1): in use > ringing > on hold > not in use > unavailable > invalid.
So INVALID is no opinion: the endpoint's state shows through, with or without a controller: not in use, in use,
busy when as many calls as `device_state_busy_at` are on it. UNKNOWN would be one too, but is not told to phones.

UNAVAILABLE is not shown to a BLF key: Asterisk's dialog-info says the same of it as of an idle line, and loses
to NOT_INUSE. The only state that a key shows unlike `idle` and unlike `in use` is on hold (confirmed, not
rendered; RFC 4235), so that is what a line is that is down or closed. Calls that are still on it show as in use.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from telephony.ami.gate import Sender
from telephony.errors import LinkDown, Refusal
from telephony.switchboard import LineState, LineStatus

log = structlog.get_logger("ami")

_NO_OPINION, _OUT = "INVALID", "ONHOLD"


class Lamps:
    """Asterisk keeps these states itself, over its own restarts too; only what has changed is sent."""

    def __init__(self, link: Sender) -> None:
        self._link = link
        self._shown: dict[str, str] = {}

    def forget(self) -> None:
        """Whatever Asterisk shows now is not known: send all of it anew."""
        self._shown.clear()

    async def show(self, lines: Iterable[LineStatus]) -> None:
        """Set the lamps that are wrong. Raises nothing: what fails is set at the next look."""
        for line in lines:
            state = _OUT if line.state in (LineState.DOWN, LineState.CLOSED) else _NO_OPINION
            if self._shown.get(line.line) == state:
                continue
            try:
                await self._set(line.line, state)
            except (LinkDown, Refusal) as error:
                log.warning("lamp_not_set", line=line.line, error=str(error))
                return
            self._shown[line.line] = state

    async def _set(self, line: str, state: str) -> None:
        await self._link.send("Setvar", {"Variable": f"DEVICE_STATE(Custom:line-{line})", "Value": state})
