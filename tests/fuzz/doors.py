"""Every door, by the name that `make fuzz` gives it."""

from __future__ import annotations

from tests.fuzz.agi import agi
from tests.fuzz.ami import ami
from tests.fuzz.cli import cli
from tests.fuzz.core import core
from tests.fuzz.door import Opener
from tests.fuzz.http import http
from tests.fuzz.redis import redis
from tests.fuzz.sip import sip
from tests.fuzz.toml import toml
from tests.fuzz.ws import ws

DOORS: dict[str, Opener] = {
    "core": core,
    "ami": ami,
    "agi": agi,
    "http": http,
    "events": ws,
    "cli": cli,
    "redis": redis,
    "hotline.toml": toml,
    "sip": sip,
}
