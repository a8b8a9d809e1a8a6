"""Sockets that listen, or an error at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection

from telephony.settings import Address

BACKLOG = 512


def listening_socket(host: str, port: int, *, elsewhere: bool = False) -> socket.socket:
    """A TCP socket that listens at `host` and `port` (0: a free one). Raises OSError when the address cannot be had.

    `elsewhere`: where the port is in use, take a free one of the same host instead.

    Not left to the event loop: two programs that start in the same moment can both bind an address (SO_REUSEADDR),
    and only `listen` tells them apart. uvloop (0.22) makes of that failure a server without a socket, deaf.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not elsewhere:
            raise
        return socket.create_server((host, 0), family=family, backlog=BACKLOG)


class Places:
    """Sockets that go on listening while who serves them is replaced: who comes meanwhile waits, and is not refused.

    A socket on a free port, taken since the port asked for was in use, is not kept.
    """

    def __init__(self) -> None:
        self._kept: dict[Address, socket.socket] = {}

    def listen(self, bind: Address, *, elsewhere: bool = False) -> socket.socket:
        """As `listening_socket`; the one that is kept for `bind`, if there is one. It is the asker's to close."""
        place = self._kept.pop(bind, None) or listening_socket(bind.host, bind.port, elsewhere=elsewhere)
        if place.getsockname()[1] == bind.port:
            self._kept[bind] = place.dup()
        return place

    def keep_only(self, served: Collection[Address] = ()) -> None:
        """Close what nobody serves: whoever waits there would wait for ever."""
        for bind in set(self._kept) - set(served):
            self._kept.pop(bind).close()
