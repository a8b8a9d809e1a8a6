"""What Asterisk has now: who talks, and who only waits in a bridge of BridgeWait."""

from __future__ import annotations

from typing import cast

from telephony.ami import AmiLink, AmiMessage, snapshot
from telephony.core.call import LegState

CALL = "110-a-1795501078.12"


def channel(role: str, bridge: str) -> str:
    tags = f"ChanVariable: TEL_CALL={CALL}\r\nChanVariable: TEL_ROLE={role}\r\nChanVariable: TEL_PARTY=119"
    return (
        f"Event: CoreShowChannel\r\nChannel: PJSIP/{role}\r\nUniqueid: {role}\r\nChannelState: 6\r\n"
        f"BridgeId: {bridge}\r\n{tags}\r\n"
    )


class Answers:
    """A link that answers from what it was given."""

    def __init__(self, **lists: list[str]) -> None:
        self._lists = lists

    async def ask(self, action: str, *, deadline: float) -> list[AmiMessage]:
        return [AmiMessage.parse(text) for text in self._lists[action]]


async def test_who_waits_for_somebody_or_was_in_a_bridge_that_is_gone_is_in_no_conversation() -> None:
    link = Answers(
        CoreShowChannels=[channel("caller", "talk"), channel("partner", "wait"), channel("taker", "gone")],
        BridgeList=[
            "Event: BridgeListItem\r\nBridgeUniqueid: talk\r\nBridgeCreator: <unknown>\r\n",
            "Event: BridgeListItem\r\nBridgeUniqueid: wait\r\nBridgeCreator: BridgeWait\r\n",
        ],
    )

    found = await snapshot.channels(cast(AmiLink, link))

    assert [(now.id, now.state, now.bridge) for now in found] == [
        ("caller", LegState.TALKING, "talk"),
        ("partner", LegState.WAITING, ""),
        ("taker", LegState.WAITING, ""),
    ]
