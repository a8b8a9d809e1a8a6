"""The application: builds every part of a hotline's controller, and starts and stops them in order.

The way of a call: Asterisk's dialplan asks `agi.scripts` (arrival) -> `dispatcher` opens the call -> `store`.
The way of an event: Asterisk -> `ami.link` -> `ami.events` -> `dispatcher` -> `core.transitions.decide`.
The way of a key: `http` or `agi.scripts` (key) -> `switchboard.press` -> `dispatcher` -> `decide` -> `store` ->
`executor` -> `ami.commands` -> Asterisk.
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
from telephony.ami.lamps import Lamps
from telephony.ami.message import AmiMessage
from telephony.ami.rooms import RoomCommands, RoomTranslator
from telephony.board import Board
from telephony.dispatcher import Dispatcher
from telephony.ended import KEPT
from telephony.errors import StoreDown
from telephony.executor import Executor
from telephony.feed import Feed
from telephony.history import Histories
from telephony.http import HttpServer, Tls, make_app
from telephony.metrics import Metrics
from telephony.provision import StateDirectory
from telephony.recording_disk import RecordingDisk
from telephony.recovery import Recovery
from telephony.rooms import Rooms
from telephony.settings import Address, Settings
from telephony.store import FeedLog, Keys, RedisClosedLines, RedisHistory, RedisLink, RedisStore
from telephony.sweep import Sweep
from telephony.switchboard import Switchboard
from telephony.tokens import TokenBook

log = structlog.get_logger("app")


class App:
    """One hotline's controller. `run` runs it until it is told to stop or a part of it dies."""

    def __init__(self, settings: Settings, state: StateDirectory) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = time.time
        self._stopping = asyncio.Event()
        self._calls_loaded = False
        self.metrics = Metrics(settings.hotline)
        self.feed = Feed()
        self.devices = DeviceBook()
        keys = Keys(settings.hotline)
        self.redis = RedisLink(
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
        asterisk = AmiAsterisk(self.link, settings, self._expect)
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
            RoomCommands(self.link, settings, self.devices, self.room_translator),
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
        )
        self.board = Board(self.switchboard, self.feed, Lamps(self.link), self._clock)
        self.switchboard.on_moved = self.board.moved
        self.devices.doubt = DeviceQuestions(self.link, self.devices, self.board.moved).ask
        self.recording_disk = RecordingDisk(
            state.monitor, settings.recording.least_free << 20, self._recording_disk_looked_at
        )
        scripts = Scripts(self.dispatcher, self.switchboard, self._expect, self._clock)
        agi = settings.agi.address
        self.agi = AgiServer(agi.host, agi.port, scripts.handlers())
        checks = {"asterisk": lambda: self.switchboard.ready, "redis": lambda: self.redis.up}
        tokens = TokenBook.load(state.token_hashes)
        self.http = HttpServer(
            make_app(
                self.switchboard,
                self.feed,
                tokens,
                self.metrics,
                checks,
                warnings=self._warnings,
                cli_secret=state.secrets.get("cli"),
            ),
            Address.parse(settings.api.bind),
            Tls(Address.parse(settings.api.tls_bind), state.certificate, state.key),
        )

    async def run(self) -> None:
        """Start everything, serve, and stop everything in the opposite order."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signal_number, self._stopping.set)
        await self._remember()
        try:
            await self.agi.start()
            await self.http.start()
            log.info("started", hotline=self._settings.hotline, node=self._settings.node)
            await self._serve()
        finally:
            await self.rooms.close()
            await self.dispatcher.close()
            await self.feed_log.close(self.feed)
            await self.redis.close()
            log.info("stopped", hotline=self._settings.hotline)

    async def _serve(self) -> None:
        """Run the lasting tasks until a stop is asked for, or one of them dies; then close the doors first."""
        tasks = [
            asyncio.create_task(self.link.run(), name="ami"),
            asyncio.create_task(self.redis.run(self._redis_up, self._redis_down), name="redis"),
            asyncio.create_task(self.feed_log.run(self.feed), name="feed"),
            asyncio.create_task(self.board.run(), name="board"),
            asyncio.create_task(self.sweep.run(), name="sweep"),
            asyncio.create_task(self.recording_disk.run(), name="recording disk"),
            asyncio.create_task(self._stopping.wait(), name="stop"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.http.stop()
            await self.agi.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _remember(self) -> None:
        """Take up the calls and events that an earlier run has left in the store."""
        await self.redis.probe()
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

    def _on_event(self, message: AmiMessage) -> None:
        self.translator.on_event(message)
        if message.event == "DeviceStateChange":
            self.board.moved([self.devices.seat_of(message)])
        self.room_translator.on_event(message)

    def _expect(self, channel_id: str, call_id: str) -> None:
        self.translator.expect(channel_id, call_id)

    async def _link_up(self) -> None:
        await self.recovery.run()
        await self._recover_rooms()
        self.switchboard.ready = True
        self.metrics.asterisk_up.labels(self._settings.hotline).set(1)
        self.board.renew()

    async def _recover_rooms(self) -> None:
        self.room_translator.pause()
        try:
            await self.rooms.recover()
        finally:
            self.room_translator.resume()

    def _link_down(self, reason: str) -> None:
        self.switchboard.ready = False
        self.devices.forget()
        self.metrics.asterisk_up.labels(self._settings.hotline).set(0)
        self.board.moved()

    async def _redis_up(self) -> None:
        self.metrics.redis_up.labels(self._settings.hotline).set(1)
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

    def _recording_disk_looked_at(self, warning: str) -> None:
        self.metrics.recording_disk_low.labels(self._settings.hotline).set(bool(warning))

    def _warnings(self) -> list[str]:
        watched = self._settings.recording.enabled
        return [self.recording_disk.warning] if watched and self.recording_disk.warning else []

    def _new_transfer_id(self) -> str:
        return f"{self._settings.node}-{secrets.token_hex(6)}"

    def _ami_settings(self, secret: str) -> AmiSettings:
        address = self._settings.ami.address
        return AmiSettings(address.host, address.port, "controller", secret)
