"""The HTTP door: JSON over aiohttp, with tokens, a WebSocket feed, and its own description.

A request's way: `application` (access log, last resort for errors) -> `endpoint` (token, rate, body,
repeat) -> a handler in `calls`, `seats`, `lines`, `events` or `service` -> `answers`. `routes` is the one
list of what there is; the router and the OpenAPI document are both made from it.
"""

from __future__ import annotations

from telephony.http.application import make_app
from telephony.http.limits import Limits
from telephony.http.server import HttpServer, Tls

__all__ = ["HttpServer", "Limits", "Tls", "make_app"]
