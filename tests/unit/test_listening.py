"""A socket that listens, or an error at once."""

from __future__ import annotations

import socket

import pytest

from telephony.listening import listening_socket


def test_it_listens_where_it_was_told_to() -> None:
    with (
        listening_socket("127.0.0.1", 0) as place,
        socket.create_connection(place.getsockname()[:2]) as client,
    ):
        assert client.getpeername() == place.getsockname()


def test_an_address_that_is_taken_is_an_error() -> None:
    with listening_socket("127.0.0.1", 0) as place, pytest.raises(OSError, match="in use"):
        listening_socket("127.0.0.1", place.getsockname()[1])


def test_defect_two_that_bind_in_the_same_moment_do_not_both_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", 0))
    really = socket.socket.bind

    def bind_and_the_other_listens(self: socket.socket, address: tuple[str, int]) -> None:
        really(self, address)
        other.listen()

    monkeypatch.setattr(socket.socket, "bind", bind_and_the_other_listens)
    with other, pytest.raises(OSError, match="in use"):
        listening_socket("127.0.0.1", other.getsockname()[1])
