"""Any events in any order: what must hold for every call, whatever Asterisk and people do."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.core.call import DiversionKind, Hangup, LegState, Mode, Next, Role
from telephony.core.commands import AnswerFreed
from telephony.core.events import (
    CallerFreed,
    CancelPressed,
    DiversionRecorded,
    DropPressed,
    Event,
    FreedTimeout,
    GiveBackPressed,
    GroupPressed,
    HistoryRead,
    HoldPressed,
    InviteFailed,
    InviteTimeout,
    LeavePressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegJoined,
    LegLeft,
    LegMuted,
    LegRinging,
    LegStarted,
    LegUnheld,
    LinePressed,
    MutePressed,
    ResumePressed,
    ReturnPressed,
)
from tests.unit.asterisk_world import Place, World
from tests.unit.story import BOTH, BUSY, LOST, NORMAL, RELEASED, line
from tests.unit.witness import Witness

LINES = ("12345", "119", "120")
SEATS = ("1001", "1002")
HANGUPS = (NORMAL, BUSY, LOST, RELEASED, Hangup(19), Hangup(0), Hangup(16, 487))


# -- entirely arbitrary ------------------------------------------------------------------------

TRANSFERS = tuple(f"t{n}" for n in range(4))
TAKERS = ("k1", "k2")
ANY_LEG = ("c", *TAKERS, *TRANSFERS, "x")
ats = st.floats(1000, 1010, allow_nan=False)
legs = st.sampled_from(ANY_LEG)
bridges = st.sampled_from(("b1", "b2"))
transfers = st.sampled_from((*TRANSFERS, "x"))
seats = st.sampled_from(SEATS)
views = st.builds(
    line,
    st.sampled_from(LINES),
    closed=st.booleans(),
    full=st.booleans(),
    modes=st.sampled_from((BOTH, frozenset({Mode.WARM}))),
)
started = st.one_of(
    st.builds(LegStarted, ats, st.sampled_from(TAKERS), st.just("PJSIP/k"), st.just(Role.TAKER), seats),
    st.builds(
        LegStarted,
        ats,
        st.sampled_from(TRANSFERS),
        st.just("PJSIP/t"),
        st.just(Role.PARTNER),
        st.sampled_from(LINES),
    ),
)
any_event = st.one_of(
    started,
    st.builds(LegRinging, ats, legs),
    st.builds(LegAnswered, ats, legs),
    st.builds(LegJoined, ats, legs, bridges),
    st.builds(LegLeft, ats, legs, bridges),
    st.builds(LegHeld, ats, legs),
    st.builds(LegUnheld, ats, legs),
    st.builds(LegEnded, ats, legs, st.sampled_from(HANGUPS)),
    st.builds(InviteFailed, ats, transfers, st.just("refused")),
    st.builds(InviteTimeout, ats, transfers),
    st.builds(CallerFreed, ats),
    st.builds(FreedTimeout, ats),
    st.builds(LinePressed, ats, seats, views, st.sampled_from(TRANSFERS), st.sampled_from(Mode)),
    st.builds(CancelPressed, ats, st.sampled_from(("", *TRANSFERS, "x"))),
    st.builds(LeavePressed, ats, seats),
    st.builds(DiversionRecorded, ats, seats, st.sampled_from(("d1", "d2")), st.sampled_from(DiversionKind)),
    st.builds(HistoryRead, ats, st.integers(0, 50)),
    st.builds(
        GroupPressed,
        ats,
        st.lists(st.builds(LinePressed, ats, seats, views, transfers), max_size=3).map(tuple),
    ),
    st.builds(HoldPressed, ats, seats),
    st.builds(ResumePressed, ats, seats),
    st.builds(MutePressed, ats, legs, st.booleans()),
    st.builds(LegMuted, ats, legs, st.booleans()),
    st.builds(DropPressed, ats, legs),
    st.builds(ReturnPressed, ats, legs),
    st.builds(GiveBackPressed, ats, seats),
)


@given(st.lists(any_event, max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_events_at_any_time(events: list[Event]) -> None:
    witness = Witness()
    for event in events:
        witness.tell(event)
    witness.finish(1010.0)


@given(st.lists(any_event, max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_events_after_a_transfer_has_begun(events: list[Event]) -> None:
    """The same, from where it is interesting: a taker talks and a partner is being called."""
    witness = Witness()
    for event in (
        LegStarted(1000, "k1", "PJSIP/k1", Role.TAKER, "1001"),
        LegJoined(1000, "k1", "b1"),
        LegJoined(1000, "c", "b1"),
        LinePressed(1000, "1001", line("12345"), "t0"),
        LegStarted(1000, "t0", "PJSIP/t0", Role.PARTNER, "12345"),
        *events,
    ):
        witness.tell(event)
    witness.finish(1010.0)


# -- what an Asterisk would do -----------------------------------------------------------------


class Play:
    """People act in a small Asterisk whose news is late; the core's commands act on it in turn."""

    def __init__(self, chapter: str, mode: Mode) -> None:
        """From the beginning, or from where it becomes interesting."""
        self.world = World()
        self.witness = Witness()
        if chapter == "queue":
            return
        self.world.call_seat("1001")
        self.world.take(self.world.ringing()[0])
        self.settle()
        if chapter == "talking":
            return
        self.hear(LinePressed(self.world.now, "1001", line("12345"), "t", mode))
        self.world.partner_comes(self.world.invites.popleft())
        self.settle()
        if chapter == "held":
            self.hear(HoldPressed(self.world.now, "1001"))
        if chapter == "three_way":
            self.partner_answers(0)
        self.world.now += 10.0

    def hear(self, event: Event) -> None:
        for command in self.witness.tell(event).commands:
            if command == AnswerFreed(Next.END) and self.world.waits_for_answer():
                self.check_end()
            self.world.perform(command)
        if self.witness.call.caller_leg is None:
            assert self.world.place is Place.GONE

    def check_end(self) -> None:
        """The caller is really there and is about to be hung up."""
        *before, last = self.world.wanted() or [None]
        assert last is not None, "nobody has left"
        assert last.normal, "the last party was lost"
        assert not last.channel.released, "the taker was let go for a partner who is not there"
        others = [loss for loss in before if loss.channel.role is not last.channel.role]
        assert all(last.at - other.at >= 1.0 for other in others), "both left within a second"
        assert not self.world.some(Role.PARTNER, bridged=True)

    # -- what can happen next

    def step(self, choice: int, which: int) -> None:
        can = self.options()
        can[choice % len(can)](which)

    def options(self) -> list[Callable[[int], None]]:
        """What can happen now; what is there twice happens more often."""
        world = self.world
        can = [self.time_passes, self.line_key, self.other_key, self.place_key, self.the_dust_settles]
        if world.place is Place.QUEUE:
            can.append(self.seat_answers if world.ringing() else self.queue_calls_a_seat)
        if world.channels:
            can += [self.somebody_is_gone] * 2
            can.append(self.hold_button)
        if world.place in (Place.QUEUE, Place.BRIDGE, Place.MUSIC, Place.HOLD):
            can.append(self.caller_may_hang_up)
        if world.invites:
            can += [self.asterisk_takes_up_an_invitation] * 2
        if world.called():
            can.append(self.partner_answers)
        if world.steps():
            can += [self.dialplan_goes_on] * 2
        if world.place is Place.HOLD:
            can.append(self.hold_goes_on)
        if world.events:
            can += [self.manager_events_come] * 3
        if world.may_ask():
            can += [self.dialplan_asks] * 3
        if world.due:
            can.append(self.timer_fires)
        return can

    def time_passes(self, which: int) -> None:
        self.world.now += (0.01, 0.4, 1.5, 10.0)[which % 4]

    def queue_calls_a_seat(self, which: int) -> None:
        self.world.call_seat(SEATS[which % 2])

    def seat_answers(self, which: int) -> None:
        self.world.take(self.world.ringing()[0])

    def somebody_is_gone(self, which: int) -> None:
        channels = list(self.world.channels.values())
        hangups = (NORMAL, NORMAL, NORMAL, *HANGUPS)
        self.world.hang_up(channels[which % len(channels)], hangups[which % len(hangups)])

    def hold_button(self, which: int) -> None:
        channels = [channel for channel in self.world.channels.values() if channel.up]
        if channels:
            leg = channels[which % len(channels)].id
            self.world.tell((LegHeld, LegUnheld)[which % 2](self.world.now, leg))

    def caller_may_hang_up(self, which: int) -> None:
        if which % 4 == 0:
            self.world.caller_hangs_up()

    def asterisk_takes_up_an_invitation(self, which: int) -> None:
        invite = self.world.invites.popleft()
        if which % 3 == 0:
            self.world.refuse(invite)
        else:
            self.world.partner_comes(invite)

    def partner_answers(self, which: int) -> None:
        partners = self.world.called()
        self.world.partner_answers(partners[which % len(partners)])

    def dialplan_goes_on(self, which: int) -> None:
        steps = self.world.steps()
        self.world.goes_on(steps[which % len(steps)])

    def hold_goes_on(self, which: int) -> None:
        self.world.hold_loop()

    def seat(self) -> str:
        """Who presses: whoever has answered."""
        return next((channel.party for channel in self.world.some(Role.TAKER) if channel.up), "1001")

    def press(self, which: int) -> LinePressed:
        mode = (Mode.COLD, Mode.CONSULT, Mode.WARM, Mode.CONSULT, Mode.WARM)[which % 5]
        return LinePressed(self.world.now, self.seat(), line(LINES[which % 3]), self.world.new("t"), mode)

    def line_key(self, which: int) -> None:
        if which % 4:
            self.hear(self.press(which))
        else:
            self.hear(GroupPressed(self.world.now, (self.press(which), self.press(which + 1))))

    def other_key(self, which: int) -> None:
        if which % 3 == 0:
            self.hear(CancelPressed(self.world.now))
        else:
            self.hear(LeavePressed(self.world.now, SEATS[which % 2]))

    def place_key(self, which: int) -> None:
        now, channels = self.world.now, list(self.world.channels)
        match which % 8:
            case 0 | 1 | 2:
                self.hear(HoldPressed(now, self.seat()))
            case 3 | 4:
                self.hear(ResumePressed(now, self.seat()))
            case 5 if channels:
                self.hear(DropPressed(now, channels[which % len(channels)]))
            case 6 if channels:
                self.hear(ReturnPressed(now, channels[which % len(channels)]))
            case _ if channels:
                self.hear(MutePressed(now, channels[which % len(channels)], which % 3 == 0))

    def manager_events_come(self, which: int) -> None:
        for _ in range(min(1 + which % 6, len(self.world.events))):
            event = self.world.events.popleft()
            self.hear(event)
            if which % 7 == 0 and not isinstance(event, LegJoined | LegLeft):
                self.hear(event)

    def dialplan_asks(self, which: int) -> None:
        self.hear(self.world.question())

    def timer_fires(self, which: int) -> None:
        event = self.world.due.pop(0)
        self.world.now = max(self.world.now, event.at)
        self.hear(event)

    # -- what must hold when all has been told

    def the_dust_settles(self, which: int = 0) -> None:
        """With all news told, the caller is with somebody, in the queue, or waits for a real partner or a taker."""
        self.settle()
        self.the_dialplan_waits_no_longer()
        world, call = self.world, self.witness.call
        assert world.place is not Place.ASKING, "the dialplan was not answered"
        if world.place is Place.MUSIC:
            assert world.some(Role.PARTNER) or world.invites, "the caller waits for nobody"
        if world.place is Place.HOLD:
            assert world.held
            up = {channel.id for channel in world.some(Role.TAKER) if channel.up}
            assert up == {leg.id for leg in call.takers}, "the core does not know who holds the caller"
            assert up or world.some(Role.PARTNER), "the caller is held by nobody"
        else:
            assert not world.steps(), "somebody waits in the dialplan for nobody"
        if world.place is Place.BRIDGE:
            assert not call.held, "held while the caller talks"
            assert not world.held
        if world.place is Place.GONE:
            assert not world.some(Role.PARTNER, bridged=False), "a partner is called for nobody"
        alive = {leg.id for leg in call.legs if leg.alive}
        assert alive == set(world.channels) | ({"c"} if world.place is not Place.GONE else set())
        talking = {leg.id for leg in call.legs if leg.state is LegState.TALKING}
        bridged = {channel.id for channel in world.channels.values() if channel.bridge}
        assert talking == bridged | ({"c"} if world.caller_bridge else set())

    def settle(self) -> None:
        """All news arrives, and all that follows from it."""
        while self.world.events or self.world.questions:
            while self.world.events:
                self.hear(self.world.events.popleft())
            if self.world.questions:
                self.hear(self.world.question())
        for event in [event for event in self.world.due if isinstance(event, FreedTimeout)]:
            self.world.due.remove(event)
            self.world.now = max(self.world.now, event.at)
            self.hear(event)
        if self.world.events or self.world.questions:
            self.settle()

    def the_dialplan_waits_no_longer(self) -> None:
        """Every wait of the dialplan comes to its end, and what follows is told, until nothing moves."""
        for _ in range(20):
            before = repr(self.world.place), self.world.held, repr(self.world.channels)
            for channel in self.world.steps():
                if channel.id in self.world.channels and channel.step is not None:
                    self.world.goes_on(channel)
            if self.world.place is Place.HOLD:
                self.world.hold_loop()
            self.settle()
            if before == (repr(self.world.place), self.world.held, repr(self.world.channels)):
                return
        raise AssertionError("the dialplan never comes to rest")

    def close(self) -> None:
        """Everybody goes home: nothing is left over."""
        self.the_dust_settles()
        self.world.close()
        self.settle()
        self.the_dialplan_waits_no_longer()
        assert self.witness.call.ended
        assert all(transfer.reason is not None for transfer in self.witness.call.transfers)
        assert not self.world.channels


chapters = st.sampled_from(("queue", "talking", "inviting", "three_way", "held"))
steps = st.tuples(st.integers(0, 1000), st.integers(0, 1000))


@given(chapters, st.sampled_from(sorted(BOTH)), st.lists(steps, max_size=40))
@settings(max_examples=600, deadline=None)
def test_whatever_people_do_nobody_is_lost(chapter: str, mode: Mode, acts: list[tuple[int, int]]) -> None:
    play = Play(chapter, mode)
    for choice, which in acts:
        play.step(choice, which)
    play.close()
