"""The connection to Asterisk's manager interface (AMI).

The way of an action: `AmiLink.send` -> `action.encode` -> `AmiProtocol` -> Asterisk, and back as an
`AmiMessage`. The way of an event: Asterisk -> `AmiProtocol` -> `AmiMessage` -> the link's `on_event`.

panoramisk gives the protocol class, the writing of actions and the words of success; nothing outside
this package imports it. The connection is ours, because panoramisk's replays, hangs and leaks.
"""

from __future__ import annotations

from telephony.ami.errors import AmiDown, AmiLoginRefused, AmiRefused, AmiTimeout
from telephony.ami.link import AmiLink, LinkState
from telephony.ami.message import AmiMessage
from telephony.ami.settings import AmiSettings

__all__ = [
    "AmiDown",
    "AmiLink",
    "AmiLoginRefused",
    "AmiMessage",
    "AmiRefused",
    "AmiSettings",
    "AmiTimeout",
    "LinkState",
]
