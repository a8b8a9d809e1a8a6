"""Leadership with a Redis and an Asterisk in memory, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest

from telephony.core.lease import TTL, UNLINKED, WITNESSED, Hold, Lease, Named
from telephony.errors import LinkDown, NotLeading, StoreDown
from telephony.leadership import Leadership, Place

LIMIT = 5.0  # s


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Seen:
    raw: bytes
    lease: Lease | None
    ttl: float | None
    fence: int


@dataclass
class World:
    """One Redis and one Asterisk."""

    clock: Clock = field(default_factory=Clock)
    cut_off: str = ""  # the node that has no link to Asterisk
    lease: Lease | None = None
    until: float = 0.0
    fence: int = 0
    named_now: Named = field(default_factory=Named)
    redis: bool = True
    asterisk: bool = True
    questions: int = 0

    @property
    def raw(self) -> bytes:
        gone = self.lease is None or self.clock.now >= self.until
        return b"" if gone else repr(self.lease).encode()

    def _redis(self) -> None:
        if not self.redis:
            raise StoreDown("no Redis")

    async def look(self) -> Seen:
        self._redis()
        if not self.raw:
            return Seen(b"", None, None, self.fence)
        return Seen(self.raw, self.lease, self.until - self.clock.now, self.fence)

    async def take(self, raw: bytes, above: int, node: str, api: str, agi: str) -> Lease | None:
        self._redis()
        if raw != self.raw:
            return None
        self.fence = max(self.fence, above) + 1
        self.lease, self.until = Lease(self.fence, node, api, agi), self.clock.now + TTL
        return self.lease

    async def renew(self, lease: Lease, hold: Hold) -> Lease | Seen:
        self._redis()
        if self.raw != repr(lease).encode():
            return await self.look()
        self.lease = Lease(lease.token, lease.node, lease.api, lease.agi, hold)
        self.until = self.clock.now + TTL
        return self.lease

    async def named(self) -> Named:
        self.questions += 1
        if not self.asterisk:
            raise LinkDown("no Asterisk")
        return self.named_now

    async def announce(self, me: Named) -> None:
        if not self.asterisk:
            raise LinkDown("no Asterisk")
        self.named_now = me

    def controller(self, node: str) -> Leadership:
        leadership = Leadership(
            self, self, lambda: self.asterisk and node != self.cut_off, lambda token: None, self.clock
        )
        leadership.place = Place(node, f"127.0.0.1:{len(node)}", f"127.0.0.1:{ord(node[-1])}")
        return leadership


async def soon(work: Awaitable[None]) -> None:
    async with asyncio.timeout(LIMIT):
        await work


@pytest.fixture
def world() -> World:
    return World()


async def test_only_controller_leads_at_once_and_may_act(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    assert one.may_act()
    assert (world.named_now.token, world.named_now.agi) == (1, one.place.agi)


async def test_second_waits_and_knows_who_leads(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    waiting = asyncio.create_task(two.win())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert two.leader is not None
    assert two.leader.node == "a"
    waiting.cancel()


async def test_frozen_leader_acts_no_more_once_it_is_thawed(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    await two.look()
    world.clock.now += TTL
    await soon(two.win())
    with pytest.raises(NotLeading):
        await one.permit()
    assert one.lost.is_set()
    assert one.leader is not None
    assert one.leader.node == "b"


async def test_successor_of_one_who_may_still_trust_asterisk_waits_before_it_acts(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    await two.look()
    world.clock.now += TTL
    await soon(two.win())
    assert not two.may_act()
    world.clock.now += WITNESSED
    assert two.may_act()


async def test_frozen_controller_without_a_second_goes_on_where_it_was(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.clock.now += 100.0
    await one.permit()
    assert one.may_act()
    assert not one.lost.is_set()


async def test_without_redis_the_leader_asks_asterisk_once_for_a_burst(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.redis = False
    world.clock.now += TTL
    world.questions = 0
    for _ in range(20):
        await one.permit()
    assert world.questions == 1


async def test_without_redis_and_without_asterisks_word_nobody_acts(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.redis = world.asterisk = False
    world.clock.now += TTL
    with pytest.raises(NotLeading):
        await one.permit()
    assert not one.lost.is_set()


async def test_leader_cut_off_from_redis_steps_down_when_asterisk_names_another(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    await two.look()
    world.clock.now += TTL
    await soon(two.win())
    world.redis = False
    with pytest.raises(NotLeading):
        await one.permit()
    assert one.lost.is_set()


async def test_lease_that_redis_has_forgotten_is_taken_again_under_a_higher_token(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.lease, world.fence = None, 0
    await one.refresh()
    assert world.lease is not None
    assert (world.lease.node, world.lease.token) == ("a", 2)
    assert world.named_now.token == 2
    assert one.may_act()


async def test_lease_that_was_taken_again_though_the_answer_was_lost_is_known_for_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.controller("a")
    await soon(one.win())
    take = world.take

    async def answer_is_lost(*args: Any) -> None:
        await take(*args)
        raise StoreDown("the connection was cut")

    world.lease, world.fence = None, 0
    with monkeypatch.context() as lost:
        lost.setattr(world, "take", answer_is_lost)
        await one.refresh()
    world.clock.now += TTL / 2
    await one.refresh()
    assert not one.lost.is_set()
    assert one.term is not None
    assert one.term.lease.token == world.named_now.token == 2
    world.clock.now += TTL * 0.9
    assert one.may_act()


async def test_released_lease_is_the_next_ones_at_once(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    await two.look()
    await one.release()
    assert not one.may_act()
    await soon(two.win())
    assert two.may_act()


async def test_refused_write_deposes_at_once(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    one.depose()
    assert not one.may_act()
    await soon(one.keep())


async def test_dialplan_that_was_reloaded_is_told_again_who_leads(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.named_now = Named()
    await one.refresh()
    assert world.named_now.agi == one.place.agi


async def test_leader_without_a_link_to_asterisk_offers_the_lease_to_who_has_one(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    await two.look()
    world.cut_off = "a"
    for _ in range(3):
        await one.refresh()
        world.clock.now += UNLINKED / 2
    assert not one.may_act()
    await soon(two.win())
    await one.refresh()
    assert one.lost.is_set()


async def test_lease_that_was_offered_is_kept_when_the_link_is_back_in_time(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    world.cut_off = "a"
    for _ in range(3):
        await one.refresh()
        world.clock.now += UNLINKED / 2
    world.cut_off = ""
    await one.refresh()
    assert not one.may_act()  # somebody may have led by Asterisk's word meanwhile
    world.clock.now += WITNESSED
    await one.permit()


async def test_standby_does_not_ask_asterisk_while_somebody_holds_the_lease(world: World) -> None:
    one, two = world.controller("a"), world.controller("b")
    await soon(one.win())
    world.questions = 0
    waiting = asyncio.create_task(two.win())
    await asyncio.sleep(0.05)
    waiting.cancel()
    assert world.questions == 0


async def test_who_has_just_won_serves_nobody_before_it_knows_how_things_stand(world: World) -> None:
    one = world.controller("a")
    await soon(one.win())
    one.in_office = True
    assert not one.serving  # a press would find no call, or no link
    one.knows = True
    assert one.serving
