"""The softphones and the wire, on real calls: an instrument that is wrong would make every test lie."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.adapters.plain_asterisk import NUMBER, PASSWORD, SEAT, plain_asterisk
from tests.lab.audio import encode_alaw, sine
from tests.lab.paths import DebianRoot, LabError
from tests.lab.rtp import HEADER, Stream
from tests.lab.softphone import Softphone, Softphones
from tests.lab.softphone_call import Call
from tests.lab.softphone_errors import (
    CallFailedError,
    NotSeenError,
    PhoneDiedError,
    PhoneError,
    RegistrationFailedError,
)
from tests.lab.stalls import Stalls
from tests.lab.wire import Wire, WireError, WireLostPacketsError, WireNotPermittedError

CALLER, SEAT_PHONE = "127.0.77.10", "127.0.77.31"
CLOCK_STEP = 0.002  # seconds that a busy kernel may take to pass a packet on
SENDER, RECEIVER = ("127.0.77.50", 30000), ("127.0.77.51", 30000)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with ExitStack() as stack:
        try:
            tap = stack.enter_context(Wire())
        except WireNotPermittedError as reason:
            pytest.skip(str(reason))
        yield tap


@pytest.fixture
def stalls() -> Iterator[Stalls]:
    with Stalls() as watchers:
        yield watchers


@pytest.fixture
async def phones(tmp_path: Path) -> AsyncIterator[Softphones]:
    async with Softphones(logs=tmp_path) as several:
        yield several


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[str]:
    try:
        root = DebianRoot.from_environment()
    except LabError as reason:
        pytest.skip(str(reason))
    async with plain_asterisk(root, tmp_path / "asterisk") as address:
        yield address


async def two(phones: Softphones, on_invite: int | None = None) -> tuple[Softphone, Softphone]:
    return (
        await phones.add("caller", bind=CALLER, tone=530),
        await phones.add("seat", bind=SEAT_PHONE, tone=1130, on_invite=on_invite),
    )


async def talking(caller: Softphone, seat: Softphone) -> tuple[Call, Call]:
    outgoing = await caller.dial(f"sip:{NUMBER}@{seat.bind}")
    incoming = await seat.incoming()
    await incoming.answer()
    await outgoing.answered()
    return outgoing, incoming


async def enough(wire: Wire, bind: str, call: Call, packets: int, since: float | None = None) -> Stream:
    """Wait until a phone has received so many packets since a moment: 50 are one second."""

    def stream() -> Stream | None:
        so_far = wire.received(bind, call.call_id).between(since)
        return so_far if len(so_far.packets) >= packets else None

    return await wire.until(stream, f"{packets} packets for {bind}", within=10)


class TestSoftphones:
    """Two phones without a PBX between them."""

    async def test_each_hears_the_other_and_not_itself(
        self, wire: Wire, phones: Softphones, stalls: Stalls
    ) -> None:
        caller, seat = await two(phones)
        outgoing, incoming = await talking(caller, seat)
        for phone, call, other in ((caller, outgoing, 1130), (seat, incoming, 530)):
            heard = await enough(wire, phone.bind, call, 50)
            assert {other} == heard.tones()
            assert heard.first_heard(phone.tone) is None
            assert (heard.lost, heard.duplicates, heard.jumps) == (0, 0, [])
            late = stalls.longest_ms(heard.packets[0].at, heard.packets[-1].at)
            assert heard.largest_gap_ms < 30 + late

    async def test_a_withheld_number_is_in_the_asserted_identity_only(self, phones: Softphones) -> None:
        caller, seat = await two(phones)
        await caller.dial(f"sip:110@{SEAT_PHONE}", number="13800138000", privacy=True)
        call = await seat.incoming()
        assert (call.remote_number, call.asserted_number, call.withheld) == ("anonymous", "13800138000", True)

    async def test_the_number_name_and_headers_arrive_as_dialled(self, phones: Softphones) -> None:
        caller, seat = await two(phones)
        headers = {
            "User-to-User": "3131302d31;encoding=hex",
            "Diversion": "<sip:110@a>",
            "Call-Info": "<https://a/1>",
        }
        await caller.dial(f"sip:110@{SEAT_PHONE}", number="13800138000", display="张三", headers=headers)
        call = await seat.incoming()
        assert (
            call.remote_number, call.remote_name, call.asserted_number, call.withheld,
        ) == ("13800138000", "张三", "", False)  # fmt: skip
        assert headers == {name: call.headers.header(name) for name in headers}

    async def test_digits_are_heard_by_the_far_end(self, phones: Softphones) -> None:
        outgoing, incoming = await talking(*await two(phones))
        await incoming.dtmf("*1")
        await outgoing.heard_digits("*1")

    async def test_a_busy_phone_tells_the_caller_486(self, phones: Softphones) -> None:
        caller, _ = await two(phones, on_invite=486)
        call = await caller.dial(f"sip:110@{SEAT_PHONE}")
        with pytest.raises(CallFailedError, match="486 Busy Here") as caught:
            await call.answered()
        assert caught.value.status == 486

    async def test_a_phone_that_rings_and_does_not_answer(self, phones: Softphones) -> None:
        caller, seat = await two(phones, on_invite=180)
        call = await caller.dial(f"sip:110@{SEAT_PHONE}")
        await call.ringing()
        with pytest.raises(
            NotSeenError, match=r"caller waited 0.3 s in vain for call 1 to be answered; it saw[^$]*'early'"
        ):
            await call.answered(within=0.3)
        await call.hangup()
        ended = await (await seat.incoming()).ended()
        assert ended.status == 487

    async def test_a_re_invite_is_answered_and_the_tone_comes_back(
        self, wire: Wire, phones: Softphones
    ) -> None:
        caller, seat = await two(phones)
        outgoing, incoming = await talking(caller, seat)
        await enough(wire, CALLER, outgoing, 10)
        await incoming.hold()
        await incoming.resume()
        resumed = time.time()
        assert {1130} == (await enough(wire, CALLER, outgoing, 50, resumed)).tones()
        assert {530} == (await enough(wire, SEAT_PHONE, incoming, 50, resumed)).tones()

    async def test_a_killed_phone_sends_no_bye_and_leaves_its_address(
        self, wire: Wire, phones: Softphones
    ) -> None:
        caller, seat = await two(phones)
        outgoing, _ = await talking(caller, seat)
        await enough(wire, CALLER, outgoing, 10)
        await seat.kill()
        with pytest.raises(PhoneDiedError, match="seat has gone"):
            await seat.incoming()
        again = await phones.add("again", bind=SEAT_PHONE, tone=1130)
        await caller.dial(f"sip:110@{SEAT_PHONE}")
        await again.incoming()
        assert [packet.message.method for packet in wire.sip(ip=SEAT_PHONE) if packet.message.method] == [
            "INVITE",
            "ACK",
            "INVITE",
        ]
        assert outgoing.ending is None

    async def test_an_address_that_is_taken_is_reported(self, phones: Softphones) -> None:
        await two(phones)
        async with Softphones() as others:
            with pytest.raises(PhoneError, match=r"late could not start: .*[Aa]ddress already in use"):
                await others.add("late", bind=CALLER, tone=530)

    async def test_prepared_programs_become_phones_and_those_left_over_end(self) -> None:
        async with Softphones() as several:
            await several.prepare(3)
            prepared = {program.process.pid for program in several.spare}
            caller, seat = await two(several, on_invite=200)
            await (await caller.dial(f"sip:110@{SEAT_PHONE}")).answered()
            (left_over,) = several.spare
            assert {caller.pid, seat.pid, left_over.process.pid} == prepared
        assert [phone.exit_code for phone in (caller, seat)] == [0, 0]
        assert left_over.process.returncode is not None

    async def test_twenty_quick_starts_and_ends_leave_no_process(self) -> None:
        for _ in range(20):
            async with Softphones() as several:
                caller, seat = await two(several, on_invite=200)
                await (await caller.dial(f"sip:110@{SEAT_PHONE}")).answered()
            assert [phone.exit_code for phone in (caller, seat)] == [0, 0]


class TestSoftphonesAtAPbx:
    """Registration, and a PBX that sends re-INVITEs of its own."""

    async def test_a_wrong_password_is_reported(self, phones: Softphones, pbx: str) -> None:
        seat = await phones.add(SEAT, bind=SEAT_PHONE, tone=1130, password="wrong", registrar=pbx)
        with pytest.raises(RegistrationFailedError, match=f"{SEAT} was refused by its registrar: 40[13]"):
            await seat.registered()

    async def test_a_registered_phone_is_called_and_agrees_to_the_pbxs_re_invite(
        self, wire: Wire, phones: Softphones, pbx: str
    ) -> None:
        caller = await phones.add("caller", bind=CALLER, tone=530)
        seat = await phones.add(
            SEAT, bind=SEAT_PHONE, tone=1130, password=PASSWORD, registrar=pbx, on_invite=200
        )
        await seat.registered()
        outgoing = await caller.dial(f"sip:{NUMBER}@{pbx}", number="13800138000")
        incoming = await seat.incoming()
        await outgoing.answered()
        assert incoming.remote_number == "13800138000"

        def agreed(phone: Softphone, call: Call) -> int:
            answers = wire.sip(call_id=call.call_id, ip=phone.bind)
            return sum(
                (p.source[0], p.message.status, p.message.cseq_method) == (phone.bind, 200, "INVITE")
                for p in answers
            )

        # The seat's first 200 answered the call itself; the caller's can only answer a re-INVITE.
        await wire.until(
            lambda: agreed(seat, incoming) >= 2 and agreed(caller, outgoing) >= 1, "a re-INVITE to both"
        )
        since = time.time()
        assert {1130} == (await enough(wire, CALLER, outgoing, 50, since)).tones()
        assert {530} == (await enough(wire, SEAT_PHONE, incoming, 50, since)).tones()


class Sent(NamedTuple):
    """The kernel had the packet between these moments."""

    after: float
    before: float


def send_rtp(sender: socket.socket, numbers: list[int], pauses: dict[int, float]) -> list[Sent]:
    """Send a tone in packets with these numbers every 20 ms, with pauses (seconds) before some."""
    payload = encode_alaw(sine(530, seconds=0.02))
    began, sent, delay = time.time() + 0.02, [], 0.0
    for number in numbers:
        delay += pauses.get(number, 0.0)
        time.sleep(max(0.0, began + number * 0.02 + delay - time.time()))
        before = time.time()
        sender.sendto(HEADER.pack(0x80, 8, number, number * 160, 77) + payload, RECEIVER)
        sent.append(Sent(before, time.time()))
    return sent


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(SENDER)
        yield udp


class TestWire:
    """What the tap records, with a sender whose every packet is known."""

    def test_a_gap_of_100_ms_and_three_lost_packets_are_measured(
        self, wire: Wire, sender: socket.socket
    ) -> None:
        numbers = [number for number in range(60) if number not in (40, 41, 42)]
        sent = send_rtp(sender, numbers, {20: 0.08})
        stream = wire.stream_to(RECEIVER)
        assert (len(stream.packets), stream.lost, stream.duplicates) == (57, 3, 0)
        late = [
            packet.at
            for packet, (after, before) in zip(stream.packets, sent, strict=True)
            if not after - CLOCK_STEP <= packet.at <= before + CLOCK_STEP
        ]
        assert late == []
        gap = stream.between(until=sent[30].before).largest_gap_ms / 1000
        assert (
            sent[20].after - sent[19].before - CLOCK_STEP
            <= gap
            <= sent[20].before - sent[19].after + CLOCK_STEP
        )
        assert gap >= 0.095

    def test_every_packet_is_recorded_once_although_lo_shows_it_twice(
        self, wire: Wire, sender: socket.socket
    ) -> None:
        send_rtp(sender, [0, 1, 1, 2], {})
        stream = wire.stream_to(RECEIVER)
        assert (len(stream.packets), stream.duplicates, stream.lost) == (4, 1, 0)

    def test_rtcp_and_other_datagrams_are_not_taken_for_media(
        self, wire: Wire, sender: socket.socket
    ) -> None:
        for datagram in (b"\x80\xc8" + bytes(26), b"\x80\xc9" + bytes(26), b"hello", b"", bytes(172)):
            sender.sendto(datagram, RECEIVER)
        assert wire.stream_to(RECEIVER).packets == []

    def test_a_stream_that_stops_has_its_gap_at_the_windows_end(
        self, wire: Wire, sender: socket.socket
    ) -> None:
        sent = send_rtp(sender, [0, 1, 2], {})
        window = wire.stream_to(RECEIVER, until=sent[2].before + 0.5)
        assert 500 - CLOCK_STEP * 1000 <= window.largest_gap_ms < 600

    def test_a_call_without_sdp_is_an_error_that_tells_what_was_seen(self, wire: Wire) -> None:
        with pytest.raises(WireError, match=r"(?s)127\.0\.77\.99 sent no SDP .*'nowhere'.*no SIP at all"):
            wire.received("127.0.77.99", "nowhere")

    def test_packets_dropped_by_the_kernel_are_admitted(self, wire: Wire, sender: socket.socket) -> None:
        with Wire(buffer=2048) as narrow:

            def flood() -> None:
                for _ in range(200):
                    for _ in range(200):
                        sender.sendto(bytes(1400), RECEIVER)
                    narrow.sip()

            with pytest.raises(WireLostPacketsError, match="the kernel dropped"):
                flood()
        assert wire.stream_to(RECEIVER).packets == []

    def test_a_full_record_is_admitted_and_forgetting_makes_room(
        self, wire: Wire, sender: socket.socket
    ) -> None:
        with Wire(limit=10) as small:
            send_rtp(sender, list(range(9)), {})
            small.forget()
            send_rtp(sender, list(range(9)), {})
            assert len(small.stream_to(RECEIVER).packets) == 9
            send_rtp(sender, [9, 10], {})
            with pytest.raises(WireLostPacketsError, match="more than 10 packets"):
                small.stream_to(RECEIVER)

    def test_without_root_the_error_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> socket.socket:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("tests.lab.wire.socket.socket", refuse)
        with pytest.raises(WireNotPermittedError, match="needs root"):
            Wire().__enter__()
