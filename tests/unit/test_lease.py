"""Who may lead, and until when: the rules alone."""

from __future__ import annotations

import pytest

from telephony.core.lease import (
    BLANK,
    HIGHEST,
    TTL,
    WITNESSED,
    Hold,
    Lease,
    Named,
    Sight,
    Term,
    may_begin_without_redis,
)

OURS, THEIRS = "127.0.0.1:4573", "127.0.0.1:4999"
NOBODY = Named()
NAME, OTHER = "a" * 16, "b" * 16


def lease(hold: Hold = Hold.HELD, agi: str = THEIRS, token: int = 7) -> Lease:
    return Lease(token, "110-a", "127.0.0.1:8110", agi, hold)


def seen(hold: Hold = Hold.HELD, agi: str = THEIRS, ttl: float | None = 1.5, now: float = 100.0) -> Sight:
    return Sight().saw(lease(hold, agi), b"lease", ttl, 7, now)


def named(token: int = 7, name: str = OTHER, agi: str = THEIRS) -> Named:
    return Named(token, name, agi)


# -- who starts ------------------------------------------------------------------------------


def test_who_finds_nothing_anywhere_leads_at_once() -> None:
    assert Sight().saw_nothing(0, 100.0).told(NOBODY, 100.0).may_take(OURS, 100.0)


def test_who_has_not_heard_from_redis_takes_nothing() -> None:
    assert not Sight().told(NOBODY, 1e9).may_take(OURS, 1e9)
    assert not seen().lost().told(NOBODY, 1e9).may_take(OURS, 1e9)


def test_who_finds_nothing_in_redis_but_a_name_in_asterisk_waits_until_its_lease_would_have_run_out() -> None:
    sight = Sight().saw_nothing(0, 100.0).told(named(), 100.0)
    assert not sight.may_take(OURS, 100.0 + TTL - 0.01)
    assert sight.may_take(OURS, 100.0 + TTL)


def test_that_wait_begins_anew_when_redis_is_lost_meanwhile() -> None:
    sight = Sight().saw_nothing(0, 100.0).told(named(), 100.0).lost().saw_nothing(0, 101.0)
    assert not sight.may_take(OURS, 102.9)
    assert sight.may_take(OURS, 103.0)


def test_that_wait_begins_anew_when_asterisk_names_somebody_new_whom_redis_has_forgotten_between_two_looks() -> (
    None
):
    sight = Sight().saw_nothing(0, 100.0).told(named(7), 100.0)
    sight = sight.saw_nothing(0, 101.9).told(named(8), 101.9)
    assert not sight.may_take(OURS, 101.9 + TTL - 0.01)
    assert sight.may_take(OURS, 101.9 + TTL)


def test_who_has_not_asked_asterisk_takes_nothing() -> None:
    assert not Sight().saw_nothing(0, 100.0).may_take(OURS, 1e9)


def test_a_redis_that_remembers_the_token_but_no_lease_has_let_it_run_out() -> None:
    assert Sight().saw_nothing(7, 100.0).told(named(7), 100.0).may_take(OURS, 100.0)
    assert not Sight().saw_nothing(6, 100.0).told(named(7), 100.0).may_take(OURS, 100.0)


def test_a_controller_that_starts_again_where_the_leader_served_need_not_wait_for_it() -> None:
    assert seen(agi=OURS).told(named(agi=OURS), 100.0).may_take(OURS, 100.0)
    assert Sight().saw_nothing(0, 100.0).told(named(agi=OURS), 100.0).may_take(OURS, 100.0)
    assert seen(agi=OURS).told(named(agi=OURS), 100.0).others_may_act()  # it may have led for a moment only


@pytest.mark.parametrize(
    ("who", "blank_for", "may"),
    [
        (NOBODY, TTL, True),
        (NOBODY, TTL - 0.01, False),
        (named(agi=OURS), 0.0, True),
        (named(agi=THEIRS), 1e9, False),
    ],
)
def test_without_redis_a_start_leads_only_where_nobody_else_can(
    who: Named, blank_for: float, may: bool
) -> None:
    assert may_begin_without_redis(who, OURS, blank_for) is may


def test_a_hotline_that_was_led_is_deserted_once_nobody_has_held_the_lease_for_a_ttl() -> None:
    for sight in (Sight().saw_nothing(7, 100.0), seen().saw_nothing(7, 100.0)):
        assert not sight.deserted(100.0 + TTL - 0.01)
        assert sight.deserted(100.0 + TTL)
        assert not sight.lost().deserted(1e9)
    garbage = Sight().saw(None, b"!", None, 7, 100.0)
    assert (garbage.deserted(100.0), garbage.deserted(100.0 + TTL)) == (False, True)


@pytest.mark.parametrize("sight", [Sight(), Sight().saw_nothing(0, 100.0)])
def test_a_hotline_that_nobody_has_led_is_not_deserted(sight: Sight) -> None:
    assert not sight.deserted(1e9)


@pytest.mark.parametrize("hold", Hold)
def test_a_hotline_with_a_lease_is_not_deserted(hold: Hold) -> None:
    assert not seen(hold).deserted(1e9)


# -- who stands by ---------------------------------------------------------------------------


@pytest.mark.parametrize("now", [100.0, 101.5, 1e9])
def test_a_lease_that_is_there_is_not_taken(now: float) -> None:
    assert not seen().told(named(), now).may_take(OURS, now)


def test_a_lease_that_has_run_out_is_taken() -> None:
    sight = seen().saw_nothing(7, 101.5).told(named(), 101.5)
    assert sight.may_take(OURS, 101.5)


def test_a_lease_that_went_before_its_time_is_taken_when_its_time_has_come() -> None:
    sight = seen().saw_nothing(7, 100.2).told(named(), 100.2)
    assert not sight.may_take(OURS, 101.4)
    assert sight.may_take(OURS, 101.5)


def test_a_redis_that_has_forgotten_the_tokens_too_is_given_a_whole_ttl() -> None:
    sight = seen().saw_nothing(0, 101.6).told(named(), 101.6)
    assert not sight.may_take(OURS, 101.6 + TTL - 0.01)
    assert sight.may_take(OURS, 101.6 + TTL)


def test_a_redis_that_was_away_is_given_a_whole_ttl() -> None:
    sight = seen().lost().saw_nothing(7, 110.0).told(named(), 110.0)
    assert not sight.may_take(OURS, 110.0 + TTL - 0.01)
    assert sight.may_take(OURS, 110.0 + TTL)


@pytest.mark.parametrize("hold", [Hold.OFFERED, Hold.RELEASED])
def test_a_lease_that_is_given_away_is_taken_at_once(hold: Hold) -> None:
    assert seen(hold).told(named(), 100.0).may_take(OURS, 100.0)


def test_only_who_has_released_it_acts_no_more() -> None:
    assert seen(Hold.OFFERED).told(named(), 100.0).others_may_act()
    assert not seen(Hold.RELEASED).told(named(), 100.0).others_may_act()
    assert seen(Hold.OFFERED).told(NOBODY, 100.0).others_may_act()  # Asterisk was reloaded in between
    assert seen(Hold.RELEASED).told(named(1, agi="127.0.0.1:4600"), 100.0).others_may_act()  # after a reload
    assert seen(Hold.RELEASED).told(named(8), 100.0).others_may_act()  # led since, while Redis was away


@pytest.mark.parametrize(("there", "ttl"), [(None, 1.0), (None, None), (lease(), None), (lease(), 1e6)])
def test_what_no_controller_would_have_written_is_replaced_after_a_ttl(
    there: Lease | None, ttl: float | None
) -> None:
    sight = Sight().saw(there, b"x", ttl, 7, 100.0).saw(there, b"x", ttl, 7, 101.0).told(named(), 101.0)
    assert not sight.may_take(OURS, 100.0 + TTL - 0.01)
    assert sight.may_take(OURS, 100.0 + TTL)


# -- who leads -------------------------------------------------------------------------------


def term(leased: float | None = 100.0) -> Term:
    term = Term(lease(), NAME)
    if leased is not None:
        term.renewed(lease(), leased)
    return term


def test_a_leader_acts_until_a_ttl_after_its_last_renewal_was_sent() -> None:
    assert term().may_act(100.0 + TTL - 0.01)
    assert not term().may_act(100.0 + TTL)


def test_a_leader_does_not_act_before_others_have_stopped() -> None:
    leading = term()
    leading.acts_from = 100.3
    assert not leading.may_act(100.29)
    assert leading.may_act(100.3)


@pytest.mark.parametrize("hold", [Hold.OFFERED, Hold.RELEASED])
def test_who_gives_the_lease_away_acts_no_more(hold: Hold) -> None:
    leading = term()
    leading.renewed(lease(hold), 100.0)
    assert not leading.may_act(100.1)


def test_without_redis_asterisks_word_is_good_for_a_moment() -> None:
    leading = term(None)
    assert not leading.witnessed(named(name=NAME), 100.0, 100.01)
    assert leading.may_act(100.0 + WITNESSED - 0.01)
    assert not leading.may_act(100.0 + WITNESSED)


@pytest.mark.parametrize("token", [7, 8, HIGHEST])
def test_who_sees_another_name_with_its_own_token_or_a_higher_one_is_deposed(token: int) -> None:
    leading = term()
    leading.witnessed(named(token), 100.0, 100.0)
    assert leading.lost
    assert not leading.may_act(100.0)


@pytest.mark.parametrize("there", [NOBODY, named(6)])
def test_a_leader_with_a_lease_writes_itself_into_asterisk_again_at_once(there: Named) -> None:
    assert term().witnessed(there, 100.0, 100.0)


@pytest.mark.parametrize("there", [NOBODY, named(6)])
def test_a_leader_without_redis_does_so_only_when_a_living_leader_would_have(there: Named) -> None:
    leading = term(None)
    assert not leading.witnessed(there, 100.0, 100.0)
    assert not leading.witnessed(there, 100.5, 100.0 + BLANK - 0.01)
    assert leading.witnessed(there, 101.0, 100.0 + BLANK)
    assert not leading.may_act(101.0)


def test_a_lease_that_redis_has_lost_is_the_leaders_while_it_may_act() -> None:
    assert term().owns(101.9)
    assert not term().owns(102.0)
    deposed = term()
    deposed.lost = True
    assert not deposed.owns(100.0)
