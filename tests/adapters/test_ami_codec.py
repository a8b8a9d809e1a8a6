"""Actions out, messages in: what Asterisk would misread is refused, what it writes is read."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from telephony.ami.action import MAX_LINE, MAX_LINES, encode
from telephony.ami.message import AmiMessage
from telephony.ami.protocol import AmiProtocol

NEWSTATE = (
    "Event: Newstate\r\nChannel: PJSIP/1001-00000001\r\nAccountCode: \r\nCallerIDName: 张三: 李\r\n"
    "Uniqueid: 1.2\r\nChanVariable: TEL_CALL=c1\r\nChanVariable: TEL_ROLE=partner"
)


class TestMessage:
    def test_headers_are_read_by_asterisk_s_names(self) -> None:
        message = AmiMessage.parse(NEWSTATE)
        assert message.event == "Newstate"
        assert message["Uniqueid"] == "1.2"
        assert message.get("CallerIDName") == "张三: 李"
        assert message.get("Cause") == ""

    def test_an_empty_value_is_not_a_missing_one(self) -> None:
        message = AmiMessage.parse(NEWSTATE)
        assert "AccountCode" in message
        assert "Cause" not in message

    def test_all_values_of_a_repeated_header_are_kept_in_order(self) -> None:
        message = AmiMessage.parse(NEWSTATE)
        assert message.all("ChanVariable") == ("TEL_CALL=c1", "TEL_ROLE=partner")
        assert message.all("Uniqueid") == ("1.2",)
        assert message.all("Cause") == ()

    def test_a_forged_second_header_shows_as_repeated_and_does_not_win(self) -> None:
        message = AmiMessage.parse(
            "Event: Newchannel\r\nChannel: a\r\nCallerIDNum: 1\r\nChannel: b\r\nUniqueid: 1.1"
        )
        assert message["Channel"] == "a"
        assert message.repeated == {"Channel"}

    def test_headers_that_asterisk_repeats_itself_do_not_count_as_repeated(self) -> None:
        names = ("ChanVariable", "DestChanVariable", "ChanVariable(Local/1@a-00000000;1)")
        lines = [f"{name}: {value}" for name in names for value in ("A=1", "B=2")]
        message = AmiMessage.parse("\r\n".join(["Event: X", *lines]))
        assert message.repeated == frozenset()
        assert message.all(names[2]) == ("A=1", "B=2")

    def test_a_bare_line_feed_in_a_value_begins_no_header(self) -> None:
        message = AmiMessage.parse("Event: Newchannel\r\nCallerIDNum: 1\nUniqueid: forged\r\nUniqueid: 1.1")
        assert message["Uniqueid"] == "1.1"
        assert message["CallerIDNum"] == "1\nUniqueid: forged"

    def test_lines_that_are_no_headers_are_left_out(self) -> None:
        assert list(AmiMessage.parse("Event: X\r\nnonsense\r\n\r\nA: 1\r\nnonsense")) == ["Event", "A"]

    def test_success_is_what_panoramisk_calls_success(self) -> None:
        assert AmiMessage.parse("Response: Success").success
        assert AmiMessage.parse("Response: Goodbye").success
        assert not AmiMessage.parse("Response: Error").success

    @given(
        st.dictionaries(
            st.from_regex(r"[A-Z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(lambda name: name != "Result"),
            st.lists(st.text(st.characters(exclude_characters="\r\n")), min_size=1, max_size=3),
        )
    )
    def test_panoramisk_s_message_reads_the_same(self, headers: dict[str, list[str]]) -> None:
        lines = [f"{name}: {value}" for name, values in headers.items() for value in values]
        text = "\r\n".join(["Event: Test", *lines])
        ours, theirs = AmiMessage.parse(text), Message.from_line(text)
        for name in ours:
            values = theirs[name] if isinstance(theirs[name], list) else [theirs[name]]
            # panoramisk folds upper and lower case: the last spelling of a name hides the others.
            if [other.lower() for other in ours].count(name.lower()) == 1:
                assert list(ours.all(name)) == values


class TestAction:
    async def test_an_action_is_written_with_all_values_in_order(self) -> None:
        written = encode("Originate", "id1", {"Variable": ["B=2", "A=张三"], "Async": "true"})
        assert written.decode().split("\r\n") == [
            "Action: Originate",
            "ActionID: id1",
            "Async: true",
            "Variable: B=2",
            "Variable: A=张三",
            "",
            "",
        ]

    @pytest.mark.parametrize("mark", ["\r\n", "\r", "\n", "\0"])
    async def test_defect_a_line_end_in_a_value_injects_no_second_action(self, mark: str) -> None:
        with pytest.raises(ValueError, match="line end or NUL in the value of Variable"):
            encode("Originate", "id1", {"Variable": ["A=1", f"B=2{mark}{mark}Action: Hangup"]})

    @pytest.mark.parametrize("name", ["A\r\nB", "A\n", "A:", "A b", "", "Ä", "Action", "actionid", "A\0"])
    async def test_a_name_that_is_no_header_name_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="not a header"):
            encode("Ping", "id1", {name: "1"})

    async def test_a_line_end_in_the_action_itself_is_refused(self) -> None:
        with pytest.raises(ValueError, match="line end"):
            encode("Ping\r\nX: 1", "id1", {})

    async def test_a_name_given_twice_in_different_case_is_refused(self) -> None:
        with pytest.raises(ValueError, match="given twice"):
            encode("Originate", "id1", {"Variable": "A=1", "VARIABLE": "B=1"})

    async def test_the_longest_line_passes_and_one_byte_more_is_refused(self) -> None:
        value = "张" * ((MAX_LINE - len("X: ")) // 3)
        value += "a" * (MAX_LINE - len("X: ") - len(value.encode()))
        assert f"X: {value}\r\n".encode() in encode("Ping", "id1", {"X": value})
        with pytest.raises(ValueError, match="1023 bytes"):
            encode("Ping", "id1", {"X": value + "a"})

    async def test_128_lines_pass_and_one_more_is_refused(self) -> None:
        most = ["A=1"] * (MAX_LINES - 2)
        assert encode("Originate", "id1", {"Variable": most}).count(b"\r\n") == MAX_LINES + 1
        with pytest.raises(ValueError, match="129 lines"):
            encode("Originate", "id1", {"Variable": [*most, "A=1"]})

    async def test_text_that_is_not_unicode_is_refused(self) -> None:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            encode("Ping", "id1", {"X": "\ud800"})


class FakeTransport(asyncio.Transport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def read(chunks: list[bytes], max_message: int = 1000) -> tuple[list[AmiMessage], AmiProtocol]:
    """What the protocol hands over when these chunks arrive."""

    async def feed() -> tuple[list[AmiMessage], AmiProtocol]:
        seen: list[AmiMessage] = []
        protocol = AmiProtocol(seen.append, max_message=max_message, max_unsent=1000)
        protocol.connection_made(FakeTransport())
        for chunk in chunks:
            protocol.data_received(chunk)
        return seen, protocol

    return asyncio.run(feed())


class TestFraming:
    WIRE = (
        "Asterisk Call Manager/11.0.0\r\nEvent: A\r\nName: 你好，世界\r\n\r\n\r\nEvent: B\r\nX: \r\r\n\r\n"
        "Response: Success\r\nActionID: nobody's\r\n\r\nstray\r\n\r\nEvent: C\r\n\r\n"
    ).encode()

    @given(st.lists(st.integers(1, len(WIRE) - 1), max_size=20))
    def test_defect_utf8_split_across_chunks_loses_nothing(self, cuts: list[int]) -> None:
        ends = [0, *sorted(cuts), len(self.WIRE)]
        chunks = [self.WIRE[a:b] for a, b in pairwise(ends)]
        seen, protocol = read(chunks)
        first = AmiMessage({"Event": "A", "Name": "你好，世界"})
        assert seen == [first, AmiMessage({"Event": "B", "X": "\r"}), AmiMessage({"Event": "C"})]
        assert protocol.version == "11.0.0"

    def test_bytes_that_are_no_utf8_are_replaced_and_spoil_nothing_else(self) -> None:
        seen, _ = read(
            [b"Asterisk Call Manager/1\r\nEvent: A\r\nName: \xe4\xbd\r\nX: 1\r\n\r\nEvent: B\r\n\r\n"]
        )
        assert seen == [AmiMessage({"Event": "A", "Name": "�", "X": "1"}), AmiMessage({"Event": "B"})]

    def test_a_message_over_the_limit_ends_the_connection_also_when_it_comes_whole(self) -> None:
        seen, protocol = read(
            [b"Asterisk Call Manager/1\r\nEvent: A\r\n\r\nEvent: B\r\nX: " + b"y" * 1000 + b"\r\n\r\n"]
        )
        assert seen == [AmiMessage({"Event": "A"})]
        assert protocol.reason == "a message of more than 1000 characters"

    def test_nothing_is_read_after_the_connection_was_dropped(self) -> None:
        seen, protocol = read([b"Asterisk Call Manager/1\r\n", b"y" * 2000, b"\r\n\r\nEvent: B\r\n\r\n"])
        assert (seen, protocol.reason) == ([], "a message of more than 1000 bytes")
