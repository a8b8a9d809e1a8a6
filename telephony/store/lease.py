"""The lease in Redis: who leads, for as long as it is renewed. Each question is one script, one round trip.

Whatever else may stand in these keys (garbage, another type, a huge text) is taken for a lease of nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from telephony.core.lease import HIGHEST, TTL, Hold, Lease
from telephony.errors import StoreDown
from telephony.settings import Address
from telephony.store.fence import READ_FENCE
from telephony.store.keys import Keys
from telephony.store.link import RedisLink

LONGEST = 1024  # bytes; a lease of ours has about 120
_LONGEST_NODE = 64  # characters
_TTL_MS = int(TTL * 1000)

# What is there: '' for nothing; a key of another type shows as one byte that no lease is.
_PREAMBLE = (
    READ_FENCE
    + f"""
local function current(key)
  local found = redis.pcall('GETRANGE', key, 0, {LONGEST})
  if type(found) ~= 'string' then return '!' end
  return found
end
local there = current(KEYS[1])
local function keep(value) redis.call('SET', KEYS[1], value, 'PX', {_TTL_MS}) end
local function raise(token) redis.call('SET', KEYS[2], string.format('%.0f', token)) end
"""
)
_LOOK = _PREAMBLE + "return {there, redis.call('PTTL', KEYS[1]), fence_of(KEYS[2])}"
_TAKE = (
    _PREAMBLE
    + """
if there ~= ARGV[1] then return false end
local token = math.max(fence_of(KEYS[2]), tonumber(ARGV[2])) + 1
local value = string.format('{"token":%.0f,%s', token, ARGV[3])
raise(token)
keep(value)
return value
"""
)
_RENEW = (
    _PREAMBLE
    + """
if there ~= ARGV[1] then return there end
keep(ARGV[2])
if fence_of(KEYS[2]) < tonumber(ARGV[3]) then raise(tonumber(ARGV[3])) end
return false
"""
)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the lease's key: `raw`, '' for nothing; `lease`, None if that is none.

    `ttl`: seconds left, None if it never expires. `fence`: the highest token that has led, 0 if none is known.
    """

    raw: bytes
    lease: Lease | None
    ttl: float | None
    fence: int


class RedisLease:
    """StoreDown wherever Redis cannot be asked."""

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def look(self) -> Found:
        raw, ttl, fence = await self._run(_LOOK)
        return Found(raw, decode(raw), ttl / 1000 if ttl >= 0 else None, fence)

    async def take(self, raw: bytes, above: int, node: str, api: str, agi: str) -> Lease | None:
        """Take the lease if `raw` is what is there ('' for nothing), with a token higher than any before and than
        `above`; None if it is not.
        """
        rest = msgspec.json.encode({"node": node, "api": api, "agi": agi, "hold": Hold.HELD})
        value = await self._run(_TAKE, raw, above, rest[1:])
        return None if value is None else decode(value)

    async def renew(self, lease: Lease, hold: Hold) -> Lease | Found:
        """Keep `lease`, held in this manner, for another TTL; what is there instead if it is not ours any more."""
        kept = Lease(lease.token, lease.node, lease.api, lease.agi, hold)
        raw = await self._run(_RENEW, encode(lease), encode(kept), lease.token)
        return kept if raw is None else Found(raw, decode(raw), None, 0)

    async def _run(self, script: str, *arguments: str | bytes | int) -> Any:
        (answer,) = await self._link.ask_each(
            ("EVAL", script, 2, self._keys.lease, self._keys.fence, *arguments)
        )
        if isinstance(answer, ResponseError):
            raise StoreDown("Redis does not run our scripts")
        return answer


def encode(lease: Lease) -> bytes:
    return msgspec.json.encode(lease)


def decode(raw: bytes) -> Lease | None:
    """The lease, or None: it comes from a store that others may have written to."""
    try:
        lease = msgspec.json.decode(raw, type=Lease)
        Address.parse(lease.api)
        Address.parse(lease.agi)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    node_fits = 0 < len(lease.node) <= _LONGEST_NODE and lease.node.isprintable() and lease.node.isascii()
    return lease if node_fits and 0 < lease.token <= HIGHEST else None
