"""A caller who hangs up while the call is being taken on does not stay in it for ever (found by make traffic)."""

from __future__ import annotations

import asyncio

from telephony.ami.devices import DeviceBook
from telephony.ami.events import EventTranslator
from telephony.ami.message import AmiMessage
from telephony.core.call import Situation
from telephony.core.events import Event, LegEnded
from tests.unit.test_dispatcher import Office, until

EVERY_CHANNEL_EVENT_SAYS = (
    *("Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName", "ConnectedLineNum"),
    *("ConnectedLineName", "Language", "AccountCode", "Context", "Exten", "Priority"),
)


def hangup(channel: str, cause: str = "16") -> AmiMessage:
    said = dict.fromkeys(EVERY_CHANNEL_EVENT_SAYS, "")
    return AmiMessage(said | {"Event": "Hangup", "Uniqueid": channel, "Linkedid": channel, "Cause": cause})


class Door:
    """The translator in front of an office, as in the application."""

    def __init__(self) -> None:
        self.office = Office()
        self.posted: list[tuple[str, Event]] = []
        self.translator = EventTranslator(
            DeviceBook(), self._post, self.office.clock, asyncio.get_running_loop().call_later
        )

    def _post(self, call_id: str, event: Event) -> None:
        self.posted.append((call_id, event))
        self.office.dispatcher.post(call_id, event)


async def test_call_ends_whose_caller_had_gone_before_it_was_taken_on() -> None:
    door = Door()
    door.translator.on_event(hangup("c"))
    door.translator.expect("c", "c")
    await door.office.open("c")

    await until(lambda: door.office.store.finished == ["c"])

    (ended,) = [event for _, event in door.posted]
    assert isinstance(ended, LegEnded)
    assert ended.hangup.cause == 16
    call = door.office.dispatcher.get("c")
    assert call is not None
    assert call.situation is Situation.ENDED


async def test_call_of_a_caller_who_is_there_goes_on() -> None:
    door = Door()
    door.translator.on_event(hangup("another"))
    door.translator.expect("c", "c")
    await door.office.open("c")
    await asyncio.sleep(0)
    assert [call.situation for call in door.office.dispatcher] == [Situation.QUEUED]

    door.translator.on_event(hangup("c"))

    await until(lambda: door.office.store.finished == ["c"])
    assert len(door.posted) == 1


async def test_ends_of_unknown_channels_are_remembered_up_to_a_limit() -> None:
    door = Door()
    for n in range(1001):
        door.translator.on_event(hangup(f"c{n}"))
    door.translator.expect("c0", "c0")
    door.translator.expect("c1000", "c1000")
    await until(lambda: len(door.posted) == 1)
    assert door.posted[0][0] == "c1000"
