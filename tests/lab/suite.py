"""`python -m tests.lab.suite check | test`: every check in turn, and a verdict at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab import memory, namespace
from tests.lab.paths import CHECKOUT


@dataclass(frozen=True, slots=True)
class Step:
    """One command; exit code 0 is a pass."""

    title: str
    argv: Callable[[], list[str]]


def _module(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def _system_tests() -> list[str]:
    command = _module("pytest", "tests/system")
    if (reason := namespace.possible()) is None:
        return [*command, *namespace.machines(MACHINES)]
    print(f"    no namespaces here ({reason}): on the machine's own loopback, so `make stop` first")
    return command


def _make_run() -> list[str]:
    """README's commands as a newcomer types them; in a folder of their own, so that nothing is left of them."""
    script = (
        "export TELEPHONY_LAB=$(mktemp -d)/lab; "
        "make run && make run && make status > $TELEPHONY_LAB.json && make stop && ! make status 2>/dev/null"
        " && test ! -e $TELEPHONY_LAB && rm -r $(dirname $TELEPHONY_LAB)"
    )
    command = ["bash", "-ec", script]
    return namespace.isolated(command) if namespace.possible() is None else command


MACHINES = 2  # with both hotlines on each: most of their time the system tests wait, on a sixth of two cores
# Much of their time these tests wait too, and those of one file may share an address.
_IN_PARALLEL = ("-n", "3", "--dist", "loadfile")
_SHORT_CHAOS = ("--calls", "150", "--faults", "12", "--seed", "1", "--tidy")
CHECKS = (
    Step("ruff check", lambda: _module("ruff", "check", ".")),
    Step("ruff format", lambda: _module("ruff", "format", "--check", ".")),
    Step("mypy", lambda: _module("mypy")),
)
TESTS = (
    Step("unit and adapter tests", lambda: _module("pytest", *_IN_PARALLEL, "tests/unit", "tests/adapters")),
    Step("make run, twice, and make stop", _make_run),
    Step("system tests", _system_tests),
    Step("traffic", lambda: _module("tests.traffic", "--calls", "100", "--seed", "93", "--tidy")),
    Step("chaos", lambda: _module("tests.chaos", *_SHORT_CHAOS)),
)


def main(what: str) -> int:
    """Run all the steps, whichever fail; 0 when none did."""
    in_memory = memory.folder()
    if in_memory is not None:
        os.environ["TMPDIR"] = str(in_memory)
    results = [(step.title, *_timed(step)) for step in (CHECKS if what == "check" else (*CHECKS, *TESTS))]
    print("\n==> verdict")
    for title, code, seconds in results:
        print(f"    {'passed' if code == 0 else f'FAILED ({code})':<12} {title} ({seconds:.1f} s)")
    failed = [title for title, code, _ in results if code]
    print(f"make {what}: " + (f"FAILED: {', '.join(failed)}" if failed else "everything passed"))
    if in_memory is not None and not failed:
        memory.remove(in_memory)
    return 1 if failed else 0


def _timed(step: Step) -> tuple[int, float]:
    print(f"\n==> {step.title}", flush=True)
    began = time.monotonic()
    code = subprocess.run(step.argv(), cwd=CHECKOUT).returncode
    return code, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
