"""A call that was posted at a wrong cost is corrected by other entries, and nothing is changed."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from scheduler.compliance.verification import verify
from scheduler.domain.work import AttemptState
from scheduler.store.budgets import list_budgets, set_budget
from scheduler.store.corrections import Correction, NotPosted, correct
from scheduler.store.resolution import Resolution, resolve
from tests.compliance.day import ANSWERED, LOST, TODAY, WASTED, a_day
from tests.compliance.tampering import found, tamper
from tests.rig.sessions import while_another_does

Right = Callable[..., int]


@pytest.fixture
def right(conn: Connection) -> Right:
    """Corrects calls (60 was posted for the answered one, 40 wasted) of a budget of 10 000."""
    a_day(conn)

    def to(**costs: int) -> int:
        calls = {"answered": ANSWERED, "wasted": WASTED, "lost": LOST}
        corrections = [
            Correction(attempt_id=calls[name], cost_nusd=cost) for name, cost in costs.items()
        ]
        return correct(conn, corrections, by="anna", why="credit note 77")

    return to


def entries(conn: Connection) -> list[tuple[str, int, UUID]]:
    """What was booked after the day, in its order."""
    rows = conn.execute(text("SELECT kind, amount_nusd, attempt_id FROM ledger ORDER BY id"))
    return [tuple(row) for row in rows][7:]


def standing(conn: Connection) -> tuple[int, int, int, int]:
    """(spent, reserved, free, overrun) of the budget, in nUSD, where the audit finds no fault."""
    assert verify(conn).findings == ()
    [line] = list_budgets(conn)
    return line.spent_nusd, line.reserved_nusd, line.free_nusd, line.overrun_nusd


def limit(conn: Connection, nusd: int) -> None:
    period = conn.execute(text("SELECT starts_on, ends_on FROM budget")).one()
    set_budget(conn, scope_id=1, **period._asdict(), limit_nusd=nusd, by="finance")


def test_the_day_begins_with_a_hundred_spent(conn: Connection, right: Right) -> None:
    assert standing(conn) == (100, 100, 9_800, 0)
    assert entries(conn) == []


@pytest.mark.parametrize("cost", [0, 25, 59])
def test_what_was_too_much_goes_back_to_its_budget(
    conn: Connection, right: Right, cost: int
) -> None:
    assert right(answered=cost) == 1

    assert entries(conn) == [("posting_credit", 60 - cost, ANSWERED)]
    assert standing(conn) == (40 + cost, 100, 9_860 - cost, 0)


def test_what_was_too_little_is_asked_of_its_budget(conn: Connection, right: Right) -> None:
    assert right(answered=85) == 1

    assert entries(conn) == [("reservation", 25, ANSWERED), ("posting", 25, ANSWERED)]
    assert standing(conn) == (125, 100, 9_775, 0)


def test_waste_is_corrected_as_waste(conn: Connection, right: Right) -> None:
    assert right(wasted=10) == 1
    assert right(wasted=15) == 1

    assert entries(conn) == [
        ("waste_credit", 30, WASTED), ("reservation", 5, WASTED), ("waste", 5, WASTED),
    ]  # fmt: skip
    assert standing(conn) == (75, 100, 9_825, 0)


def test_what_no_budget_has_is_owed_and_is_the_first_that_comes_back(
    conn: Connection, right: Right
) -> None:
    limit(conn, 210)

    right(answered=71)
    assert entries(conn) == [("overrun", 11, ANSWERED)]
    assert standing(conn) == (100, 100, 10, 11)

    right(answered=64)
    assert entries(conn)[1:] == [("overrun_credit", 7, ANSWERED)]
    assert standing(conn) == (100, 100, 10, 4)

    right(answered=50)
    assert entries(conn)[2:] == [("overrun_credit", 4, ANSWERED), ("posting_credit", 10, ANSWERED)]
    assert standing(conn) == (90, 100, 20, 0)


def test_what_one_call_gives_back_another_may_have(conn: Connection, right: Right) -> None:
    limit(conn, 200)

    assert right(answered=65, wasted=35) == 2

    assert standing(conn) == (100, 100, 0, 0)
    assert not [one for one in entries(conn) if one[0] == "overrun"]


def test_a_cost_that_was_right_changes_nothing(conn: Connection, right: Right) -> None:
    assert right(answered=60, wasted=39) == 1
    assert right(wasted=39) == 0

    assert entries(conn) == [("waste_credit", 1, WASTED)]
    assert len(corrections(conn)) == 1


def corrections(conn: Connection) -> list[str]:
    bodies = "SELECT body FROM evidence WHERE kind = 'correction' ORDER BY seq"
    return list(conn.execute(text(bodies)).scalars())


def test_who_knew_what_from_and_what_was_posted_before_is_on_record(
    conn: Connection, right: Right
) -> None:
    right(answered=25)
    right(answered=30)

    before, after = corrections(conn)
    assert '"by":"anna"' in before
    assert '"why":"credit note 77"' in before
    assert f'"attempt":"{ANSWERED}"' in before
    assert '"cost_before_nusd":60,"cost_nusd":25' in before
    assert '"cost_before_nusd":25,"cost_nusd":30' in after
    assert standing(conn) == (70, 100, 9_830, 0)


def test_a_call_of_unknown_outcome_is_resolved_first(conn: Connection, right: Right) -> None:
    with pytest.raises(NotPosted, match="attempts resolve") as refused:
        right(answered=1, lost=1)

    assert (refused.value.attempt_id, refused.value.state) == (LOST, AttemptState.UNKNOWN)
    assert standing(conn) == (100, 100, 9_800, 0)

    resolve(conn, Resolution(attempt_id=LOST, cost_nusd=70, input_tokens=9), by="finance")
    assert right(lost=20) == 1
    assert standing(conn) == (120, 0, 9_880, 0)


def test_a_call_that_was_never_made_is_not_corrected(conn: Connection, right: Right) -> None:
    with pytest.raises(NotPosted, match="not in this database"):
        correct(conn, [Correction(attempt_id=UUID(int=9), cost_nusd=1)], by="anna", why="x")


def test_finance_sees_each_correction(conn: Connection, right: Right) -> None:
    right(answered=25)

    [seen] = conn.execute(text("SELECT * FROM finance_correction"))
    assert (seen.attempt_id, seen.booked_on, seen.job) == (ANSWERED, TODAY, "a")
    assert (seen.project, seen.provider) == ("default/default/default", "sandbox")
    assert (seen.offer, seen.cost_before_nusd, seen.cost_nusd) == ("sandbox/small", 60, 25)
    assert (seen.corrected_by, seen.why) == ("anna", "credit note 77")


def test_a_correction_after_the_result_is_not_in_what_it_says(
    conn: Connection, right: Right
) -> None:
    right(answered=25, wasted=90)

    delivered = "SELECT array_agg(cost_nusd ORDER BY job_id) FROM result"
    assert conn.execute(text(delivered)).scalar_one() == [60, 40]
    assert verify(conn).findings == ()

    tamper(conn, "UPDATE result SET cost_nusd = 61 WHERE job_id = 1")
    assert any("its result says 61 nUSD" in one for one in found(conn))


@pytest.mark.parametrize(
    ("statement", "shows"),
    [
        ("DELETE FROM ledger WHERE kind = 'posting_credit'", "cost 25 nUSD; the ledger says 60"),
        ("UPDATE attempt SET cost_nusd = 60 WHERE job_id = 1", "cost_nusd is 60, recorded as 25"),
        ("UPDATE ledger SET kind = 'waste_credit' WHERE kind = 'posting_credit'", "as waste"),
        ("UPDATE ledger SET amount_nusd = 36 WHERE kind = 'posting_credit'", "ledger says 24"),
        ("UPDATE job SET spent_nusd = 60 WHERE id = 1", "60 spent; the ledger says 0 and 25"),
        ("UPDATE budget SET spent_nusd = 100", "spent 100 nUSD against the ledger's 65"),
        (
            "UPDATE evidence SET body = replace(body, '\"cost_nusd\":25', '\"cost_nusd\":24')"
            " WHERE kind = 'correction'",
            "recorded as 24",
        ),
        ("DELETE FROM evidence WHERE kind = 'correction'", "cost_nusd is 25, recorded as 60"),
    ],
)
def test_a_correction_that_is_altered_shows(
    conn: Connection, right: Right, statement: str, shows: str
) -> None:
    right(answered=25)
    assert verify(conn).findings == ()

    tamper(conn, statement)

    assert any(shows in one for one in found(conn)), found(conn)


def test_who_corrects_the_same_call_meanwhile_is_waited_for(engine: Engine) -> None:
    with engine.begin() as conn:
        a_day(conn)
        limit(conn, 200)

    def first(conn: Connection) -> None:
        correct(conn, [Correction(attempt_id=ANSWERED, cost_nusd=80)], by="a", why="w")

    def then() -> None:
        with engine.begin() as conn:
            correct(conn, [Correction(attempt_id=ANSWERED, cost_nusd=50)], by="b", why="w")

    while_another_does(engine, first, then)

    with engine.connect() as conn:
        assert entries(conn) == [
            ("overrun", 20, ANSWERED), ("overrun_credit", 20, ANSWERED),
            ("posting_credit", 10, ANSWERED),
        ]  # fmt: skip
        assert standing(conn) == (90, 100, 10, 0)
