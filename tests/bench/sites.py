"""What is measured: our hotline 110, and beside it a plain Asterisk that has nothing of ours but the machine.

The plain one has the same program, modules, codecs, endpoints and phones, and a dialplan of a few lines. It also
loads the bridges that relay (every Asterisk's default); ours mixes always (README, "Performance").
"""

from __future__ import annotations

import re
import wave
from collections.abc import Iterable
from pathlib import Path

from tests.bench.bare import BareAmi, BareHttp
from tests.lab.paths import DebianRoot, hotline_file
from tests.lab.site import Site

OURS, PLAIN = "127.0.110.1", "127.0.140.1"
CITIZENS = "127.0.111.9"
PARTNERS = "127.0.119.1"
SEATS = {OURS: "127.0.0.51", PLAIN: "127.0.0.52"}
LINE, LINE_NUMBER = "119", "119"
LINE_URI = f"PJSIP/line-{LINE}/sip:{LINE_NUMBER}@{PARTNERS}:5060"
RELAYING = ("bridge_simple", "bridge_native_rtp")
_SEATS = re.compile(r"(\[\[seats\]\]\n(?:.+\n)+\n?)+")

PLAIN_DIALPLAN = """
; Who calls 1001 talks to the seat 1001. 2001: recorded. 3001: in a ConfBridge from the start, recorded.
; 5001: the seat has Asterisk's own attended transfer. The phones are told the channels' names.
[general]
[from-carrier]
exten => _1XXX,1,Set(__CALLER=${CHANNEL})
 same => n,Dial(PJSIP/${EXTEN},30,b(seat^s^1))
exten => _2XXX,1,Set(__CALLER=${CHANNEL})
 same => n,MixMonitor(${UNIQUEID}.wav,b)
 same => n,Dial(PJSIP/1${EXTEN:1},30,b(seat^s^1))
exten => _3XXX,1,Set(__CALLER=${CHANNEL})
 same => n,Answer()
 same => n,MixMonitor(${UNIQUEID}.wav)
 same => n,Originate(PJSIP/1${EXTEN:1},exten,room,${UNIQUEID},1,30,a)
 same => n,ConfBridge(${UNIQUEID},room,member)
exten => _5XXX,1,Set(__CALLER=${CHANNEL})
 same => n,Set(__TRANSFER_CONTEXT=partner)
 same => n,Dial(PJSIP/1${EXTEN:1},30,tb(seat^s^1))
[seat]
exten => s,1,Set(PJSIP_HEADER(add,X-Caller)=${CALLER})
 same => n,Set(PJSIP_HEADER(add,X-Taker)=${CHANNEL})
 same => n,Return()
[partner]
exten => _1[12][90],1,Dial(PJSIP/line-${EXTEN}/sip:${EXTEN}@127.0.${EXTEN}.1:5060,30)
exten => 121,1,Dial(PJSIP/line-gas/sip:96833@127.0.121.1:5060,30)
[room]
exten => _p.,1,ConfBridge(${EXTEN},room,member)
[from-seat]
[from-line]
"""
PLAIN_FEATURES = "[general]\nfeaturedigittimeout = 1500\n[featuremap]\natxfer => *2\n"


class BenchSite(Site):
    """A site whose Asterisk also loads `modules`, and whose files below etc are replaced by `files`."""

    def __init__(
        self, name: str, state: Path, config: Path, modules: Iterable[str] = (), **files: str
    ) -> None:
        super().__init__(name, state, DebianRoot.from_environment(), config=config)
        self._modules = tuple(modules)
        self._files = files

    def provision(self) -> None:
        """As every site, and then what is the bench's own."""
        super().provision()
        etc = self.asterisk_conf.parent / "etc"
        text = (etc / "modules.conf").read_text(encoding="utf-8")
        loads = "".join(f"load = {name}.so\n" for name in self._modules)
        (etc / "modules.conf").write_text(text + loads, encoding="utf-8")
        for name, words in self._files.items():
            (etc / f"{name}.conf").write_text(words, encoding="utf-8")
        # Asterisk's attended transfer breaks off where it cannot say "transfer".
        with wave.open(str(etc.parent / "data" / "sounds" / "pbx-transfer.wav"), "wb") as prompt:
            prompt.setparams((1, 2, 8000, 0, "NONE", ""))
            prompt.writeframes(bytes(1600))

    def http(self) -> BareHttp:
        return BareHttp(self.hotline.api.host, self.hotline.api.port)

    def ami(self) -> BareAmi:
        secret = (self.state / "secrets" / "ami").read_text(encoding="utf-8").strip()
        return BareAmi(self.hotline.ami.host, self.hotline.ami.port, secret)


def make_ours(state: Path, seats: int, *, relaying: bool = False) -> BenchSite:
    """Hotline 110 with so many seats; `relaying`: phones that send no audio are not mixed either."""
    config = _configuration(state, "ours", OURS, seats)
    return BenchSite("110", state / "ours", config, RELAYING if relaying else ())


def make_plain(state: Path, seats: int) -> BenchSite:
    """The plain Asterisk; its controller and Redis are never started."""
    config = _configuration(state, "plain", PLAIN, seats)
    return BenchSite(
        "110",
        state / "plain",
        config,
        (*RELAYING, "app_confbridge"),
        extensions=PLAIN_DIALPLAN,
        features=PLAIN_FEATURES,
    )


def start_plain(site: BenchSite) -> None:
    site.provision()
    site.asterisk.ensure()


def _configuration(state: Path, name: str, address: str, seats: int) -> Path:
    text = hotline_file("110").read_text(encoding="utf-8")
    listed = "".join(f'[[seats]]\nseat = "{1001 + n}"\nqueue = "110"\n\n' for n in range(seats))
    listed += '[[seats]]\nseat = "9009"\nqueue = "dedicated"\n\n'
    text = _SEATS.sub(listed, text, count=1).replace('seats = ["1009"]', 'seats = ["9009"]')
    # Phones without audio stay, and a line takes as many calls as the bench makes.
    text = text.replace("[sip]\n", "[sip]\nrtp_timeout = 3600\n")
    text = re.sub(r"(answer_timeout = \d+)", r"\1\ncapacity = 2000", re.sub(r"capacity = \d+\n", "", text))
    if address != OURS:
        text = text.replace(OURS, address).replace("127.0.0.1:811", "127.0.0.1:814")
        text = text.replace('node = "110-a"', 'node = "plain"')
    config = state / f"{name}.toml"
    config.write_text(text, encoding="utf-8")
    return config
