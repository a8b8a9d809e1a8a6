"""The announcements and the music, made once on a machine and not once for every state directory.

To speak and to compose takes a second, and comes out the same each time. What is kept is only a start: provisioning
looks whether it is what the texts say now, and makes anew what is not.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.lab.paths import CHECKOUT, DebianRoot
from tests.lab.service import digest

MAKERS = [CHECKOUT / "telephony" / name for name in ("music.py", "sound.py", "speech.py")]
TEXTS = CHECKOUT / "dialplan" / "announcements.toml"
FOLDERS = ("sounds/zh/hotline", "moh")  # below Asterisk's data directory


class KeptSounds:
    """Beside `root`, whose espeak-ng speaks; other makers or texts have another place."""

    def __init__(self, root: DebianRoot) -> None:
        made_by = [path.read_text(encoding="utf-8") for path in (*MAKERS, TEXTS)]
        self.folder = root.path.with_name(f"sounds-{digest((), [root.path.name, *made_by])}")

    def lend(self, data: Path) -> None:
        """Put the sounds into a new data directory; one that has its own keeps them."""
        for name in FOLDERS:
            if (self.folder / name).exists() and not (data / name).exists():
                shutil.copytree(self.folder / name, data / name)

    def keep(self, data: Path) -> None:
        """Keep the sounds of `data`, if there are none yet. Who comes second at the same moment changes nothing."""
        if self.folder.exists():
            return
        made = Path(tempfile.mkdtemp(prefix="sounds-", suffix=".partial", dir=self.folder.parent))
        for name in FOLDERS:
            shutil.copytree(data / name, made / name)
        try:
            made.rename(self.folder)
        except OSError:  # not empty: another has been quicker
            shutil.rmtree(made)
