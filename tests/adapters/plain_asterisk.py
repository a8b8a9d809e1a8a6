"""A small Asterisk for the tests of the instruments: one seat that registers, and anybody may call it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.lab.paths import DebianRoot

ADDRESS = "127.0.77.1"
SEAT, PASSWORD = "1001", "correct horse"
NUMBER = "110"
START_S = 20.0

CONFIGURATION = {
    "asterisk.conf": """
[directories]
astetcdir => {state}
astmoddir => {modules}
astvarlibdir => {state}/lib
astdbdir => {state}
astkeydir => {state}
astdatadir => {root}/usr/share/asterisk
astagidir => {state}
astspooldir => {state}
astrundir => {state}
astlogdir => {state}
[options]
entityid = 02:00:00:00:00:77
""",
    "logger.conf": "[logfiles]\nmessages => notice,warning,error\n",
    "modules.conf": """
[modules]
autoload=no
load=res_sorcery_config.so
load=res_sorcery_memory.so
load=res_sorcery_astdb.so
load=res_pjproject.so
load=res_pjsip.so
load=res_pjsip_pubsub.so
load=res_pjsip_session.so
load=res_pjsip_sdp_rtp.so
load=res_pjsip_authenticator_digest.so
load=res_pjsip_outbound_authenticator_digest.so
load=res_pjsip_registrar.so
load=res_pjsip_endpoint_identifier_ip.so
load=res_pjsip_endpoint_identifier_user.so
load=res_pjsip_endpoint_identifier_anonymous.so
load=res_pjsip_caller_id.so
load=res_rtp_asterisk.so
load=chan_pjsip.so
load=codec_alaw.so
load=bridge_native_rtp.so
load=bridge_simple.so
load=pbx_config.so
load=app_dial.so
""",
    "rtp.conf": "[general]\nrtpstart=20000\nrtpend=20100\n",
    "pjsip.conf": """
[udp]
type=transport
protocol=udp
bind={address}:5060

[anonymous]
type=endpoint
context=callers
disallow=all
allow=alaw
direct_media=yes
media_address={address}
bind_rtp_to_media_address=yes

[{seat}]
type=endpoint
context=callers
disallow=all
allow=alaw
direct_media=yes
media_address={address}
bind_rtp_to_media_address=yes
auth={seat}
aors={seat}

[{seat}]
type=auth
auth_type=userpass
username={seat}
password={password}

[{seat}]
type=aor
max_contacts=1
remove_existing=yes
""",
    "extensions.conf": "[callers]\nexten => {number},1,Dial(PJSIP/{seat},30)\n",
}


@contextlib.asynccontextmanager
async def plain_asterisk(root: DebianRoot, state: Path) -> AsyncIterator[str]:
    """Run it with everything it writes under `state`; gives "ip:port". Raises RuntimeError with its log."""
    modules = next(root.path.glob("usr/lib/*-linux-gnu*/asterisk/modules"))
    (state / "lib").mkdir(parents=True)
    for name, text in CONFIGURATION.items():
        filled = text.format(
            root=root.path,
            state=state,
            modules=modules,
            address=ADDRESS,
            seat=SEAT,
            password=PASSWORD,
            number=NUMBER,
        )
        (state / name).write_text(filled)
    output = state / "console"
    with output.open("wb") as console:
        process = await asyncio.create_subprocess_exec(
            *root.argv("usr/sbin/asterisk", "-f", "-n", "-C", str(state / "asterisk.conf")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        await _booted(process, root, state)
        yield f"{ADDRESS}:5060"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _booted(process: asyncio.subprocess.Process, root: DebianRoot, state: Path) -> None:
    ask = root.argv("usr/sbin/asterisk", "-C", str(state / "asterisk.conf"), "-rx", "core waitfullybooted")
    seen = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                asking = await asyncio.create_subprocess_exec(
                    *ask, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
                )
                seen, _ = await asking.communicate()
                if b"fully booted" in seen:
                    return
                await asyncio.sleep(0.05)
    log = (state / "console").read_text() + seen.decode()
    raise RuntimeError(f"Asterisk did not come up within {START_S} s:\n{log}")
