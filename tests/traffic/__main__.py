"""`python -m tests.traffic`: what both hotlines really get, played by SIPp, and a verdict. `make traffic`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import namespace
from tests.lab.paths import CHECKOUT, LabError
from tests.traffic import report
from tests.traffic.plan import draw_plan, number_of_calls
from tests.traffic.run import Run

INSIDE = "TELEPHONY_TRAFFIC_INSIDE"


def main() -> int:
    """0: nothing lost, nothing left over, everything agreed; 1: not so; 2: the run itself broke down."""
    options = _options()
    if INSIDE not in os.environ and (reason := namespace.possible()) is None:
        seed = [] if options.seed_given else ["--seed", str(options.seed)]
        command = [sys.executable, "-m", "tests.traffic", *sys.argv[1:], *seed]
        return subprocess.run(
            namespace.isolated(command), cwd=CHECKOUT, env={**os.environ, INSIDE: "yes"}
        ).returncode
    if INSIDE not in os.environ:
        print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
    folder = Path(tempfile.mkdtemp(prefix="traffic-"))
    calls = options.calls or (
        number_of_calls(options.hours, options.rate, options.seed) if options.hours else 200
    )
    print(f"==> {calls} calls at {options.rate:g} a second, seed {options.seed}; raw data in {folder}")
    began = time.monotonic()
    try:
        verdict = asyncio.run(Run(draw_plan(calls, options.rate, options.seed), options.rate, folder).play())
    except (LabError, OSError, TimeoutError) as error:
        print(f"the run broke down: {error!r}; see {folder}", file=sys.stderr)
        return 2
    print(f"\n{report.text(verdict)}\n")
    kept = f"raw data in {folder}"
    if verdict.good and options.tidy:
        shutil.rmtree(folder)
        kept = "raw data removed"
    word = "nothing lost, nothing left over" if verdict.good else "FAILED"
    print(f"make traffic: {word} (seed {options.seed}, {time.monotonic() - began:.0f} s; {kept})")
    return 0 if verdict.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.traffic", description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second on average (5)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--calls", type=int, help="how many calls (200)")
    length.add_argument("--hours", type=float, help="or for how many hours")
    parser.add_argument("--seed", type=int, help="the same seed gives the same plan (random)")
    parser.add_argument("--tidy", action="store_true", help="keep no raw data when nothing is wrong")
    options = parser.parse_args()
    if options.rate <= 0 or (options.calls or 1) < 1 or (options.hours or 1) <= 0:
        parser.error("--rate, --calls and --hours must be positive")
    options.seed_given = options.seed is not None
    if not options.seed_given:
        options.seed = int.from_bytes(os.urandom(4), "big")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ntraffic: interrupted; everything that it had started is gone")
