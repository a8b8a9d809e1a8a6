"""Prometheus figures of one hotline."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from telephony.core.call import Call, Diversion

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """A registry of our own, so that several hotlines in one process (tests) do not meet."""

    def __init__(self, hotline: str) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "telephony_calls", "Calls that are over", ["hotline", "via"], registry=self.registry
        )
        self._transfers = Counter(
            "telephony_transfers",
            "Transfers that are over, by line and reason",
            ["hotline", "line", "reason"],
            registry=self.registry,
        )
        self._transitions = Counter(
            "telephony_transitions",
            "Events that were decided on",
            ["hotline", "event"],
            registry=self.registry,
        )
        self._rescues = Counter(
            "telephony_rescues",
            "Callers brought back to the head of the queue",
            ["hotline"],
            registry=self.registry,
        )
        self._diversions = Counter(
            "telephony_diversions",
            "Matters handed on without a call, by kind and by the unit's line",
            ["hotline", "kind", "line"],
            registry=self.registry,
        )
        self._to_joined = Histogram(
            "telephony_transfer_to_joined_seconds",
            "From the press to the partner in the conversation",
            ["hotline", "line"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        self._put_right = Counter(
            "telephony_put_right",
            "What was not in Asterisk as it was remembered, and has been put right, by kind of fault",
            ["hotline", "fault"],
            registry=self.registry,
        )
        self.live_calls = Gauge("telephony_live_calls", "Calls now", ["hotline"], registry=self.registry)
        self.asterisk_up = Gauge(
            "telephony_asterisk_up",
            "1 while the manager link is up and reconciled",
            ["hotline"],
            registry=self.registry,
        )
        self.redis_up = Gauge(
            "telephony_redis_up", "1 while Redis answers", ["hotline"], registry=self.registry
        )
        self._recording_low = {
            "disk": Gauge(
                "telephony_recording_disk_low",
                "1 while the disk for recordings is nearly full, or gone; calls go on",
                ["hotline"],
                registry=self.registry,
            ),
            "memory": Gauge(
                "telephony_recording_memory_low",
                "1 while the memory in which calls are recorded is nearly full, or gone; calls go on",
                ["hotline"],
                registry=self.registry,
            ),
        }
        self.leader = Gauge(
            "telephony_leader",
            "1 while this controller leads the hotline",
            ["hotline"],
            registry=self.registry,
        )
        self.leader.labels(hotline).set(0)
        self._hotline = hotline

    def transition(self, event: str) -> None:
        self._transitions.labels(self._hotline, event).inc()

    def recording_looked_at(self, kind: str, warning: str) -> None:
        """`kind` (`disk`, `memory`) has been looked at, and this was found to be wrong; empty if nothing was."""
        self._recording_low[kind].labels(self._hotline).set(bool(warning))

    def put_right(self, fault: str) -> None:
        self._put_right.labels(self._hotline, fault).inc()

    def diversion(self, diversion: Diversion) -> None:
        """Count a matter that is handed on."""
        self._diversions.labels(self._hotline, diversion.kind, diversion.line or "none").inc()

    def call_ended(self, call: Call) -> None:
        """Count a call that is over, and its transfers."""
        self._calls.labels(self._hotline, call.via).inc()
        self._rescues.labels(self._hotline).inc(call.rescues)
        for t in call.transfers:
            self._transfers.labels(self._hotline, t.line, t.reason or "none").inc()
            if t.joined_at is not None:
                self._to_joined.labels(self._hotline, t.line).observe(max(0.0, t.joined_at - t.asked_at))
