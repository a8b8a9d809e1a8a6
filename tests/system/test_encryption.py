"""SIP over TLS and SRTP where hotline.toml says so: on an Asterisk of its own, with such seats and lines."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from telephony.ami import verbs
from tests.lab import memory
from tests.lab.manager import as_controller
from tests.lab.paths import DebianRoot, hotline_file
from tests.lab.raw_sip import RawSip, sdp
from tests.lab.site import Site
from tests.lab.softphone import Softphones
from tests.lab.softphone_errors import RegistrationFailedError
from tests.lab.wire import Wire

HOST = "127.0.55.1"
SIP, TLS = f"{HOST}:5060", f"{HOST}:5061"
CARRIER = "127.0.111.55"
KEY = "1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
FAR_END = "127.0.119.55"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A hotline whose seats and line 119 are encrypted, without its controller."""
    state = Path(tempfile.mkdtemp(prefix="tls-"))
    text = hotline_file("110").read_text(encoding="utf-8").replace("127.0.110.1", HOST)
    text = text.replace(
        "[sip]\n", f'[sip]\ntls = "{TLS}"\nseat_media = "srtp"\nseat_net = ["127.0.0.0/24"]\n'
    )
    text = text.replace('seat = "1003"\n', 'seat = "1003"\nmedia = "rtp"\n')
    text = text.replace("127.0.119.1:5060", f"{FAR_END}:5061").replace(
        'label = "消防 119"\n', 'label = "消防 119"\ntransport = "tls"\nmedia = "srtp"\n'
    )
    config = state / "tls.toml"
    config.write_text(text, encoding="utf-8")
    site = Site("110", state / "s", DebianRoot.from_environment(), config=config)
    site.provision()
    site.asterisk.start()
    try:
        yield site
    finally:
        site.asterisk.stop()
        memory.remove(state)


@pytest.fixture
async def phones() -> AsyncIterator[Softphones]:
    async with Softphones() as phones:
        yield phones


def password(site: Site, seat: str) -> str:
    return str(json.loads((site.state / "secrets/seats.json").read_text(encoding="utf-8"))[seat])


def handshake(site: Site, newest: ssl.TLSVersion, server: str = TLS) -> str:
    """The version of TLS that a peer gets that knows none after `newest`, trusting the hotline's certificate."""
    host, port = server.split(":")
    context = ssl.create_default_context(cafile=str(site.state / "secrets/tls.crt"))
    with warnings.catch_warnings(
        action="ignore", category=DeprecationWarning
    ):  # of old versions: that is the point
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return str(tls.version())


def test_asterisk_shows_its_certificate_and_speaks_no_old_tls(site: Site) -> None:
    assert handshake(site, ssl.TLSVersion.TLSv1_3) in ("TLSv1.2", "TLSv1.3")
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError):
            handshake(site, old)


async def test_seat_and_caller_talk_while_the_seats_sip_and_audio_are_encrypted(
    site: Site, phones: Softphones
) -> None:
    with Wire() as wire:
        seat = await phones.add(
            "seat", bind="127.0.0.55", tone=1130, user="1001", password=password(site, "1001"), registrar=TLS,
            port=5061, tls=site.state / "secrets",
        )  # fmt: skip
        await seat.registered()
        citizen = await phones.add("citizen", bind=CARRIER, tone=530)
        caller = await citizen.dial(f"sip:110@{SIP}", number="13800138000")
        ring = await seat.incoming(within=8)
        assert "RTP/SAVP" in ring.headers.body
        await ring.answer()
        await caller.answered()
        deadline = time.monotonic() + 5
        while not wire.received(CARRIER, caller.call_id).tones((1130,)):
            assert time.monotonic() < deadline, "the caller does not hear the seat"
            await asyncio.sleep(0.1)
        assert not [packet for packet in wire.sip() if "1001" in packet.message.first_line]
        await caller.hangup()
        await ring.ended()


async def test_call_of_a_seat_without_srtp_is_refused_where_it_is_required(site: Site) -> None:
    async with RawSip("127.0.0.57", SIP, "1001", password(site, "1001")) as phone:
        plain = await phone.ask("INVITE", f"sip:*43@{HOST}", body=sdp(phone.bind))
        assert plain.status == 488
    async with RawSip("127.0.0.57", SIP, "1003", password(site, "1003")) as phone:
        request = await phone.ask("INVITE", f"sip:*43@{HOST}", body=sdp(phone.bind))
        assert request.status == 200


async def test_seat_from_another_network_is_refused_with_its_right_password_too(
    site: Site, phones: Softphones
) -> None:
    phone = await phones.add(
        "far", bind="127.0.66.55", tone=530, user="1001", password=password(site, "1001"), registrar=SIP
    )
    with pytest.raises(RegistrationFailedError) as refused:
        await phone.registered()
    assert refused.value.status == 401  # like a stranger, who is to learn nothing
    security_log = site.state / "asterisk/log/security.log"
    async with asyncio.timeout(2.0):
        while "FailedACL" not in security_log.read_text(encoding="utf-8"):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.05)


async def test_line_is_called_over_tls_with_srtp(site: Site, phones: Softphones) -> None:
    (target,) = re.findall(r"LINE_119=(\S+)", site.asterisk_cli("dialplan show globals"))
    assert target == f"PJSIP/line-119/sip:119@{FAR_END}:5061;transport=tls"
    unit = await phones.add("119", bind=FAR_END, tone=1790, port=5061, tls=site.state / "secrets")
    async with as_controller(site) as link:
        await verbs.originate(link, "tls-1", target, "join", 5, {})
        ring = await unit.incoming(within=8)
        await ring.reject()
    assert "RTP/SAVP" in ring.headers.body
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80" in ring.headers.body
    assert ring.headers.header("Route") is None


def test_seat_in_a_browser_is_encrypted_whatever_is_configured(site: Site) -> None:
    shown = site.asterisk_cli("pjsip show endpoint 1001-web")
    for setting in ("media_encryption                   : dtls", "webrtc                             : yes"):
        assert setting in shown
    assert handshake(site, ssl.TLSVersion.TLSv1_3, f"{HOST}:8089").startswith("TLSv1.")
