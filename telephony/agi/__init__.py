"""The FastAGI server: the dialplan asks, a handler answers by setting channel variables.

The way of a question: Asterisk -> `connection` -> `session` (what can be forged is read again) -> a handler
of `server` -> `session` -> `pyst` (the line that pyst2's verb makes) -> `connection` -> Asterisk.

The dialplan around it must be
    Set(AGIEXITONHANGUP=yes), Set(TIMEOUT(absolute)=1), AGI(agi://...), Set(TIMEOUT(absolute)=0)
with an extension T in the same context: without AGIEXITONHANGUP Asterisk waits for a frozen server for ever.

Nothing outside this package imports pyst2, and inside it only `pyst` does.
"""

from __future__ import annotations

from telephony.agi.errors import AgiDesync, AgiError, AgiHangup, AgiRefused, AgiTimeout
from telephony.agi.request import AgiRequest
from telephony.agi.server import AgiServer, Handler
from telephony.agi.session import AgiSession

__all__ = [
    "AgiDesync",
    "AgiError",
    "AgiHangup",
    "AgiRefused",
    "AgiRequest",
    "AgiServer",
    "AgiSession",
    "AgiTimeout",
    "Handler",
]
