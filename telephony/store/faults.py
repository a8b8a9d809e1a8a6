"""What Redis's errors mean: for people, and for the circuit breaker.

redis-py's own texts are not used where they may quote a command, because commands carry callers' numbers.
"""

from __future__ import annotations

import re

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

_CODE = re.compile(r"[A-Z]{2,}\b")
_OF_THE_SERVER = frozenset({"MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "DENIED", "CLUSTERDOWN"})


def explain(error: Exception, deadline: float) -> str:
    """`error` in a few words; `deadline` in seconds is what was allowed."""
    match error:
        case OutOfMemoryError():
            return "Redis is full (maxmemory)"
        case BusyLoadingError():
            return "Redis is still loading its data"
        case AuthenticationError() | NoPermissionError():
            return "Redis refuses our login, or what it may do"
        case ReadOnlyError():
            return "this Redis is a read-only replica"
        case TimeoutError() | RedisTimeoutError():
            return f"Redis did not answer within {deadline:g} s"
        case ResponseError():
            return f"Redis answers {_code(error) or 'with an error'}"
        case ConnectionError() | OSError():
            return f"no connection to Redis: {' '.join(str(error).split())[:200]}"
        case _:
            return f"Redis cannot be understood: {type(error).__name__}"


def of_the_server(error: ResponseError) -> bool:
    """Whether `error` would meet every other command too, not only the key that it is about."""
    known = isinstance(error, OutOfMemoryError | ReadOnlyError | NoPermissionError)
    return known or _code(error) in _OF_THE_SERVER


def wrong_type(answer: object) -> bool:
    """Whether `answer` says that the key is of another type than the command is for."""
    return isinstance(answer, ResponseError) and _code(answer) == "WRONGTYPE"


def _code(error: Exception) -> str:
    found = _CODE.match(str(error))
    return found[0] if found else ""
