"""One hotline of the lab: Redis, Asterisk and the controller, in one state directory.

For `make run` and for tests alike. Each part is a Service of its own, so a test can break one
and bring it back: `site.redis`, `site.asterisk`, `site.controller`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.lab import memory, probes
from tests.lab.hotline import Hotline, Secrets
from tests.lab.paths import CHECKOUT, DebianRoot, LabError, hotline_file
from tests.lab.processes import PRIORITY, Process, may_go_ahead
from tests.lab.service import Service
from tests.lab.sounds import KeptSounds

LONGEST_STATE_PATH = 70  # bytes: Asterisk's console socket lies below it, and a socket's path ends at 107
PROVISION_LIMIT = 60.0  # seconds


LOGS = {"redis": "redis.log", "asterisk": "asterisk.out", "controller": "controller.jsonl"}
SECOND = "second.jsonl"  # log of the controller that stands by, where there is one


def site_processes(state: Path) -> dict[str, Process]:
    """The programs of the site that keeps its files in `state`, in the order in which they start."""
    return {
        name: Process(f"{state}:{name}", state / "log" / log)
        for name, log in (LOGS | {"second": SECOND}).items()
    }


class Site:
    """`name` is `110` or `12345`; everything it writes goes into `state`.

    `config` is a `hotline.toml`, the one under `docker/hotlines/` if left out. `progress` is called
    with a few words after each step. As a context manager it starts and stops.
    """

    def __init__(
        self,
        name: str,
        state: Path,
        root: DebianRoot,
        progress: Callable[[str], None] = lambda _: None,
        config: Path | None = None,
    ) -> None:
        self.name = name
        self.state = state.absolute()
        self.root = root
        self.config = config or hotline_file(name)
        self.hotline = Hotline.read(self.config)
        self.secrets = Secrets(self.state / "secrets")
        self.asterisk_conf = self.state / "asterisk" / "asterisk.conf"
        self._redis_conf = self.state / "redis" / "redis.conf"
        self._progress = progress
        self._processes = site_processes(self.state)
        self.redis = self._redis_service()
        self.asterisk = self._asterisk_service()
        self.controller = self._controller_service()
        self.second = self._second_service()

    @property
    def services(self) -> tuple[Service, Service, Service]:
        """In the order in which they start."""
        return self.redis, self.asterisk, self.controller

    @property
    def redis_url(self) -> str:
        """With the password in it."""
        return f"redis://:{self.secrets.redis}@{self.hotline.redis}/0"

    @property
    def cli(self) -> list[str]:
        """The argv of Asterisk's console, to which `-rx` and a command are added."""
        return self.root.argv("usr/sbin/asterisk", "-C", str(self.asterisk_conf))

    def start(self) -> bool:
        """Have everything up, with the present configuration; False when it was already.

        Raises LabError when something does not come up.
        """
        self.provision()
        return self.bring_up()

    def bring_up(self) -> bool:
        """Start what is missing, half dead or started from older files; the state directory is provisioned.

        Returns and raises as `start`.
        """
        if not any(service.pid for service in self.services):
            self._check_addresses()
        changed = [service for service in self.services if not service.serves()]
        for service in reversed(changed):
            service.stop()
        for service in changed:  # At once: each waits for what it needs.
            service.launch()
        for service in self.services:
            if service in changed:
                service.wait()
            how = "serves" if service in changed else "serves already"
            self._progress(f"{service.name} {how} (pid {service.pid})")
        return bool(changed)

    def provision(self) -> None:
        """Write secrets, certificate and Asterisk's files; what is there already stays.

        Raises LabError with the command's own words.
        """
        if len(str(self.state).encode()) > LONGEST_STATE_PATH:
            raise LabError(f"{self.state} is too long a path for Asterisk's socket: use a shorter one")
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        sounds, data = KeptSounds(self.root), self.asterisk_conf.parent / "data"
        sounds.lend(data)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "telephony", "provision", "--config", str(self.config)),
                *("--state", str(self.state), "--asterisk-root", str(self.root.path)),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROVISION_LIMIT,
        )
        if done.returncode:
            raise LabError(f"telephony provision failed ({done.returncode}):\n{done.stdout.rstrip()}")
        sounds.keep(data)
        self._write_redis_conf()

    def stop(self) -> None:
        """End all three, the controller first."""
        for service in reversed(self.services):
            service.stop()

    def remove(self) -> None:
        """Forget everything: the state directory goes."""
        shutil.rmtree(self.state, ignore_errors=True)
        memory.forget_recordings()

    def start_controller(self) -> None:
        """Have the controller up and ready."""
        self.controller.ensure()

    def stop_controller(self) -> None:
        """End the controller in good order."""
        self.controller.stop()

    def kill_controller(self) -> None:
        """End the controller as a crash would."""
        self.controller.kill()

    def asterisk_cli(self, command: str) -> str:
        """What Asterisk's console answers; subprocess.SubprocessError when Asterisk does not."""
        return probes.cli_output(self.cli, command)

    def channels(self) -> list[str]:
        """The full names of Asterisk's channels."""
        lines = self.asterisk_cli("core show channels concise").splitlines()
        return [line.split("!")[0] for line in lines if "!" in line]

    def __enter__(self) -> Site:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _redis_service(self) -> Service:
        address = self.hotline.redis
        return Service(
            name="Redis",
            process=self._processes["redis"],
            argv=self.root.argv("usr/bin/redis-server", str(self._redis_conf)),
            probe=lambda: probes.redis(address.host, address.port, self.secrets.redis),
            limit=20.0,
            files=lambda: [self._redis_conf],
        )

    def _asterisk_service(self) -> Service:
        return Service(
            name="Asterisk",
            process=self._processes["asterisk"],
            argv=self.root.argv("usr/sbin/asterisk", "-f", "-C", str(self.asterisk_conf)),
            probe=lambda: probes.asterisk(self.cli),
            limit=60.0,
            files=lambda: [self.asterisk_conf, self.asterisk_conf.parent / "etc"],
            # So that calls' audio goes ahead of other work. Not Asterisk's own option -p: its watchdog `astcanary`
            # cannot run outside the root, and without it Asterisk gives the priority up after a minute.
            priority=PRIORITY if may_go_ahead(PRIORITY) else None,
        )

    def _controller_service(self) -> Service:
        api = self.hotline.api
        return Service(
            name="controller",
            process=self._processes["controller"],
            argv=[
                *(sys.executable, "-m", "telephony", "run"),
                *("--config", str(self.config), "--state", str(self.state)),
            ],
            probe=lambda: probes.http_ready(api.host, api.port),
            limit=30.0,
            files=lambda: [CHECKOUT / "telephony", self.config, self.secrets.directory],
            environment={"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
        )

    @property
    def second_api(self) -> str:
        """Where the second controller serves HTTP."""
        return f"{self.hotline.api.host}:{self.hotline.api.port + 5}"

    def _second_service(self) -> Service:
        """Another controller of the same hotline, which stands by; only some tests start it."""
        host, _, port = self.second_api.rpartition(":")
        first = self.controller
        return Service(
            name="second controller",
            process=self._processes["second"],
            argv=[*first.argv, "--node", f"{self.name}-b", "--api", self.second_api],
            probe=lambda: probes.http_live(host, int(port)),
            limit=30.0,
            files=first.files,
            environment=first.environment,
        )

    def _write_redis_conf(self) -> None:
        """The append-only file lets a restarted Redis know the calls that were live."""
        lines = [
            f"bind {self.hotline.redis.host}",
            f"port {self.hotline.redis.port}",
            f"requirepass {self.secrets.redis}",
            f"dir {self._redis_conf.parent}",
            "appendonly yes",
            'save ""',
            "daemonize no",
            # The title would overwrite the environment, by which the process is known as ours.
            "set-proc-title no",
        ]
        self._redis_conf.parent.mkdir(mode=0o700, exist_ok=True)
        self._redis_conf.write_text("\n".join([*lines, ""]), encoding="utf-8")
        self._redis_conf.chmod(0o600)

    def _check_addresses(self) -> None:
        line = self.hotline
        servers = [line.redis, line.ami, line.agi, line.api, line.api_tls]
        wanted = [(line.sip, socket.SOCK_DGRAM), *((server, socket.SOCK_STREAM) for server in servers)]
        taken = [probes.address_free(address.host, address.port, kind) for address, kind in wanted]
        if any(taken):
            raise LabError("\n".join(["addresses that the lab needs are not free:", *filter(None, taken)]))
