"""`python -m tests.fuzz`: hostile input at every door, and a table. `make fuzz`."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.doors import DOORS
from tests.fuzz.run import Finding, fuzz
from tests.lab import namespace
from tests.lab.paths import CHECKOUT

INSIDE = "TELEPHONY_FUZZ_INSIDE"
COLUMNS = "{:<11} {:>7} {:>7} {:>6} {:>11}  {:<46} {:>6}  {}"


def main() -> int:
    """0: every door has held; 1: one has not."""
    options = _options()
    if INSIDE not in os.environ and (reason := namespace.possible()) is None:
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--seed",
            str(options.seed),
            "--inputs",
            str(options.inputs),
        ]
        environment = {**os.environ, INSIDE: "yes"}
        return subprocess.run(
            namespace.isolated([*command, *options.doors]), cwd=CHECKOUT, env=environment
        ).returncode
    if INSIDE not in os.environ:
        print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
    print(f"==> {options.inputs} inputs at each of {len(options.doors)} doors, seed {options.seed}")
    found = [_fuzz(door, options.inputs, options.seed) for door in options.doors]
    print("\n" + table(found))
    bad = [each.name for each in found if each.verdict != "good"]
    word = f"FAILED: {', '.join(bad)}" if bad else "every door has held"
    print(f"\nmake fuzz: {word} (seed {options.seed}, {sum(each.seconds for each in found):.0f} s)")
    return 1 if bad else 0


def table(found: list[Finding]) -> str:
    """One line for each door."""
    head = COLUMNS.format(
        "door", "inputs", "crashes", "hangs", "slowest ms", "memory before > after, MiB", "s", ""
    )
    rows = [
        COLUMNS.format(
            each.name,
            each.inputs,
            each.crashes,
            each.hangs,
            f"{each.slowest * 1000:.1f}",
            ", ".join(
                f"{name} {each.before.get(name, 0) / 1024:.1f} > {kib / 1024:.1f}".strip()
                for name, kib in each.after.items()
            ),
            f"{each.seconds:.0f}",
            each.verdict,
        ).rstrip()
        for each in found
    ]
    return "\n".join([head, *rows])


def _fuzz(door: str, inputs: int, seed: int) -> Finding:
    said = time.monotonic()

    def progress(found: Finding) -> None:
        nonlocal said
        if time.monotonic() - said > 5:
            said = time.monotonic()
            print(f"    {door}: {found.inputs} inputs, the slowest {found.slowest * 1000:.0f} ms", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    found = fuzz(door, DOORS[door], inputs, seed, folder, progress)
    print(f"    {door}: {found.verdict} after {found.inputs} inputs ({found.seconds:.0f} s)", flush=True)
    for trouble in found.trouble:
        print(trouble, file=sys.stderr)
    if found.verdict == "good":
        shutil.rmtree(folder)
    else:
        print(f"    {door}: its files are in {folder}", file=sys.stderr)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="for each door (10000)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same inputs (random)")
    parser.add_argument("doors", nargs="*", metavar="door", help=f"these only: {', '.join(DOORS)}")
    options = parser.parse_args()
    options.doors = options.doors or list(DOORS)
    if options.inputs < 1 or not set(options.doors) <= set(DOORS):
        parser.error(f"--inputs must be positive, and doors are: {', '.join(DOORS)}")
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nfuzz: interrupted; everything that it had started is gone")
