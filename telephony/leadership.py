"""Leadership: at most one controller of a hotline acts. The rules are in `core.lease`; here they meet the world.

The way of a takeover: `win` looks at the lease until it may be taken, takes it, and says so in Asterisk; then
`keep` renews it until it is lost. `permit` is asked right before every action.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from telephony.core.lease import (
    POLL,
    RENEW,
    TTL,
    UNLINKED,
    WITNESSED,
    Hold,
    Lease,
    Named,
    Sight,
    Term,
    heard_after,
    may_begin_without_redis,
)
from telephony.errors import LinkDown, NotLeading, Refusal, StoreDown

log = structlog.get_logger("lease")


class Found(Protocol):
    """What is in the lease's key; see `store.lease`."""

    @property
    def raw(self) -> bytes: ...
    @property
    def lease(self) -> Lease | None: ...
    @property
    def ttl(self) -> float | None: ...
    @property
    def fence(self) -> int: ...


class LeaseStore(Protocol):
    """The lease in Redis. StoreDown when it cannot be asked."""

    async def look(self) -> Found: ...
    async def take(self, raw: bytes, above: int, node: str, api: str, agi: str) -> Lease | None: ...
    async def renew(self, lease: Lease, hold: Hold) -> Lease | Found: ...


class Witness(Protocol):
    """Asterisk's record of who leads. LinkDown or Refusal when it cannot be asked."""

    async def named(self) -> Named: ...
    async def announce(self, me: Named) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Who we are, and where we serve: host:port."""

    node: str
    api: str
    agi: str


class Leadership:
    """`linked` tells whether Asterisk can be asked; `on_token` is told the token that our writes are to carry.

    `clock` gives seconds that never go backwards, while the process is frozen too.
    """

    def __init__(
        self,
        store: LeaseStore,
        witness: Witness,
        linked: Callable[[], bool],
        on_token: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = Place("", "", "")
        self.sight = Sight()
        self.term: Term | None = None
        self.in_office = False
        """Whether what a leader does is being done here; to be set by who does it."""
        self.knows = False
        """Whether the leader here has found out how things stand, or that nobody can tell; to be set likewise."""
        self.lost = asyncio.Event()
        """Set for good once somebody else leads, or has been given the lease."""
        self._store = store
        self._witness = witness
        self._linked = linked
        self._on_token = on_token
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._unlinked_since: float | None = None
        self._blank_since: float | None = None  # that Asterisk names nobody, seen by a start without Redis
        self._reached = False  # Redis, since the start
        self._take_unanswered = False

    # -- asking ------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether we lead as far as we know; it may not be certain at this very moment."""
        return self.term is not None and not self.lost.is_set()

    @property
    def serving(self) -> bool:
        """Whether requests are answered here. Those that come earlier wait: nothing would be known of their calls."""
        return self.in_office and self.knows and self.leads

    @property
    def leader(self) -> Lease | None:
        """Who leads, as seen last: us, or another controller; None if nobody."""
        if self.term is not None and not self.lost.is_set():
            return self.term.lease
        lease = self.sight.lease
        there = lease is not None and self.sight.quiet_since is None and lease.hold is not Hold.RELEASED
        return lease if there else None

    @property
    def deserted(self) -> bool:
        """Whether nobody leads, and whoever did last may be standing still."""
        return self.sight.deserted(self._clock())

    def may_act(self) -> bool:
        return self.term is not None and not self.lost.is_set() and self.term.may_act(self._clock())

    async def permit(self) -> None:
        """Return while we may act. NotLeading if we may not, or if nobody can tell us."""
        if self.may_act():
            return
        await self.make_sure()
        if not self.may_act():
            raise NotLeading("another controller leads, or it is not certain who does")

    async def make_sure(self) -> None:
        """Ask who leads, unless we know. Raises nothing; `lost`, `may_act` and `leader` say what was found."""
        if self.lost.is_set() and self.leader is None:
            with suppress(StoreDown):
                await self.look()
        term = self.term
        if term is None or self.lost.is_set() or self.may_act():
            return
        await self._until_we_act(term)
        async with self._lock:
            if not self.may_act():
                await self._renew()
            if not self.may_act():
                await self._ask_asterisk()
        await self._until_we_act(term)
        async with self._lock:
            if not self.may_act():
                await self._ask_asterisk()  # What it said before we waited is old by now.

    async def _until_we_act(self, term: Term) -> None:
        """Wait until whoever led before us acts no more, if it is known when that will be."""
        early = term.acts_from - self._clock()
        if 0 < early <= TTL:
            await asyncio.sleep(early)

    def news(self) -> None:
        """Something that a candidate waits for has changed: the link to Asterisk is up."""
        self._news.set()

    # -- winning -----------------------------------------------------------------------------

    async def win(self) -> None:
        """Stand by until we lead. From then on `keep` must run."""
        while not await self._try():
            wait = min(POLL, max(0.01, self.sight.expires - self._clock()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
            self._news.clear()
        assert self.term is not None
        self._on_token(self.term.lease.token)
        log.info("leads", token=self.term.lease.token, node=self.place.node)

    async def _try(self) -> bool:
        try:
            await self.look()
        except StoreDown:
            self.sight = self.sight.lost()
        if not self._linked():
            return False
        try:
            return await self._candidate()
        except (LinkDown, Refusal, StoreDown) as error:
            log.info("not_taken", reason=str(error))
            return False

    async def look(self) -> None:
        """See who leads. StoreDown."""
        found = await self._store.look()
        self._reached = True
        now = self._clock()
        if found.raw:
            self.sight = self.sight.saw(found.lease, found.raw, found.ttl, found.fence, now)
        else:
            self.sight = self.sight.saw_nothing(found.fence, now)

    async def _candidate(self) -> bool:
        """Take the lease if that is allowed now, and say so in Asterisk; whether we lead."""
        place = self.place
        if self.sight.held(place.agi, self._clock()):
            return False  # Asterisk need not be asked five times a second.
        named = await self._witness.named()
        sight = self.sight = self.sight.told(named, self._clock())
        if sight.answered:
            if not sight.may_take(place.agi, self._clock()):
                return False
            seen = sight.lease.token if sight.lease is not None else 0
            sent = self._clock()
            lease = await self._store.take(
                sight.raw, max(named.token, seen), place.node, place.api, place.agi
            )
            if lease is None:
                return False
            term = Term(lease, self._name, leased_until=sent)
            term.renewed(lease, sent)
            wait = WITNESSED if sight.others_may_act() else 0.0
        elif not self._reached and may_begin_without_redis(named, place.agi, self._blank_for(named)):
            term = Term(Lease(named.token + 1, place.node, place.api, place.agi), self._name)
            wait = heard_after(named, place.agi)
        else:
            return False
        await self._announce(term)
        if wait:
            term.acts_from = self._clock() + wait
        self.term = term
        return True

    def _blank_for(self, named: Named) -> float:
        if named.token or self._blank_since is None:
            self._blank_since = self._clock()
        return self._clock() - self._blank_since

    async def _announce(self, term: Term) -> None:
        await self._witness.announce(Named(term.lease.token, self._name, self.place.agi))

    # -- keeping -----------------------------------------------------------------------------

    async def keep(self) -> None:
        """Renew for as long as we lead; returns when we have lost the lease."""
        while not self.lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), RENEW)
            async with self._lock:
                await self._renew()
                await self._ask_asterisk()

    async def refresh(self) -> None:
        """Now, and not at the next turn: Redis or Asterisk is back. Raises nothing."""
        if self.leads:
            async with self._lock:
                await self._renew()
                await self._ask_asterisk()

    async def _renew(self) -> None:
        term = self.term
        if term is None or self.lost.is_set() or term.lease.hold is Hold.RELEASED:
            return
        try:
            sent = self._clock()
            kept = await self._store.renew(term.lease, self._wanted())
            if isinstance(kept, Lease):
                term.renewed(kept, sent)
                return
            if not kept.raw:
                await self._take_again(term)
            elif kept.lease is not None and self._is_ours(kept.lease, term):
                log.warning("lease_was_taken_again", token=kept.lease.token)
                self._go_on_under(kept.lease, term, term.leased_until - TTL)  # no longer than before
                await self._renew()
                await self._ask_asterisk()
            else:
                seen = Sight().saw(kept.lease, kept.raw, None, 0, self._clock())
                self._lose("the lease is another's", seen)
        except StoreDown:
            return  # Asterisk is asked before we act.

    def _is_ours(self, lease: Lease, term: Term) -> bool:
        """Whether we have taken it again, and the answer was lost: nobody else can serve at our address."""
        mine = lease.agi == self.place.agi and lease.hold is Hold.HELD
        return self._take_unanswered and mine and lease.token > term.lease.token

    def _go_on_under(self, lease: Lease, term: Term, sent: float) -> None:
        self._take_unanswered = False
        term.renewed(lease, sent)
        self._on_token(lease.token)

    def _wanted(self) -> Hold:
        """Without Asterisk for some time: whoever has it may lead."""
        if self._linked():
            self._unlinked_since = None
            return Hold.HELD
        if self._unlinked_since is None:
            self._unlinked_since = self._clock()
        return Hold.OFFERED if self._clock() - self._unlinked_since >= UNLINKED else Hold.HELD

    async def _take_again(self, term: Term) -> None:
        """Redis has lost the lease, or let it expire while we could not renew it. StoreDown."""
        if not term.owns(self._clock()):
            await self._ask_asterisk()
        if not term.owns(self._clock()):
            return
        sent, place = self._clock(), self.place
        self._take_unanswered = True
        lease = await self._store.take(b"", term.lease.token, place.node, place.api, place.agi)
        self._take_unanswered = False
        if lease is None or self.lost.is_set():
            return  # The next renewal shows whose it is.
        log.warning("lease_taken_again", token=lease.token)
        self._go_on_under(lease, term, sent)
        await self._ask_asterisk()

    async def _ask_asterisk(self) -> None:
        """Whether Asterisk names us; if it names nobody, tell it."""
        term = self.term
        if term is None or self.lost.is_set() or not self._linked():
            return
        try:
            sent = self._clock()
            named = await self._witness.named()
            if term.witnessed(named, sent, self._clock()):
                await self._announce(term)
                term.announced(self._clock())
            elif term.lost:
                self._lose("Asterisk names another")
        except (LinkDown, Refusal) as error:
            log.info("asterisk_not_asked", reason=str(error))

    # -- the end -----------------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until a renewal that is under way has ended: it may bring a higher token of our own."""
        async with self._lock:
            return

    def depose(self) -> None:
        """Redis has refused a write of ours: somebody else leads."""
        self._lose("a write was refused")

    def _lose(self, why: str, sight: Sight | None = None) -> None:
        if self.term is not None and not self.lost.is_set():
            self.sight = sight or Sight()
            self.term.lost = True
            self.lost.set()
            log.warning("deposed", why=why, token=self.term.lease.token)

    async def release(self) -> None:
        """Act no more, and let another controller lead at once. Raises nothing."""
        term = self.term
        if term is None or self.lost.is_set():
            return
        # Until then whoever led before us may act, and who follows us is told that nobody does.
        await self._until_we_act(term)
        async with self._lock:
            held, others_may_act = term.lease, term.acts_from > self._clock()
            self.term = None
            term.lost = True
            if others_may_act:
                return  # It runs out: whoever follows us is not told that nobody acts.
            try:
                await self._store.renew(held, Hold.RELEASED)
            except StoreDown as error:
                log.warning("lease_not_released", reason=str(error))
