"""`python -m tests.chaos`: the traffic of both hotlines while parts of them are killed, frozen, cut and restarted.

`make chaos`. What is broken when is drawn from the seed, and said while it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.chaos import report
from tests.chaos.run import ChaosRun
from tests.chaos.script import draw_script
from tests.lab.paths import LabError
from tests.traffic.command import add_common, draw_seed, inside_namespace, last_line
from tests.traffic.plan import draw_plan


def main() -> int:
    """0: nobody lost, nothing left over, everything agreed; 1: not so; 2: the run itself broke down."""
    options = _options()
    if (code := inside_namespace("tests.chaos", options)) is not None:
        return code
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    plan = draw_plan(options.calls, options.rate, options.seed)
    script = draw_script(options.faults, options.calls / options.rate, options.seed)
    (folder / "script.jsonl").write_text("\n".join(json.dumps(asdict(each)) for each in script) + "\n")
    print(
        f"==> {options.calls} calls at {options.rate:g} a second, {options.faults} faults, seed {options.seed}; "
        f"raw data in {folder}"
    )
    began = time.monotonic()
    try:
        verdict = asyncio.run(ChaosRun(plan, options.rate, folder, script).chaos())
    except (LabError, OSError, TimeoutError) as error:
        print(f"the run broke down: {error!r}; see {folder}", file=sys.stderr)
        return 2
    print(f"\n{report.text(verdict)}\n")
    words = "nobody lost, nothing left over" if verdict.good else ""
    return last_line("chaos", words, options, began, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second on average (5)")
    parser.add_argument("--calls", type=int, default=2000, help="how many calls (2000)")
    parser.add_argument("--faults", type=int, default=200, help="how many faults (200)")
    add_common(parser, "plan and script")
    options = parser.parse_args()
    if options.rate <= 0 or options.calls < 1 or options.faults < 1:
        parser.error("--rate, --calls and --faults must be positive")
    draw_seed(options)
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nchaos: interrupted; everything that it had started is gone")
