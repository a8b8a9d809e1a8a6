"""The dispatcher: one task and one bounded inbox per call.

An event goes in, `core.transitions.decide` says what it means, the new state is written to the
store, and only then is Asterisk asked to act. Nothing here waits for another call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import structlog

from telephony.core.call import Call, Role
from telephony.core.commands import (
    AnswerFreed,
    AwaitFreed,
    AwaitInvite,
    Command,
    Decision,
    HangUp,
    Next,
    Refused,
    Reply,
)
from telephony.core.events import (
    CallerFreed,
    DiversionRecorded,
    Event,
    FreedTimeout,
    HistoryRead,
    InviteTimeout,
    LegMuted,
)
from telephony.core.transitions import decide
from telephony.desk import Desk, Item, answer
from telephony.ended import EndedCalls
from telephony.errors import Deposed, LinkDown, NotFound, Refusal, StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.line_load import LineLoad
from telephony.metrics import Metrics
from telephony.tasks import end_all
from telephony.teller import Teller

log = structlog.get_logger("call")

WRITE_WITHIN = 0.1
"""s; changes that ask nothing of Asterisk are written together. Whoever takes over asks Asterisk in any case."""

_CALL_IS_OVER = Refused("no_call", "the call is over")


class CallStore(Protocol):
    """Where live calls are remembered. StoreDown when it cannot be reached; calls go on regardless."""

    async def save(self, call: Call) -> None: ...

    async def finish(self, call: Call) -> None: ...


async def _nothing_earlier(call: Call) -> int | None:
    return None


class Dispatcher:
    """Owns all live calls, and remembers those that are over. `clock` gives seconds since the epoch.

    `earlier` tells how many earlier calls of a call's number are remembered, or None; no call waits for it.
    """

    def __init__(
        self,
        executor: Executor,
        store: CallStore,
        feed: Feed,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        earlier: Callable[[Call], Awaitable[int | None]] = _nothing_earlier,
    ) -> None:
        self._executor = executor
        self._store = store
        self._teller = Teller(feed, metrics, clock)
        self._clock = clock
        self._earlier = earlier
        self._desks: dict[str, Desk] = {}
        self._ended = EndedCalls(clock)
        self._seats: dict[str, str] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.line_load = LineLoad()

    # -- asking ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Call]:
        """The live calls. One that has ended a moment ago, and is still being put away, is not among them."""
        return (desk.call for desk in list(self._desks.values()) if not desk.call.ended)

    def __len__(self) -> int:
        return len(self._desks)

    def get(self, call_id: str) -> Call | None:
        """The call, live or not long over."""
        desk = self._desks.get(call_id)
        return desk.call if desk is not None else self._ended.get(call_id)

    def call_of_seat(self, seat: str) -> Call | None:
        """The call that the seat has now: talking, or ringing at it."""
        desk = self._desks.get(self._seats.get(seat, ""))
        return desk.call if desk is not None else None

    # -- telling -----------------------------------------------------------------------------

    async def open(self, call: Call) -> None:
        """Take on a call that has arrived, or that an earlier controller had."""
        if call.id in self._desks:
            return
        call = replace(call, freed_at=None)  # Whoever asked an earlier controller no longer waits for us.
        desk = Desk(call)
        self._ended.forget(call.id)
        self._desks[call.id] = desk
        self._index(call)
        await self._save(desk)
        self._teller.opened(call)
        desk.task = asyncio.create_task(self._run(desk), name=f"call {call.id}")
        if call.earlier_calls is None:
            self._spawn(self._look_up(call), f"history {call.id}")

    def remember(self, ended: Iterable[Call]) -> None:
        """Take on calls, the oldest end first, that were over before this run: people ask for them still."""
        for call in ended:
            if call.ended_at is not None and call.id not in self._desks and self._ended.get(call.id) is None:
                self._ended.add(call, call.ended_at)

    def post(self, call_id: str, event: Event) -> None:
        """Tell the call of `event`. A call that is over can only release who comes too late."""
        desk = self._desks.get(call_id)
        if desk is not None:
            desk.put(Item(event))
            return
        over = self._ended.get(call_id)
        if over is not None:
            self._release_late(over, event)

    async def ask(self, call_id: str, event: Event) -> Reply:
        """Tell the call of a press and wait for its answer. NotFound if nobody remembers the call."""
        desk = self._desks.get(call_id)
        if desk is None:
            if self._ended.get(call_id) is None:
                raise NotFound("unknown_call", "there is no such call")
            return await self._ask_over(call_id, event)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        desk.put(Item(event, reply))
        return await reply

    async def ask_next(self, call_id: str) -> Next:
        """Where the caller, alone in the dialplan, is to go on. An unknown caller is rescued."""
        desk = self._desks.get(call_id)
        if desk is None:
            return Next.RESCUE
        place: asyncio.Future[Next] = asyncio.get_running_loop().create_future()
        desk.put(Item(CallerFreed(self._clock()), place=place))
        return await place

    def _release_late(self, call: Call, event: Event) -> None:
        """The call is over, and Asterisk tells of a leg that we had asked for before that."""
        decision = decide(call, event)
        self._ended.change(decision.call)
        for command in decision.commands:
            if isinstance(command, HangUp):
                self._teller.log(call, event, decision)
                self._spawn(self._release(command), f"release {command.leg_id}")

    async def _release(self, command: HangUp) -> None:
        await self._executor.run(command)

    async def _ask_over(self, call_id: str, event: Event) -> Reply:
        """The call is over: nobody is left to be transferred, but its matter may still be handed on."""
        call = self._ended.get(call_id)
        if call is None or not isinstance(event, DiversionRecorded):
            return _CALL_IS_OVER
        decision = decide(call, event)
        self._ended.change(decision.call)
        self._teller.decided(call, event, decision)
        if decision.call != call:
            await self._put_away(decision.call)
        return decision.reply or Refused("no_answer", "the event has no answer")

    async def _put_away(self, call: Call) -> None:
        with suppress(StoreDown):  # The store keeps it, and writes it when it is back.
            await self._store.finish(call)

    async def _look_up(self, call: Call) -> None:
        earlier = await self._earlier(call)
        if earlier is not None:
            self.post(call.id, HistoryRead(self._clock(), earlier))

    async def look_up_all(self) -> None:
        """Make up for what could not be looked up while the store was away; one after the other."""
        for call in self:
            if call.earlier_calls is None:
                await self._look_up(call)

    def _spawn(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        """Do something that no call waits for."""
        task = asyncio.create_task(errand, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def idle(self, seconds: float) -> None:
        """Wait until all that has been told is worked off, or so many `seconds` have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for desk in list(self._desks.values()):
                    await desk.inbox.join()

    async def close(self) -> None:
        """Stop every call's task. The calls themselves go on in Asterisk."""
        tasks = [desk.task for desk in self._desks.values() if desk.task is not None]
        for desk in self._desks.values():
            desk.cancel_timers()
        await end_all([*tasks, *self._background])
        with suppress(Deposed):  # Whoever leads now has found out by itself how things stand.
            for desk in self._desks.values():
                if desk.unwritten is not None:
                    await self._save(desk)
        self._teller.finish()
        self._desks.clear()

    # -- the life of a call ------------------------------------------------------------------

    async def _run(self, desk: Desk) -> None:
        while not desk.call.ended:
            item = await desk.inbox.get()
            try:
                if item is not None:
                    await self._handle(desk, item)
                elif desk.unwritten is not None:
                    await self._save(desk)
            except Deposed:
                # Another controller has the call now, as it was written last: nothing of this may be done.
                if item is not None:
                    answer(item.reply, Refused("no_leader", "another controller of this hotline leads"))
            except Exception:
                # A fault in our own code must cost one event, never the call that it came for.
                happened = type(item.event).__name__ if item is not None else ""
                log.exception("event_failed", call=desk.call.id, happened=happened)
                if item is not None:
                    desk.give_up(item, Refused("internal_error", "the press could not be carried out"))
            finally:
                desk.inbox.task_done()
        await self._finish(desk)

    async def _handle(self, desk: Desk, item: Item) -> None:
        if item.place is not None:
            desk.asking.append(item.place)
        decision = await self._decide(desk, item.event, awaited=item.reply is not None)
        failed: Refused | None = None
        for command in decision.commands:
            try:
                await self._perform(desk, command)
            except (LinkDown, Refusal) as error:
                failed = Refused("asterisk_refused", str(error))
        answer(item.reply, failed or decision.reply or Refused("no_answer", "the event has no answer"))

    async def _decide(self, desk: Desk, event: Event, *, awaited: bool = False) -> Decision:
        """`awaited`: somebody waits for the answer, who may build on what is written."""
        before = desk.call
        decision = decide(before, event)
        if decision.call != before:
            desk.call = decision.call
            self._index(decision.call)
            desk.write_soon(WRITE_WITHIN)
        if desk.unwritten is not None and (decision.commands or awaited):
            await self._save(desk)
        # Asterisk first: what it is to do is on its way to it when people are told.
        self._teller.decided(before, event, decision, soon=bool(decision.commands))
        return decision

    async def _perform(self, desk: Desk, command: Command) -> None:
        match command:
            case AnswerFreed():
                desk.answer_all(command.next)
            case AwaitFreed():
                desk.later(command.seconds, lambda: FreedTimeout(self._clock()))
            case AwaitInvite():
                self._await_invite(desk, command.transfer_id, command.seconds)
            case _:
                event = await self._executor.run(command)
                if isinstance(event, LegMuted):
                    await self._decide(desk, event, awaited=True)  # Whoever has pressed is to see it.
                elif event is not None:
                    desk.put(Item(event))

    def _await_invite(self, desk: Desk, transfer_id: str, seconds: float) -> None:
        desk.later(seconds, lambda: InviteTimeout(self._clock(), transfer_id))

    def await_invites(self) -> None:
        """Watch again over the partners whom an earlier controller was calling; to be asked once Asterisk has told."""
        now = self._clock()
        for desk in self._desks.values():
            for transfer in desk.call.pending:
                if transfer.answer_by is not None:
                    self._await_invite(desk, transfer.id, max(transfer.answer_by - now, 0.0))

    async def _finish(self, desk: Desk) -> None:
        call = desk.call
        del self._desks[call.id]
        self._ended.add(call)
        desk.cancel_timers()
        desk.answer_all(Next.END)
        unread = desk.drain()
        for item in unread:
            answer(item.place, Next.END)
            if item.reply is None:
                self.post(call.id, item.event)
        self._teller.ended(call)
        async with desk.writing:
            await self._put_away(call)
        for item in unread:
            if item.reply is not None:
                answer(item.reply, await self._ask_over(call.id, item.event))

    # -- remembering -------------------------------------------------------------------------

    async def _save(self, desk: Desk) -> None:
        """Write before acting. Without the store the call goes on, and is written when the store is back."""
        async with desk.writing:  # so that of two writes the later state is the last to arrive
            desk.written()
            if self._desks.get(desk.call.id) is not desk:
                return  # It is over, and put away.
            try:
                await self._store.save(desk.call)
            except Deposed:
                raise
            except StoreDown as error:
                log.warning("call_not_saved", call=desk.call.id, error=str(error))

    async def save_all(self) -> None:
        """Write every live call: the store was away, and may not even have what it once had.

        A call that moves on meanwhile writes itself, and later than this.
        """
        for desk in list(self._desks.values()):
            await self._save(desk)

    def _index(self, call: Call) -> None:
        self.line_load.note(call)
        for leg in call.legs:
            if leg.role is not Role.TAKER:
                continue
            if leg.alive:
                if leg in call.takers or not self._talks_elsewhere(leg.party, call):
                    self._seats[leg.party] = call.id
            elif self._seats.get(leg.party) == call.id and not _has_live_leg(call, leg.party):
                del self._seats[leg.party]

    def _talks_elsewhere(self, seat: str, call: Call) -> bool:
        other = self.call_of_seat(seat)
        if other is None or other.id == call.id:
            return False
        return any(leg.party == seat for leg in other.takers)


def _has_live_leg(call: Call, seat: str) -> bool:
    return any(leg.party == seat for leg in call.alive(Role.TAKER))
