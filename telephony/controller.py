"""The controller as a process: its event loop, and one App after another for as long as it is not told to stop."""

from __future__ import annotations

import asyncio
import gc

import uvloop

from telephony.app import App
from telephony.doors import Placement
from telephony.listening import Places
from telephony.provision import StateDirectory
from telephony.settings import Settings


def run(
    settings: Settings, state: StateDirectory, *, node: str = "", api: str = "", tls: str = "", agi: str = ""
) -> None:
    """Run until SIGTERM or SIGINT; name and addresses (host:port) as of `Placement`. ConfigError."""
    gc.collect()
    gc.freeze()  # What was imported lives as long as we do: no collection is to walk through it, and nobody to wait.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, state, Placement(node, api, tls, agi)))


async def _run(settings: Settings, state: StateDirectory, placement: Placement) -> None:
    places = Places()
    while await App(settings, state, placement, places).run():
        pass  # It has lost the lease to another controller: the next one stands by.
