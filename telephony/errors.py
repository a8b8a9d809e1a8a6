"""Every error that people or programs outside can meet.

TelephonyError
+-- ConfigError        a configuration file is wrong; says where and what
|   +-- AddressTaken   another program listens where we are to listen
+-- Refusal            a request cannot be carried out; has a stable code
|   +-- NotFound       no such thing, or not yours
|   +-- BadInput       a value is not what it must be
+-- LinkDown           Asterisk cannot be asked now
|   +-- OutcomeUnknown it was asked, and has not said whether it did it
|   +-- NotLeading     another controller of this hotline leads, or it is not certain who does
+-- StoreDown          Redis cannot be asked now
|   +-- Deposed        Redis refuses what a controller writes that no longer leads
+-- ControllerDown     the controller cannot be asked now
"""

from __future__ import annotations

from collections.abc import Mapping


class TelephonyError(Exception):
    """Base of all errors of this package."""


class ConfigError(TelephonyError):
    """A configuration file is wrong; the message names the file, the place and what is expected."""


class AddressTaken(ConfigError):
    """Another program listens where we are to listen."""


class Refusal(TelephonyError):
    """A request cannot be carried out. `code` is stable; `message` is a sentence for people."""

    def __init__(self, code: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


class NotFound(Refusal):
    """There is no such thing, or it is not the asker's to see."""


class BadInput(Refusal):
    """A value is not what it must be."""


class LinkDown(TelephonyError):
    """The link to Asterisk is down, not yet reconciled, or Asterisk did not answer in time."""


class OutcomeUnknown(LinkDown):
    """Asterisk was asked, and its answer did not come: what came of it must be found out, and not be guessed."""


class NotLeading(LinkDown):
    """Asterisk must not be asked by us: another controller leads, or it is not certain who does."""


class StoreDown(TelephonyError):
    """Redis does not answer, or answers with an error."""


class Deposed(StoreDown):
    """Another controller has taken the lease: nothing may be written, and nothing done that was to be written."""


class ControllerDown(TelephonyError):
    """The controller does not answer a command that asks it, or answers something else."""
