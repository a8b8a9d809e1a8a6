"""A small Asterisk for tests of one door: a test says what it is to load and to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.lab.paths import DebianRoot

BOOT = 30.0  # seconds


def installed() -> DebianRoot | None:
    """The Debian root with Asterisk that TELEPHONY_ROOT names; None if there is none."""
    value = os.environ.get("TELEPHONY_ROOT")
    return DebianRoot(Path(value)) if value and (Path(value) / "usr/sbin/asterisk").exists() else None


class Asterisk:
    """One Asterisk, whose configuration and state lie in `home`; `start` again after `kill`.

    `modules` are the names of what it loads; `files` its configuration, by name; `options` lines of asterisk.conf.
    The path of `home` must be short: Asterisk's control socket lies in it, and 107 bytes are all such a name may have.
    """

    def __init__(
        self,
        root: DebianRoot,
        home: Path,
        modules: Iterable[str],
        files: Mapping[str, str],
        options: str = "",
    ) -> None:
        self._root = root
        self._config = home / "asterisk.conf"
        self._console = home / "console"
        self._process: Process | None = None
        names = ("etc", "varlib", "db", "key", "agi", "spool", "run", "log")
        directories = "".join(f"ast{name}dir => {home}\n" for name in names)
        directories += f"astmoddir => {next(root.path.glob('usr/lib/*-linux-gnu*/asterisk/modules'))}\n"
        directories += f"astdatadir => {root.path}/usr/share/asterisk\n"
        home.mkdir(parents=True, exist_ok=True)
        texts = {
            "asterisk.conf": f"[directories]\n{directories}[options]\nnocolor=yes\n{options}",
            "logger.conf": "[logfiles]\nmessages => notice,warning,error,verbose\n",
            "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in modules),
            **files,
        }
        for name, text in texts.items():
            (home / name).write_text(text, encoding="utf-8")

    async def start(self) -> None:
        """Begin to run it; what cannot wait for it to come up waits for `booted`."""
        with self._console.open("wb") as console:
            self._process = await asyncio.create_subprocess_exec(
                *self._root.argv("usr/sbin/asterisk", "-f", "-C", str(self._config)),
                stdin=DEVNULL,
                stdout=console,
                stderr=console,
            )

    async def booted(self) -> None:
        """Wait until it is up; RuntimeError with its log if it does not come up within BOOT."""
        seen = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOT):
                while self._process is not None and self._process.returncode is None:
                    seen = await self.cli("core waitfullybooted")
                    if "fully booted" in seen:
                        return
                    await asyncio.sleep(0.05)
        raise RuntimeError(f"Asterisk did not come up within {BOOT} s:\n{self._console.read_text()}{seen}")

    async def cli(self, command: str) -> str:
        """What it says to `command` on its console."""
        asking = await asyncio.create_subprocess_exec(
            *self._root.argv("usr/sbin/asterisk", "-C", str(self._config), "-rx", command),
            stdout=PIPE,
            stderr=STDOUT,
        )
        return (await asking.communicate())[0].decode()

    async def stop(self) -> None:
        """End it as an administrator would."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def kill(self) -> None:
        """End it as a fault would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
