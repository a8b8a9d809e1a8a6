"""What is to be done, as frozen data, and what a press is answered."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.core.call import Call, Caller
from telephony.core.call import Next as Next


@dataclass(frozen=True, slots=True)
class InvitePartner:
    """Call the line's partner; on answer it joins the conversation of the channel `anchor`.

    `consult`: it joins the taker alone, and the caller hears music.
    """

    call_id: str
    transfer_id: str
    line: str
    anchor: str
    caller: Caller
    case_id: str
    answer_timeout: float
    consult: bool = False


@dataclass(frozen=True, slots=True)
class HoldCaller:
    """Take the caller out of the conversation, to music; the taker's leg stays."""

    channel: str


@dataclass(frozen=True, slots=True)
class BringBack:
    """Bring the caller who is on hold to the channel `to` (the taker's), and into whatever talk that is in."""

    channel: str
    to: str


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Send DTMF to the far end of a channel."""

    channel: str
    digits: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Whether the others are to hear the leg. It is muted once Asterisk has said so: `LegMuted`."""

    leg_id: str
    channel: str
    muted: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """End a leg; `unless_answered`: only if its phone still rings, by Asterisk's own word at that moment."""

    leg_id: str
    channel: str
    unless_answered: bool = False


@dataclass(frozen=True, slots=True)
class RescueCaller:
    """Take the caller out of the music and to the head of the queue, the same seat first.

    A caller who talks by now needs no rescue; `from_talk`: out of that conversation too.
    """

    channel: str
    from_talk: bool = False


@dataclass(frozen=True, slots=True)
class AnswerFreed:
    """Answer the dialplan's question of `CallerFreed`."""

    next: Next


@dataclass(frozen=True, slots=True)
class AwaitFreed:
    """Bring `FreedTimeout` after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AwaitInvite:
    """Bring `InviteTimeout` after `seconds`: the partner should be in the conversation by then, or gone."""

    transfer_id: str
    seconds: float


Command = (
    InvitePartner
    | HoldCaller
    | BringBack
    | Mute
    | SendDigits
    | HangUp
    | RescueCaller
    | AnswerFreed
    | AwaitFreed
    | AwaitInvite
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The press was taken. `transfer_ids` are those that it started or concerns."""

    transfer_ids: tuple[str, ...] = ()
    diversion_id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The press was not taken, and why: a stable code and a sentence for people."""

    code: str
    message: str
    transfer_id: str = ""


Reply = Accepted | Refused


@dataclass(frozen=True, slots=True)
class Decision:
    """The call as it is now, what to do about it, the answer to a press, the outcome's name for the log."""

    call: Call
    outcome: str
    commands: tuple[Command, ...] = ()
    reply: Reply | None = None
