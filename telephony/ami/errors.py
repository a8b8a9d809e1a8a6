"""What can go wrong on the manager interface.

LinkDown
+-- AmiDown              there is no connection, or it ended before the answer came
|   +-- AmiLoginRefused  Asterisk does not know our name or secret
|   +-- AmiLost          the connection ended before the answer came
+-- AmiTimeout           connected, but no answer within the deadline
Refusal
+-- AmiRefused           Asterisk answered `Response: Error`
"""

from __future__ import annotations

from telephony.ami.message import AmiMessage
from telephony.errors import LinkDown, OutcomeUnknown, Refusal


class AmiDown(LinkDown):
    """There is no connection, or it ended before the answer came; whether the action ran is unknown then."""


class AmiLoginRefused(AmiDown):
    """Asterisk does not accept the user name or the secret; only a changed configuration mends that."""


class AmiLost(AmiDown, OutcomeUnknown):
    """The connection ended before the answer came."""


class AmiTimeout(OutcomeUnknown):
    """Asterisk did not answer `action` within `deadline` seconds; whether it ran is unknown."""

    def __init__(self, action: str, deadline: float) -> None:
        super().__init__(f"no answer to {action} within {deadline:g} s")
        self.action = action
        self.deadline = deadline


class AmiRefused(Refusal):
    """Asterisk refused `action`; `message` is its own sentence, `response` the whole answer."""

    def __init__(self, action: str, response: AmiMessage) -> None:
        message = response.get("Message") or f"Response: {response.get('Response')}"
        super().__init__("asterisk_refused", message, {"action": action})
        self.action = action
        self.response = response
