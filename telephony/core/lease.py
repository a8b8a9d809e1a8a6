"""Who leads a hotline: the rules, without any clock or wire.

One controller at a time holds the lease: a key in Redis that expires by itself. Times are seconds of the
process's own monotonic clock; clocks of two processes are never compared. Three things keep two from acting
at one time:

- who holds the lease acts until `TTL` after its last renewal was *sent*; Redis lets it expire later than that;
- who wants it takes it only when it has run out, when its holder has given it away, or when Redis has forgotten
  it, and then only a whole `TTL` later;
- Asterisk is the second witness: who takes the lease says so there, and acts `WITNESSED` after that. Who cannot
  reach Redis asks Asterisk, and acts for `WITNESSED` after the question was sent, if it is still named there.

What is left: a process that is frozen between looking at `may_act` and the write that follows at once; and
Redis and Asterisk both losing their memory within one `TTL`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

TTL = 2.0
"""Seconds that a lease lasts."""
RENEW = 0.5
"""Seconds between two renewals, and between two looks of the leader at Asterisk's record."""
POLL = 0.2
"""Seconds between two looks of a standby at the lease."""
WITNESSED = 0.3
"""Seconds that Asterisk's word is good for."""
UNLINKED = 1.0
"""Seconds that a leader may be without Asterisk before it offers the lease to who has it."""
BLANK = 1.0
"""Seconds that Asterisk must name nobody newer before a leader without Redis writes itself there again."""

HIGHEST = 2**52
"""Tokens are counted by Lua in Redis, exactly up to 2**53; what is higher is not ours."""

_NEVER = float("-inf")
_NOT_YET = float("inf")


class Hold(StrEnum):
    """How the holder holds the lease."""

    HELD = "held"
    OFFERED = "offered"
    """The holder has no link to Asterisk: who has one may take it."""
    RELEASED = "released"
    """The holder acts no more, and never will under this token."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What stands in the lease. `api`, `agi`: host:port where the holder serves; both may be hostile text."""

    token: int
    node: str
    api: str
    agi: str
    hold: Hold = Hold.HELD


@dataclass(frozen=True, slots=True)
class Named:
    """Whom Asterisk names: token, name, and where it serves AGI. Token 0: nobody."""

    token: int = 0
    name: str = ""
    agi: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a standby has seen of the lease.

    `lease`, `raw`: the last that was there. `expires`: until then whoever held it may act. `foreign`: it is not
    as a controller would keep it. `quiet_since`: since when Redis has answered without a break that there is
    none, and Asterisk has named the same. `fence`: the highest token that Redis knows. `memory`: Redis has been
    watched, and has forgotten nothing, since the lease was there. `named`: whom Asterisk named when it was last asked.
    """

    lease: Lease | None = None
    raw: bytes = b""
    expires: float = _NEVER
    foreign: bool = False
    quiet_since: float | None = None
    fence: int = 0
    memory: bool = False
    answered: bool = False
    named: Named | None = None

    def saw(self, lease: Lease | None, raw: bytes, ttl: float | None, fence: int, now: float) -> Sight:
        """Something is there; `lease` is None if it is no lease, `ttl` (seconds) if it would never expire.

        For what no controller would have written time runs from when it was first seen.
        """
        foreign = lease is None or ttl is None or ttl > TTL
        expires = now + (TTL if foreign or ttl is None else ttl)
        if foreign and raw == self.raw:
            expires = self.expires
        return Sight(lease, raw, expires, foreign, None, fence, memory=True, answered=True)

    def saw_nothing(self, fence: int, now: float) -> Sight:
        """Nothing is there."""
        since = now if self.quiet_since is None else self.quiet_since
        memory = fence > 0
        if self.lease is not None:
            memory = self.memory and self.answered and fence >= self.lease.token
        return replace(self, raw=b"", quiet_since=since, fence=fence, memory=memory, answered=True)

    def told(self, named: Named, now: float) -> Sight:
        """Asterisk names `named`. If that is news, somebody has led whom Redis may have forgotten between two looks."""
        if named == self.named:
            return self
        return replace(self, named=named, quiet_since=now if self.quiet_since is not None else None)

    def lost(self) -> Sight:
        """Redis does not answer: what it says next begins anew."""
        return replace(self, quiet_since=None, memory=False, answered=False)

    def may_take(self, agi: str, now: float) -> bool:
        """Whether the lease may be taken now by who serves AGI at `agi`; Asterisk has just told whom it names.

        Two processes never serve at one address: a holder that is said to serve at mine is gone.
        """
        named = self.named
        if not self.answered or named is None:
            return False
        if self.quiet_since is None:
            return not self.held(agi, now)
        if self.lease is None and (named.token == 0 or named.agi == agi):
            return True
        if self.memory and self.fence >= named.token and now >= self.expires:
            return True  # it has run out
        return now >= max(self.quiet_since + TTL, self.expires)

    def held(self, agi: str, now: float) -> bool:
        """Whether there is a lease that must be left alone, whatever Asterisk says."""
        if not self.answered or self.quiet_since is not None:
            return False
        if self.lease is not None and (self.lease.hold is not Hold.HELD or self.lease.agi == agi):
            return False
        return not (self.foreign and now >= self.expires)

    def deserted(self, now: float) -> bool:
        """Whether somebody has led this hotline, and for a whole `TTL` nobody does any more."""
        quiet = self.quiet_since is not None and now >= self.quiet_since + TTL
        return self.answered and self.fence > 0 and (quiet or (self.foreign and now >= self.expires))

    def others_may_act(self) -> bool:
        """Whether somebody may still act on Asterisk's word for a moment after the lease has been taken.

        Also where the last holder is gone for certain: it may not have led for long enough itself.
        """
        named = self.named or Named()
        if self.lease is None or self.lease.hold is not Hold.RELEASED:
            return named.token > 0 or self.lease is not None
        # Who has released it may have been followed by one who led without Redis.
        return named.token > 0 and (named.token, named.agi) != (self.lease.token, self.lease.agi)


def may_begin_without_redis(named: Named, agi: str, blank_for: float) -> bool:
    """Whether a controller that has not reached Redis since it started may lead: nobody else can be leading.

    `blank_for`: seconds that Asterisk has named nobody. A leader would have written itself there again.
    """
    return named.agi == agi or (named.token == 0 and blank_for >= TTL)


def heard_after(named: Named, agi: str) -> float:
    """Seconds from announcing oneself without Redis to acting.

    Asterisk may have been reloaded twice, and between two of our looks a leader may have been named there. If it is
    well it sees our name and answers it; if it was frozen then, its lease lasts for a TTL at most.
    """
    return WITNESSED if named.agi == agi else TTL


@dataclass(slots=True)
class Term:
    """One controller's leading, from taking the lease to losing it.

    `acts_from`: when it may begin to act, or act again; infinite until Asterisk has been asked.
    """

    lease: Lease
    name: str
    acts_from: float = _NEVER
    leased_until: float = _NEVER
    witnessed_until: float = _NEVER
    lost: bool = False
    _blank_since: float | None = None

    def may_act(self, now: float) -> bool:
        if self.lost or self.lease.hold is Hold.RELEASED or now < self.acts_from:
            return False
        leased = self.lease.hold is Hold.HELD and now < self.leased_until
        return leased or now < self.witnessed_until

    def renewed(self, lease: Lease, sent: float) -> None:
        """Redis has kept `lease` as ours; the question was sent at `sent`."""
        if self.lease.hold is Hold.OFFERED and lease.hold is Hold.HELD:
            self.acts_from = _NOT_YET  # Somebody may have led by Asterisk's word while we could not see it.
        self.lease = lease
        self.leased_until = sent + TTL

    def owns(self, now: float) -> bool:
        """Whether a lease that is gone from Redis is still ours to write again."""
        return not self.lost and now < max(self.leased_until, self.witnessed_until)

    def witnessed(self, named: Named, sent: float, now: float) -> bool:
        """Asterisk has answered a question sent at `sent`; whether it is to be told (again) that we lead."""
        mine = (self.lease.token, self.name)
        if (named.token, named.name) == mine:
            self._blank_since = None
            self.witnessed_until = sent + WITNESSED
            self.announced(now)
            return False
        if named.token >= self.lease.token:
            self.lost = True
            return False
        if named.token and named.name != self.name:
            self.acts_from = _NOT_YET  # That one acts for as long as Asterisk's word is good for.
        if named.name == self.name or now < self.leased_until:
            return True  # an earlier token of this very term, or Redis says that it is ours
        if self._blank_since is None:
            self._blank_since = now
        return now - self._blank_since >= BLANK

    def announced(self, now: float) -> None:
        """Asterisk names us, at `now` at the latest."""
        if self.acts_from == _NOT_YET:
            self.acts_from = now + WITNESSED
