"""A fail2ban filter as fail2ban reads it: whom a line of a log would have banned."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable
from pathlib import Path

# What fail2ban puts for <ADDR> (server/failregex.py), without its IPv6.
_ADDR = r"(?P<address>\d{1,3}(?:\.\d{1,3}){3})"


class Filter:
    """The filter in the file at `path`."""

    def __init__(self, path: Path) -> None:
        parser = configparser.ConfigParser()
        parser.read_string(path.read_text(encoding="utf-8"))
        self._regex = re.compile(parser["Definition"]["failregex"].replace("<ADDR>", _ADDR))

    def banned(self, lines: Iterable[str]) -> list[str]:
        """The addresses, one for each line that is a failure."""
        found = (self._regex.search(line) for line in lines)
        return [match["address"] for match in found if match]
