"""Both hotlines for a run: the files of docker/hotlines/ with as many seats as the traffic needs."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.paths import SITES, DebianRoot, hotline_file
from tests.lab.site import Site
from tests.traffic import figures
from tests.traffic.planned import NO_ANSWER

HOLD = 6.0  # s; a taker's part in a call, with some to spare
FINISHED = 60.0  # s since a recording was written to
RING_LIMIT = 20  # s
FEWEST = 9  # seats; a joint room calls in 1009
DEDICATED = 10  # seats for calls over a line
_SEATS = re.compile(r"(\[\[seats\]\]\n(?:.+\n)+\n?)+")
_ANSWER_TIMEOUT = re.compile(r"answer_timeout = \d+")


def make_sites(state: Path, rate: float) -> dict[str, Site]:
    """Both hotlines, not yet started; all they write goes below `state`."""
    root = DebianRoot.from_environment()
    sites = {}
    for name in SITES:
        config = state / f"{name}.toml"
        config.write_text(_configuration(name, rate), encoding="utf-8")
        sites[name] = Site(name, state / name, root, config=config)
    return sites


def start(sites: dict[str, Site]) -> None:
    """Have both up; LabError when one does not come."""
    with ThreadPoolExecutor(len(sites)) as pool:
        list(pool.map(Site.start, sites.values()))


def drop_recordings(sites: dict[str, Site]) -> None:
    """Remove finished recordings, or a long run would fill the disk with the silence of phones that send no audio."""
    before = time.time() - FINISHED
    for site in sites.values():
        for recording in (site.state / "asterisk" / "spool" / "monitor").glob("*.wav"):
            if recording.stat().st_mtime < before:
                recording.unlink()


def _configuration(name: str, rate: float) -> str:
    text = hotline_file(name).read_text(encoding="utf-8")
    text, changed = _SEATS.subn(_seats(name, rate) + "\n", text, count=1)
    assert changed, f"no seats in {hotline_file(name)}"
    assert "[sip]\n" in text
    # A call whose own Asterisk was killed ends within the run.
    text = text.replace("[sip]\n", f"[sip]\nring_limit = {RING_LIMIT}\n")
    return _ANSWER_TIMEOUT.sub(f"answer_timeout = {NO_ANSWER}", text)


def _seats(name: str, rate: float) -> str:
    share = figures.AT_12345 if name == "12345" else 1 - figures.AT_12345
    own = max(FEWEST, round(rate * figures.PEAK * share * HOLD * 1.4))
    seats = [(f"{1001 + n}", name) for n in range(own)]
    seats += [(f"{9001 + n}", "dedicated") for n in range(DEDICATED)]
    return "\n".join(f'[[seats]]\nseat = "{seat}"\nqueue = "{queue}"\n' for seat, queue in seats)
