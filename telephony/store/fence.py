"""Fenced writing: what a controller writes that has lost the lease is refused, by Redis itself.

The writes of one round trip run in a script there, after a look at the highest token that has ever led.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.exceptions import ResponseError

from telephony.core.lease import HIGHEST
from telephony.errors import Deposed, StoreDown
from telephony.settings import RedisSettings
from telephony.store.keys import Keys
from telephony.store.link import Command, RedisLink

log = structlog.get_logger("lease")

# Reads need no fence, and some of their replies are taken apart by the client; the lease's scripts look themselves.
_UNFENCED = frozenset(
    {"EVAL", "GETRANGE", "LRANGE", "SMISMEMBER", "SSCAN", "SCAN", "XREVRANGE", "XINFO STREAM", "TYPE"}
    | {"ZREVRANGEBYSCORE"}
)

_FENCED = "FENCED"

# A fence that is not a number of ours fences nothing.
READ_FENCE = f"""
local function fence_of(key)
  local found = redis.pcall('GET', key)
  if type(found) ~= 'string' or not found:match('^%d+$') then return 0 end
  local token = tonumber(found)
  if token > {HIGHEST} then return 0 end
  return token
end
"""

_SCRIPT = (
    READ_FENCE
    + f"""
if fence_of(KEYS[1]) > tonumber(ARGV[1]) then return redis.error_reply('{_FENCED} a higher token has led') end
"""
    + """
local answers, at = {}, 2
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  answers[#answers + 1] = redis.pcall(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return answers
"""
)


class FencedLink(RedisLink):
    """A RedisLink whose writes carry `token`; `on_fenced` is told at once when one is refused.

    With token 0, before it leads, a controller can write nothing if anybody has ever led.
    """

    def __init__(self, settings: RedisSettings, password: str, keys: Keys, **options: Any) -> None:
        super().__init__(settings, password, keys, **options)
        self.token = 0
        self.on_fenced: Callable[[], None] = lambda: None
        self.settled: Callable[[], Awaitable[None]] = _at_once
        """Awaited before a refusal is believed: a new token of our own may be on its way."""
        self._fence = keys.fence

    async def ask_each(self, *commands: Command) -> list[Any]:
        """As of RedisLink; Deposed if somebody with a higher token has led."""
        if all(command[0] in _UNFENCED for command in commands):
            return await super().ask_each(*commands)
        arguments: list[str | bytes | int | float] = []
        for command in commands:
            arguments += [len(command), *command]
        while True:
            token = self.token
            (answers,) = await super().ask_each(("EVAL", _SCRIPT, 1, self._fence, token, *arguments))
            if not isinstance(answers, ResponseError):
                self._look_for_faults(answers)
                return list(answers)
            if not str(answers).startswith(_FENCED):
                raise StoreDown("Redis does not run our scripts")
            await self.settled()
            if self.token == token:
                log.error("write_fenced", token=token)
                self.on_fenced()
                raise Deposed("another controller leads")
            # The higher token is our own: the lease was taken again while this was on its way.


async def _at_once() -> None:
    """Nothing is on its way."""
