"""Redis and Asterisk of a site, real ones, brought up, broken and mended; the status they are told by."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import status
from tests.lab.paths import DebianRoot, LabError
from tests.lab.probes import address_free
from tests.lab.site import Site

HOST = "127.0.99.1"
ASTERISK_CONF = """\
[directories]
astetcdir => {base}/etc
astmoddir => {modules}
astvarlibdir => {base}
astdbdir => {base}
astkeydir => {base}
astdatadir => {base}
astagidir => {base}
astspooldir => {base}
astrundir => {base}
astlogdir => {base}
"""


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def write_hotline(path: Path) -> None:
    ports = {name: free_port() for name in ("sip", "ami", "agi", "api", "tls", "redis")}
    path.write_text(
        f"""
        [sip]
        bind = "{HOST}:{ports["sip"]}"
        carrier_net = ["127.0.98.0/24"]
        [ami]
        bind = "{HOST}:{ports["ami"]}"
        [agi]
        bind = "{HOST}:{ports["agi"]}"
        [api]
        bind = "{HOST}:{ports["api"]}"
        tls_bind = "{HOST}:{ports["tls"]}"
        [redis]
        url = "redis://{HOST}:{ports["redis"]}/0"
        [[seats]]
        seat = "1001"
        queue = "110"
        [[lines]]
        line = "12345"
        key = "F5"
        dtmf = "*1"
        label = "not for the status"
        """
    )


class SmallSite(Site):
    """A site whose Asterisk loads no module, so that it is up in no time."""

    def provision(self) -> None:
        base = self.asterisk_conf.parent
        (base / "etc").mkdir(parents=True, exist_ok=True)
        (base / "etc" / "modules.conf").write_text("[modules]\nautoload=no\n")
        (base / "etc" / "logger.conf").write_text("[logfiles]\nconsole => error\n")
        # Asterisk does not start without its documentation: it describes the core's own options.
        if not (base / "documentation").exists():
            (base / "documentation").symlink_to(self.root.path / "usr/share/asterisk/documentation")
        modules = next(self.root.path.glob("usr/lib/*/asterisk/modules"))
        self.asterisk_conf.write_text(ASTERISK_CONF.format(base=base, modules=modules))
        self.secrets.directory.mkdir(exist_ok=True)
        (self.secrets.directory / "redis").write_text("pass-word_1\n")
        (self.secrets.directory / "tokens.json").write_text('{"admin": "a"}')
        (self.secrets.directory / "seats.json").write_text('{"1001": "s"}')
        self._write_redis_conf()


@pytest.fixture
def site() -> Iterator[SmallSite]:
    # Not tmp_path: it is too long for Asterisk's socket.
    state = Path(tempfile.mkdtemp(prefix="site-"))
    write_hotline(state / "hotline.toml")
    site = SmallSite("110", state, DebianRoot.from_environment(), config=state / "hotline.toml")
    site.provision()
    yield site
    site.stop()
    shutil.rmtree(state)


def test_redis_comes_back_after_a_crash_with_what_it_knew(site: SmallSite) -> None:
    assert site.redis.ensure()
    address = site.hotline.redis
    with socket.create_connection((address.host, address.port)) as link:
        link.sendall(b"AUTH pass-word_1\r\nSET call 1\r\n")
        assert link.recv(100).startswith(b"+OK")
    site.redis.kill()
    assert site.redis.ensure()
    with socket.create_connection((address.host, address.port)) as link:
        link.sendall(b"AUTH pass-word_1\r\nGET call\r\nQUIT\r\n")
        assert b"$1\r\n1\r\n" in b"".join(iter(lambda: link.recv(100), b""))


def test_redis_with_another_password_is_not_ours(site: SmallSite) -> None:
    site.redis.ensure()
    (site.secrets.directory / "redis").write_text("other\n")
    assert "WRONGPASS" in str(site.redis.probe())


def test_asterisk_answers_on_its_console_and_has_no_channels(site: SmallSite) -> None:
    assert site.asterisk.ensure()
    assert "Asterisk 22." in site.asterisk_cli("core show version")
    assert site.channels() == []
    assert not site.asterisk.ensure()


def test_asterisk_is_started_anew_when_its_files_change(site: SmallSite) -> None:
    site.asterisk.ensure()
    pid = site.asterisk.pid
    (site.asterisk_conf.parent / "etc" / "extensions.conf").write_text("[default]\n")
    assert site.asterisk.ensure()
    assert site.asterisk.pid not in (pid, None)


def test_asterisk_comes_back_after_a_crash_that_left_its_socket(site: SmallSite) -> None:
    site.asterisk.ensure()
    site.asterisk.kill()
    assert (site.asterisk_conf.parent / "asterisk.ctl").exists()
    assert site.asterisk.ensure()


def test_asterisk_that_cannot_start_shows_its_own_words(site: SmallSite) -> None:
    site.asterisk_conf.unlink()
    with pytest.raises(LabError, match="Asterisk ended before it served"):
        site.asterisk.ensure()


def test_status_has_what_the_design_promises(site: SmallSite) -> None:
    site.asterisk.ensure()
    site.redis.ensure()
    line = site.hotline
    told = status.status([site])["sites"]["110"]
    assert told == {
        "api": f"http://{line.api}",
        "console": f"https://{line.api_tls}/",
        "tokens": {"admin": "a"},
        "sip": f"{HOST}:{line.sip.port}",
        "carrier_net": "127.0.98.0/24",
        "seats": [{"seat": "1001", "user": "1001", "password": "s", "queue": "110"}],
        "lines": [{"line": "12345", "key": "F5", "dtmf": "*1"}],
        "asterisk": {"pid": site.asterisk.pid, "version": told["asterisk"]["version"], "cli": site.cli},
        "controller": {"pid": None},
        "redis": f"redis://:pass-word_1@{HOST}:{line.redis.port}/0",
    }
    assert told["asterisk"]["version"].startswith("22.")


def test_status_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    status.write(file, "{}")
    status.write(file, "{ }")
    assert file.read_text() == "{ }"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_stranger_on_an_address_is_named_before_anything_starts(site: SmallSite) -> None:
    with (
        socket.create_server((HOST, site.hotline.ami.port)),
        pytest.raises(LabError, match=rf"{HOST}:{site.hotline.ami.port} \(stream\) is in use"),
    ):
        site.start()
    assert [service.pid for service in site.services] == [None, None, None]


def test_address_is_free_again_once_its_server_has_gone() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert address_free(HOST, port, socket.SOCK_STREAM) is not None
    assert address_free(HOST, port, socket.SOCK_STREAM) is None


def test_state_directory_too_deep_for_the_console_socket_is_refused(tmp_path: Path) -> None:
    write_hotline(tmp_path / "hotline.toml")
    deep = tmp_path / ("x" * 70)
    site = Site("110", deep, DebianRoot.from_environment(), config=tmp_path / "hotline.toml")
    with pytest.raises(LabError, match="too long a path"):
        site.provision()
