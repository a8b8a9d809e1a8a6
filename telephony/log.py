"""Logging: one JSON line per event on standard error, with stable names and without callers' numbers.

Of a number its first three digits and its last two are left: with the time enough to find a call again, and not
enough to call anybody. `[log] numbers = "full"` in hotline.toml leaves them whole.
"""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from typing import Any, Protocol, TextIO, cast

import msgspec
import structlog

_PERSONAL = frozenset({"number", "caller", "caller_number"})


class Output(Protocol):
    """Where lines are written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


def configure(output: Output, *, full_numbers: bool = False) -> None:
    """Set up structlog for the whole process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if full_numbers else [redact]),
            structlog.processors.ExceptionRenderer(
                # Local variables may hold callers' numbers and tokens.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(_json),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, output)),
        cache_logger_on_first_use=True,
    )
    # asyncio and aiohttp tell what is wrong by `logging`, which would write to the disk in the event loop.
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        logger = structlog.get_logger("library")
        logger.log(level, "library", name=record.name, says=record.getMessage(), exc_info=record.exc_info)


def _json(line: object, **_: object) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except UnicodeEncodeError:  # Half a surrogate pair: JSON from outside may hold one.
        return json.dumps(line, default=str)


def redact(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave of a caller's number what tells two apart in a log, and no more."""
    for name in _PERSONAL & line.keys():
        value = str(line[name])
        line[name] = f"{value[:3]}***{value[-2:]}" if len(value) > 7 else "***"
    return line
