"""Redis against Asterisk against the HTTP interface: the same calls, the same legs.

What differs at one moment may be on its way; what still differs a moment later, in the same call, is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from redis.asyncio import Redis

from tests.lab.site import Site

AGAIN = 1.0  # s
LONGEST = 5  # times; what is on its way is there by then even on a busy machine


@dataclass(frozen=True, slots=True)
class View:
    """The ids of live calls and legs as each of the three knows them; `channels`: what Asterisk says of each leg."""

    api_calls: frozenset[str]
    redis_calls: frozenset[str]
    api_legs: frozenset[str]
    channels: Mapping[str, str]

    def differences(self) -> frozenset[str]:
        """One line for each id that not all know."""
        found = {f"call {each}: only Redis has it" for each in self.redis_calls - self.api_calls}
        found |= {f"call {each}: Redis lacks it" for each in self.api_calls - self.redis_calls}
        asterisk_legs = self.channels.keys()
        found |= {
            f"leg {each}: only Asterisk has it: {self.channels[each]}"
            for each in asterisk_legs - self.api_legs
        }
        found |= {f"leg {each}: Asterisk lacks it" for each in self.api_legs - asterisk_legs}
        return frozenset(found)


async def look(site: Site, session: aiohttp.ClientSession, redis: Redis) -> View:
    """The three, as near to one moment as they can be asked."""
    ids = await redis.smembers(f"tel:{site.name}:calls")
    async with session.get("/v1/calls") as response:
        answer = await response.json() if response.status == 200 else _no_answer(response.status)
    lines = (await asyncio.to_thread(site.asterisk_cli, "core show channels concise")).splitlines()
    calls = answer["calls"] if isinstance(answer, dict) else answer
    legs = [leg["id"] for call in calls for leg in call["legs"] if leg["state"] != "ended"]
    return View(
        frozenset(call["id"] for call in calls),
        frozenset(each.decode() if isinstance(each, bytes) else each for each in ids),
        frozenset(legs),
        dict(_channel(line) for line in lines if "!" in line and not line.startswith("Local/")),
    )


def _no_answer(status: int) -> dict[str, list[dict[str, object]]]:
    """A hotline that does not say what calls there are is a difference too; it may be on its way."""
    return {"calls": [{"id": f"(API answers {status})", "legs": []}]}


def _channel(line: str) -> tuple[str, str]:
    """Its Uniqueid; its name, place in the dialplan, state and application."""
    fields = line.split("!")
    return fields[-1], " ".join(fields[:7])


async def compare(site: Site, session: aiohttp.ClientSession, redis: Redis) -> frozenset[str]:
    """What differs, and goes on differing."""
    found = (await look(site, session, redis)).differences()
    for _ in range(LONGEST):
        if not found:
            break
        await asyncio.sleep(AGAIN)
        found &= (await look(site, session, redis)).differences()
    return found
