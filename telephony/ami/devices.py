"""What Asterisk says about phones and lines: its device states, kept up to date."""

from __future__ import annotations

import re
from collections.abc import Callable

from telephony.ami.message import AmiMessage
from telephony.settings import WEB

_GONE = frozenset({"UNAVAILABLE", "INVALID"})
_PHONE = re.compile(r"PJSIP/[A-Za-z0-9_-]{1,64}")  # a seat, a browser, or a line


class DeviceBook:
    """The state of each device, such as `PJSIP/1001`, in Asterisk's words."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self.doubt: Callable[[str], None] = self._believe_nothing
        """Told of a device that is said to have come or gone: Asterisk is to be asked whether that is so."""

    def seat_online(self, seat: str) -> bool:
        """Whether the seat's phone, or its browser, is registered and reachable."""
        return self._up(f"PJSIP/{seat}") or self._up(f"PJSIP/{seat}{WEB}")

    def seat_device(self, seat: str) -> str:
        """The device by which the seat can be called: its phone, or its browser if only that is registered."""
        phone = f"PJSIP/{seat}"
        return phone + WEB if not self._up(phone) and self._up(phone + WEB) else phone

    @staticmethod
    def seat_of(message: AmiMessage) -> str:
        """The name of the seat whose phone or browser a DeviceStateChange is about, if it is about one."""
        return message.get("Device").removeprefix("PJSIP/").removesuffix(WEB)

    def line_up(self, line: str) -> bool:
        """Whether the far end of the line answered Asterisk's last OPTIONS."""
        return self._up(f"PJSIP/line-{line}")

    def knows(self, device: str) -> bool:
        """Whether Asterisk has ever told of the device while the link was up."""
        return device in self._states

    def learn(self, message: AmiMessage) -> None:
        """Take in a DeviceStateChange. A caller can forge one (see `guard`), so who comes or goes is asked for."""
        device, state = message.get("Device"), message.get("State")
        if self._up(device) is not (state not in _GONE):
            if _PHONE.fullmatch(device):
                self.doubt(device)
        elif device in self._states:
            self._states[device] = state

    def answered(self, device: str, state: str) -> None:
        """Take in what Asterisk has said when it was asked for this one device; `INVALID`: there is none."""
        if state == "INVALID":
            self._states.pop(device, None)
        else:
            self._states[device] = state

    def renew(self, messages: list[AmiMessage]) -> None:
        """Take in the whole list, after the link was down."""
        self._states.clear()
        for message in messages:
            self._states[message.get("Device")] = message.get("State")

    def forget(self) -> None:
        """Nothing is known while the link is down."""
        self._states.clear()

    def _believe_nothing(self, device: str) -> None:
        """Nobody to ask yet; the whole list is read when the link is up."""

    def _up(self, device: str) -> bool:
        state = self._states.get(device)
        return state is not None and state not in _GONE
