"""A hotline.toml: what is right is taken, and what is wrong is refused with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony import asterisk_files
from telephony.core.call import Mode
from telephony.errors import ConfigError
from telephony.sentinel_url import SentinelUrl
from telephony.settings import Settings, load
from tests.unit.hotline_toml import GOOD, changed, refusal, written

CHECKOUT = Path(__file__).resolve().parents[2]
HOTLINES = sorted((CHECKOUT / "docker/hotlines").glob("*.toml"))


@pytest.mark.parametrize("file", HOTLINES, ids=lambda file: file.name)
def test_the_hotlines_of_the_repository_are_right(file: Path) -> None:
    settings = load(file)
    assert settings.hotline == file.stem
    assert {seat.queue for seat in settings.seats} == {settings.hotline, "dedicated"}


def test_a_right_file_says_what_it_says(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert (settings.hotline, settings.label, settings.sip.address.port) == ("110", "公安 110", 5060)
    line = settings.line("119")
    assert line is not None
    assert (line.address, line.capacity, line.answer_timeout) == ("fire.example.org:5060", 30, 25.0)
    assert set(line.modes) == set(Mode)
    assert (line.trusted, settings.recording.enabled, settings.redis.deadline) == (True, True, 0.5)
    assert settings.line("120") is None
    assert settings.seat("1009") is not None
    assert settings.seat("1002") is None


class TestFile:
    """Files that are not a configuration at all."""

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
            load(tmp_path / "nowhere.toml")

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load(tmp_path)

    def test_a_huge_file_is_not_read_to_its_end(self) -> None:
        with pytest.raises(ConfigError, match="/dev/zero: has more than 1048576 bytes"):
            load(Path("/dev/zero"))

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (GOOD.encode() + b"# \xff\n", "utf-8"),
            (GOOD.encode("utf-16"), "utf-8"),
            (GOOD + "# \0\n", "character '\\x00'"),
            (GOOD + "# \r \n", "character '\\r'"),
            ("", "missing required field `hotline`"),
            ("hotline = 110", "Expected `str`, got `int` - at `$.hotline`"),
            ("{}", "line 1"),
            (changed('hotline = "110"', 'hotline = "110"\nhotline = "111"'), "overwrite"),
            ("hotline = " + "[" * 100_000, "lists in lists"),
            (changed('dtmf = "*2"', f'dtmf = "*2"\ncapacity = {"9" * 5000}'), "4300 digits"),
        ],
        ids=["half a character", "UTF-16", "NUL", "CR", "empty", "number", "JSON", "twice", "deep", "digits"],
    )
    def test_what_is_no_such_file_is_refused(self, tmp_path: Path, text: str | bytes, says: str) -> None:
        assert says in refusal(tmp_path, text)

    @given(st.lists(st.sampled_from(GOOD.splitlines()) | st.text(max_size=30), max_size=60))
    def test_lines_of_a_right_file_in_any_order_are_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, lines: list[str]
    ) -> None:
        file = written(tmp_path_factory.mktemp("lines"), "\n".join(lines).encode(errors="replace"))
        try:
            said = "" if load(file).seats else "no seats"
        except ConfigError as refused:
            said = str(refused)
        assert said == "" or said.startswith(f"{file}: ")

    @given(text=st.text(max_size=200) | st.binary(max_size=200))
    def test_no_file_at_all_brings_anything_but_a_sentence(
        self, text: str | bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        refusal(
            tmp_path_factory.mktemp("any"), text.encode(errors="replace") if isinstance(text, str) else text
        )


class TestNames:
    """A misspelt name would leave the default in force, and nobody would know."""

    @pytest.mark.parametrize(
        ("old", "new", "place"),
        [
            ('node = "110-a"', 'node = "110-a"\nnodes = 2', "nodes"),
            ('node = "110-a"', 'node = "110-a"\n[ari]\nbind = "x"', "ari"),
            ("[sip]", "[sip]\nprot = 1", "sip.prot"),
            ("[sip]", '[sip]\n"a\\nb" = 1', "sip.a\\nb"),
            ("[ami]", "[ami]\nport = 1", "ami.port"),
            ("[redis]", "[redis]\npassword = 'x'", "redis.password"),
            ("[redis]", "[recording]\nenable = true\n[redis]", "recording.enable"),
            ('seat = "1009"', 'seat = "1009"\nnumber = "1"', "seats[1].number"),
            ('dtmf = "*1"', 'dtmf = "*1"\nfoo = 1', "lines[0].foo"),
            ('dtmf = "*2"', 'dtmf = "*2"\nanswer_timout = 1', "lines[1].answer_timout"),
        ],
    )
    def test_an_unknown_name_is_refused_wherever_it_stands(
        self, tmp_path: Path, old: str, new: str, place: str
    ) -> None:
        assert refusal(tmp_path, changed(old, new)) == f"unknown name '{place}'"

    @pytest.mark.parametrize(
        ("old", "place"),
        [
            ('node = "110-a"\n', "`node`"),
            ("[agi]\n" + 'bind = "127.0.110.1:4573"\n', "`agi`"),
            ('carrier_net = ["127.0.111.0/24"]\n', "`carrier_net` - at `$.sip`"),
            ('queue = "dedicated"\n', "`queue` - at `$.seats[1]`"),
            ('dtmf = "*1"\n', "`dtmf` - at `$.lines[0]`"),
        ],
    )
    def test_a_missing_name_is_missed(self, tmp_path: Path, old: str, place: str) -> None:
        assert refusal(tmp_path, changed(old, "")) == f"Object missing required field {place}"


class TestTypes:
    @pytest.mark.parametrize(
        ("old", "new", "place"),
        [
            ('label = "公安 110"', "label = 110", "$.label"),
            ('number = "110"', "number = 110", "$.sip.number"),
            ('carrier_net = ["127.0.111.0/24"]', 'carrier_net = "127.0.111.0/24"', "$.sip.carrier_net"),
            ('carrier_net = ["127.0.111.0/24"]', "carrier_net = [127]", "$.sip.carrier_net[0]"),
            ("[sip]", '[sip]\nrtp_timeout = "30"', "$.sip.rtp_timeout"),
            ("[sip]", "[sip]\nrtp_timeout = 2.5", "$.sip.rtp_timeout"),
            ("[sip]", "[sip]\nrtp_ports = [10000]", "$.sip.rtp_ports"),
            ("[sip]", "[sip]\nrtp_ports = [10000, 10001, 10002]", "$.sip.rtp_ports"),
            ("[redis]", '[recording]\nenabled = "no"\n[redis]', "$.recording.enabled"),
            ("[redis]", "[recording]\nenabled = 0\n[redis]", "$.recording.enabled"),
            ('dtmf = "*1"', 'dtmf = "*1"\ncapacity = true', "$.lines[0].capacity"),
            ('dtmf = "*1"', 'dtmf = "*1"\nanswer_timeout = 07:32:00', "$.lines[0].answer_timeout"),
            ('dtmf = "*1"', 'dtmf = "*1"\ntrusted = "no"', "$.lines[0].trusted"),
            ('dtmf = "*1"', 'dtmf = "*1"\nmodes = "warm"', "$.lines[0].modes"),
            ('dtmf = "*1"', 'dtmf = "*1"\nmodes = ["hot"]', "$.lines[0].modes[0]"),
            ('dtmf = "*1"', 'dtmf = "*1"\nmodes = ["Warm"]', "$.lines[0].modes[0]"),
        ],
    )
    def test_a_value_of_another_type_is_refused_with_its_place(
        self, tmp_path: Path, old: str, new: str, place: str
    ) -> None:
        assert f"`{place}`" in refusal(tmp_path, changed(old, new))

    @pytest.mark.parametrize("table", ["seats", "lines"])
    def test_a_table_where_a_list_of_tables_is_meant(self, tmp_path: Path, table: str) -> None:
        text = GOOD[: GOOD.index("[[seats]]")] + "[seats]\n[lines]\n"
        text = text.replace(f"[{table}]\n", f"[{table}.x]\n")
        assert "Expected `array`, got `object`" in refusal(tmp_path, text)


class TestLimits:
    @pytest.mark.parametrize(
        ("setting", "says"),
        [
            ("capacity = 0", "lines.capacity must be 1 to 10000"),
            ("capacity = 10001", "lines.capacity must be 1 to 10000"),
            ("capacity = -1", "lines.capacity must be 1 to 10000"),
            ("capacity = 99999999999999999999999", "lines.capacity must be 1 to 10000"),
            ("answer_timeout = 0.9", "lines.answer_timeout must be 1 to 300 seconds"),
            ("answer_timeout = 300.5", "lines.answer_timeout must be 1 to 300 seconds"),
            ("answer_timeout = nan", "lines.answer_timeout must be 1 to 300 seconds"),
            ("answer_timeout = inf", "lines.answer_timeout must be 1 to 300 seconds"),
            ("modes = []", "lines.modes must name at least one mode"),
            ('modes = ["warm", "warm"]', "lines.modes: 'warm' is there twice"),
        ],
    )
    def test_a_lines_limits(self, tmp_path: Path, setting: str, says: str) -> None:
        assert refusal(tmp_path, changed('dtmf = "*2"', f'dtmf = "*2"\n{setting}')).startswith(says)

    @pytest.mark.parametrize("ports", ["[1000, 2000]", "[2000, 2000]", "[3000, 2000]", "[2000, 65536]"])
    def test_rtp_ports_are_a_range(self, tmp_path: Path, ports: str) -> None:
        message = refusal(tmp_path, changed("[sip]", f"[sip]\nrtp_ports = {ports}"))
        assert message.startswith("sip.rtp_ports must be two ports, low and high")

    @pytest.mark.parametrize("seconds", [0, -1, 3601])
    def test_a_leg_without_audio_is_lost_after_a_time_that_makes_sense(
        self, tmp_path: Path, seconds: int
    ) -> None:
        """0 would be never, for Asterisk, and a phone without power would hold its call for ever."""
        message = refusal(tmp_path, changed("[sip]", f"[sip]\nrtp_timeout = {seconds}"))
        assert message.startswith("sip.rtp_timeout must be 1 to 3600 seconds")

    @pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "inf"])
    def test_redis_has_a_deadline(self, tmp_path: Path, seconds: str) -> None:
        message = refusal(tmp_path, changed("[redis]", f"[redis]\ndeadline = {seconds}"))
        assert message.startswith("redis.deadline must be 0.01 to 60 seconds")

    @pytest.mark.parametrize(
        ("url", "found"),
        [
            ("redis://h/0", None),
            ("redis+sentinel://h:1/s", SentinelUrl((("h", 1),), "s", 0, tls=False)),
            (
                "rediss+sentinel://h:26379,127.0.0.2:2/hotline-110/3",
                SentinelUrl((("h", 26379), ("127.0.0.2", 2)), "hotline-110", 3, tls=True),
            ),
        ],
    )
    def test_redis_is_one_or_its_sentinels(self, tmp_path: Path, url: str, found: SentinelUrl | None) -> None:
        settings = load(written(tmp_path, changed("redis://127.0.110.1:6379/0", url)))
        assert SentinelUrl.parse(settings.redis.url) == found

    @pytest.mark.parametrize(
        "url",
        [
            *("", "127.0.0.1", "http://127.0.0.1/", "redis://", "redis://:secret@h/0"),
            *("redis+sentinel://h:1", "redis+sentinel://h/s", "redis+sentinel://h:1,/s"),
            *("redis+sentinel://:secret@h:1/s", "redis+sentinel://h:1/s/x", "redis+sentinel://h:x/s/0"),
        ],
    )
    def test_redis_has_an_address_and_no_password_in_it(self, tmp_path: Path, url: str) -> None:
        message = refusal(tmp_path, changed("redis://127.0.110.1:6379/0", url))
        assert message.startswith("redis.url: ")


GROUP = """
[[groups]]
group = "leak"
label = "燃气泄漏"
lines = ["12345", "119"]
key = "F9"
dtmf = "*5"
"""


class TestGroups:
    def test_a_group_is_several_lines_by_one_key(self, tmp_path: Path) -> None:
        settings = load(written(tmp_path, GOOD + GROUP))
        group = settings.group("leak")
        assert group is not None
        assert group.lines == ["12345", "119"]
        assert settings.group("12345") is None

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ('group = "leak"', 'group = "119"', "lines and groups: '119' is there twice"),
            ('group = "leak"', 'group = "leave"', "groups.group: 'leave' is a name of our own"),
            ('group = "leak"', 'group = "a]"', "groups.group: 'a]' does not match"),
            ('"119"]', '"122"]', "groups.lines: there is no line '122'"),
            ('"119"]', '"12345"]', "groups.lines: '12345' is there twice"),
            ('["12345", "119"]', "[]", "groups.lines must name at least one line"),
            ("燃气泄漏", "a\\nb", "groups.label: 'a\\nb' has control characters"),
            ("F9", "F5", "key: 'F5' is there twice"),
            ("*5", "*1", "dtmf: '*1' is there twice"),
            ("*5", "*22", "dtmf: '*22' can never be dialled, because '*2' begins it"),
            ("*5", "#5", "groups.dtmf: '#5' does not match"),
            ("group =", "mode = 1\ngroup =", "unknown name 'groups[0].mode'"),
        ],
    )
    def test_a_group_that_cannot_be_is_refused(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        assert GROUP.count(old) == 1
        assert refusal(tmp_path, GOOD + GROUP.replace(old, new)).startswith(says)


class TestTogether:
    """Values that are right by themselves and wrong beside others."""

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ('seat = "1009"', 'seat = "1001"', "seats.seat: '1001' is there twice"),
            ('line = "119"', 'line = "12345"', "lines.line: '12345' is there twice"),
            ('key = "F6"', 'key = "F5"', "key: 'F5' is there twice"),
            ('dtmf = "*2"', 'dtmf = "*1"', "dtmf: '*1' is there twice"),
            ('dtmf = "*2"', 'dtmf = "*12"', "dtmf: '*12' can never be dialled, because '*1' begins it"),
            ('seat = "1009"', 'seat = "119"', "seats.seat: '119' is the name of a line too"),
            (
                'queue = "dedicated"',
                'queue = "12345"',
                "seats.queue: '12345' is neither '110' nor 'dedicated'",
            ),
        ],
    )
    def test_two_that_would_meet_are_refused(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        assert refusal(tmp_path, changed(old, new)).startswith(says)

    def test_a_hotline_without_seats_is_refused(self, tmp_path: Path) -> None:
        seats = GOOD[GOOD.index("[[seats]]") : GOOD.index("[[lines]]")]
        text = changed(seats, "").replace('node = "110-a"', 'node = "110-a"\nseats = []')
        assert refusal(tmp_path, text) == "seats: at least one seat is needed"

    @pytest.mark.parametrize("key", ["cancel", "leave", "hold", "resume", "merge", "return"])
    def test_a_line_is_not_called_like_a_key(self, tmp_path: Path, key: str) -> None:
        message = refusal(tmp_path, changed('line = "119"', f'line = "{key}"'))
        assert message.startswith(f"lines.line: '{key}' is a name of our own")

    def test_a_seat_is_called_like_no_section_of_asterisks_files(self, tmp_path: Path) -> None:
        """It would become a second section of that name: a seat `carrier` would be the carrier."""
        settings = load(written(tmp_path, GOOD))
        seats = {seat.seat for seat in settings.seats}
        ours = set(_sections("pjsip.conf", settings)) - seats
        assert {"carrier", "line-119", "1001-web", "seat-aor"} <= ours
        for name in ours:
            assert "seats.seat" in refusal(tmp_path, changed('seat = "1009"', f'seat = "{name}"'))

    def test_a_hotline_is_called_like_no_other_queue(self, tmp_path: Path) -> None:
        settings = load(written(tmp_path, GOOD))
        ours = set(_sections("queues.conf", settings)) - {"110"}
        assert {"dedicated", "any", "general"} <= ours
        for name in ours:
            text = changed('hotline = "110"', f'hotline = "{name}"').replace(
                'queue = "110"', f'queue = "{name}"'
            )
            assert refusal(tmp_path, text).startswith(f"hotline: '{name}' is a name of our own")


def _sections(file: str, settings: Settings) -> list[str]:
    """The sections of one of Asterisk's files, as it stands in the repository and as we write it."""
    passwords = {seat.seat: "secret" for seat in settings.seats}
    text = (CHECKOUT / "asterisk-conf" / file).read_text()
    text += asterisk_files.generated(settings, "secret", passwords, {}, {}, Path("/dev/shm/x"))[file]
    return re.findall(r"^\[(.*?)\]", text, re.MULTILINE)


class TestEncryption:
    """SRTP's keys travel in SIP: never without TLS."""

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ('number = "110"\n', 'number = "110"\nseat_media = "srtp"\n', "sip.tls must say where"),
            ('seat = "1001"\n', 'seat = "1001"\nmedia = "srtp"\n', "sip.tls must say where"),
            ('dtmf = "*1"\n', 'dtmf = "*1"\ntransport = "tls"\n', "sip.tls must say where"),
            ('dtmf = "*1"\n', 'dtmf = "*1"\nmedia = "srtp"\n', 'srtp needs transport = "tls"'),
            ('number = "110"\n', 'number = "110"\ntls = "localhost:5061"\n', "IPv4"),
            ('number = "110"\n', 'number = "110"\nseat_net = ["0.0.0.0/0"]\n', "every address"),
            ('dtmf = "*1"\n', 'dtmf = "*1"\ntransport = "tcp"\n', "Invalid enum value"),
        ],
    )
    def test_what_would_not_be_safe_is_refused(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        assert says in refusal(tmp_path, changed(old, new))
