"""Examples for the description: real values of the real types, so that they cannot go out of date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telephony.core.call import (
    DiversionKind,
    EndReason,
    LegState,
    Mode,
    Role,
    Situation,
    TransferState,
)
from telephony.history import History, Outcome, PastCall, PastDiversion, PastTransfer
from telephony.http.answers import Calls, CallWithHistory, Lines, Live, PressedTransfer, Ready, Rooms, Seats
from telephony.http.bodies import KeyPress, LineChange, NewDiversion, NewTransfer, OpenRoom
from telephony.http.messages import Hello
from telephony.room_book import MemberKind, MemberState
from telephony.room_views import MemberView, RoomView
from telephony.switchboard import LineState, LineStatus, SeatState, SeatStatus
from telephony.views import CallerView, CallView, DiversionView, LegView, TransferView

_CALL = "110-1767225600.1"
_TRANSFER = "t-4f1c9a"


def _transfer(
    state: TransferState, ended: float | None = None, reason: EndReason | None = None
) -> TransferView:
    return TransferView(
        id=_TRANSFER,
        call=_CALL,
        line="12345",
        mode=Mode.WARM,
        state=state,
        reason=reason,
        sip_code=486 if reason else None,
        q850=17 if reason else None,
        seat="1001",
        note="噪音投诉",
        asked_at=1767225612.4,
        ringing_at=1767225612.9 if state is not TransferState.INVITING else None,
        joined_at=None,
        handed_over_at=None,
        ended_at=ended,
    )


_INVITING = _transfer(TransferState.INVITING)
_ENDED = _transfer(TransferState.ENDED, 1767225614.0, EndReason.BUSY)
_CALL_VIEW = CallView(
    id=_CALL,
    situation=Situation.INVITING,
    caller=CallerView("13800138000", withheld=False),
    via="carrier",
    seat="1001",
    case_id="",
    arrived_at=1767225600.0,
    answered_at=1767225603.2,
    ended_at=None,
    legs=[
        LegView(_CALL, Role.CALLER, "", LegState.TALKING, muted=False),
        LegView("110-1767225600.2", Role.TAKER, "1001", LegState.TALKING, muted=False),
    ],
    transfers=[_INVITING],
    earlier_calls=1,
)
_DIVERSION = DiversionView(
    "d-81c0de", _CALL, DiversionKind.PLATFORM, "12345", "1001", "小区停车费纠纷", 1767225640.0
)
_HISTORY = History(
    days=90,
    count=1,
    more=False,
    calls=[
        PastCall(
            "110-1767139200.7",
            1767139200.0,
            1767139290.5,
            "carrier",
            "1002",
            Outcome.FINISHED,
            "J110-1767139200.7",
            [PastTransfer("12345", EndReason.BUSY, "停车费")],
            [PastDiversion(DiversionKind.PLATFORM, "12345", "小区停车费纠纷")],
        )
    ],
)
_CALL_WITH_HISTORY = CallWithHistory(
    **{name: getattr(_CALL_VIEW, name) for name in CallView.__dataclass_fields__}, history=_HISTORY
)
_LINE = LineStatus("12345", "政务服务便民热线", LineState.OPEN, 1, 30, "F5", "*1", (Mode.WARM, Mode.COLD))
_PRESSED = PressedTransfer(
    **{name: getattr(_INVITING, name) for name in TransferView.__dataclass_fields__}, transfers=[_INVITING]
)
_MEMBER = MemberView(
    "110-a-4f1c9a8e2b71",
    MemberKind.LINE,
    "12345",
    MemberState.PRESENT,
    None,
    muted=False,
    call="",
    since=1767225630.1,
)
_ROOM = RoomView("room", "联合会商", "8000", "F9", 1767225628.0, [_MEMBER])

EXAMPLES: Mapping[type, Any] = {
    KeyPress: KeyPress("warm", "噪音投诉"),
    NewTransfer: NewTransfer("12345", "cold", "噪音投诉"),
    NewDiversion: NewDiversion("platform", "12345", "小区停车费纠纷"),
    DiversionView: _DIVERSION,
    CallWithHistory: _CALL_WITH_HISTORY,
    History: _HISTORY,
    LineChange: LineChange("closed"),
    PressedTransfer: _PRESSED,
    TransferView: _ENDED,
    CallView: _CALL_VIEW,
    Calls: Calls(1234, [_CALL_VIEW]),
    LineStatus: _LINE,
    Lines: Lines(1234, [_LINE]),
    Seats: Seats(1234, [SeatStatus("1001", "110", SeatState.TALKING, _CALL)]),
    OpenRoom: OpenRoom(lines=["12345", "119"], seats=["1009"], call=_CALL),
    RoomView: _ROOM,
    Rooms: Rooms(1234, [_ROOM]),
    Live: Live(live=True),
    Ready: Ready(ready=True, missing=[], warnings=[], role="leader", leader="110-a"),
    Hello: Hello(1234),
}
