"""Image, compose file, units, lock files and local set-up say the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.hotline import Hotline
from tests.lab.paths import CHECKOUT, SITES, DebianRoot, hotline_file

DOCKER = CHECKOUT / "docker"
UNITS = sorted((DOCKER / "systemd").glob("*.service"))
HARDENING = {
    "User": "hotline",
    "UMask": "0077",
    "CapabilityBoundingSet": "",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "SystemCallFilter": "@system-service",
}


def install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(DOCKER / "install.sh"), *arguments], capture_output=True, text=True, check=False
    )


def pins(lock: str) -> dict[str, list[str]]:
    """`name==version` and its hashes."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (CHECKOUT / lock).read_text().splitlines():
        if match := re.match(r"[a-z0-9][a-z0-9._-]*==\S+", line):
            name = match[0]
            found[name] = []
        elif match := re.search(r"--hash=(sha256:[0-9a-f]{64})", line):
            found[name].append(match[1])
    return found


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return parsed


def test_every_package_of_the_list_is_in_the_local_root() -> None:
    root = DebianRoot.from_environment()
    packages = install("packages").stdout.split()
    assert packages == sorted(packages)
    for package in packages:
        assert (root.path / "usr/share/doc" / package).exists(), package


def test_local_root_has_asterisk_22() -> None:
    command = DebianRoot.from_environment().argv("usr/sbin/asterisk", "-V")
    assert subprocess.check_output(command, text=True).startswith("Asterisk 22.")


def test_install_without_arguments_explains_itself() -> None:
    done = install()
    assert done.returncode == 2
    assert "install.sh root DIR" in done.stderr


def test_install_refuses_a_root_that_is_there_already(tmp_path: Path) -> None:
    done = install("root", str(tmp_path))
    assert done.returncode == 1
    assert "is there already" in done.stderr


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_pass_shellcheck(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_both_locks_pin_the_same_versions() -> None:
    runtime, everything = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime
    assert runtime.items() <= everything.items()


def test_locks_cover_every_dependency_with_hashes() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    everything = pins("requirements-dev.lock")
    locked = {pin.partition("==")[0] for pin in everything}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[\[>=;]", name)[0] for name in wanted} <= locked
    assert all(everything.values())


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_name_no_index_and_no_place_of_this_machine(lock: str) -> None:
    text = (CHECKOUT / lock).read_text()
    assert not re.search(r"file:|https?:|--index|--find-links|(^|\s)/", text)


def test_image_is_built_by_the_install_script_and_the_runtime_lock() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert "install.sh image" in text
    assert "--require-hashes" in text
    assert "requirements-dev" not in text
    assert "apt-get" not in text


def test_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", (DOCKER / "Dockerfile").read_text(), re.M)
    assert users == ["hotline"]


def test_everything_that_the_image_copies_reaches_the_builder() -> None:
    sent = set((DOCKER / "Dockerfile.dockerignore").read_text().split())
    copied = re.findall(r"^COPY (\S+) ", (DOCKER / "Dockerfile").read_text(), re.M)
    for source in copied:
        assert (CHECKOUT / source).exists(), source
        assert f"!{source}" in sent


def test_compose_runs_the_three_parts_without_rights() -> None:
    services = compose()["services"]
    assert {"redis", "asterisk", "controller"} <= set(services)
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True


def test_compose_defaults_are_those_of_hotline_110() -> None:
    line = Hotline.read(hotline_file("110"))
    text = (DOCKER / "compose.yaml").read_text()
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]+)\}", text))
    assert defaults == {
        "HOTLINE": "110",
        "REDIS_HOST": line.redis.host,
        "REDIS_PORT": str(line.redis.port),
        "API": str(line.api),
    }


def test_units_are_there() -> None:
    names = [unit.name for unit in UNITS]
    assert names == [f"hotline-{part}@.service" for part in ("asterisk", "controller", "provision", "redis")]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_unit_is_hardened(path: Path) -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read(path)
    assert {name: unit["Service"].get(name) for name in HARDENING} == HARDENING


def test_asterisk_needs_neither_controller_nor_redis() -> None:
    text = (DOCKER / "systemd" / "hotline-asterisk@.service").read_text()
    assert not re.search(r"^(Requires|Wants|BindsTo|After)=.*(redis|controller)", text, re.M)
    depends_on = compose()["services"]["asterisk"]["depends_on"]
    assert set(depends_on) == {"provision", "keeper"}
    assert set(compose()["services"]["keeper"]["depends_on"]) == {"provision"}


def test_recordings_in_memory_outlive_a_service_and_are_kept_when_all_have_stopped(tmp_path: Path) -> None:
    parts = ("asterisk", "controller", "provision")
    units = {part: (DOCKER / "systemd" / f"hotline-{part}@.service").read_text() for part in parts}
    for text in units.values():
        assert {"RuntimeDirectory=hotline/%i", "RuntimeDirectoryPreserve=yes"} <= set(text.splitlines())
    assert re.search(r"^ExecStart=.* --memory /run/hotline/%i$", units["provision"], re.M)
    assert re.search(r"^ExecStop=.* keep-recordings --state /var/lib/hotline/%i$", units["provision"], re.M)
    for part in ("asterisk", "controller"):  # so what set up is what stops last
        assert re.search(r"^After=.*hotline-provision@%i", units[part], re.M)

    (user,) = re.findall(r"useradd .*--uid (\d+)", (DOCKER / "Dockerfile").read_text())
    assert f"uid={user}," in compose()["volumes"]["memory"]["driver_opts"]["o"]
    # The same in Compose: the keeper waits until it is told to stop.
    (script,) = compose()["services"]["keeper"]["command"]
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    keeper = subprocess.Popen(
        ["sh", "-c", f"echo ready; {script.replace('$$', '$')}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 10
        while not children(keeper.pid):  # it waits
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert keeper.poll() is None
        keeper.terminate()
        assert keeper.stdout.readline() == "-m telephony keep-recordings --state /state\n"
        assert keeper.wait(10) == 0
    finally:
        os.killpg(keeper.pid, signal.SIGKILL)
        keeper.stdout.close()
        keeper.wait()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_sites_of_the_lab_share_no_address() -> None:
    lines = [Hotline.read(hotline_file(site)) for site in SITES]
    used = [
        str(address)
        for line in lines
        for address in (line.sip, line.ami, line.agi, line.api, line.api_tls, line.redis)
    ]
    # Redis, AMI and SIP of one site share a host, never a port.
    assert len(used) == len(set(used))
    assert all(address.startswith("127.") for address in used)
