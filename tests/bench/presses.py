"""From the key to the INVITE on the line, against a bare Originate on a socket."""

from __future__ import annotations

import asyncio

from tests.bench.bench import Bench
from tests.bench.figures import Goal, Row, percentile
from tests.bench.handover import Handed, Ours, Phones, Reference, Way, hand_over
from tests.bench.sites import make_ours, make_plain, start_plain

P50, P99 = Goal(ratio=2.0), Goal(ratio=3.0)


async def measure(bench: Bench) -> None:
    """One call after the other, ours and the reference in turn."""
    ours, plain = make_ours(bench.state, 3), make_plain(bench.state, 3)
    with ours:
        try:
            await asyncio.to_thread(start_plain, plain)
            async with Phones(ours, plain) as phones:
                ways: list[Way] = [Ours(phones, ours), Reference(phones, plain)]
                found = await _presses(ways, bench.presses)
        finally:
            plain.asterisk.stop()
    records = [
        {"way": way, "at": each.at, "ms": each.to_invite, "failed": each.failed} for way, each in found
    ]
    bench.keep("press-to-invite", records)
    values = {
        way: [each.to_invite for name, each in found if name == way and not each.failed]
        for way in ("ours", "reference")
    }
    failed = [each.failed for name, each in found if name == "ours" and each.failed]
    for name, share, goal in (("p50", 0.5, P50), ("p99", 0.99, P99)):
        bench.add(
            Row(
                f"key press to INVITE on the line, {name}",
                "ms",
                percentile(values["ours"], share),
                percentile(values["reference"], share),
                goal,
                len(values["ours"]),
                "bare AMI Originate written to a socket, plain Asterisk",
                f"{len(failed)} failed: {failed[:1]}" if failed else WHY,
            )
        )


WHY = (
    "between the key and Asterisk lie HTTP (aiohttp), the decision, one write to Redis before acting "
    "(the rule that no intention is lost), and 14 channel variables in the Originate (0.1 ms of it)"
)


async def _presses(ways: list[Way], count: int) -> list[tuple[str, Handed]]:
    found: list[tuple[str, Handed]] = []
    for way in ways:
        if isinstance(way, Ours):
            await way.http.__aenter__()
        elif isinstance(way, Reference):
            await way.ami.__aenter__()
    for _ in range(count):
        for way in ways:
            found.append((way.name, await hand_over(way)))
    return found
