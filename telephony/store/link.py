"""The link to Redis: every command has a deadline, and while Redis is away nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from telephony.errors import StoreDown
from telephony.settings import RedisSettings
from telephony.store.client import CONNECTIONS, make_client
from telephony.store.faults import explain, of_the_server, wrong_type
from telephony.store.keys import Keys

log = structlog.get_logger("redis")

Command = tuple[str | bytes | int | float, ...]

_PROBE_EXPIRES = 60  # seconds
_SET_ASIDE_EXPIRES = 7 * 24 * 3600  # seconds


class RedisLink:
    """Sends commands to one Redis, through a circuit breaker.

    The first failure opens the breaker: from then on commands raise StoreDown at once, until a probe finds
    Redis back. The probe is a write, because a full or read-only Redis still answers PING. `interval` is
    the time in seconds between probes. `sentinel_password`: the sentinels' own, where they have one.
    """

    def __init__(
        self,
        settings: RedisSettings,
        password: str,
        keys: Keys,
        *,
        interval: float = 1.0,
        sentinel_password: str = "",
    ) -> None:
        self.up = False
        """Whether commands are sent; false until the first probe."""
        self.reason = "Redis has not been asked yet"
        """Why Redis is away, or was when it last was, for people."""
        self._client = make_client(settings, password, sentinel_password)
        self._deadline = settings.deadline
        self._probe_command: Command = ("SET", keys.probe, "1", "GET", "EX", _PROBE_EXPIRES)
        self._probed = False  # a probe of ours has been written
        self._emptied = False
        self._interval = interval
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[AbstractConnection] = []
        self._tripped = asyncio.Event()

    # -- asking ------------------------------------------------------------------------------

    async def ask(self, *commands: Command) -> list[Any]:
        """Send `commands` in one round trip; their answers. StoreDown if any of them fails.

        They must be on keys that are wholly ours: one of a wrong type is set aside, and asked for again.
        """
        answers = await self.ask_each(*commands)
        wrong = [index for index, answer in enumerate(answers) if wrong_type(answer)]
        if wrong:
            for key in {str(commands[index][1]) for index in wrong}:
                await self.set_aside(key)
            again = await self.ask_each(*(commands[index] for index in wrong))
            for index, answer in zip(wrong, again, strict=True):
                answers[index] = answer
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise StoreDown(explain(answer, self._deadline))
        return answers

    async def ask_each(self, *commands: Command) -> list[Any]:
        """The same, but an error that concerns one command only is returned in its answer's place."""
        if not self.up:
            raise StoreDown(self.reason)
        try:
            async with asyncio.timeout(self._deadline), self._slots:
                if not self.up:  # lost while we waited for a slot
                    raise StoreDown(self.reason)
                answers = await self._exchange(commands)
        except (RedisError, OSError) as error:
            reason = explain(error, self._deadline)
            self._trip(reason)
            raise StoreDown(reason) from error
        self._look_for_faults(answers)
        return answers

    def _look_for_faults(self, answers: list[Any]) -> None:
        """StoreDown if one of the answers says that the server itself is not as it should be."""
        for answer in answers:
            if isinstance(answer, ResponseError) and of_the_server(answer):
                reason = explain(answer, self._deadline)
                self._trip(reason)
                raise StoreDown(reason)

    async def set_aside(self, key: str) -> None:
        """Move a key that is not what it must be out of the way, for people to look at. StoreDown."""
        aside = f"{key}:set-aside"
        log.error("redis_key_set_aside", key=key, now=aside)
        await self.ask_each(("RENAME", key, aside), ("EXPIRE", aside, _SET_ASIDE_EXPIRES))

    async def _exchange(self, commands: tuple[Command, ...]) -> list[Any]:
        """All in one write. Not by the client's pipeline, nor by its pool at every turn: each works longer for it
        than Redis does."""
        connection = await self._connection()
        try:
            packed = b"".join(_packed(*command) for command in commands)
            await connection.send_packed_command(packed, check_health=False)
            answers = [await self._answer(connection, str(command[0])) for command in commands]
        except BaseException:
            await self._give_up(connection)
            raise
        self._idle.append(connection)
        return answers

    async def _give_up(self, connection: AbstractConnection) -> None:
        """Close it, for what is still to come on it answers nobody; and the idle ones, which may be as dead, or go to
        a master that is none any more, without a sign of it."""
        dead, self._idle = [connection, *self._idle], []
        for each in dead:
            await each.disconnect(nowait=True)
            await self._client.connection_pool.release(each)

    async def _connection(self) -> AbstractConnection:
        """The one that was used last; from the pool, which connects, if that has been closed or there is none."""
        pool = self._client.connection_pool
        while self._idle:
            connection = self._idle.pop()
            if await _usable(connection):
                return connection
            await pool.release(connection)
        return await pool.get_connection()  # type: ignore[no-untyped-call,no-any-return]

    async def _answer(self, connection: AbstractConnection, name: str) -> Any:
        try:
            answer = await connection.read_response()
        except ResponseError as error:
            return error
        callback = self._client.response_callbacks.get(name)
        return callback(answer) if callback is not None else answer

    # -- up and down -------------------------------------------------------------------------

    async def probe(self) -> bool:
        """Find out now whether Redis takes writes. Raises nothing."""
        try:
            async with asyncio.timeout(self._deadline):
                (answer,) = await self._exchange((self._probe_command,))
            if isinstance(answer, ResponseError):
                raise answer
            # What the last probe wrote has gone: so has everything else (FLUSHALL, a replica without our data).
            self._emptied |= self._probed and answer is None
            self._probed = True
        except (RedisError, OSError) as error:
            self._trip(explain(error, self._deadline))
        else:
            self._close_breaker()
        return self.up

    async def run(self, on_up: Callable[[], Awaitable[None]], on_down: Callable[[str], None]) -> None:
        """Probe for ever.

        `on_up` is awaited when Redis is there for the first time and whenever it is there again; `on_down`
        gets the reason. They come in turn, and both after every failure of Redis, however short: `on_up` is
        the place to write what could not be written. It comes once more, alone, when Redis has lost what was
        in it without having been away.
        """
        told_up = False
        while True:
            if self._tripped.is_set():
                self._tripped.clear()
                if told_up:
                    told_up = False
                    on_down(self.reason)
            came_up = await self.probe() and (not told_up or self._emptied)
            if came_up:
                if self._emptied:
                    log.error("redis_emptied")
                self._emptied = False
                told_up = True
                await self._tell_up(on_up)
            if told_up and not came_up:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._tripped.wait(), self._interval)
            else:
                # Also after coming up: what fails although the probe does not is not tried without a pause.
                await asyncio.sleep(self._interval)

    async def close(self) -> None:
        """Close all connections. No command may be sent afterwards."""
        self.up, self.reason = False, "the link to Redis is closed"
        self._idle.clear()
        with suppress(RedisError, OSError):  # nothing is lost with a connection that cannot be closed well
            async with asyncio.timeout(self._deadline):
                await self._client.aclose()

    async def _tell_up(self, on_up: Callable[[], Awaitable[None]]) -> None:
        try:
            await on_up()
        except StoreDown as error:
            log.warning("redis_lost_again", reason=str(error))
        except Exception:
            # A fault in what is done on return must not end the watch over Redis.
            log.exception("on_up_failed")

    def _trip(self, reason: str) -> None:
        if self.up or reason != self.reason:
            log.warning("redis_down", reason=reason)
        self.up, self.reason = False, reason
        # Not taken back when a probe succeeds meanwhile: what has failed must be written again.
        self._tripped.set()

    def _close_breaker(self) -> None:
        if not self.up:
            log.info("redis_up")
        self.up = True


def _packed(name: str | bytes | int | float, *arguments: str | bytes | int | float) -> bytes:
    """A command as it is sent; its name may be two words (`XINFO STREAM`)."""
    packed: bytes = pack_command((*str(name).split(), *arguments))  # type: ignore[arg-type]  # of any length
    return packed


async def _usable(connection: AbstractConnection) -> bool:
    """Whether it is open, and nothing has come that nobody asked for."""
    try:
        return connection.is_connected and not await connection.can_read()
    except RedisError:
        return False
