"""`python -m tests.bench`: measured speed, side by side with Asterisk without us. `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.bench import codec, day, load, media, mixing, presses, startup
from tests.bench.bench import Bench
from tests.bench.figures import table
from tests.lab import memory, namespace
from tests.lab.paths import CHECKOUT, LAB, LabError

RESULTS = LAB / "bench.json"
INSIDE = "TELEPHONY_BENCH_INSIDE"
PARTS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "presses": presses.measure,
    "media": media.measure,
    "rate": load.measure_rate,
    "scale": load.measure_scale,
    "growth": load.measure_growth,
    "mixing": mixing.measure,
    "codec": codec.measure,
    "startup": startup.measure,
    "day": day.measure,
}


def main() -> int:
    """0: measured, whatever came of it; 2: a part broke down."""
    options = _options()
    if INSIDE not in os.environ and (reason := namespace.possible()) is None:
        command = [sys.executable, "-m", "tests.bench", *sys.argv[1:]]
        return subprocess.run(
            namespace.isolated(command), cwd=CHECKOUT, env={**os.environ, INSIDE: "yes"}
        ).returncode
    if INSIDE not in os.environ:
        print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
    LAB.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    keys = options.presses or (500 if options.full else 30)
    bench = Bench(full=options.full, presses=keys, state=state, raw=LAB / "bench")
    print(f"==> make bench, {'full' if options.full else 'quick'}; raw data in {bench.raw}", flush=True)
    earlier = _earlier(bench) if options.only else []
    broken = 0
    for name in options.only or PARTS:
        bench.say(name)
        try:
            asyncio.run(PARTS[name](bench))
        except (LabError, OSError, TimeoutError) as error:
            broken += 1
            bench.leave_out(f"{name}, which broke down: {error!r}; see {state}")
        _write(bench, earlier)  # After two hours of a full run the last part may break down, or the machine.
    _tell(bench)
    if broken:
        return 2
    memory.remove(state)
    return 0


def _earlier(bench: Bench) -> list[dict[str, Any]]:
    """The rows of an earlier run of the same size, of which some parts are measured again now."""
    try:
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return found["rows"] if found["full"] == bench.full else []


def _write(bench: Bench, earlier: list[dict[str, Any]]) -> None:
    rows = {row["name"]: row for row in [*earlier, *(row.as_json() for row in bench.rows)]}
    results = {"full": bench.full, "rows": list(rows.values()), "left_out": bench.left_out}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _tell(bench: Bench) -> None:
    print(f"\n{table(bench.rows)}\n")
    for what in bench.left_out:
        print(f"left out: {what}")
    met = sum(row.met for row in bench.rows)
    took = time.monotonic() - bench.began
    print(f"make bench: {met} of {len(bench.rows)} goals met ({took:.0f} s; {RESULTS})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every row with all samples (for releases)")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--presses", type=int, help="how many keys are measured one by one (30; full: 500)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nbench: interrupted; everything that it had started is gone")
