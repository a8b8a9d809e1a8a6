"""A small Asterisk for the tests of the instruments: one seat that registers, and anybody may call it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.adapters.asterisk import Asterisk
from tests.lab.paths import DebianRoot

ADDRESS = "127.0.77.1"
SEAT, PASSWORD = "1001", "correct horse"
NUMBER = "110"

MODULES = (
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_pubsub",
    "res_pjsip_session",
    "res_pjsip_sdp_rtp",
    "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_registrar",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_endpoint_identifier_anonymous",
    "res_pjsip_caller_id",
    "res_rtp_asterisk",
    "chan_pjsip",
    "codec_alaw",
    "bridge_native_rtp",
    "bridge_simple",
    "pbx_config",
    "app_dial",
)
CONFIGURATION = {
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
async def plain_asterisk(root: DebianRoot, home: Path) -> AsyncIterator[str]:
    """Run it with everything it writes under `home`; gives "ip:port". Raises RuntimeError with its log."""
    values = {"address": ADDRESS, "seat": SEAT, "password": PASSWORD, "number": NUMBER}
    files = {name: text.format(**values) for name, text in CONFIGURATION.items()}
    asterisk = Asterisk(root, home, MODULES, files, "entityid=02:00:00:00:00:77\n")
    await asterisk.start()
    try:
        await asterisk.booted()
        yield f"{ADDRESS}:5060"
    finally:
        await asterisk.stop()
