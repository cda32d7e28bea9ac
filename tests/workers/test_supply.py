"""How many calls are noted ahead: as many as keep an offer busy, and no more."""

from typing import Any, cast

from workers.supply import GROWTH, Supply


def supply(*, jobs: int, share: int = 64, most: int = 1_000) -> Supply:
    """One with *jobs* that only wait to be noted."""
    one = Supply(share=share, most=most)
    one.ready.extend(cast("Any", (n, None)) for n in range(jobs))
    return one


def test_calls_are_noted_up_to_the_share_and_some_ahead() -> None:
    one = supply(jobs=200)
    assert len(one.take()) == 64 + one.ahead
    assert len(one.ready) == 200 - 64 - one.ahead


def test_an_offer_that_ran_dry_while_jobs_waited_has_more_noted_ahead() -> None:
    one = supply(jobs=500, most=100_000)
    one.noted(80)
    before = one.ahead
    one.out = 63
    one.noted(20)
    assert one.ahead == GROWTH * before
    assert one.out == 83


def test_an_offer_that_was_kept_busy_has_no_more_noted_ahead() -> None:
    one = supply(jobs=500)
    one.noted(80)
    before = one.ahead
    one.out = 64
    one.noted(20)
    assert one.ahead == before


def test_an_offer_for_which_no_job_waited_has_no_more_noted_ahead() -> None:
    one = supply(jobs=0)
    before = one.ahead
    one.noted(20)
    assert one.ahead == before


def test_no_more_is_noted_ahead_than_the_most() -> None:
    one = supply(jobs=500, most=100)
    for _ in range(10):
        one.out = 0
        one.noted(1)
    assert one.ahead == 100


def test_as_much_is_read_as_is_noted_once_the_offer_has_run_dry() -> None:
    one = supply(jobs=20)
    one.fresh.extend(cast("Any", range(500)))
    one.ready.extend(cast("Any", [(n, None) for n in range(one.wants_ready())]))
    one.noted(0)
    assert len(one.take()) == one.target


def test_what_is_being_read_still_waits() -> None:
    one = supply(jobs=20)
    one.fresh.extend(cast("Any", range(30)))
    one.being_read = 50
    assert one.waiting == 100


def test_half_is_noted_while_the_other_half_is_made() -> None:
    one = supply(jobs=500)
    one.ahead = 100
    one.out = 64 + 51
    assert not one.wants_more()
    one.out = 64 + 50
    assert one.wants_more()


def test_fewer_are_noted_ahead_where_half_was_not_needed() -> None:
    one = supply(jobs=500)
    one.ahead = 100
    one.out = 64 + 51
    one.shrink()
    assert one.ahead == 75


def test_as_many_are_noted_ahead_where_half_was_needed() -> None:
    one = supply(jobs=500)
    one.ahead = 100
    one.out = 64 + 50
    one.shrink()
    assert one.ahead == 100


def test_some_are_always_noted_ahead() -> None:
    one = supply(jobs=500)
    for _ in range(20):
        one.out = 64 + one.ahead
        one.shrink()
    assert one.ahead == 16
