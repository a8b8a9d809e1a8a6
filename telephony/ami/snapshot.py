"""All channels that Asterisk has now, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Container

from telephony.ami.events import WAITING_BRIDGE, ChannelTags
from telephony.ami.link import AmiLink
from telephony.ami.message import AmiMessage
from telephony.core.call import LegState, Role
from telephony.reconciler import ChannelNow

_STATES = {"5": LegState.RINGING, "6": LegState.WAITING}


async def channels(link: AmiLink) -> list[ChannelNow]:
    """The channels that belong to calls. LinkDown, AmiRefused.

    Bridges are asked for after the channels: one that is not there any more is no conversation either.
    """
    found = await link.ask("CoreShowChannels", deadline=10.0)
    bridges = await link.ask("BridgeList", deadline=10.0)
    talks = {item.get("BridgeUniqueid") for item in bridges if item.get("BridgeCreator") != WAITING_BRIDGE}
    return [channel for message in found if (channel := _channel(message, talks)) is not None]


def _channel(message: AmiMessage, talks: Container[str]) -> ChannelNow | None:
    tags = ChannelTags.of(message)
    if not tags.call or tags.role not in set(Role):
        return None
    bridge = message.get("BridgeId")
    bridge = bridge if bridge in talks else ""
    state = LegState.TALKING if bridge else _STATES.get(message.get("ChannelState"), LegState.DIALLING)
    return ChannelNow(
        id=message.get("Uniqueid"),
        name=message.get("Channel"),
        call_id=tags.call,
        role=Role(tags.role),
        party=tags.party,
        state=state,
        bridge=bridge,
        number=message.get("CallerIDNum"),
        context=message.get("Context"),
    )
