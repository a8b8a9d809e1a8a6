"""A door that is fuzzed: what is sent in, how, and what must hold for each input."""

from __future__ import annotations

import asyncio
import gc
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from hypothesis.strategies import SearchStrategy


def own_memory() -> dict[str, int]:
    """What this process holds, in KiB, when all that nobody needs is gone."""
    gc.collect()
    return {"": resident(os.getpid())}


def resident(pid: int) -> int:
    """The resident memory of a process in KiB (proc(5), VmRSS); OSError when it is gone."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise ProcessLookupError(f"process {pid} has no memory any more")
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Door:
    """`give` sends one of `inputs` in, waits for what comes of it, and raises when that is not right.

    `rest` is called between blocks of inputs, to do what a day would do in the meantime; `after` once, at the
    end. `memory` tells the memory of every process behind the door, in KiB by its name ("" is ours).
    """

    inputs: SearchStrategy[Any]
    give: Callable[[Any], None]
    rest: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    memory: Callable[[], dict[str, int]] = own_memory


T = TypeVar("T")
Opener = Callable[[Path], AbstractContextManager[Door]]
"""Opens a door whose files may lie in the given folder."""


class Loop:
    """An event loop for a door whose inputs are given one by one; what fails in the background fails the input."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._failed: list[dict[str, Any]] = []

    def __enter__(self) -> Loop:
        self._runner.__enter__()
        self._runner.get_loop().set_exception_handler(lambda _, context: self._failed.append(context))
        return self

    def __exit__(self, *error: Any) -> None:
        self._runner.__exit__(*error)

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """What `what` gives, when nothing beside it has failed."""
        result = self._runner.run(what)
        if self._failed:
            failed, self._failed = self._failed, []
            error = failed[0].get("exception")
            raise AssertionError(f"failed in the background: {failed[0]['message']}") from error
        return result


@contextmanager
def watched_log() -> Iterator[list[dict[str, Any]]]:
    """Nothing is printed meanwhile; the list gets every entry that tells of an error of ours."""
    faults: list[dict[str, Any]] = []

    def take(_: Any, __: str, entry: dict[str, Any]) -> dict[str, Any]:
        if entry.get("exc_info") or entry["event"] in _FAULTS:
            faults.append(entry)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[take], cache_logger_on_first_use=False)
    try:
        yield faults
    finally:
        structlog.configure(**before)


_FAULTS = frozenset({"agi_handler_failed"})  # logged without the exception: a caller's number may stand in it
