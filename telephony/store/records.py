"""A call as it is written to Redis: JSON with a version, checked in every detail when it is read."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from telephony.core.call import Call

VERSION = 1
"""Raise it when an older controller could not read a record; `decode` is where older ones are upgraded."""

LIMIT = 512 * 1024
"""Bytes; twice what the largest call has (`core.bounds`), and one of a hundred transfers has about 50 kB."""


class RecordError(Exception):
    """What was read is not a call that we wrote; the message says why."""


@dataclass(frozen=True, slots=True)
class _Head:
    version: int


@dataclass(frozen=True, slots=True)
class _Record:
    version: int
    call: Call


_head = msgspec.json.Decoder(_Head)
_record = msgspec.json.Decoder(_Record)


def encode(call: Call) -> bytes:
    """The record of `call`; RecordError if it could not be read again."""
    try:
        record = msgspec.json.encode(_Record(VERSION, call))
    except UnicodeEncodeError as error:  # half a surrogate pair, which JSON on its way in may hide
        raise RecordError("a text in it is no Unicode") from error
    if len(record) > LIMIT:
        raise RecordError(f"it has {len(record)} bytes, more than {LIMIT}")
    return record


def decode(record: bytes, call_id: str | None = None) -> Call:
    """The call in `record`, which must have the id `call_id` if that is given. RecordError."""
    if len(record) > LIMIT:
        raise RecordError(f"it has more than {LIMIT} bytes")
    try:
        version = _head.decode(record).version
        if version != VERSION:
            raise RecordError(f"it has version {version}, and we know {VERSION}")
        call = _record.decode(record).call
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(str(error)) from error
    if call_id is not None and call.id != call_id:
        raise RecordError("it is of another call")
    return call
