"""Sockets that listen, or an error at once."""

from __future__ import annotations

import errno
import socket

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
