"""A hotline's HTTP interface as a program outside uses it."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import aiohttp


class Api:
    """`base` such as `http://127.0.0.1:8110`; `token` a Bearer token."""

    def __init__(self, base: str, token: str) -> None:
        self._session = aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {token}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """The answer's JSON; AssertionError with the answer if it is not 200."""
        status, answer = await self.request("GET", path)
        assert status == 200, f"GET {path}: {status} {answer}"
        return answer

    async def press(self, seat: str, key: str, **body: str) -> tuple[int, Any]:
        """Press a hotkey; status and answer."""
        return await self.request("POST", f"/v1/seats/{seat}/keys/{key}", body or None)

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._session.request(method, path, json=body) as response:
            return response.status, await response.json()

    async def transfer(self, call: str, transfer: str) -> Any:
        return await self.get(f"/v1/calls/{call}/transfers/{transfer}")

    async def transfer_in(self, call: str, transfer: str, state: str, *, within: float = 5.0) -> Any:
        """The transfer, once it is in `state`; AssertionError with what it was instead."""
        deadline = time.monotonic() + within
        while True:
            found = await self.transfer(call, transfer)
            if found["state"] == state:
                return found
            assert time.monotonic() < deadline, f"not {state} within {within} s: {found}"
            await asyncio.sleep(0.02)

    async def ready(self, within: float = 3.0) -> None:
        """Wait until the hotline says that it is."""
        deadline = time.monotonic() + within
        while (found := await self.request("GET", "/health/ready"))[0] != 200:
            assert time.monotonic() < deadline, f"not ready within {within} s: {found}"
            await asyncio.sleep(0.02)

    async def calls(self) -> list[Any]:
        """The live calls."""
        answer = await self.get("/v1/calls")
        return list(answer["calls"] if isinstance(answer, dict) else answer)

    async def no_calls(self, within: float = 3.0) -> None:
        """Wait until no call is live."""
        deadline = time.monotonic() + within
        while calls := await self.calls():
            assert time.monotonic() < deadline, f"still live after {within} s: {calls}"
            await asyncio.sleep(0.02)

    async def calls_waiting(self, count: int, within: float = 5.0) -> None:
        """Wait until so many calls are in the queue."""
        deadline = time.monotonic() + within
        while (waiting := sum(call["situation"] == "queued" for call in await self.calls())) != count:
            assert time.monotonic() < deadline, f"{waiting} calls wait, not {count}, after {within} s"
            await asyncio.sleep(0.05)

    async def call_with(self, *, situation: str, within: float = 5.0) -> Any:
        """The one live call, once it is in this situation."""
        deadline = time.monotonic() + within
        while True:
            calls = await self.calls()
            if len(calls) == 1 and calls[0]["situation"] == situation:
                return calls[0]
            assert time.monotonic() < deadline, f"no single call is {situation} within {within} s: {calls}"
            await asyncio.sleep(0.02)
