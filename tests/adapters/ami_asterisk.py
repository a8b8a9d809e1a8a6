"""A real Asterisk with little more than its manager interface, for tests of the link."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.subprocess import Process
from pathlib import Path

from tests.adapters.ami_server import SECRET

ADDRESS = "127.0.77.1"
MODULES = ("pbx_config", "app_userevent", "bridge_simple")

MANAGER = f"""
[general]
enabled = yes
bindaddr = {ADDRESS}
port = PORT
channelvars = TEL_CALL,TEL_ROLE

[tel]
secret = {SECRET}
read = all
write = system,call,originate,reporting,user

[few]
secret = {SECRET}
read = all
write = system,call,originate,reporting,user
eventfilter(action(include),name(FullyBooted)) =
eventfilter(action(include),name(Hangup)) =
"""

EXTENSIONS = """
[test]
exten => talk,1,Answer()
 same => n,UserEvent(Hello,Word: 你好)
 same => n,Wait(30)
"""


def root() -> Path | None:
    """Where a Debian root with Asterisk is unpacked, from TELEPHONY_ROOT; None if there is none."""
    value = os.environ.get("TELEPHONY_ROOT")
    return Path(value) if value and (Path(value) / "usr/sbin/asterisk").exists() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


class Asterisk:
    """One Asterisk, whose configuration and state live in `home`; `start` again after `kill`."""

    def __init__(self, root: Path, home: Path) -> None:
        self.port = free_port()
        self._root = root
        self._home = home
        self._process: Process | None = None
        self._configure()

    async def start(self) -> None:
        libraries = self._root / "usr/lib/x86_64-linux-gnu"
        self._process = await asyncio.create_subprocess_exec(
            str(self._root / "usr/lib64/ld-linux-x86-64.so.2"),
            *("--library-path", str(libraries), str(self._root / "usr/sbin/asterisk")),
            *("-C", str(self._home / "etc/asterisk.conf"), "-f"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _configure(self) -> None:
        home, share = self._home, self._root / "usr/share/asterisk"
        for name in ("etc", "var", "run", "log", "spool"):
            (home / name).mkdir(parents=True)
        modules = self._root / "usr/lib/x86_64-linux-gnu/asterisk/modules"
        directories = {
            "astetcdir": home / "etc",
            "astmoddir": modules,
            "astdatadir": share,
            "astspooldir": home / "spool",
            "astrundir": home / "run",
            "astlogdir": home / "log",
            **dict.fromkeys(("astvarlibdir", "astdbdir", "astkeydir", "astagidir"), home / "var"),
        }
        lines = "".join(f"{name} => {path}\n" for name, path in directories.items())
        files = {
            "asterisk.conf": f"[directories]\n{lines}[options]\nnocolor = yes\n",
            "logger.conf": "[general]\n[logfiles]\nmessages => notice,warning,error\n",
            "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in MODULES),
            "manager.conf": MANAGER.replace("PORT", str(self.port)),
            "extensions.conf": EXTENSIONS,
        }
        for name, text in files.items():
            (home / "etc" / name).write_text(text)
