"""From Asterisk's events to the core's: what is believed, of whom, and in which order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telephony.ami.devices import DeviceBook
from telephony.ami.events import EventTranslator, hangup_of
from telephony.ami.message import AmiMessage
from telephony.core.call import Hangup, Role
from telephony.core.events import (
    Event,
    InviteFailed,
    LegAnswered,
    LegEnded,
    LegJoined,
    LegLeft,
    LegRinging,
    LegStarted,
)

AT = 1000.0
CALL = "110-a-1795501078.12"
TAKER = "110-a-1795501079.13"
MOST = 79  # bytes of a caller's number, and of his name, that Asterisk lets through


def event(kind: str, channel_id: str, *more: str, tags: str = "", **changed: str) -> str:
    """An event about a channel as Asterisk writes it, with the headers that every one of them has."""
    role, _, party = tags.partition(" ")
    headers = {
        "Channel": f"PJSIP/{channel_id}",
        "ChannelState": "6",
        "ChannelStateDesc": "Up",
        "CallerIDNum": "13800138000",
        "CallerIDName": "<unknown>",
        "ConnectedLineNum": "<unknown>",
        "ConnectedLineName": "<unknown>",
        "Language": "zh",
        "AccountCode": "",
        "Context": "queue",
        "Exten": "s",
        "Priority": "1",
        "Uniqueid": channel_id,
        "Linkedid": CALL,
    } | changed
    variables = {"TEL_CALL": CALL if tags else "", "TEL_ROLE": role, "TEL_PARTY": party}
    lines = [f"Event: {kind}", "Privilege: call,all", "Timestamp: 1795501080.000001"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"ChanVariable: {name}={value}" for name, value in variables.items()]
    return "\r\n".join([*lines, *more]) + "\r\n\r\n"


class Desk:
    """A translator, what it has posted, and its timers."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Event]] = []
        self.timers: list[Callable[[], None]] = []
        self.devices = DeviceBook()
        self.translator = EventTranslator(
            self.devices,
            lambda call_id, event: self.posted.append((call_id, event)),
            lambda: AT,
            lambda _, callback: self.timers.append(callback),
        )
        self.translator.expect(CALL, CALL)

    def hear(self, *texts: str) -> list[Event]:
        """Read texts off the wire as the protocol does; the events that are posted meanwhile, all for CALL."""
        before = len(self.posted)
        for text in "".join(texts).split("\r\n\r\n"):
            if text.lstrip("\r\n").startswith("Event: "):
                self.translator.on_event(AmiMessage.parse(text.lstrip("\r\n")))
        new = self.posted[before:]
        assert {call_id for call_id, _ in new} <= {CALL}
        return [event for _, event in new]

    def with_taker(self) -> Desk:
        self.hear(event("Newchannel", TAKER, tags="taker 1001"))
        return self


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestKnownChannels:
    def test_each_kind_of_event_is_told_as_what_has_happened(self, desk: Desk) -> None:
        told = desk.with_taker().hear(
            event("Newstate", TAKER, ChannelState="5"),
            event("Newstate", TAKER, ChannelState="6"),
            event("BridgeEnter", TAKER, "BridgeUniqueid: b"),
            event("BridgeLeave", TAKER, "BridgeUniqueid: b"),
            event("Hangup", TAKER, "Cause: 17", "TechCause: 486"),
        )
        assert told == [
            LegRinging(AT, TAKER),
            LegAnswered(AT, TAKER),
            LegJoined(AT, TAKER, "b"),
            LegLeft(AT, TAKER, "b"),
            LegEnded(AT, TAKER, Hangup(17, 486)),
        ]

    def test_other_states_and_other_events_are_nothing(self, desk: Desk) -> None:
        told = desk.hear(
            event("Newstate", CALL, ChannelState="4"), event("VarSet", CALL), event("NewExten", CALL)
        )
        assert told == []

    def test_the_callers_own_channel_is_not_introduced_because_the_call_brought_it(self, desk: Desk) -> None:
        assert desk.hear(event("BridgeEnter", CALL, "BridgeUniqueid: b")) == [LegJoined(AT, CALL, "b")]

    @pytest.mark.parametrize("kind", ["BridgeEnter", "BridgeLeave"])
    def test_a_bridge_in_which_somebody_waits_is_no_conversation(self, desk: Desk, kind: str) -> None:
        waiting = "BridgeUniqueid: w", "BridgeTechnology: holding_bridge", "BridgeCreator: BridgeWait"
        assert desk.hear(event(kind, CALL, *waiting)) == []

    def test_a_seats_phone_that_the_queue_calls_is_introduced_once(self, desk: Desk) -> None:
        told = desk.hear(event("Newchannel", TAKER, tags="taker 1001"), event("Newchannel", TAKER))
        assert told == [LegStarted(AT, TAKER, f"PJSIP/{TAKER}", Role.TAKER, "1001")]

    def test_a_seat_is_known_by_the_call_it_is_linked_to_before_the_dialplan_has_marked_it(
        self, desk: Desk
    ) -> None:
        text = event("Newchannel", TAKER).replace("TEL_ROLE=", "TEL_ROLE=taker")
        assert desk.hear(text.replace("TEL_PARTY=", "TEL_PARTY=1001")) == [
            LegStarted(AT, TAKER, f"PJSIP/{TAKER}", Role.TAKER, "1001")
        ]

    def test_a_partner_that_the_dialplan_itself_has_called_is_known_by_its_marks(self, desk: Desk) -> None:
        told = desk.hear(event("Newstate", "p", tags="partner 12345", ChannelState="5", Linkedid="p"))
        assert told == [LegStarted(AT, "p", "PJSIP/p", Role.PARTNER, "12345"), LegRinging(AT, "p")]

    def test_a_leg_that_we_start_is_known_from_its_first_event(self, desk: Desk) -> None:
        desk.translator.expect("t", CALL)
        (started,) = desk.hear(event("Newchannel", "t", Linkedid="t"))
        assert isinstance(started, LegStarted)
        assert (started.leg_id, started.role) == ("t", Role.PARTNER)

    def test_a_channel_that_has_ended_is_forgotten(self, desk: Desk) -> None:
        desk.with_taker().hear(event("Hangup", TAKER))
        assert desk.hear(event("BridgeEnter", TAKER, "BridgeUniqueid: b")) == []


class TestUnknownChannels:
    @pytest.mark.parametrize("kind", ["Newchannel", "Newstate", "BridgeEnter", "BridgeLeave", "Hangup"])
    def test_a_channel_of_nobody_is_nothing(self, desk: Desk, kind: str) -> None:
        assert desk.hear(event(kind, "x", "BridgeUniqueid: b", Linkedid="x")) == []

    @pytest.mark.parametrize("role", ["caller", "observer", "", "Taker"])
    def test_a_channel_of_our_call_with_another_part_in_it_is_nothing(self, desk: Desk, role: str) -> None:
        assert desk.hear(event("Newchannel", "x", tags=f"{role} 1001")) == []

    def test_a_channel_marked_for_a_call_that_nobody_knows_is_nothing(self, desk: Desk) -> None:
        assert desk.hear(event("Newchannel", "x", tags="taker 1001", Linkedid="y").replace(CALL, "y")) == []

    def test_an_empty_uniqueid_is_nobodys(self, desk: Desk) -> None:
        assert desk.hear(event("Hangup", "")) == []


def forged(kind: str, victim: str, *more: str) -> str:
    """What a caller must write so that a whole event about somebody else's channel comes out."""
    return "\r\n".join(["1", "", f"Event: {kind}", f"Uniqueid: {victim}", *more, "", "x"])


class TestForged:
    """Callers can write line ends into their number, and Asterisk writes them into its events as they are."""

    @pytest.mark.parametrize("kind", ["Newstate", "BridgeEnter", "BridgeLeave", "Hangup"])
    def test_a_whole_forged_event_about_another_callers_channel_does_nothing(
        self, desk: Desk, kind: str
    ) -> None:
        number = forged(kind, CALL)
        assert len(number) <= MOST
        assert desk.hear(event("Newchannel", "evil", Linkedid="evil", CallerIDNum=number)) == []

    def test_a_forged_event_with_all_that_fits_into_number_and_name_does_nothing(self, desk: Desk) -> None:
        number = forged("Hangup", CALL, "Cause: 16").removesuffix("\r\n\r\nx")
        name = "x\r\nLinkedid: 1\r\nChannel: PJSIP/carrier-1\r\nExten: s\r\nContext: queue\r\n\r\n"
        assert len(number) <= MOST
        assert len(name) <= MOST
        text = event("Newchannel", "evil", Linkedid="evil", CallerIDNum=number, CallerIDName=name)
        assert desk.hear(text) == []

    def test_a_forged_event_that_takes_the_rest_of_the_true_one_as_its_own_does_nothing(
        self, desk: Desk
    ) -> None:
        number = f"1\r\n\r\nEvent: Hangup\r\nUniqueid: {CALL}"
        assert desk.hear(event("Newchannel", "evil", Linkedid="evil", CallerIDNum=number)) == []

    def test_a_forged_header_ahead_of_the_true_one_costs_the_event(self, desk: Desk) -> None:
        text = event("Hangup", "evil", CallerIDNum=f"1\r\nUniqueid: {CALL}", Linkedid="evil")
        assert desk.hear(text) == []

    def test_a_forged_mark_does_not_make_a_caller_a_taker_of_another_call(self, desk: Desk) -> None:
        number = f"1\r\nChanVariable: TEL_CALL={CALL}\r\nChanVariable: TEL_ROLE=taker"
        assert len(number) <= MOST
        text = event("Newchannel", "evil", Linkedid="evil", CallerIDNum=number)
        assert desk.hear(text) == []

    def test_of_marks_that_contradict_each_other_the_last_counts_which_asterisk_wrote(
        self, desk: Desk
    ) -> None:
        number = "1\r\nChanVariable: TEL_ROLE=taker"
        text = event("Newchannel", "evil", tags="caller carrier", CallerIDNum=number)
        assert desk.hear(text) == []

    def test_a_channel_with_a_hostile_number_still_ends_its_own_call(self, desk: Desk) -> None:
        """The dialplan has emptied the number by then, so later events of the channel are clean."""
        desk.hear(event("Newchannel", CALL, CallerIDNum="1\r\nX: y"))
        assert desk.hear(event("Hangup", CALL, CallerIDNum="")) == [LegEnded(AT, CALL, Hangup())]

    @pytest.mark.parametrize("missing", ["Channel", "Linkedid", "Uniqueid", "Priority", "ConnectedLineName"])
    def test_an_event_that_lacks_what_asterisk_always_writes_is_not_asterisks(
        self, desk: Desk, missing: str
    ) -> None:
        lines = event("Hangup", CALL).split("\r\n")
        kept = [line for line in lines if not line.startswith(f"{missing}: ")]
        assert len(kept) == len(lines) - 1
        assert desk.hear("\r\n".join(kept)) == []


class TestPause:
    """While the truth is looked up, events wait; afterwards they come, in their order, and only once."""

    def test_what_comes_meanwhile_comes_after_and_in_order(self, desk: Desk) -> None:
        desk.translator.pause()
        assert desk.hear(event("BridgeEnter", CALL, "BridgeUniqueid: b"), event("Hangup", CALL)) == []
        desk.translator.renew({CALL: CALL})
        desk.translator.resume()
        assert [event for _, event in desk.posted] == [LegJoined(AT, CALL, "b"), LegEnded(AT, CALL, Hangup())]
        desk.translator.resume()
        assert len(desk.posted) == 2

    def test_of_a_channel_that_was_found_when_looking_nobody_is_told_that_it_started(
        self, desk: Desk
    ) -> None:
        desk.translator.pause()
        desk.hear(event("BridgeEnter", TAKER, "BridgeUniqueid: b", tags="taker 1001"))
        desk.translator.renew({CALL: CALL, TAKER: CALL})
        desk.translator.resume()
        assert [event for _, event in desk.posted] == [LegJoined(AT, TAKER, "b")]

    def test_only_what_was_found_is_known_afterwards(self, desk: Desk) -> None:
        desk.with_taker()
        desk.translator.pause()
        desk.translator.renew({CALL: CALL})
        desk.translator.resume()
        assert desk.hear(event("Hangup", TAKER, Linkedid="")) == []

    def test_a_second_pause_loses_nothing_that_waits(self, desk: Desk) -> None:
        desk.translator.pause()
        desk.hear(event("Hangup", CALL))
        desk.translator.pause()
        desk.translator.resume()
        assert [event for _, event in desk.posted] == [LegEnded(AT, CALL, Hangup())]


class TestInvitations:
    def test_a_refusal_without_a_channel_is_a_failure_after_a_moment(self, desk: Desk) -> None:
        desk.translator.expect("t", CALL)
        assert desk.hear(_originated("t", "Failure", 0)) == []
        desk.timers.pop()()
        assert desk.posted == [(CALL, InviteFailed(AT, "t", "originate reason 0"))]

    @pytest.mark.parametrize(("transfer", "response"), [("t", "Success"), ("x", "Failure"), ("", "Failure")])
    def test_a_success_or_somebody_elses_failure_is_none(
        self, desk: Desk, transfer: str, response: str
    ) -> None:
        desk.translator.expect("t", CALL)
        desk.hear(_originated(transfer, response, 4))
        assert desk.timers == []

    def test_of_an_invitation_that_failed_without_a_channel_nothing_is_kept(self, desk: Desk) -> None:
        desk.translator.expect("t", CALL)
        desk.hear(_originated("t", "Failure", 0))
        desk.timers.pop()()
        desk.posted.clear()
        assert desk.hear(event("Newchannel", "t", Linkedid="t")) == []

    def test_a_channel_that_ends_after_its_failure_was_told_has_still_ended(self, desk: Desk) -> None:
        desk.translator.expect("t", CALL)
        desk.hear(event("Newchannel", "t", Linkedid="t"), _originated("t", "Failure", 5))
        desk.timers.pop()()
        assert desk.hear(event("Hangup", "t", "Cause: 17")) == [LegEnded(AT, "t", Hangup(17))]


def _originated(transfer: str, response: str, reason: int) -> str:
    return (
        f"Event: OriginateResponse\r\nPrivilege: call,all\r\nResponse: {response}\r\n"
        f"Channel: PJSIP/line-12345\r\nReason: {reason}\r\nUniqueid: {transfer}\r\n\r\n"
    )


class TestDevices:
    def test_a_phone_that_is_said_to_come_or_go_is_asked_for_and_only_then_believed(self, desk: Desk) -> None:
        asked: list[str] = []
        desk.devices.doubt = asked.append
        for state, online in (
            ("NOT_INUSE", True),
            ("UNAVAILABLE", False),
            ("INUSE", True),
            ("INVALID", False),
        ):
            desk.hear(f"Event: DeviceStateChange\r\nDevice: PJSIP/1001\r\nState: {state}\r\n\r\n")
            assert asked == ["PJSIP/1001"]
            assert desk.devices.seat_online("1001") is not online
            desk.devices.answered(asked.pop(), state)
            assert desk.devices.seat_online("1001") is online

    def test_a_phone_that_only_rings_or_talks_is_not_asked_for(self, desk: Desk) -> None:
        asked: list[str] = []
        desk.devices.doubt = asked.append
        desk.devices.answered("PJSIP/1001", "NOT_INUSE")
        for state in ("RINGING", "INUSE", "ONHOLD", "NOT_INUSE"):
            desk.hear(f"Event: DeviceStateChange\r\nDevice: PJSIP/1001\r\nState: {state}\r\n\r\n")
        assert asked == []
        assert desk.devices.seat_online("1001")

    @pytest.mark.parametrize("device", ["PJSIP/a),INVALID", "Custom:x", "", "PJSIP/" + "9" * 500])
    def test_devices_that_are_no_phone_are_neither_asked_for_nor_kept(self, desk: Desk, device: str) -> None:
        asked: list[str] = []
        desk.devices.doubt = asked.append
        for state in ("NOT_INUSE", "UNAVAILABLE"):
            desk.hear(f"Event: DeviceStateChange\r\nDevice: {device}\r\nState: {state}\r\n\r\n")
        assert asked == []
        assert not desk.devices.knows(device)

    def test_a_seat_is_there_by_its_browser_too(self, desk: Desk) -> None:
        desk.devices.answered("PJSIP/1001-web", "NOT_INUSE")
        assert desk.devices.seat_online("1001")
        assert not desk.devices.line_up("1001")

    def test_while_the_link_is_down_nothing_counts_as_there(self, desk: Desk) -> None:
        desk.devices.answered("PJSIP/line-119", "NOT_INUSE")
        assert desk.devices.line_up("119")
        desk.devices.forget()
        assert not desk.devices.line_up("119")


@pytest.mark.parametrize(
    ("cause", "tech", "hangup"),
    [
        ("16", "", Hangup(16)),
        ("17", "486", Hangup(17, 486)),
        ("", "", Hangup()),
        ("-1", "0x1e6", Hangup()),
        ("１７", "٤٨٦", Hangup()),
        ("9" * 5000, "9" * 5000, Hangup()),
    ],
)
def test_how_a_leg_ended_is_read_from_plain_numbers_and_else_unknown(
    cause: str, tech: str, hangup: Hangup
) -> None:
    message = AmiMessage.parse(f"Event: Hangup\r\nCause: {cause}\r\nTechCause: {tech}")
    assert hangup_of(message) == hangup
