"""What Asterisk says about phones and lines: its device states, kept up to date."""

from __future__ import annotations

from telephony.ami.message import AmiMessage
from telephony.settings import WEB

_GONE = frozenset({"UNAVAILABLE", "INVALID"})


class DeviceBook:
    """The state of each device, such as `PJSIP/1001`, in Asterisk's words."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def seat_online(self, seat: str) -> bool:
        """Whether the seat's phone, or its browser, is registered and reachable."""
        return self._up(f"PJSIP/{seat}") or self._up(f"PJSIP/{seat}{WEB}")

    def seat_device(self, seat: str) -> str:
        """The device by which the seat can be called: its phone, or its browser if only that is registered."""
        phone = f"PJSIP/{seat}"
        return phone + WEB if not self._up(phone) and self._up(phone + WEB) else phone

    def line_up(self, line: str) -> bool:
        """Whether the far end of the line answered Asterisk's last OPTIONS."""
        return self._up(f"PJSIP/line-{line}")

    def learn(self, message: AmiMessage) -> None:
        """Take in a DeviceStateChange."""
        self._states[message.get("Device")] = message.get("State")

    def renew(self, messages: list[AmiMessage]) -> None:
        """Take in the whole list, after the link was down."""
        self._states.clear()
        for message in messages:
            self.learn(message)

    def forget(self) -> None:
        """Nothing is known while the link is down."""
        self._states.clear()

    def _up(self, device: str) -> bool:
        state = self._states.get(device)
        return state is not None and state not in _GONE
