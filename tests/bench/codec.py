"""AMI events read a second, by our protocol and by panoramisk's own Manager, from the same bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from telephony.ami.message import AmiMessage
from telephony.ami.protocol import AmiProtocol
from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row, percentile

CHUNK = 4096  # bytes that come at once
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
# A channel's state as Asterisk 22 writes it, with the variables that manager.conf names.
EVENT = """Event: {name}
Privilege: call,all
Timestamp: 1764000000.{n:06}
SystemName: 110-a
Channel: PJSIP/seat-{n:08x}
ChannelState: 6
ChannelStateDesc: Up
CallerIDNum: 13800138000
CallerIDName: <unknown>
ConnectedLineNum: 1001
ConnectedLineName: <unknown>
Language: zh
AccountCode: {empty}
Context: queue
Exten: s
Priority: 2
Uniqueid: 110-a-1764000000.{n}
Linkedid: 110-a-1764000000.1
ChanVariable: TEL_CALL=110-a-1764000000.1
ChanVariable: TEL_ROLE=taker
ChanVariable: TEL_PARTY=1001
ChanVariable: TEL_ROOM=
BridgeUniqueid: 6a0f1b54-2f0c-4d3a-9c8a-1f1f1f1f1f1f
BridgeType: basic
BridgeTechnology: softmix
BridgeCreator: <unknown>
BridgeName: <unknown>
BridgeNumChannels: 2

"""
NAMES = ("Newchannel", "Newstate", "BridgeEnter", "BridgeLeave", "Hangup")


def stream(events: int) -> bytes:
    """So many events as they come over the wire."""
    texts = (EVENT.format(name=NAMES[n % len(NAMES)], n=n, empty="") for n in range(events))
    return "".join(texts).replace("\n", "\r\n").encode()


class _Nowhere(asyncio.Transport):
    """A transport that nothing is written to."""

    def abort(self) -> None: ...

    def close(self) -> None: ...


def _ours(count: Callable[[], None]) -> Callable[[bytes], None]:
    def take(message: AmiMessage) -> None:
        if message.get("Uniqueid"):
            count()

    protocol = AmiProtocol(take, max_message=1 << 20, max_unsent=1 << 20)
    protocol.connection_made(_Nowhere())
    return protocol.data_received


def _panoramisk(count: Callable[[], None]) -> Callable[[bytes], None]:
    def take(manager: object, message: object) -> None:
        if message.uniqueid:  # type: ignore[attr-defined]
            count()

    manager = Manager(loop=asyncio.get_running_loop())
    for name in NAMES:
        manager.register_event(name, take)
    protocol = AMIProtocol()
    protocol.connection_made(_Nowhere())
    protocol.factory, protocol.encoding = manager, "utf8"
    return protocol.data_received  # type: ignore[no-any-return]


async def measure(bench: Bench) -> None:
    """The same bytes in turn; the median of the rounds."""
    events, rounds = bench.samples(5_000, 20_000), bench.samples(5, 15)
    data = stream(events)
    rates: dict[str, list[float]] = {"ours": [], "panoramisk": []}
    for _ in range(rounds):
        for name, make in (("ours", _ours), ("panoramisk", _panoramisk)):
            rates[name].append(await _rate(make, data, events))
    bench.keep("codec", [{"by": name, "per_second": each} for name, all_ in rates.items() for each in all_])
    bench.add(
        Row(
            "AMI events read a second",
            "1/s",
            percentile(rates["ours"], 0.5),
            percentile(rates["panoramisk"], 0.5),
            Goal(least=2.0),
            events * rounds,
            "panoramisk's own Manager, the same bytes",
        )
    )


async def _rate(
    make: Callable[[Callable[[], None]], Callable[[bytes], None]], data: bytes, events: int
) -> float:
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1

    take = make(count)
    take(BANNER)
    began = time.perf_counter()
    for start in range(0, len(data), CHUNK):
        take(data[start : start + CHUNK])
    took = time.perf_counter() - began
    assert seen == events, f"{seen} of {events} events were read"
    return events / took
