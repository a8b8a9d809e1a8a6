"""What is computed from packets: losses, jumps and tones, on packets made to measure."""

from __future__ import annotations

import math
import random

import pytest

from tests.lab.audio import FLOOR, Audio, Frame, encode_alaw, sine
from tests.lab.rtp import RtpPacket, Stream
from tests.lab.sip import NotSipError, SipMessage

TONES = (530, 1130, 1790)


def packets(numbers: list[int], **changes: int) -> list[RtpPacket]:
    """One packet every 20 ms with these sequence numbers, and time stamps to match."""
    fields = {"ssrc": 1, "marker": 0, "skew": 0, **changes}
    return [
        RtpPacket(
            at=position * 0.02,
            source=("a", 2),
            destination=("b", 2),
            payload_type=8,
            marker=bool(fields["marker"]),
            sequence=number % 65536,
            timestamp=(number * 160 + fields["skew"]) % 2**32,
            ssrc=fields["ssrc"],
            payload=bytes(160),
        )
        for position, number in enumerate(numbers)
    ]


def counted(stream: Stream) -> tuple[int, int, int]:
    return stream.lost, stream.duplicates, len(stream.jumps)


class TestStream:
    """Lost packets, duplicates and jumps."""

    def test_numbers_that_wrap_around_lose_nothing(self) -> None:
        assert counted(Stream(packets(list(range(65530, 65545))))) == (0, 0, 0)

    def test_losses_across_the_wrap_are_counted(self) -> None:
        assert counted(Stream(packets([65533, 65534, 2, 3]))) == (3, 0, 0)

    def test_packets_in_another_order_are_not_lost(self) -> None:
        assert counted(Stream(packets([1, 3, 2, 4, 0]))) == (0, 0, 0)

    def test_a_repeated_packet_is_a_duplicate_and_hides_no_gap(self) -> None:
        stream = Stream(packets([1, 2, 2, 2, 3]))
        assert counted(stream) == (0, 2, 0)
        assert stream.largest_gap_ms == pytest.approx(60)

    def test_another_ssrc_is_a_jump_and_each_keeps_its_own_count(self) -> None:
        stream = Stream([*packets([1, 2, 4]), *packets([900, 901], ssrc=2)])
        assert counted(stream) == (1, 0, 1)

    def test_a_switch_with_marker_and_foreign_time_stamps_is_a_jump_not_a_loss(self) -> None:
        stream = Stream([*packets([1, 2]), *packets([7], marker=1, skew=5000), *packets([8, 9], skew=5000)])
        assert counted(stream) == (0, 0, 1)

    def test_a_marker_does_not_excuse_a_loss(self) -> None:
        assert counted(Stream([*packets([1, 2]), *packets([7], marker=1), *packets([8])])) == (4, 0, 0)

    def test_a_pause_in_the_time_stamps_alone_is_no_loss(self) -> None:
        assert counted(Stream([*packets([1, 2]), *packets([3], marker=1, skew=80000)])) == (0, 0, 0)

    def test_numbering_that_starts_anew_is_a_jump(self) -> None:
        assert counted(Stream(packets([1, 2, 30000, 30001]))) == (0, 0, 1)

    def test_no_packets_have_an_infinite_gap(self) -> None:
        assert math.inf == Stream([]).largest_gap_ms


def audio(samples: list[float], start: float = 0.0) -> Audio:
    coded = encode_alaw(samples)
    return Audio(Frame(start + at / 8000, 8, coded[at : at + 160]) for at in range(0, len(coded) - 159, 160))


class TestTones:
    """Which tones are heard, and when."""

    @pytest.mark.parametrize("present", [(530,), (1130, 1790), (530, 1130, 1790)])
    def test_exactly_the_tones_that_are_there_are_heard(self, present: tuple[int, ...]) -> None:
        assert set(present) == audio(sine(*present, seconds=1)).tones(TONES)

    def test_a_tone_is_heard_beneath_one_twice_as_loud(self) -> None:
        mixed = [a + b for a, b in zip(sine(530, seconds=1, level=4000), sine(1130, seconds=1), strict=True)]
        assert {530, 1130} == audio(mixed).tones(TONES)

    def test_silence_and_what_is_below_the_floor_have_no_tones(self) -> None:
        assert set() == audio([0.0] * 8000).tones(TONES)
        assert set() == audio(sine(530, seconds=1, level=FLOOR)).tones(TONES)

    def test_ring_back_is_no_tone_of_ours(self) -> None:
        assert set() == audio(sine(425, seconds=1) + [0.0] * 8000).tones(TONES)

    def test_music_with_notes_near_the_tones_is_not_taken_for_them(self) -> None:
        close = ((523.25, 659.26, 784.0), (1108.73, 1174.66), (1760.0, 1396.91), (523.25,))
        heard = audio([sample for notes in close * 3 for sample in sine(*notes, seconds=0.5)])
        assert [heard.heard(tone) for tone in TONES] == [[], [], []]

    def test_noise_has_no_tones(self) -> None:
        dice = random.Random(110)
        heard = audio([dice.gauss(0, 3000) for _ in range(24000)])
        assert [heard.heard(tone) for tone in TONES] == [[], [], []]

    def test_the_first_packet_with_a_tone_is_found_to_20_ms(self) -> None:
        before, joined = sine(1130, seconds=1.0), sine(1130, 530, seconds=1.0)
        heard = audio(before + joined, start=100.0)
        assert heard.heard(530)[0] == pytest.approx(101.0, abs=0.001)
        assert heard.heard(1130)[0] == pytest.approx(100.0)

    def test_a_tone_that_leaks_for_300_ms_is_not_missed(self) -> None:
        leak = sine(1130, seconds=1) + sine(1130, 530, seconds=0.3) + sine(1130, seconds=1)
        heard = audio(leak)
        assert {1130} == heard.tones(TONES)
        assert heard.heard(530)

    def test_frames_of_another_codec_are_left_out(self) -> None:
        assert set() == Audio([Frame(0.0, 9, bytes(160))] * 50).tones(TONES)


class TestSip:
    """Messages as they stand on the wire."""

    def test_compact_and_folded_headers_are_understood(self) -> None:
        headers = 'i: 77@b\r\nf: "A \\"B\\"" <sip:139@b>;tag=1\r\nX-Long: one\r\n two\r\n\r\n'
        message = SipMessage.parse("INVITE sip:110@a SIP/2.0\r\n" + headers)
        assert (
            message.method, message.status, message.call_id, message.header("x-long"),
        ) == ("INVITE", None, "77@b", "one two")  # fmt: skip
        assert (
            message.address("From").name, message.address("From").user, message.address("From").host,
        ) == ('A "B"', "139", "b")  # fmt: skip

    def test_the_audio_address_of_the_section_goes_before_the_sessions(self) -> None:
        head = "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nc=IN IP4 1.1.1.1\r\n"
        assert SipMessage.parse(head + "m=audio 4000 RTP/AVP 8\r\n").audio == ("1.1.1.1", 4000)
        own = head + "m=video 5 RTP/AVP 9\r\nm=audio 4000 RTP/AVP 8\r\nc=IN IP4 2.2.2.2\r\n"
        assert SipMessage.parse(own).audio == ("2.2.2.2", 4000)
        assert SipMessage.parse(head + "m=audio 0 RTP/AVP 8\r\n").audio is None
        assert SipMessage.parse(own).cseq_method == "INVITE"

    def test_other_bytes_are_not_sip(self) -> None:
        with pytest.raises(NotSipError):
            SipMessage.parse(b"\r\n\r\n")
