"""Asterisk's record of who leads: global variables of the dialplan, written and read over the manager interface.

`TEL_LEADER` holds token, name and AGI address of the leader; `AGI` is where the dialplan asks its questions.
Both are gone after a restart of Asterisk and after `dialplan reload` (clearglobalvars in extensions.conf), and
AGI is then the configured address again: the leader looks every half a second.
"""

from __future__ import annotations

import re

from telephony.ami.gate import Sender
from telephony.core.lease import HIGHEST, Named

DEADLINE = 1.0
"""Seconds for one answer: less than a lease lasts."""

_LEADER, _AGI = "TEL_LEADER", "AGI"
_RECORD = re.compile(r"([0-9]{1,16}) ([0-9a-f]{8,32}) ([A-Za-z0-9.:-]{1,255})")


class Witness:
    def __init__(self, link: Sender) -> None:
        self._link = link

    async def named(self) -> Named:
        """Whom Asterisk names; what a controller would not have written is nobody. LinkDown, Refusal."""
        answer = await self._link.send("Getvar", {"Variable": _LEADER}, deadline=DEADLINE)
        found = _RECORD.fullmatch(answer.get("Value"))
        if found is None or not 0 < int(found[1]) <= HIGHEST:
            return Named()
        return Named(int(found[1]), found[2], found[3])

    async def announce(self, me: Named) -> None:
        """From now on `me` leads. LinkDown, Refusal."""
        for name, value in ((_LEADER, f"{me.token} {me.name} {me.agi}"), (_AGI, me.agi)):
            await self._link.send("Setvar", {"Variable": name, "Value": value}, deadline=DEADLINE)
