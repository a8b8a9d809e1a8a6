"""`python -m tests.lab run | status | stop`: what make calls."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from tests.lab import memory, status
from tests.lab.paths import CHECKOUT, LAB, SITES, STATUS_FILE, DebianRoot, LabError
from tests.lab.processes import Process
from tests.lab.site import Site, site_processes


def main() -> int:
    """The exit code: 0 only when everything asked for has been done."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="Two hotlines on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="bring both hotlines up and make one demonstration call")
    run.add_argument("--no-demo", action="store_true", help="without the demonstration call")
    run.set_defaults(do=lambda options: _run(demo=not options.no_demo))
    show = commands.add_parser("status", help="print where everything is, as JSON")
    show.set_defaults(do=lambda _: _status())
    stop = commands.add_parser("stop", help="end everything and remove its files")
    stop.set_defaults(do=lambda _: _stop())
    options = parser.parse_args()
    try:
        return int(options.do(options))
    except LabError as error:
        print(f"\nlab: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nlab: interrupted; `make stop` ends what was started", file=sys.stderr)
        return 130
    return 1


def _run(*, demo: bool) -> int:
    began = time.monotonic()
    with _alone():
        _demo.kill()
        sites = _sites()
        for site in sites:
            print(f"==> hotline {site.name} ({site.config.relative_to(CHECKOUT)})", flush=True)
        with ThreadPoolExecutor(len(sites)) as pool:
            list(pool.map(Site.provision, sites))
            with _demo_call() if demo else nullcontext() as call:
                started = any(list(pool.map(Site.bring_up, sites)))
                took = time.monotonic() - began
                print(
                    f"==> both hotlines {'are up' if started else 'were up already'} ({took:.1f} s)",
                    flush=True,
                )
                failed = _make(call) if call else 0
        _write_status(sites)
        if failed:
            raise LabError(f"the demonstration call failed (exit code {failed}); both hotlines are still up")
        _say_where(sites)
    return 0


def _status() -> int:
    if not any(process.pid() for process in _processes()):
        raise LabError("nothing runs here; `make run` starts both hotlines")
    sites = _sites()
    missing = [
        f"{service.name} of {site.name}" for site in sites for service in site.services if not service.pid
    ]
    if missing:
        raise LabError(f"not running: {', '.join(missing)}; `make run` mends that, `make stop` ends the rest")
    print(_write_status(sites), end="")
    return 0


def _stop() -> int:
    with _alone():
        found = [process for process in (*_processes(), _demo) if process.pids()]
        for process in found:
            process.stop()
        for name in SITES:
            shutil.rmtree(LAB / name, ignore_errors=True)
        memory.forget_recordings()
        for file in LAB.glob("status.*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or something else is in it: the benchmark's results
            LAB.rmdir()
    print(f"stopped {len(found)} programs" if found else "nothing was running")
    return 0


_demo = Process(owner=f"{LAB}:demo", log=LAB / "demo.log")


@contextmanager
def _demo_call() -> Iterator[subprocess.Popen[str]]:
    """The demonstration, which makes its phones ready meanwhile; at the end of the block it has ended."""
    # Marked, so that phones which an interrupted demonstration leaves behind are found again.
    command = [sys.executable, "-m", "tests.lab.demo"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=_demo.environment(), stdin=subprocess.PIPE, text=True
    ) as call:
        yield call


def _make(call: subprocess.Popen[str]) -> int:
    """Its exit code."""
    print("==> a call", flush=True)
    call.communicate("both hotlines are up\n")
    return call.returncode


def _sites() -> list[Site]:
    root = DebianRoot.from_environment()
    return [Site(name, LAB / name, root, partial(_report, name)) for name in SITES]


def _processes() -> list[Process]:
    """Every program that may run here; the controllers end first."""
    return [process for name in SITES for process in reversed(site_processes(LAB / name).values())]


def _report(site: str, words: str) -> None:
    print(f"    {site:>5}  {words}", flush=True)


def _write_status(sites: list[Site]) -> str:
    try:
        text = status.as_json(status.status(sites))
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise LabError(f"the status cannot be told: {error!r}; `make run` mends what is broken") from error
    status.write(STATUS_FILE, text)
    return text


def _say_where(sites: list[Site]) -> None:
    print("==> everything is up and stays up")
    for site in sites:
        line = site.hotline
        print(f"    hotline {site.name}")
        print(f"      API      http://{line.api}/docs")
        print(f"      console  https://{line.api_tls}/")
        print(f"      SIP      {line.sip}")
        print(f"      logs     {site.state / 'log'}")
    print(f"    make status tells more: pids, tokens, passwords (also in {STATUS_FILE})")
    print("    make stop ends it")


@contextmanager
def _alone() -> Iterator[None]:
    """One command at a time changes the lab. The lock is on the checkout's folder: no file is left behind."""
    folder = os.open(CHECKOUT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "another make run or make stop is at work here: waiting for it", file=sys.stderr, flush=True
            )
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
