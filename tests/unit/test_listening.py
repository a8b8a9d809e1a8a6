"""A socket that listens, or an error at once."""

from __future__ import annotations

import errno
import socket

import pytest

from telephony.listening import Places, listening_socket
from telephony.settings import Address


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


@pytest.fixture
def free() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Address(*server.getsockname())


def test_who_comes_while_nobody_serves_is_served_by_the_next(free: Address) -> None:
    places = Places()
    places.listen(free).close()
    with socket.create_connection((free.host, free.port)) as early:
        early.sendall(b"is anybody there?")
        with places.listen(free) as place, place.accept()[0] as heard:
            assert heard.recv(100) == b"is anybody there?"
    places.keep_only()


def test_where_nobody_will_serve_nobody_waits(free: Address) -> None:
    places = Places()
    places.listen(free).close()
    places.keep_only([Address("127.0.0.1", free.port ^ 1)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((free.host, free.port))


def test_a_free_port_in_place_of_one_that_is_taken_is_not_kept(free: Address) -> None:
    places = Places()
    with listening_socket(free.host, free.port):
        with places.listen(free, elsewhere=True) as moved:
            other = moved.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(other)
        with pytest.raises(OSError, match="in use") as error:
            places.listen(free)
    assert error.value.errno == errno.EADDRINUSE
