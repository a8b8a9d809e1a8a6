"""Where things are: this checkout, its state directories, and the Debian root with Asterisk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("TELEPHONY_LAB", CHECKOUT / ".lab"))
"""Where `make run` keeps its files; a test of it sets another place, so as not to meet a running lab."""
STATUS_FILE = LAB / "status.json"
SITES = ("110", "12345")


class LabError(Exception):
    """The lab cannot go on; the message says what happened and what to do."""


def hotline_file(site: str) -> Path:
    """The configuration of the hotline that `site` runs."""
    return CHECKOUT / "docker" / "hotlines" / f"{site}.toml"


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """An unpacked Debian system; its programs run through its own loader, without chroot."""

    path: Path

    @classmethod
    def from_environment(cls) -> DebianRoot:
        """The root that `docker/setup.sh` has made.

        Raises LabError outside `docker/setup.sh`, which sets TELEPHONY_ROOT.
        """
        path = os.environ.get("TELEPHONY_ROOT")
        if not path:
            raise LabError("TELEPHONY_ROOT is not set: start this with make, or docker/setup.sh COMMAND")
        return cls(Path(path))

    def argv(self, program: str, *arguments: str) -> list[str]:
        """The command that runs `program` (`usr/sbin/asterisk`) with `arguments`.

        Raises LabError when the root is missing.
        """
        loaders = sorted(self.path.glob("usr/lib*/ld-linux-*.so.*"))
        libraries = sorted(self.path.glob("usr/lib/*-linux-gnu*"))
        if not loaders or not libraries:
            raise LabError(f"there is no Debian root at {self.path}: `make run` installs it")
        return [str(loaders[0]), "--library-path", str(libraries[0]), str(self.path / program), *arguments]
