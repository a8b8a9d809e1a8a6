"""What can go wrong with a softphone.

PhoneError
├── NotSeenError             what was waited for did not happen in time
├── CallFailedError          the call ended before what was waited for
├── RegistrationFailedError  the registrar refused
└── PhoneDiedError           the phone's process has gone
"""

from __future__ import annotations


class PhoneError(Exception):
    """The phone could not do what it was told; the message names the phone and what it saw."""


class NotSeenError(PhoneError):
    """What was waited for did not happen within its limit."""


class CallFailedError(PhoneError):
    """The call ended before what was waited for; `status` is the SIP status it ended with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RegistrationFailedError(PhoneError):
    """The registrar refused; `status` is its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class PhoneDiedError(PhoneError):
    """The phone's process has gone: killed by the test, or crashed."""
