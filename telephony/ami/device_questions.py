"""A phone or a line is said to have come or gone: Asterisk is asked, because a caller can forge the event.

Only the answer to a question of our own is believed, and a forged event costs no more than the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from telephony.ami import verbs
from telephony.ami.devices import DeviceBook
from telephony.ami.errors import AmiRefused, AmiTimeout
from telephony.ami.link import AmiLink
from telephony.errors import LinkDown

log = structlog.get_logger("ami")

_MOST = 1000  # devices to be asked for; a flood of forged events brings no more


class DeviceQuestions:
    """Asks for one device after the other. `on_answer` is told when the book has changed."""

    def __init__(self, link: AmiLink, devices: DeviceBook, on_answer: Callable[[], None]) -> None:
        self._link = link
        self._devices = devices
        self._on_answer = on_answer
        self._open: dict[str, None] = {}
        self._asking: asyncio.Task[None] | None = None

    def ask(self, device: str) -> None:
        """Find out soon. Raises nothing."""
        if len(self._open) < _MOST:
            self._open[device] = None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(), name="ami-devices")

    async def _ask_all(self) -> None:
        while self._open:
            device = next(iter(self._open))
            del self._open[device]
            try:
                state = await verbs.device_state(self._link, device)
            except AmiTimeout:
                self._open[device] = None  # Again, after the others: what it asks about may be true.
            except AmiRefused as error:
                log.warning("device_not_known", device=device, error=str(error))
            except LinkDown:
                self._open.clear()  # The whole list is read when the link is up again.
            else:
                self._devices.answered(device, state)
                self._on_answer()
