"""What was seen while a test ran, for its report when it fails: a flake must be understood from one failure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.site import Site
    from tests.lab.stage import Stage

STEPS = "steps.log"  # every step of Asterisk's dialplan
MOST_LINES = 4000  # of one log; who waits in the dialplan takes 500 steps a second


class Witness:
    """Watches the logs of `sites` from now on."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._began = time.time()
        self._sizes = {log: _size(log) for site in sites for log in _logs(site)}

    def logs(self) -> list[tuple[str, str]]:
        """(title, text) of what each log has got."""
        return [(str(log), text) for log, size in self._sizes.items() if (text := _since(log, size))]

    def stage(self, stage: Stage) -> list[tuple[str, str]]:
        """(title, text) of what phones and wire have seen; while the stage stands."""
        now = time.time()
        stalls = [
            f"{s.began:.3f} {(s.ended - s.began) * 1000:.1f} ms"
            for s in stage.stalls.between(self._began, now)
        ]
        return [
            *((repr(phone), phone.story()) for phone in stage.phones),
            ("SIP", "\n".join(map(str, stage.wire.sip()))),
            (
                "the machine stood still",
                "\n".join(stalls) or ("never" if stage.stalls.watched else "nobody watched"),
            ),
        ]


def tell_steps(site: Site) -> None:
    """Have Asterisk write its dialplan's steps down, unless it does: a reload makes it forget that."""
    if not any(_leads_to(STEPS, fd) for fd in Path(f"/proc/{site.asterisk.pid}/fd").iterdir()):
        site.asterisk_cli(f"logger add channel {STEPS} verbose(3)")


def _leads_to(name: str, fd: Path) -> bool:
    with suppress(OSError):  # it has been closed meanwhile
        return fd.readlink().name == name
    return False


def _logs(site: Site) -> list[Path]:
    names = ("controller.jsonl", "second.jsonl", "redis.log")
    asterisk = site.state / "asterisk" / "log"
    return [*(site.state / "log" / name for name in names), asterisk / "messages.log", asterisk / STEPS]


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _since(log: Path, size: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(size)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-MOST_LINES:])
