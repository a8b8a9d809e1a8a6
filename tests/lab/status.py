"""`make status`: where everything is, as JSON (design §7)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.lab import probes
from tests.lab.site import Site


def status(sites: Iterable[Site]) -> dict[str, Any]:
    """What outside programs need to use the running lab; every site must run."""
    return {"sites": {site.name: _site(site) for site in sites}}


def write(path: Path, text: str) -> None:
    """Put `text` at `path`, readable for the owner alone; a reader sees the old or the new, never half."""
    new = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def as_json(status: dict[str, Any]) -> str:
    """As `make status` prints it."""
    return json.dumps(status, indent=2, ensure_ascii=False) + "\n"


def _site(site: Site) -> dict[str, Any]:
    line, passwords = site.hotline, site.secrets.seats
    return {
        "api": f"http://{line.api}",
        "console": f"https://{line.api_tls}/",
        "tokens": site.secrets.tokens,
        "sip": str(line.sip),
        "carrier_net": line.carrier_net,
        "seats": [
            {
                "seat": seat["seat"],
                "user": seat["seat"],
                "password": passwords[seat["seat"]],
                "queue": seat["queue"],
            }
            for seat in line.seats
        ],
        "lines": line.lines,
        "asterisk": {"pid": site.asterisk.pid, "version": _version(site), "cli": site.cli},
        "controller": {"pid": site.controller.pid},
        "redis": site.redis_url,
    }


def _version(site: Site) -> str:
    """`22.10.1` of `Asterisk 22.10.1+dfsg+~cs6... built by ...`."""
    return probes.cli_output(site.cli, "core show version").split()[1].split("+")[0]
