"""`python -m tests.chaos`: the traffic of both hotlines while parts of them are killed, frozen, cut and restarted.

`make chaos`. What is broken when is drawn from the seed, and said while it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.chaos import report
from tests.chaos.run import ChaosRun
from tests.chaos.script import draw_script
from tests.lab import namespace
from tests.lab.paths import CHECKOUT, LabError
from tests.traffic.plan import draw_plan

INSIDE = "TELEPHONY_CHAOS_INSIDE"


def main() -> int:
    """0: nobody lost, nothing left over, everything agreed; 1: not so; 2: the run itself broke down."""
    options = _options()
    if INSIDE not in os.environ and (reason := namespace.possible()) is None:
        seed = [] if options.seed_given else ["--seed", str(options.seed)]
        command = [sys.executable, "-m", "tests.chaos", *sys.argv[1:], *seed]
        return subprocess.run(
            namespace.isolated(command), cwd=CHECKOUT, env={**os.environ, INSIDE: "yes"}
        ).returncode
    if INSIDE not in os.environ:
        print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
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
    kept = f"raw data in {folder}"
    if verdict.good and options.tidy:
        shutil.rmtree(folder)
        kept = "raw data removed"
    word = "nobody lost, nothing left over" if verdict.good else "FAILED"
    print(f"make chaos: {word} (seed {options.seed}, {time.monotonic() - began:.0f} s; {kept})")
    return 0 if verdict.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second on average (5)")
    parser.add_argument("--calls", type=int, default=2000, help="how many calls (2000)")
    parser.add_argument("--faults", type=int, default=200, help="how many faults (200)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same plan and script (random)")
    parser.add_argument("--tidy", action="store_true", help="keep no raw data when nothing is wrong")
    options = parser.parse_args()
    if options.rate <= 0 or options.calls < 1 or options.faults < 1:
        parser.error("--rate, --calls and --faults must be positive")
    options.seed_given = options.seed is not None
    if not options.seed_given:
        options.seed = int.from_bytes(os.urandom(4), "big")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nchaos: interrupted; everything that it had started is gone")
