"""FastAGI through a real socket: mutated environments and answers, in pieces, half and late."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from telephony.agi import AgiServer, AgiSession
from telephony.agi.errors import AgiError
from tests.adapters.agi.peer import ENVIRONMENT, HOST, VARIABLES
from tests.adapters.waiting import until
from tests.fuzz.door import Door, Loop
from tests.fuzz.text import change_lines, in_pieces, nasty_bytes, spoil

LIMIT = 0.03  # s; of a greeting and of a command, short so that silence can be played
LATE = (0.0,) * 16 + (0.005, 0.04)
ENV_BYTES = 16_384

_ANSWERS = (
    *(b"200 result=1 (", b"200 result=0\n", b"200 result=-1\n", b"510 Invalid or unknown command\n"),
    *(b"511 Command Not Permitted on a dead channel\n", b"520-Usage\n", b"520 End of proper usage.\n"),
    *(b"HANGUP\n", b"\n", b"200 result=1 (a)\n", b"200 result=\n", b"99999\n", b"200 result=1 " * 2000),
)


@dataclass(frozen=True)
class Peer:
    """Who connects: what it sends as the environment, what it puts before, for or behind each answer, and its end."""

    environment: list[bytes]
    answers: list[tuple[bytes, bool, bytes]]
    pauses: list[float]
    end: str


@st.composite
def environments(draw: st.DrawFn) -> bytes:
    lines = change_lines(draw, ENVIRONMENT.rstrip("\n").split("\n"))
    whole = ("\n".join(lines) + "\n\n").encode(errors="replace")
    return spoil(draw, whole) if draw(st.booleans()) else whole


around = (
    st.just(b"") | st.sampled_from(range(len(_ANSWERS))).map(lambda number: _ANSWERS[number]) | nasty_bytes
)
answers = st.tuples(around, st.sampled_from((True, True, True, False)), around)
peers = st.builds(
    Peer,
    in_pieces(environments(), 4),
    st.lists(answers, max_size=5),
    st.lists(st.sampled_from(LATE), min_size=4, max_size=4),
    st.sampled_from(("eof", "eof", "abort", "abort", "abort", "hangup", "wait")),
)


def _answer(asked: bytes) -> bytes:
    found = re.fullmatch(rb'GET FULL VARIABLE "(.*)"\n', asked)
    if found is None:
        return b"200 result=1\n"
    value = re.sub(r"\$\{([^}]*)\}", lambda name: VARIABLES.get(name[1], ""), found[1].decode())
    return f"200 result=1 ({value})\n".encode()


async def _play(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for piece, pause in zip(peer.environment, peer.pauses * 2, strict=False):
        writer.write(piece)
        await asyncio.sleep(pause)
    for before, right, behind in peer.answers:
        asked = await reader.readline()
        if not asked:
            return
        writer.write(before + (_answer(asked) if right else b"") + behind)
        await writer.drain()
    if peer.end == "eof":
        writer.write_eof()
    if peer.end == "hangup":
        writer.write(b"HANGUP\n")
    if peer.end in ("eof", "hangup", "wait"):
        await reader.read()  # until the server ends it, in its own time


async def _handler(session: AgiSession) -> None:
    """What our scripts do: ask, set, tell, wait for a decision."""
    try:
        await session.get_variables("TEL_NUMBER", "CALLERID(pres)", "TEL_PARTY")
        await session.set_variable("TEL_CASE", session.request.uniqueid[:100].translate(_PLAIN))
        await session.verbose("asked")
        await session.unless_hung_up(asyncio.sleep(0.002))
    except AgiError:
        return


_PLAIN = dict.fromkeys((*range(32), 127), "?")


async def _give(server: AgiServer, peer: Peer) -> None:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    try:
        with suppress(OSError):  # the server may end it at any point
            await _play(peer, reader, writer)
    finally:
        writer.transport.abort()
    await until(lambda: server.sessions == 0)


@contextmanager
def agi(_: Path) -> Iterator[Door]:
    """AgiServer with a handler that uses every command of a session."""
    with Loop() as loop:
        server = AgiServer(
            HOST,
            0,
            {"arrival": _handler},
            greeting_deadline=LIMIT,
            command_deadline=LIMIT,
            grace=LIMIT,
            max_env_bytes=ENV_BYTES,
        )
        loop.run(server.start())
        try:
            yield Door(peers, lambda peer: loop.run(_give(server, peer)))
        finally:
            loop.run(server.stop())
