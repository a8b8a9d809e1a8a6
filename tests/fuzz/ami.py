"""The AMI wire: bytes as Asterisk, or somebody in its place, may send them, down to the translators of events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from telephony.ami.devices import DeviceBook
from telephony.ami.errors import AmiDown, AmiRefused
from telephony.ami.events import EventTranslator
from telephony.ami.message import AmiMessage
from telephony.ami.protocol import AmiProtocol
from telephony.ami.rooms import RoomTranslator
from tests.adapters.http_hotline import settings
from tests.fuzz.door import Door, Loop
from tests.fuzz.text import change_lines, in_pieces, nasty_bytes, spoil

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
LONGEST = 65_536  # bytes of a message, as the link has it
CALL, TAKER, PARTNER, MEMBER = "110-a-1.1", "110-a-1.2", "110-a-1.3", "110-a-1.4"
ASKED = (
    "\x01"  # stands for the ActionID of the list that is being asked for; one byte, which no cut can divide
)

_CHANNEL = (
    "Privilege: call,all",
    "ChannelState: {state}",
    "ChannelStateDesc: Up",
    "CallerIDNum: 13800138000",
    "CallerIDName: <unknown>",
    "ConnectedLineNum: <unknown>",
    "ConnectedLineName: <unknown>",
    "Language: zh",
    "AccountCode: ",
    "Context: queue",
    "Exten: s",
    "Priority: 1",
    "Uniqueid: {channel}",
    f"Linkedid: {CALL}",
    f"ChanVariable: TEL_CALL={CALL}",
    "ChanVariable: TEL_ROLE={role}",
    "ChanVariable: TEL_PARTY=1001",
    "ChanVariable: TEL_ROOM=room",
)
_MORE = {
    "Newchannel": (),
    "Newstate": (),
    "BridgeEnter": ("BridgeUniqueid: b-1", "BridgeType: basic"),
    "BridgeLeave": ("BridgeUniqueid: b-1", "BridgeType: basic"),
    "Hangup": ("Cause: 16", "Cause-txt: Normal Clearing", "TechCause: 487"),
    "ConfbridgeJoin": ("Conference: room", "Muted: No"),
    "ConfbridgeLeave": ("Conference: room",),
    "ConfbridgeMute": ("Conference: room",),
    "ConfbridgeEnd": ("Conference: room",),
    "OriginateResponse": ("Response: Failure", "Reason: 5"),
    "CoreShowChannel": (f"ActionID: {ASKED}", "BridgeId: b-1"),
}
_OTHERS = (
    ("Event: DeviceStateChange", "Device: PJSIP/1001", "State: NOT_INUSE"),
    ("Response: Success", f"ActionID: {ASKED}", "EventList: start", "Message: Channels will follow"),
    ("Response: Error", f"ActionID: {ASKED}", "Message: Permission denied"),
    ("Event: CoreShowChannelsComplete", f"ActionID: {ASKED}", "EventList: Complete", "ListItems: 1"),
    ("Event: FullyBooted", "Status: Fully Booted"),
    ("Response: Success", f"ActionID: {ASKED}", "Output: a", "Output: b"),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """One message, right or with some lines changed."""
    if draw(st.booleans()):
        kind = draw(st.sampled_from(sorted(_MORE)))
        channel = draw(st.sampled_from((CALL, TAKER, PARTNER, MEMBER, "stranger")))
        state, role = draw(st.sampled_from("0456")), draw(st.sampled_from(("taker", "partner", "room", "")))
        lines = [f"Event: {kind}", f"Channel: PJSIP/{channel}"]
        lines += [line.format(state=state, channel=channel, role=role) for line in _CHANNEL]
        lines += _MORE[kind]
    else:
        lines = list(draw(st.sampled_from(_OTHERS)))
    changed = change_lines(draw, lines, most=draw(st.sampled_from((0, 0, 3))))
    return "\r\n".join(changed).encode(errors="replace") + b"\r\n\r\n"


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A greeting and messages; some of it spoilt, some of it repeated beyond all measure."""
    body = b"".join(draw(st.lists(messages(), max_size=8)))
    if draw(st.integers(0, 19)) == 0:
        body = body[:300] * draw(st.sampled_from((50, 400)))
    if draw(st.booleans()):
        body = spoil(draw, body)
    banner = draw(nasty_bytes) if draw(st.integers(0, 9)) == 0 else BANNER
    return banner + body


class _Wire(asyncio.Transport):
    """Asterisk's end: keeps the ActionID that it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        found = re.search(rb"ActionID: (\S+)", bytes(data))
        self.asked = found[1] if found else b""

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


class _Ears:
    """Both translators, told every event; what they make of it must be fit for JSON."""

    def __init__(self) -> None:
        self.later: list[Any] = []
        hotline = settings()
        self.calls = EventTranslator(DeviceBook(), self._post, lambda: 1.0, self._later)
        self.rooms = RoomTranslator(hotline, self._post_room, lambda: 1.0, self._later)
        self.heard: list[AmiMessage] = []
        self.calls.renew({CALL: CALL, PARTNER: CALL})
        self.rooms.expect(MEMBER)

    def __call__(self, message: AmiMessage) -> None:
        self.heard.append(message)
        self.calls.on_event(message)
        self.rooms.on_event(message)

    def _post(self, call_id: str, event: object) -> None:
        assert call_id == CALL, f"an event of a call that nobody knows: {call_id!r}"
        msgspec.json.encode(event)

    def _post_room(self, event: object) -> None:
        msgspec.json.encode(event)

    def _later(self, seconds: float, callback: Any) -> None:
        self.later.append(callback)

    def time_passes(self) -> None:
        for callback in self.later:
            callback()
        self.later.clear()


async def _read(pieces: list[bytes], ears: _Ears) -> tuple[list[str], str]:
    """Play one connection; the events in words, and why we closed it (empty: we did not)."""
    ears.heard.clear()
    wire, protocol = _Wire(), AmiProtocol(ears, max_message=LONGEST, max_unsent=LONGEST)
    protocol.connection_made(wire)
    asking = asyncio.create_task(protocol.request("CoreShowChannels", {}, 60.0, wants_list=True))
    await asyncio.sleep(0)
    for piece in pieces:
        protocol.data_received(piece.replace(ASKED.encode(), wire.asked))
        assert len(protocol._rest) <= LONGEST, "more is kept than a message may have"
        assert wire.aborted == protocol.closed
        await asyncio.sleep(0)  # as between two reads of a socket: who was woken comes first
    while protocol._resume is not None:  # noqa: ASYNC110 - it runs in this loop's very next turns
        await asyncio.sleep(0)
    reason = protocol.reason
    protocol.connection_lost(None)
    assert protocol.lost.done()
    assert not protocol.responses
    with suppress(AmiDown, AmiRefused):
        await asking
    ears.time_passes()
    return [repr(message).replace(wire.asked.decode(), ASKED) for message in ears.heard], reason


@contextmanager
def ami(_: Path) -> Iterator[Door]:
    """AmiProtocol, the messages' codec, and the translators of calls and rooms, which live as long as the door."""
    old = _Ears()

    async def read(pieces: list[bytes]) -> None:
        cut, reason = await _read(pieces, old)
        whole, reason_whole = await _read([b"".join(pieces)], _Ears())
        if not reason and not reason_whole:
            assert cut == whole, "where the bytes were cut has made a difference"

    with Loop() as loop:
        yield Door(in_pieces(streams()), lambda pieces: loop.run(read(pieces)))
