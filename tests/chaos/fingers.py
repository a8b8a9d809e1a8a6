"""The takers' fingers under chaos.

Who gets no answer presses again, with the same Idempotency-Key, as a console does.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.traffic.keys import RETRY, Keys, Pressed
from tests.traffic.planned import Press

ANSWER = 2.0  # s until a console takes it that no answer comes
PATIENCE = 40.0  # s; longer than any part is away
LATE = 0.5  # s; a taker who comes to it later than this looks first whether the call is still there
_TRY_LATER = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Push:
    """One intention. `status` is that of the last answer, 0 if there was none; `tries` how many times it was sent;
    `over`: the call was over, or the seat out of it, before there was an answer other than `later`."""

    at: float
    call: str
    number: str
    seat: str
    press: Press
    tries: int
    took: float
    status: int
    answer: Any
    over: bool

    @property
    def answered(self) -> bool:
        """It was taken, refused with a name, put off, or needed no answer any more."""
        if self.status == 0 or self.status == 500:
            return self.over and self.status == 0
        return self.status < 300 or bool(self.answer.get("error", {}).get("code"))

    @property
    def taken(self) -> bool:
        """That it was carried out cannot be excluded."""
        return self.tries > 1 or (self.tries == 1 and (self.status < 300 or self.status in _TRY_LATER))


class Fingers(Keys):
    """One hotline's takers. `pushes` are the intentions, `pressed` (of Keys) what came of each for the timelines."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pushes: list[Push] = []

    def _lost(self, error: Exception) -> None:
        """It is what the run is about."""

    async def _press(self, began: float, call_id: str, number: str, seat: str, press: Press) -> None:
        due = began + press.at / 1000
        await asyncio.sleep(due - time.time())
        at, key, tries, status, over = time.time(), secrets.token_hex(8), 0, 0, False
        answer: Any = {}
        while time.time() - at < PATIENCE:
            if tries or time.time() - due > LATE:
                there = await self._there(call_id, seat)
                if there is False:
                    over = True
                    break
                if there is None:
                    await asyncio.sleep(RETRY)
                    continue
            tries += 1
            status, answer = await self._send(seat, press, key)
            if status and status not in _TRY_LATER:
                break
            await asyncio.sleep(RETRY)
        took = time.time() - at
        self.pushes.append(Push(at, call_id, number, seat, press, tries, took, status, answer, over))
        if status:
            self.pressed.append(Pressed(at, number, press.key, took, at - due, status, answer))

    async def _send(self, seat: str, press: Press, key: str) -> tuple[int, Any]:
        """Status and answer; 0 if there is none."""
        body = {"mode": press.mode} if press.mode else None
        url, headers = f"/v1/seats/{seat}/keys/{press.key}", {"Idempotency-Key": key}
        try:
            async with (
                asyncio.timeout(ANSWER),
                self._session.post(url, json=body, headers=headers) as response,
            ):
                return response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, {}

    async def _there(self, call_id: str, seat: str) -> bool | None:
        """Whether the seat is still in the call; None if the hotline does not say."""
        try:
            async with asyncio.timeout(ANSWER), self._session.get(f"/v1/calls/{call_id}") as response:
                if response.status == 404:
                    return False
                if response.status != 200:
                    return None
                call = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return any(leg["party"] == seat and leg["state"] in ("talking", "waiting") for leg in call["legs"])
