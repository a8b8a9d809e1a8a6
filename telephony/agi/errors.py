"""What can go wrong in a FastAGI session; each is one of pyst2's exceptions too.

AgiError (TelephonyError, pyst2's AGIError)
+-- AgiHangup    the channel is gone: HANGUP, a closed connection, result=-1 or 511
+-- AgiRefused   Asterisk answered, but not with 200 (510, 520 or another code)
+-- AgiTimeout   no answer in time; the session is closed, whether the command ran is unknown
+-- AgiDesync    what came cannot be the answer to what was asked; the session is closed

A value that must not be sent (CR, LF, NUL, too long) is a ValueError. No message ever contains a value.
"""

from __future__ import annotations

from telephony.agi.pyst import AGIError, AGIHangup
from telephony.errors import TelephonyError


class AgiError(TelephonyError, AGIError):  # type: ignore[misc]
    """Base of all errors of a session."""


class AgiHangup(AgiError, AGIHangup):  # type: ignore[misc]
    """The channel is gone, or Asterisk has gone on in the dialplan without us."""


class AgiRefused(AgiError):
    """Asterisk answered, but not with 200."""


class AgiTimeout(AgiError):
    """No answer in time; the session is closed, and whether the command ran is unknown."""


class AgiDesync(AgiError):
    """What came cannot be the answer to what was asked; the session is closed."""
