"""What `make traffic` and `make chaos` have in common as commands: a namespace of their own, a seed, a last line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import memory, namespace
from tests.lab.paths import CHECKOUT

INSIDE = "TELEPHONY_TRAFFIC_INSIDE"


def inside_namespace(module: str, options: argparse.Namespace) -> int | None:
    """The exit code of the same command in a namespace of its own; None if it is to run here."""
    if INSIDE in os.environ:
        return None
    if (reason := namespace.possible()) is not None:
        print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
        return None
    seed = [] if options.seed_given else ["--seed", str(options.seed)]
    command = [sys.executable, "-m", module, *sys.argv[1:], *seed]
    return subprocess.run(
        namespace.isolated(command), cwd=CHECKOUT, env={**os.environ, INSIDE: "yes"}
    ).returncode


def last_line(name: str, words: str, options: argparse.Namespace, began: float, folder: Path) -> int:
    """Say how `make NAME` ended, in `words` if it was good, which are empty if not; the exit code."""
    kept = f"raw data in {folder}"
    if words and options.tidy:
        memory.remove(folder)
        kept = "raw data removed"
    took = time.monotonic() - began
    print(f"make {name}: {words or 'FAILED'} (seed {options.seed}, {took:.0f} s; {kept})")
    return 0 if words else 1


def add_common(parser: argparse.ArgumentParser, seed: str) -> None:
    """The options that both have; `seed` says what is drawn from it."""
    parser.add_argument("--seed", type=int, help=f"the same seed gives the same {seed} (random)")
    parser.add_argument("--tidy", action="store_true", help="keep no raw data when nothing is wrong")


def draw_seed(options: argparse.Namespace) -> None:
    """A seed, where none was given."""
    options.seed_given = options.seed is not None
    if not options.seed_given:
        options.seed = int.from_bytes(os.urandom(4), "big")
