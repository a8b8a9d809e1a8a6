"""What the controller remembers, in Redis.

Everything here can be lost without a call being lost: calls live in Asterisk, and without Redis they go on.

Keys, below `tel:{hotline}:`, with their type, content, and when they expire:

    calls          set     ids of the live calls                               6 h after any save
    call:{id}      string  a live call: JSON {"version": 1, "call": {...}}     6 h after its save
    recent         list    the last 1000 calls that ended, newest first, same  1 day after the last
    history:{number} zset  the number's newest 50 calls that are over: JSON      90 days after the last
                           {"version": 1, "call": {...}} by time of arrival;
                           both limits are settings; none for withheld numbers
    closed-lines   set     names of the lines that an administrator has closed never
    feed           stream  the last 10 000 or so events; ids {seq}-0;          1 day after the last
                           fields at (s since the epoch), type, data (JSON)
    feed:closed    string  the newest event's number, after an orderly stop    1 day
    lease          string  who leads: JSON {token, node, api, agi, hold}       2 s after its last renewal
    fence          string  the highest token that has ever led: whoever writes  never
                           with a lower one is refused
    probe          string  written each second to see whether that works       1 minute
    {key}:set-aside        a key above that was of another type                1 week

`RedisLink` alone talks to Redis: a deadline for each command, StoreDown for whatever goes wrong, and a
circuit breaker. `RedisStore` keeps calls, `RedisHistory` reads what it has kept of a number, `RedisClosedLines`
keeps closed lines, `FeedLog` the feed. `FencedLink` is a RedisLink whose writes carry the leader's token, and
`RedisLease` is the lease itself.
"""

from __future__ import annotations

from telephony.store.calls import RedisStore
from telephony.store.closed_lines import RedisClosedLines
from telephony.store.feed_log import FeedLog
from telephony.store.fence import FencedLink
from telephony.store.history import RedisHistory
from telephony.store.keys import Keys
from telephony.store.lease import RedisLease
from telephony.store.link import RedisLink

__all__ = [
    "FeedLog",
    "FencedLink",
    "Keys",
    "RedisClosedLines",
    "RedisHistory",
    "RedisLease",
    "RedisLink",
    "RedisStore",
]
