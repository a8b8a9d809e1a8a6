"""Recovery: on every (re)connection to Asterisk, find out the truth before anything is done."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from telephony.ami import AmiLink, snapshot
from telephony.ami.devices import DeviceBook
from telephony.ami.events import EventTranslator
from telephony.dispatcher import Dispatcher
from telephony.reconciler import missed, unknown_calls

log = structlog.get_logger("recovery")


class Recovery:
    def __init__(
        self,
        link: AmiLink,
        translator: EventTranslator,
        devices: DeviceBook,
        dispatcher: Dispatcher,
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._translator = translator
        self._devices = devices
        self._dispatcher = dispatcher
        self._clock = clock

    async def run(self) -> None:
        """Compare what is remembered with what Asterisk has, and tell each call what it missed."""
        self._translator.pause()
        try:
            self._devices.renew(await self._link.ask("DeviceStateList"))
            channels = await snapshot.channels(self._link)
            now = self._clock()
            new = list(unknown_calls(self._dispatcher, channels, now))
            for call in new:
                await self._dispatcher.open(call)
            known = {call.id for call in self._dispatcher}
            self._translator.renew({c.id: c.call_id for c in channels if c.call_id in known})
            told = 0
            for call in list(self._dispatcher):
                for event in missed(call, channels, now):
                    self._dispatcher.post(call.id, event)
                    told += 1
            self._dispatcher.await_invites()
        finally:
            self._translator.resume()
        log.info("reconciled", channels=len(channels), calls=len(known), unknown_calls=len(new), missed=told)
