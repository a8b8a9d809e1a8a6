"""Why a partner could not be had: from Q.850 causes and SIP codes to the reasons of a transfer.

Sources: ITU-T Q.850 for the causes, RFC 3398 §8.2.6.1 for how SIP codes map to them.
"""

from __future__ import annotations

from telephony.core.call import EndReason, Hangup

_BY_SIP = {
    486: EndReason.BUSY,
    600: EndReason.BUSY,
    408: EndReason.NO_ANSWER,
    480: EndReason.NO_ANSWER,
    487: EndReason.NO_ANSWER,
    403: EndReason.REJECTED,
    603: EndReason.REJECTED,
    607: EndReason.REJECTED,
}

_BY_CAUSE = {
    17: EndReason.BUSY,
    18: EndReason.NO_ANSWER,
    19: EndReason.NO_ANSWER,
    16: EndReason.NO_ANSWER,
    21: EndReason.REJECTED,
}


def why_not_joined(hangup: Hangup, *, rang: bool, answered: bool = False) -> EndReason:
    """The reason for a partner's leg that ended before it joined.

    `rang`: the far end had said that its phone rings. Without that, silence on the wire and a
    phone that nobody picks up look alike in the cause; they are not the same to a taker.
    `answered`: the far end had picked up, and was gone before it was in the conversation.
    """
    if answered:
        return EndReason.PARTNER_LEFT if hangup.normal else EndReason.LINK_LOST
    if hangup.link_lost:
        return EndReason.LINK_LOST  # Nobody has seen how it ended.
    reason = _BY_SIP.get(hangup.sip_code) or _BY_CAUSE.get(hangup.cause, EndReason.UNREACHABLE)
    if reason is EndReason.NO_ANSWER and not rang:
        return EndReason.UNREACHABLE
    if reason is EndReason.UNREACHABLE and rang and not hangup.sip_code and not hangup.cause:
        return EndReason.NO_ANSWER
    return reason
