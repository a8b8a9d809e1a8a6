"""Does it serve yet? Each probe answers None for yes, or says why not."""

from __future__ import annotations

import errno
import http.client
import socket
import subprocess
from collections.abc import Sequence

TIMEOUT = 2.0  # seconds, of one question


def redis(host: str, port: int, password: str) -> str | None:
    """PING, as inline commands (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    try:
        with socket.create_connection((host, port), TIMEOUT) as link:
            link.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
            answer = b"".join(iter(lambda: link.recv(4096), b"")).decode()
    except OSError as error:
        return f"Redis at {host}:{port}: {error}"
    return None if "+PONG" in answer else f"Redis at {host}:{port} answers {answer.splitlines()}"


def asterisk(cli: Sequence[str]) -> str | None:
    """Whether every module is loaded; `cli` is the argv to which a command is added."""
    try:
        answer = cli_output(cli, "core waitfullybooted")
    except (OSError, subprocess.SubprocessError) as error:
        return f"Asterisk: {error}"
    return None if "fully booted" in answer else f"Asterisk answers {answer.strip()!r}"


def http_ready(host: str, port: int) -> str | None:
    """GET /health/ready."""
    return _http(host, port, "/health/ready")


def http_live(host: str, port: int) -> str | None:
    """GET /health/live."""
    return _http(host, port, "/health/live")


def _http(host: str, port: int, path: str) -> str | None:
    link = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        link.request("GET", path)
        response = link.getresponse()
        body = response.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"controller at {host}:{port}: {error}"
    finally:
        link.close()
    return None if response.status == 200 else f"controller is not ready ({response.status}): {body}"


def address_free(host: str, port: int, kind: socket.SocketKind) -> str | None:
    """Whether a server could listen there."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        try:
            server.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"{host}:{port}: {error.strerror}"
            return f"{host}:{port} ({kind.name.removeprefix('SOCK_').lower()}) is in use by another program"
    return None


def cli_output(cli: Sequence[str], command: str) -> str:
    """What Asterisk's console answers to `command`.

    Raises subprocess.SubprocessError when there is no Asterisk to ask, or it does not answer.
    """
    done = subprocess.run(
        [*cli, "-rx", command], capture_output=True, text=True, errors="replace", timeout=10, check=True
    )
    # The console says that on a machine without a network card (a namespace), whatever entityid is set to.
    lines = done.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("No ethernet interface found"))
