"""The takers' fingers: watches one hotline's feed and presses the keys that the plan has for each call."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import aiohttp

from tests.traffic.planned import PlannedCall, Press

RETRY = 0.2  # s


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key that was pressed: when (Unix seconds), how long the answer took, how much later than planned it
    was pressed (seconds), and what the answer was."""

    at: float
    number: str
    key: str
    took: float
    late: float
    status: int
    answer: Any


class Keys:
    """One hotline. `number_of` finds the number of a caller who withholds it, by the call's id.

    `raw` receives every event of the feed as one JSON line. `broken`: an error that a press has met and that is none
    of the hotline's answers.
    """

    def __init__(
        self,
        site: str,
        session: aiohttp.ClientSession,
        plan: Sequence[PlannedCall],
        number_of: Callable[[str], Awaitable[str]],
        raw: TextIO,
    ) -> None:
        self.site = site
        self._session = session
        self._presses = {
            call.number: call.presses if call.site == site else call.far_presses for call in plan
        }
        self._number_of = number_of
        self._raw = raw
        self._since = -1
        self._fingers: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self.pressed: list[Pressed] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.history: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        self.numbers: dict[str, str] = {}
        self.resumed = 0
        self.watching = asyncio.Event()
        self.broken: BaseException | None = None

    async def run(self) -> None:
        """For ever; a feed that is closed is resumed where it was."""
        while True:
            since = {} if self._since < 0 else {"since": str(self._since)}
            try:
                async with self._session.ws_connect("/v1/events", params=since, heartbeat=5.0) as feed:
                    async for message in feed:
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            break
                        await self._on(json.loads(message.data))
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._lost(error)
            self.resumed += 1
            await asyncio.sleep(RETRY)

    def _lost(self, error: Exception) -> None:
        print(f"    the feed of {self.site} was lost: {error}", flush=True)

    async def _on(self, event: dict[str, Any]) -> None:
        self._since = event["seq"]
        self.watching.set()
        if "data" not in event:
            return
        self._raw.write(json.dumps(event, ensure_ascii=False) + "\n")
        if event["type"] == "call":
            await self._call(event["at"], event["data"])

    async def _call(self, at: float, call: dict[str, Any]) -> None:
        call_id = call["id"]
        self.calls[call_id] = call
        self.history[call_id].append((at, _words(call)))
        if call["situation"] == "talking" and call_id not in self._seen:
            self._seen.add(call_id)
            number = call["caller"]["number"] or await self._number_of(call_id)
            self.numbers[call_id] = number
            for press in self._presses.get(number, ()):
                task = asyncio.create_task(self._press(at, call_id, number, call["seat"], press))
                self._fingers.add(task)
                task.add_done_callback(self._pressed)

    def _pressed(self, finger: asyncio.Task[None]) -> None:
        self._fingers.discard(finger)
        if not finger.cancelled() and finger.exception() is not None:
            self.broken = finger.exception()

    async def _press(self, began: float, call_id: str, number: str, seat: str, press: Press) -> None:
        due = began + press.at / 1000
        await asyncio.sleep(due - time.time())
        body = {"mode": press.mode} if press.mode else None
        at = time.time()
        async with self._session.post(f"/v1/seats/{seat}/keys/{press.key}", json=body) as response:
            answer = await response.json()
            self.pressed.append(
                Pressed(at, number, press.key, time.time() - at, at - due, response.status, answer)
            )


def _words(call: dict[str, Any]) -> str:
    """A line of the call's timeline."""
    legs = " ".join(f"{leg['role']}:{leg['party']}={leg['state']}" for leg in call["legs"])
    transfers = " ".join(f"{t['line']}={t['reason'] or t['state']}" for t in call["transfers"])
    return f"{call['situation']}: {legs}{f' | {transfers}' if transfers else ''}"
