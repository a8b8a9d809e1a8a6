"""The phones of a run, played by SIPp with the scenarios of tests/sipp/: one process per role.

What each does is in an injection file, drawn by `plan`; what each did is in its log, read by `phone_logs`.
SIPp's watchdog is off and its calls are not limited: a slow generator is late, it does not give up.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.paths import CHECKOUT, DebianRoot, LabError
from tests.lab.site import Site
from tests.lab.stage import CARRIER, FAR_END, SIP
from tests.traffic.planned import DEFAULT_TALK, FAR_HOTLINE, LAST_RESORT, Phone, PlannedCall

SCENARIOS = CHECKOUT / "tests" / "sipp"
SEATS = {"110": "127.0.0.40", "12345": "127.0.0.41"}
REGISTERING = 20.0  # s
ENDING = 5.0  # s
LIMIT = ("-timeout", "10", "-timeout_error")  # s; for a registrar that does not answer
# Nothing is wrong: how our scenarios look at the clock; OPTIONS that reach a phone which is only registering, or
# come twice.
_QUIET = re.compile("receive timeout on message|Discarding message which can't be mapped|Dead call .*OPTIONS")


@dataclass(slots=True)
class Sipp:
    """One SIPp process; its files are in `folder`."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    killed: bool = False

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def stop(self) -> None:
        """End it, in its own time if it takes no longer than ENDING."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End it as a power cut would: nobody is told, and nothing more is logged."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def complaints(self) -> list[str]:
        """What SIPp found wrong: unexpected messages, retransmissions given up."""
        errors = self.folder / "errors"
        if not errors.exists():
            return []
        with errors.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip() for line in lines if line[:2] == "20" and not _QUIET.search(line)]


class Phones:
    """All phones of a run; their files go below `folder`."""

    def __init__(self, folder: Path, sites: dict[str, Site]) -> None:
        self._folder = folder
        self._sites = sites
        self._root = DebianRoot.from_environment()
        self.started: list[Sipp] = []

    def start_staff(self, plan: Sequence[PlannedCall]) -> None:
        """Register every seat, and have all who are called ready to answer."""
        for site in SEATS:
            self.start_seats(site, plan)
        for line in FAR_END:
            self.start_unit(line, plan)

    def start_seats(
        self, site: str, plan: Sequence[PlannedCall], seats: Sequence[str] = (), address: str = ""
    ) -> None:
        """Register the seats of a site (all of them if not said otherwise), and answer their calls."""
        users = self._users(site, seats)
        address = address or SEATS[site]
        self._register(site, address, users)
        self._answer(f"seats-{site}", address, _seat_lines(site, plan), users, SIP[site])

    def start_unit(self, line: str, plan: Sequence[PlannedCall]) -> None:
        """Have the far end of the line to 119, 120 or gas ready to answer."""
        partners = [(call.number, call.partners[line]) for call in plan if line in call.partners]
        self._answer(line, FAR_END[line], partners)

    def unregister(self, site: str, seat: str, address: str) -> None:
        """Take back the seat's registration, from an address at which nobody answers calls. LabError."""
        self._register(site, address, self._users(site, [seat]), "unregister")

    def kill(self, name: str) -> None:
        """End all who play the role, as a power cut would."""
        for sipp in self.started:
            if sipp.name == name and not sipp.killed:
                sipp.kill()

    def start_citizens(self, plan: Sequence[PlannedCall]) -> list[Sipp]:
        """Let the calls begin, each at its time from now."""
        citizens = []
        for site in self._sites:
            calls = [call for call in plan if call.site == site]
            if calls:
                citizens.append(self._call(site, calls))
        return citizens

    def stop(self) -> None:
        """End them all; one that was killed may have left nothing behind."""
        for sipp in self.started:
            sipp.stop()

    def _register(self, site: str, address: str, users: Sequence[str], scenario: str = "register") -> None:
        count = ("-m", str(len(users)), "-r", "100", "-l", "1000")
        files = {"users.csv": users}
        sipp = self._sipp(f"register-{site}", f"{scenario}.xml", address, files, *count, *LIMIT, SIP[site])
        try:
            code = sipp.process.wait(REGISTERING)
        except subprocess.TimeoutExpired:
            sipp.kill()
            code = -1
        if code:
            raise LabError(f"the seats of {site} could not {scenario} ({code}): see {sipp.folder}")

    def _users(self, site: str, seats: Sequence[str] = ()) -> list[str]:
        passwords = self._sites[site].secrets.seats
        return [
            f"{seat};[authentication username={seat} password={word}]"
            for seat, word in passwords.items()
            if not seats or seat in seats
        ]

    def _answer(
        self,
        name: str,
        address: str,
        phones: Iterable[tuple[str, Phone]],
        users: Sequence[str] = (),
        registrar: str = "",
    ) -> None:
        unknown = _line("*", Phone(400, talk=DEFAULT_TALK))
        files = {
            "plan.csv": ["-;0;0;0;0", unknown, *(_line(*each) for each in phones)],
            "users.csv": ["-;-", *users],
        }
        index = [word for file in files for word in ("-infindex", file, "0")]
        self._sipp(name, "answer.xml", address, files, *index, "-auth_uri", registrar or "none")

    def _call(self, site: str, calls: Sequence[PlannedCall]) -> Sipp:
        lines = [
            f"{call.number};{'anonymous' if call.withheld else call.number};{'id' if call.withheld else 'none'};"
            f"{max(1, round(call.at * 1000))};{call.patience};{call.talk}"
            for call in calls
        ]
        # All calls are begun at once, and each waits for its own time.
        count = ("-m", str(len(lines)), "-r", "2000", "-l", str(len(lines)), "-s", site)
        files = {"plan.csv": lines}
        return self._sipp(f"citizens-{site}", "citizen.xml", f"{CARRIER[site]}.10", files, *count, SIP[site])

    def _sipp(
        self, name: str, scenario: str, address: str, files: Mapping[str, Sequence[str]], *more: str
    ) -> Sipp:
        times = sum(each.name == name for each in self.started)
        folder = self._folder / (f"{name}.{times + 1}" if times else name)
        folder.mkdir(parents=True, mode=0o700)
        for file, lines in files.items():
            text = "SEQUENTIAL\n" + "".join(f"{line}\n" for line in lines)
            (folder / file).write_text(text, encoding="utf-8")
        argv = self._root.argv(
            "usr/bin/sipp",
            *("-sf", str(SCENARIOS / scenario), *(word for file in files for word in ("-inf", file))),
            *("-i", address, "-p", "5060", "-bind_local", "-nostdin", "-watchdog_interval", "0"),
            *("-trace_logs", "-log_file", "log", "-trace_err", "-error_file", "errors"),
            *more,
        )
        with (folder / "screen").open("wb") as screen:
            process = subprocess.Popen(
                argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=subprocess.STDOUT
            )
        sipp = Sipp(name, folder, process)
        self.started.append(sipp)
        return sipp

    def all_alive(self) -> None:
        """LabError names those who are called and whose SIPp has ended."""
        lasting = (each for each in self.started if _lasting(each) and not each.killed)
        dead = [each.name for each in lasting if each.process.poll() is not None]
        if dead:
            raise LabError(f"SIPp has ended for {', '.join(dead)}: see {self._folder}")


def wait_for_seats(site: Site, seats: list[dict[str, str]], within: float = 10.0) -> None:
    """Until Asterisk reaches every seat's phone; LabError names those that it does not."""
    deadline = time.monotonic() + within
    while True:
        contacts = site.asterisk_cli("pjsip show contacts").splitlines()
        reached = {line.split()[1].partition("/")[0] for line in contacts if " Avail " in line}
        missing = [row["seat"] for row in seats if row["seat"] not in reached]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise LabError(f"seats of {site.name} that are not reached after {within} s: {' '.join(missing)}")
        time.sleep(0.2)


def _lasting(sipp: Sipp) -> bool:
    return not sipp.name.startswith(("register-", "citizens-"))


def _seat_lines(site: str, plan: Sequence[PlannedCall]) -> list[tuple[str, Phone]]:
    """The takers of the site's own callers, and the agents who are partners of the other site's."""
    lines = []
    for call in plan:
        if call.site == site:
            lines.append((call.number, call.taker))
        elif site in call.partners:
            lines.append((call.number, call.partners[FAR_HOTLINE[call.site]]))
    return lines


def _line(number: str, phone: Phone) -> str:
    talk = min(phone.talk, LAST_RESORT)
    return f"{number};{phone.code};{phone.ring};{talk};{phone.again}"
