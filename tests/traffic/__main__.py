"""`python -m tests.traffic`: what both hotlines really get, played by SIPp, and a verdict. `make traffic`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.paths import LabError
from tests.traffic import report
from tests.traffic.command import add_common, draw_seed, inside_namespace, last_line
from tests.traffic.plan import draw_plan, number_of_calls
from tests.traffic.run import Run


def main() -> int:
    """0: nothing lost, nothing left over, everything agreed; 1: not so; 2: the run itself broke down."""
    options = _options()
    if (code := inside_namespace("tests.traffic", options)) is not None:
        return code
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
    words = "nothing lost, nothing left over" if verdict.good else ""
    return last_line("traffic", words, options, began, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.traffic", description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second on average (5)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--calls", type=int, help="how many calls (200)")
    length.add_argument("--hours", type=float, help="or for how many hours")
    add_common(parser, "plan")
    options = parser.parse_args()
    if options.rate <= 0 or (options.calls or 1) < 1 or (options.hours or 1) <= 0:
        parser.error("--rate, --calls and --hours must be positive")
    draw_seed(options)
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ntraffic: interrupted; everything that it had started is gone")
