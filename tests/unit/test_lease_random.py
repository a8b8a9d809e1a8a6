"""Three controllers, one Redis, one Asterisk, in random orders of everything that can happen to them.

At no time may two act, whatever is frozen, cut off, flushed, restarted or delayed. Left out is only what the
rules name: Redis and Asterisk both losing their memory within one TTL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telephony.core.lease import (
    TTL,
    WITNESSED,
    Hold,
    Lease,
    Named,
    Sight,
    Term,
    heard_after,
    may_begin_without_redis,
)

NODES = (0, 1, 2)
CONTROLLER = st.sampled_from(NODES)


@dataclass
class Redis:
    """As the scripts of `store.lease` behave."""

    lease: Lease | None = None
    expires: float = 0.0
    fence: int = 0
    up: bool = True

    def there(self, now: float) -> Lease | None:
        return self.lease if self.lease is not None and now < self.expires else None

    def keep(self, lease: Lease, now: float) -> None:
        self.lease, self.expires, self.fence = lease, now + TTL, max(self.fence, lease.token)


@dataclass
class Controller:
    agi: str
    name: str
    sight: Sight = field(default_factory=Sight)
    term: Term | None = None
    frozen: bool = False
    redis_cut: bool = False
    asterisk_cut: bool = False
    reached: bool = False
    blank_since: float | None = None

    def begin_anew(self) -> None:
        self.sight, self.term, self.reached, self.blank_since = Sight(), None, False, None
        self.name += "'"


def raw(lease: Lease | None) -> bytes:
    return repr(lease).encode() if lease is not None else b""


class Hotline(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.redis = Redis()
        self.named = Named()
        self.forgot = {"redis": -1e9, "asterisk": -1e9}
        self.all = [Controller(f"127.0.0.1:{4573 + node}", f"n{node}") for node in NODES]

    # -- time and faults ---------------------------------------------------------------------

    @rule(rounds=st.integers(1, 12), order=st.permutations(NODES))
    def all_go_on(self, rounds: int, order: list[int]) -> None:
        """What controllers do by themselves, with nothing happening to them: without it hardly anybody ever leads."""
        for _ in range(rounds):
            for node in order:
                self.tries(node, 0.0)
                self.at_most_one_may_act()
                self.renews(node, 0.0, True)
                self.at_most_one_may_act()
                self.asks_asterisk(node, 0.0)
                self.at_most_one_may_act()
            self.now += 0.2

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(node=CONTROLLER)
    def freezes_or_thaws(self, node: int) -> None:
        self.all[node].frozen = not self.all[node].frozen

    @rule(node=CONTROLLER)
    def loses_or_finds_redis(self, node: int) -> None:
        self.all[node].redis_cut = not self.all[node].redis_cut

    @rule(node=CONTROLLER)
    def loses_or_finds_asterisk(self, node: int) -> None:
        self.all[node].asterisk_cut = not self.all[node].asterisk_cut

    @rule(node=CONTROLLER)
    def crashes_and_starts_again(self, node: int) -> None:
        self.all[node].begin_anew()
        self.all[node].frozen = False

    @rule(redis=st.booleans(), asterisk=st.booleans())
    def leader_is_cut_off(self, redis: bool, asterisk: bool) -> None:
        for one in self.all:
            one.redis_cut, one.asterisk_cut = (redis, asterisk) if one.term is not None else (False, False)

    @rule()
    def redis_goes_or_comes_back(self) -> None:
        self.redis.up = not self.redis.up

    @precondition(lambda self: self.now - self.forgot["asterisk"] > 3 * TTL)
    @rule()
    def redis_is_flushed(self) -> None:
        self.redis = Redis(up=self.redis.up)
        self.forgot["redis"] = self.now

    @precondition(lambda self: self._witness_is_not_all_there_is())
    @rule()
    def dialplan_is_reloaded(self) -> None:
        self.named = Named()
        self.forgot["asterisk"] = self.now

    def _witness_is_not_all_there_is(self) -> bool:
        """Whoever leads still has its lease in Redis, and every leader is told of Asterisk's loss in time."""
        there = self.redis.there(self.now)
        return (
            self.redis.up
            and there is not None
            and there.token == self.named.token
            and self.now - self.forgot["redis"] > 3 * TTL
            and not any(c.term is not None and c.term.lease.token != there.token for c in self.all)
        )

    # -- what controllers do -----------------------------------------------------------------

    def _reaches_redis(self, one: Controller) -> bool:
        return self.redis.up and not one.redis_cut

    @rule(node=CONTROLLER, late=st.sampled_from([0.0, 0.05, 0.4]))
    def tries(self, node: int, late: float) -> None:
        """Look, and take: with `late` seconds between looking and taking."""
        one = self.all[node]
        if one.frozen or one.term is not None:
            return
        if self._reaches_redis(one):
            there = self.redis.there(self.now)
            one.reached = True
            ttl, fence = self.redis.expires - self.now, self.redis.fence
            if there is not None:
                one.sight = one.sight.saw(there, raw(there), ttl, fence, self.now)
            else:
                one.sight = one.sight.saw_nothing(fence, self.now)
        else:
            one.sight = one.sight.lost()
        if one.asterisk_cut:
            return
        named = self.named
        one.sight = one.sight.told(named, self.now)
        self.now += late
        if one.sight.answered:
            if one.sight.may_take(one.agi, self.now):
                self._takes(one, named)
        elif not one.reached and may_begin_without_redis(named, one.agi, self._blank_for(one, named)):
            term = Term(Lease(named.token + 1, one.name, "", one.agi), one.name)
            self._announces(one, term, wait=heard_after(named, one.agi))

    def _blank_for(self, one: Controller, named: Named) -> float:
        if named.token or one.blank_since is None:
            one.blank_since = self.now
        return self.now - one.blank_since

    def _takes(self, one: Controller, named: Named) -> None:
        if not self._reaches_redis(one) or raw(self.redis.there(self.now)) != one.sight.raw:
            return
        seen = one.sight.lease.token if one.sight.lease is not None else 0
        lease = Lease(max(self.redis.fence, named.token, seen) + 1, one.name, "", one.agi)
        self.redis.keep(lease, self.now)
        term = Term(lease, one.name)
        term.renewed(lease, self.now)
        self._announces(one, term, wait=WITNESSED if one.sight.others_may_act() else 0.0)

    def _announces(self, one: Controller, term: Term, *, wait: float) -> None:
        self.named = Named(term.lease.token, one.name, one.agi)
        one.term = term
        if wait:
            term.acts_from = self.now + wait

    @rule(node=CONTROLLER, late=st.sampled_from([0.0, 0.05, 0.4]), offers=st.booleans())
    def renews(self, node: int, late: float, offers: bool) -> None:
        """As of `leadership._renew`: the answer takes `late` seconds."""
        one = self.all[node]
        if one.frozen or one.term is None or not self._reaches_redis(one):
            return
        sent, there = self.now, self.redis.there(self.now)
        self.now += late
        if there is not None and there == one.term.lease and there == self.redis.there(self.now):
            kept = replace(there, hold=Hold.OFFERED if offers and one.asterisk_cut else Hold.HELD)
            self.redis.keep(kept, self.now)
            one.term.renewed(kept, sent)
        elif self.redis.there(self.now) is not None:
            one.begin_anew()
        elif one.term.owns(self.now):
            lease = replace(
                one.term.lease, token=max(self.redis.fence, one.term.lease.token) + 1, hold=Hold.HELD
            )
            self.redis.keep(lease, self.now)
            one.term.renewed(lease, self.now)

    @rule(node=CONTROLLER, late=st.sampled_from([0.0, 0.05, 0.25]))
    def asks_asterisk(self, node: int, late: float) -> None:
        one = self.all[node]
        if one.frozen or one.term is None or one.asterisk_cut:
            return
        sent, named = self.now, self.named
        self.now += late
        if one.term.witnessed(named, sent, self.now):
            self.named = Named(one.term.lease.token, one.name, one.agi)
            one.term.announced(self.now)
        elif one.term.lost:
            one.begin_anew()

    @rule(node=CONTROLLER)
    def releases(self, node: int) -> None:
        one = self.all[node]
        if one.frozen or one.term is None or self.now < one.term.acts_from:
            return
        if self._reaches_redis(one) and self.redis.there(self.now) == one.term.lease:
            self.redis.keep(replace(one.term.lease, hold=Hold.RELEASED), self.now)
        one.begin_anew()

    # -- what must hold ----------------------------------------------------------------------

    @invariant()
    def at_most_one_may_act(self) -> None:
        acting = [
            one.name for one in self.all if one.term and one.term.may_act(self.now) and not one.asterisk_cut
        ]
        assert len(acting) <= 1, f"{acting} act at {self.now}"


def test_who_waits_notices_a_leader_whom_redis_has_forgotten_between_two_of_its_looks() -> None:
    """This and the others below were found by the machine above, after thousands of days."""
    day = Hotline()
    day.start()
    day.tries(node=0, late=0.0)
    day.redis_is_flushed()
    day.tries(node=1, late=0.0)
    day.releases(node=0)
    day.time_passes(TTL)
    day.tries(node=0, late=0.0)
    day.redis_is_flushed()
    day.tries(node=1, late=0.0)
    day.time_passes(WITNESSED)
    day.at_most_one_may_act()


def test_who_starts_without_redis_waits_for_a_leader_whom_asterisk_has_forgotten_between_two_of_its_looks() -> (
    None
):
    day = Hotline()
    day.start()
    day.loses_or_finds_redis(node=0)
    day.all_go_on(rounds=1, order=[0, 1, 2])
    day.dialplan_is_reloaded()
    day.freezes_or_thaws(node=0)
    day.all_go_on(rounds=5, order=[0, 1, 2])
    day.dialplan_is_reloaded()
    day.freezes_or_thaws(node=0)
    day.freezes_or_thaws(node=1)
    day.all_go_on(rounds=12, order=[0, 1, 2])


def test_who_takes_a_released_lease_waits_for_who_has_led_since_while_redis_was_away() -> None:
    day = Hotline()
    day.start()
    day.all_go_on(rounds=1, order=[2, 1, 0])
    day.releases(node=2)
    day.redis_goes_or_comes_back()
    day.all_go_on(rounds=2, order=[0, 1, 2])
    day.redis_goes_or_comes_back()
    day.tries(late=0.0, node=0)
    day.at_most_one_may_act()


def test_who_takes_an_offered_lease_waits_for_its_holder_though_asterisk_has_forgotten_both() -> None:
    day = Hotline()
    day.start()
    day.all_go_on(rounds=1, order=[1, 0, 2])
    day.asks_asterisk(late=0.0, node=1)
    day.dialplan_is_reloaded()
    day.loses_or_finds_asterisk(node=1)
    day.all_go_on(rounds=1, order=[0, 1, 2])
    day.leader_is_cut_off(asterisk=False, redis=False)
    day.at_most_one_may_act()


def test_leader_that_was_cut_off_from_asterisk_waits_for_who_has_led_there_meanwhile() -> None:
    day = Hotline()
    day.start()
    day.loses_or_finds_redis(node=0)
    day.tries(late=0.0, node=2)
    day.dialplan_is_reloaded()
    for node in (1, 2):
        day.loses_or_finds_asterisk(node=node)
    day.all_go_on(rounds=12, order=[0, 1, 2])
    day.all_go_on(rounds=9, order=[0, 1, 2])
    day.leader_is_cut_off(redis=False, asterisk=False)
    day.all_go_on(rounds=2, order=[0, 1, 2])


TestHotline = Hotline.TestCase
TestHotline.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
