"""Says what has been decided, in the order in which it was: to the log, the figures and the feed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from telephony import views
from telephony.core.call import Call
from telephony.core.commands import Decision
from telephony.core.events import Event
from telephony.feed import Feed
from telephony.metrics import Metrics

log = structlog.get_logger("call")


class Teller:
    """`clock` gives seconds since the epoch."""

    def __init__(self, feed: Feed, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._feed = feed
        self._metrics = metrics
        self._clock = clock
        self._untold: deque[tuple[Call, Event, Decision]] = deque()

    def opened(self, call: Call) -> None:
        self._publish(None, call)
        log.info("call_opened", call=call.id, via=call.via, situation=call.situation)

    def decided(self, before: Call, event: Event, decision: Decision, *, soon: bool = False) -> None:
        """What `event` has made of the call `before`. `soon`: not before the next turn of the event loop."""
        self._untold.append((before, event, decision))
        if soon:
            asyncio.get_running_loop().call_soon(self.finish)
        else:
            self.finish()

    def finish(self) -> None:
        """Say what is still to be said."""
        while self._untold:
            before, event, decision = self._untold.popleft()
            try:
                self.log(before, event, decision)
                if decision.call != before:
                    self._publish(before, decision.call)
            except Exception:
                # A fault in our own telling must not cost the call that happens to be told next.
                log.exception("not_told", call=before.id, happened=type(event).__name__)

    def log(self, before: Call, event: Event, decision: Decision) -> None:
        """To the log and the figures alone."""
        self._metrics.transition(type(event).__name__)
        log.info(
            "transition",
            call=before.id,
            old=before.situation,
            happened=type(event).__name__,
            new=decision.call.situation,
            outcome=decision.outcome,
        )

    def ended(self, call: Call) -> None:
        self.finish()
        self._metrics.call_ended(call)
        log.info("call_ended", call=call.id, **views.latencies(call))

    def _publish(self, before: Call | None, after: Call) -> None:
        at = self._clock()
        for diversion in after.diversions[len(before.diversions) :] if before is not None else ():
            self._metrics.diversion(diversion)
        for type, data in views.changes(before, after):
            self._feed.publish(at, type, data)
