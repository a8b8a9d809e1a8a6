"""The application: builds every part of a hotline's controller, and starts and stops them in order.

The way of a call: Asterisk's dialplan asks `agi.scripts` (arrival) -> `dispatcher` opens the call -> `store`.
The way of an event: Asterisk -> `ami.link` -> `ami.events` -> `dispatcher` -> `core.transitions.decide`.
The way of a key: `http` or `agi.scripts` (key) -> `switchboard.press` -> `dispatcher` -> `decide` -> `store` ->
`executor` -> `ami.commands` -> Asterisk.
Of several controllers of a hotline one leads (`leadership`): only it is told of events and acts; the others stand
by, and pass on what they are asked.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import time

import structlog

from telephony.agi import AgiServer
from telephony.agi.scripts import Scripts
from telephony.ami import AmiLink, AmiSettings, snapshot
from telephony.ami.commands import AmiAsterisk
from telephony.ami.device_questions import DeviceQuestions
from telephony.ami.devices import DeviceBook
from telephony.ami.events import EventTranslator
from telephony.ami.gate import GatedLink
from telephony.ami.lamps import Lamps
from telephony.ami.message import AmiMessage
from telephony.ami.rooms import RoomCommands, RoomTranslator
from telephony.ami.witness import Witness
from telephony.board import Board
from telephony.dispatcher import Dispatcher
from telephony.doors import Doors, Placement
from telephony.ended import KEPT
from telephony.errors import LinkDown, Refusal, StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.history import Histories
from telephony.http import HttpServer, Tls, make_app
from telephony.http.pass_on import PassOn
from telephony.leadership import Leadership
from telephony.listening import Places
from telephony.metrics import Metrics
from telephony.provision import StateDirectory
from telephony.recording_space import LEAST_MEMORY, RecordingSpace
from telephony.recordings import Recordings
from telephony.recovery import Recovery
from telephony.rooms import Rooms
from telephony.settings import Address, Settings
from telephony.store import (
    FeedLog,
    FencedLink,
    Keys,
    RedisClosedLines,
    RedisHistory,
    RedisLease,
    RedisStore,
)
from telephony.sweep import Sweep
from telephony.switchboard import Switchboard
from telephony.tasks import end_all
from telephony.tokens import TokenBook

log = structlog.get_logger("app")

CLAIM = 0.5  # s between two tries to listen where another controller has listened
DRAIN = 1.0  # s that events which have come get to be worked off before we leave


class App:
    """One controller of a hotline. `run` runs it until it is told to stop, another leads, or a part of it dies."""

    def __init__(
        self, settings: Settings, state: StateDirectory, placement: Placement, places: Places
    ) -> None:
        self._placement = placement
        self._configured = settings.api
        settings = self._settings = self._placement.applied_to(settings)
        self._loop = asyncio.get_running_loop()
        self._clock = time.time
        self._stopping = asyncio.Event()
        self._calls_loaded = False
        self._linked = False
        self._leaving = False
        self._recovering = asyncio.Lock()
        self.metrics = Metrics(settings.hotline)
        self.feed = Feed()
        self.devices = DeviceBook()
        keys = Keys(settings.hotline)
        self.redis = FencedLink(
            settings.redis,
            state.secrets.get("redis"),
            keys,
            sentinel_password=state.secrets.optional("sentinel"),
        )
        self.store = RedisStore(self.redis, keys, settings.history)
        past = RedisHistory(self.redis, keys, settings.history)
        self.histories = Histories(past, settings.history, self._clock)
        self.feed_log = FeedLog(self.redis, keys, self._clock)
        self.closed_lines = RedisClosedLines(self.redis, keys, [line.line for line in settings.lines])
        self.link = AmiLink(
            self._ami_settings(state.secrets.get("ami")),
            on_event=self._on_event,
            on_up=self._link_up,
            on_down=self._link_down,
        )
        self.leadership = Leadership(
            RedisLease(self.redis, keys), Witness(self.link), lambda: self._linked, self._use_token
        )
        self.redis.on_fenced = self.leadership.depose
        self.redis.settled = self.leadership.settled
        hands = GatedLink(self.link, self.leadership.permit)
        asterisk = AmiAsterisk(hands, settings, self._expect)
        executor = Executor(asterisk, self._clock)
        self.dispatcher = Dispatcher(
            executor, self.store, self.feed, self.metrics, self._clock, self.histories.earlier
        )
        self.translator = EventTranslator(
            self.devices, self.dispatcher.post, self._clock, self._loop.call_later
        )
        self.recovery = Recovery(self.link, self.translator, self.devices, self.dispatcher, self._clock)
        self.sweep = Sweep(
            lambda: snapshot.channels(self.link),
            lambda: self.dispatcher,
            self.recovery.run,
            executor,
            lambda: self.switchboard.ready,
            self.metrics.put_right,
            self._clock,
        )
        self.translator.on_stranger = self.sweep.stranger
        self.room_translator = RoomTranslator(
            settings, lambda event: self.rooms.on_event(event), self._clock, self._loop.call_later
        )
        self.rooms = Rooms(
            settings,
            RoomCommands(hands, settings, self.devices, self.room_translator),
            self.feed,
            self._new_transfer_id,
            self._clock,
        )
        self.switchboard = Switchboard(
            settings,
            self.dispatcher,
            self.devices,
            self.closed_lines,
            self._new_transfer_id,
            self._clock,
            self.histories,
            self.rooms,
            lambda: self.link.open,
        )
        self.board = Board(self.switchboard, self.feed, Lamps(hands), self._clock)
        self.switchboard.on_moved = self.board.moved
        self.devices.doubt = DeviceQuestions(self.link, self.devices, self.board.moved).ask
        self.recordings = Recordings(state.memory, state.monitor)
        least = {"disk": settings.recording.least_free << 20, "memory": LEAST_MEMORY}
        self.recording_spaces = [
            RecordingSpace(kind, folder, least[kind], self.metrics.recording_looked_at)
            for folder, kind in {state.memory: "memory", state.monitor: "disk"}.items()
        ]
        scripts = Scripts(self.dispatcher, self.switchboard, self._expect, self._clock)
        agi = settings.agi.address
        self.agi = AgiServer(agi.host, agi.port, scripts.handlers(), serving=self._answers_asterisk)
        checks = {"asterisk": self._has_asterisk, "redis": lambda: self.redis.up}
        tokens = TokenBook.load(state.token_hashes)
        api = Address.parse(settings.api.bind)
        self.http = HttpServer(
            make_app(
                self.switchboard,
                self.feed,
                tokens,
                self.metrics,
                checks,
                warnings=self._warnings,
                cli_secret=state.secrets.get("cli"),
                pass_on=PassOn(self.leadership, api.host, lambda: self.http.addresses),
            ),
            api,
            Tls(Address.parse(settings.api.tls_bind), state.certificate, state.key),
            places=places,
        )

    async def run(self) -> bool:
        """Start everything, serve, and stop everything in the opposite order.

        True: another controller leads now; this one has given up everything, and is to begin anew as its standby.
        """
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signal_number, self._stopping.set)
        try:
            await self.redis.probe()
            await self._open_doors()
            log.info("started", hotline=self._settings.hotline, node=self._settings.node)
            await self._serve()
        finally:
            await self._leave()
            await self.redis.close()
            log.info("stopped", hotline=self._settings.hotline)
        return self._begins_anew

    @property
    def _begins_anew(self) -> bool:
        return self.leadership.lost.is_set() and not self._stopping.is_set()

    async def _open_doors(self) -> None:
        """Where another controller of this hotline listens already, listen beside it."""
        doors = Doors(self._settings, self._placement, self.agi, self.http, self.leadership, self.redis.probe)
        self.leadership.place = await doors.open()

    async def _serve(self) -> None:
        """Run the lasting tasks until a stop is asked for, another leads, or one of them dies."""
        tasks = [
            asyncio.create_task(self.link.run(), name="ami"),
            asyncio.create_task(self.redis.run(self._redis_up, self._redis_down), name="redis"),
            *(asyncio.create_task(disk.run(), name="recording space") for disk in self.recording_spaces),
            asyncio.create_task(self._lead(), name="lead"),
            asyncio.create_task(self._stopping.wait(), name="stop"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._leave()
        finally:
            await end_all(tasks)
        for task in done:
            task.result()

    async def _lead(self) -> None:
        """Stand by until we lead, then do what a leader does; ends when another leads."""
        await self.leadership.win()
        self.metrics.leader.labels(self._settings.hotline).set(1)
        tasks = [
            asyncio.create_task(self.leadership.keep(), name="lease"),
            asyncio.create_task(self._hold_office(), name="office"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_all(tasks)
        if self.leadership.lost.is_set():
            return  # Whatever was under way has failed for that.
        for task in done:
            task.result()

    async def _hold_office(self) -> None:
        """What only the leader does."""
        await self._remember()
        self.leadership.in_office = True
        came_back = self.redis.up and not self._calls_loaded
        if came_back:
            await self._load_calls()
        if self._linked:
            try:
                await self._find_truth()
            except (LinkDown, Refusal) as error:
                self.link.drop(f"recovery failed: {error}")  # It is tried again with the next connection.
        self.leadership.knows = True
        if came_back:
            await self._redis_up()
        async with asyncio.TaskGroup() as lasting:
            works = (self.feed_log.run(self.feed), self.board.run(), self.sweep.run(), self.recordings.run())
            for work in works:
                lasting.create_task(work)
            lasting.create_task(self._claim(Address.parse(self._configured.bind), tls=False))
            lasting.create_task(self._claim(Address.parse(self._configured.tls_bind), tls=True))

    async def _claim(self, bind: Address, *, tls: bool) -> None:
        """Serve where people expect us too, as soon as who served there has gone."""
        while not await self.http.claim(bind, tls=tls):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(CLAIM)

    async def _leave(self) -> None:
        """Close the doors, bring what is under way to its end, and let another controller lead."""
        if self._leaving:
            return
        self._leaving = True
        await self.http.stop(for_the_next=self._begins_anew)
        self.leadership.in_office = False
        if self.leadership.leads:
            await self.dispatcher.idle(DRAIN)
        await self.agi.stop()
        await self.rooms.close()
        await self.dispatcher.close()
        if self.leadership.leads:
            await self.feed_log.close(self.feed)
            await self.leadership.release()

    async def _remember(self) -> None:
        """Take up the calls and events that an earlier run, or another controller, has left in the store."""
        await self.closed_lines.sync()
        start = await self.feed_log.load()
        self.feed.restore(start.events, start.last_seq)
        await self._load_calls()

    async def _load_calls(self) -> None:
        """Without Redis this is made up for when it is there."""
        try:
            ended = await self.store.recent(KEPT)
            calls, broken = await self.store.load_all()
        except StoreDown as error:
            log.warning("nothing_remembered", error=str(error))
            return
        self.dispatcher.remember(reversed(ended))
        for call in calls:
            await self.dispatcher.open(call)
        self._calls_loaded = True
        log.info("remembered", calls=len(calls), broken=len(broken), ended=len(ended))

    # -- what the parts tell each other --------------------------------------------------------

    def _answers_asterisk(self) -> bool:
        return self.leadership.in_office and self.leadership.leads and not self._leaving

    def _has_asterisk(self) -> bool:
        return self.switchboard.ready if self.leadership.in_office else self.link.up

    def _use_token(self, token: int) -> None:
        self.redis.token = token

    def _on_event(self, message: AmiMessage) -> None:
        if not self.leadership.in_office:
            return
        self.translator.on_event(message)
        if message.event == "DeviceStateChange":
            self.board.moved([self.devices.seat_of(message)])
        self.room_translator.on_event(message)

    def _expect(self, channel_id: str, call_id: str) -> None:
        self.translator.expect(channel_id, call_id)

    async def _link_up(self) -> None:
        self._linked = True
        self.leadership.news()
        await self.leadership.refresh()
        if self.leadership.in_office:
            await self._find_truth()

    async def _find_truth(self) -> None:
        async with self._recovering:
            await self.recovery.run()
            await self._recover_rooms()
        self.switchboard.recovered = True
        self.metrics.asterisk_up.labels(self._settings.hotline).set(1)
        self.board.renew()

    async def _recover_rooms(self) -> None:
        self.room_translator.pause()
        try:
            await self.rooms.recover()
        finally:
            self.room_translator.resume()

    def _link_down(self, reason: str) -> None:
        self._linked = False
        self.switchboard.recovered = False
        self.devices.forget()
        self.metrics.asterisk_up.labels(self._settings.hotline).set(0)
        self.board.moved()

    async def _redis_up(self) -> None:
        self.metrics.redis_up.labels(self._settings.hotline).set(1)
        await self.leadership.refresh()
        if not self.leadership.in_office:
            return
        await self.closed_lines.sync()
        self.board.moved()
        await self.store.settle()
        if not self._calls_loaded:
            await self._load_calls()
            if self.switchboard.ready:
                await self.recovery.run()
        await self.dispatcher.save_all()
        await self.dispatcher.look_up_all()

    def _redis_down(self, reason: str) -> None:
        self.metrics.redis_up.labels(self._settings.hotline).set(0)

    def _warnings(self) -> list[str]:
        watched = self.recording_spaces if self._settings.recording.enabled else ()
        return [disk.warning for disk in watched if disk.warning]

    def _new_transfer_id(self) -> str:
        return f"{self._settings.node}-{secrets.token_hex(6)}"

    def _ami_settings(self, secret: str) -> AmiSettings:
        address = self._settings.ami.address
        return AmiSettings(address.host, address.port, "controller", secret)
