"""The FastAGI server under a real Asterisk, and what Asterisk does when the server is slow, frozen or gone.

Needs a Debian root with Asterisk (TELEPHONY_ROOT, made by docker/install.sh). The dialplan writes what it
sees into files, so that nothing which is proved here has passed through our own reading of it.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from telephony.agi import AgiHangup, AgiRequest, AgiServer, AgiSession, Handler, pyst
from tests.adapters.asterisk import Asterisk, installed
from tests.lab.paths import DebianRoot

HOST = "127.0.78.1"
SOON = 20.0  # seconds; the limit of every wait, reached only by a failure
MODULES = (
    *("pbx_config", "res_speech", "res_agi", "res_clioriginate", "app_stack", "app_exec", "bridge_simple"),
    *(
        "func_timeout",
        "func_channel",
        "func_callerid",
        "func_env",
        "func_uri",
        "func_strings",
        "func_logic",
        "func_math",
    ),
)

DIALPLAN = """
[general]
autofallthrough=yes

[ask]                    ; one question, without a limit
exten => _X!,1,Set(AGIEXITONHANGUP=yes)
 same => n,Set(CALLERID(num)=13800138000)
 same => n,AGI(agi://127.0.78.1:{port}/${{EXTEN:1}},a,b)
 same => n,Set(FILE({out}/status)=${{AGISTATUS}})
 same => n,Set(FILE({out}/value)=[${{PROOF}}])
 same => n,Set(FILE({out}/length)=${{LEN(${{PROOF}})}})
 same => n,Set(FILE({out}/name)=[${{CALLERID(name)}}])
 same => n,Set(FILE({out}/done)=yes)

[forged]                 ; a caller whose number and name hold line ends
exten => _X!,1,Set(CALLERID(num)=${{URIDECODE(1%0d%0aagi_uniqueid%3a forged%0aagi_arg_1%3a evil)}})
 same => n,Set(CALLERID(name)=${{URIDECODE(n%0a%0a200 result=1 %28forged%29)}})
 same => n,AGI(agi://127.0.78.1:{port}/${{EXTEN:1}},a,b)
 same => n,Set(FILE({out}/done)=${{AGISTATUS}})

[limited]                ; 0: the channel is not answered, 1: it is
exten => _X!,1,Set(AGIEXITONHANGUP=yes)
 same => n,Goto(unguarded,${{EXTEN}},1)
exten => T,1,Goto(unguarded,T,1)

[unguarded]              ; the same without AGIEXITONHANGUP
exten => _X!,1,ExecIf($[${{EXTEN:0:1}}]?Answer())
 same => n,Set(BEGUN=${{STRFTIME(,,%s%3q)}})
 same => n,Set(TIMEOUT(absolute)=1)
 same => n,AGI(agi://127.0.78.1:${{EXTEN:1}}/slow)
 same => n,Set(FILE({out}/next)=${{AGISTATUS}})
exten => T,1,Set(TIMEOUT(absolute)=0)
 same => n,Set(FILE({out}/T)=${{AGISTATUS}} ${{MATH(${{STRFTIME(,,%s%3q)}}-${{BEGUN}},int)}})
 same => n,Wait(1.5)
 same => n,Set(FILE({out}/alive)=${{CHANNEL(state)}})

[outer]
exten => _X!,1,Answer()
 same => n,Gosub(inner,s,1(${{EXTEN}}))
 same => n,Set(FILE({out}/returned)=${{GOSUB_RETVAL}} ${{AGISTATUS}})
 same => n,Wait(1.5)
 same => n,Set(FILE({out}/alive)=${{CHANNEL(state)}})
exten => T,1,Set(FILE({out}/outer-T)=yes)

[inner]
exten => s,1,Set(AGIEXITONHANGUP=yes)
 same => n,Set(TIMEOUT(absolute)=1)
 same => n,AGI(agi://127.0.78.1:${{ARG1:1}}/slow)
 same => n,Return(next)
exten => T,1,Set(TIMEOUT(absolute)=0)
 same => n,Return(T)
"""


class Dialplan:
    """An Asterisk that listens nowhere, and the files that its dialplan writes into `out`."""

    def __init__(self, root: DebianRoot, home: Path, agi_port: int) -> None:
        self.out = home / "out"
        extensions = DIALPLAN.format(port=agi_port, out=self.out)
        self.out.mkdir()
        self.asterisk = Asterisk(root, home, MODULES, {"extensions.conf": extensions}, "verbose=3\n")

    async def cli(self, command: str) -> str:
        return await self.asterisk.cli(command)

    async def call(self, place: str) -> None:
        """Send a channel to `place` (extension@context); the call before, and its files, are gone."""
        async with asyncio.timeout(SOON):
            while (await self.cli("core show channels concise")).strip():
                await self.cli("channel request hangup all")
        shutil.rmtree(self.out)
        self.out.mkdir()
        await self.cli(f"channel originate Local/{place}/n application Wait 20")

    async def wrote(self, name: str) -> str:
        """What the dialplan wrote into a file, without FILE()'s own line end; waits until it is there."""
        file = self.out / name
        async with asyncio.timeout(SOON):
            while not (file.exists() and file.stat().st_size):  # noqa: ASYNC110 -- another program writes it
                await asyncio.sleep(0.005)
        return file.read_text().removesuffix("\n")


@pytest.fixture(scope="module")
def debian_root() -> DebianRoot:
    root = installed()
    if root is None:
        pytest.skip(
            "NO ASTERISK: TELEPHONY_ROOT names no Debian root, FastAGI is not tested against the real one"
        )
    return root


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: Asterisk's control socket lies in it, and 107 bytes are all such a name may have."""
    with tempfile.TemporaryDirectory(prefix="agi") as name:
        yield Path(name)


class Desk:
    """The server; a test puts in the handler."""

    def __init__(self) -> None:
        self.handler: Handler = self._nobody
        self.requests: list[AgiRequest] = []
        self.server = AgiServer(HOST, 0, {"arrival": self._arrival, "slow": self._arrival})

    async def _nobody(self, session: AgiSession) -> None:
        pytest.fail("no handler")

    async def _arrival(self, session: AgiSession) -> None:
        self.requests.append(session.request)
        await self.handler(session)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.server.start()
    yield desk
    await desk.server.stop()


@pytest.fixture
async def asterisk(debian_root: DebianRoot, home: Path, desk: Desk) -> AsyncIterator[Dialplan]:
    dialplan = Dialplan(debian_root, home, desk.server.port)
    await dialplan.asterisk.start()
    try:
        await dialplan.asterisk.booted()
        yield dialplan
    finally:
        await dialplan.asterisk.stop()


@pytest.fixture
def frozen() -> Iterator[socket.socket]:
    """A server whose process is stopped: the kernel accepts for it, and nobody reads."""
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        yield listener


VALUES = [
    'say "hello", \\ and \\" too',
    "${SHELL(touch OUT/owned)}",
    "${EXTEN}$[1+1]",
    "来电人，接警员；转接",
    " a , b ; c | d & e ) ",
    "$(id) `id` '; id'",
    "hangup",
    "",
]


async def test_values_arrive_verbatim_and_nothing_in_them_is_run(asterisk: Dialplan, desk: Desk) -> None:
    for value in (value.replace("OUT", str(asterisk.out)) for value in VALUES):

        async def set_it(session: AgiSession, value: str = value) -> None:
            await session.set_variable("PROOF", value)
            await session.set_variable("CALLERID(name)", value[:20])
            assert await session.get_variable("PROOF") == (value or None)

        desk.handler = set_it
        await asterisk.call("1arrival@ask")
        assert await asterisk.wrote("status") == "SUCCESS"
        assert await asterisk.wrote("length") == str(len(value.encode()))
        assert await asterisk.wrote("done") == "yes"
        assert await asterisk.wrote("value") == f"[{value}]"
        assert await asterisk.wrote("name") == f"[{value[:20].lstrip()}]"  # func_callerid skips blanks
        assert not (asterisk.out / "owned").exists()


async def test_a_request_is_what_asterisk_sends(asterisk: Dialplan, desk: Desk) -> None:
    async def set_long(session: AgiSession) -> None:
        room = pyst.MAX_COMMAND - len('SET VARIABLE "PROOF" ""\n')
        await session.set_variable("PROOF", "x" * room)
        await session.verbose("a line of ours", 1)

    desk.handler = set_long
    await asterisk.call("1arrival@ask")
    assert await asterisk.wrote("length") == "2023"
    (request,) = desk.requests
    assert request.faults == ()
    assert (request.script, request.arguments) == ("arrival", ("a", "b"))
    assert (request.context, request.extension) == ("ask", "1arrival")
    assert request.channel.startswith("Local/1arrival@ask-")
    assert request.uniqueid == request.env["agi_uniqueid"]
    assert request.caller_number == "13800138000"


async def test_a_caller_with_line_ends_is_found_out(asterisk: Dialplan, desk: Desk) -> None:
    async def nothing(session: AgiSession) -> None:
        assert await session.get_variable("UNIQUEID") == session.request.uniqueid

    desk.handler = nothing
    await asterisk.call("1arrival@forged")
    assert await asterisk.wrote("done") == "SUCCESS"
    (request,) = desk.requests
    assert {"lines after the end", "agi_uniqueid twice", "agi_threadid missing"} <= set(request.faults)
    assert request.arguments == ()
    assert request.uniqueid != "forged"
    assert (request.context, request.extension) == ("forged", "1arrival")
    assert request.caller_number == "1\r\nagi_uniqueid: forged\nagi_arg_1: evil"


async def test_an_unknown_script_and_a_failed_handler_give_agistatus_failure(
    asterisk: Dialplan, desk: Desk
) -> None:
    await asterisk.call("1nonsense@ask")
    assert await asterisk.wrote("status") == "FAILURE"

    async def fail(_: AgiSession) -> None:
        raise RuntimeError

    desk.handler = fail
    await asterisk.call("1arrival@ask")
    assert await asterisk.wrote("status") == "FAILURE"


async def test_agistatus_is_failure_when_nothing_listens(asterisk: Dialplan, desk: Desk) -> None:
    await desk.server.stop()
    await asterisk.call("1arrival@ask")
    assert await asterisk.wrote("status") == "FAILURE"


async def left_after_the_limit(asterisk: Dialplan) -> None:
    """By Asterisk's own clock, in whole milliseconds: 999 to 1001 on an idle machine, more on a busy one."""
    status, milliseconds = (await asterisk.wrote("T")).split()
    assert status == "HANGUP"
    assert int(milliseconds) >= 998  # two stamps, each cut to a millisecond


async def _never(waiting: Callable[[], Awaitable[object]], result: asyncio.Future[object]) -> None:
    try:
        await waiting()
    except AgiHangup as gone:
        result.set_result(gone)
        raise


@pytest.mark.parametrize("context", ["limited", "unguarded"])
@pytest.mark.parametrize("answered", [0, 1])
async def test_a_slow_handler_is_left_after_the_limit_and_knows_it(
    asterisk: Dialplan, desk: Desk, context: str, answered: int
) -> None:
    result: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def slow(session: AgiSession) -> None:
        await _never(lambda: session.unless_hung_up(asyncio.Event().wait()), result)

    desk.handler = slow
    await asterisk.call(f"{answered}{desk.server.port}@{context}")
    await left_after_the_limit(asterisk)
    assert isinstance(await asyncio.wait_for(result, SOON), AgiHangup)
    assert await asterisk.wrote("alive") == ("Up" if answered else "Ring")


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_frozen_server_is_left_after_the_limit(
    asterisk: Dialplan, frozen: socket.socket, answered: int
) -> None:
    await asterisk.call(f"{answered}{frozen.getsockname()[1]}@limited")
    await left_after_the_limit(asterisk)
    assert await asterisk.wrote("alive") == ("Up" if answered else "Ring")


async def test_without_agiexitonhangup_a_frozen_server_holds_the_caller_until_it_closes(
    asterisk: Dialplan, frozen: socket.socket
) -> None:
    """Why the dialplan must set it: Asterisk says HANGUP after the limit, then waits without one."""
    await asterisk.call(f"1{frozen.getsockname()[1]}@unguarded")
    connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(frozen), SOON)
    reader, writer = await asyncio.open_connection(sock=connection)
    await asyncio.wait_for(reader.readuntil(b"HANGUP\n"), SOON)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asterisk.wrote("T"), 1.5)
    assert "AGI" in await asterisk.cli("core show channels concise")
    writer.close()
    await writer.wait_closed()
    await left_after_the_limit(asterisk)


async def test_in_a_gosub_the_limit_leads_to_the_subroutines_own_t_and_back(
    asterisk: Dialplan, frozen: socket.socket
) -> None:
    await asterisk.call(f"1{frozen.getsockname()[1]}@outer")
    assert await asterisk.wrote("returned") == "T HANGUP"
    assert await asterisk.wrote("alive") == "Up"
    assert not (asterisk.out / "outer-T").exists()
