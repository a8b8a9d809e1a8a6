"""A link of a test's own to a site's Asterisk, with the controller's name and secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telephony.ami import AmiLink, AmiSettings
from tests.lab.site import Site


@asynccontextmanager
async def as_controller(site: Site) -> AsyncIterator[AmiLink]:
    """The link, once it is up."""
    ami, up = site.hotline.ami, asyncio.Event()
    secret = (site.state / "secrets" / "ami").read_text(encoding="utf-8").strip()

    async def ready() -> None:
        up.set()

    link = AmiLink(
        AmiSettings(ami.host, ami.port, "controller", secret),
        on_event=lambda _: None,
        on_up=ready,
        on_down=lambda _: None,
        clock=time.process_time,  # a test that is kept from running is no controller that stands still
    )
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(5):
            await up.wait()
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])
