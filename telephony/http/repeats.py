"""Idempotency-Key: a POST that is sent twice is carried out once.

The answer is kept for some minutes, for each principal the last `most` keys. Who repeats a request
that is still under way waits for its answer. An answer that says "try again" is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from telephony.http.answers import Answer
from telephony.http.failures import HttpError
from telephony.tasks import end_all

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(slots=True)
class _Kept:
    request: bytes
    at: float
    task: asyncio.Task[Answer]

    @property
    def final(self) -> bool:
        """Whether the answer may be given again: neither lost nor "try again"."""
        if self.task.cancelled() or self.task.exception() is not None:
            return False
        status = self.task.result().status
        return status < 500 and status != 429


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """The same for requests that ask for the same."""
    return hashlib.sha256(f"{method}\0{path}\0".encode("utf-8", "surrogateescape") + body).digest()


def checked_key(values: list[str]) -> str | None:
    """The one key among the header's `values`, None without any; HttpError if it is no key."""
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise HttpError(400, "bad_idempotency_key", "Idempotency-Key must be one word of 1 to 128 characters")
    return values[0]


class Repeats:
    """`clock` in seconds; `seconds`: how long an answer is kept; `most`: keys of one principal."""

    def __init__(self, clock: Callable[[], float], seconds: float, most: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: dict[str, OrderedDict[str, _Kept]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    async def once(
        self, principal: str, key: str, request: bytes, run: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> tuple[Answer, bool]:
        """The answer of `run`, and whether it is an earlier one. HttpError (422): the key was another's."""
        kept = self._kept.setdefault(principal, OrderedDict())
        self._forget_old(kept)
        earlier = kept.get(key)
        if earlier is not None:
            if earlier.request != request:
                raise HttpError(
                    422, "idempotency_key_reused", "this Idempotency-Key came with another request before"
                )
            return await asyncio.shield(earlier.task), True
        entry = _Kept(request, self._clock(), asyncio.create_task(run(), name="http repeatable"))
        kept[key] = entry
        entry.task.add_done_callback(lambda _: _forget_failed(kept, key, entry))
        return await asyncio.shield(entry.task), False

    def _forget_old(self, kept: OrderedDict[str, _Kept]) -> None:
        now = self._clock()
        for key, entry in list(kept.items()):
            if not entry.task.done():
                continue
            if now - entry.at < self._seconds and len(kept) < self._most:
                break
            del kept[key]

    async def close(self) -> None:
        """Give up what is under way."""
        await end_all(entry.task for kept in self._kept.values() for entry in kept.values())
        self._kept.clear()


def _forget_failed(kept: OrderedDict[str, _Kept], key: str, entry: _Kept) -> None:
    if not entry.final and kept.get(key) is entry:
        del kept[key]
