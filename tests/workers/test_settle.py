"""What finished calls come to, whatever they were: in amounts, before anything is written."""

from collections import defaultdict
from datetime import UTC, date, datetime
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import JobState, Reduction, Task
from scheduler.domain.ledger import EntryKind, balance
from scheduler.domain.option import Option
from scheduler.domain.purse import Purse
from scheduler.domain.work import AttemptState, Lease
from scheduler.store.assignments import Assignment
from workers.inhand import InHand, Noted, Outcome, Trouble, Turn, Verdict
from workers.prompts import Prompt
from workers.settle import Names, Settlement, granted, overrun, settlement, usd

NAMES = {1: Names(offer="acme/m", provider="acme")}
OPTION = Option(
    reduction=Reduction.NONE,
    offer_id=1,
    price_id=1,
    reserved_nusd=100,
    output_limit=10,
    input_tokens=5,
    output_tokens=5,
    quality_ppm=800_000,
)


def hand(number: int, purse: Purse) -> InHand:
    job = Assignment(
        lease=Lease(parcel_id=1, attempt=1),
        job_id=number,
        key=f"job-{number}",
        tenant_id=1,
        project_id=3,
        scope="acme/legal/contracts",
        plan_id=1,
        tags="{}",
        document_id=number,
        document_bytes=10,
        deadline=None,
        max_cost_nusd=None,
        booked_on=date(2026, 11, 24),
        task=Task.SUMMARIZE,
        params={},
        purse=purse,
        chosen=OPTION,
        alternatives="[]",
    )
    return InHand(job=job, purse=purse, option=OPTION, attempts=1)


def outcome(of: InHand, cost_nusd: int | None, trouble: Trouble | None) -> Outcome:
    known = AttemptState.FAILED if trouble else AttemptState.SUCCEEDED
    noted = Noted(
        id=str(UUID(int=of.job.job_id + 1)),
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        hand=of,
        option=OPTION,
        prompt=Prompt(system="", user="", version="summarize-1", digest=bytes(32)),
    )
    return Outcome(
        noted=noted,
        state=AttemptState.UNKNOWN if cost_nusd is None else known,
        cost_nusd=cost_nusd,
        trouble=trouble,
        output=None if trouble else b'"A summary."',
    )


def settle(*turns: Turn) -> Settlement:
    return settlement(turns, names=NAMES, at="2026-11-24T00:00:00Z", wait_s=60, bills={})


amounts = st.integers(0, 400)


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    """A turn each for some jobs: done, moved on, given back or failed, at any price."""
    made = []
    for number in range(draw(st.integers(1, 5))):
        purse = Purse(
            free_nusd=draw(st.integers(100, 300)), held_nusd=draw(amounts), spent_nusd=draw(amounts)
        )
        one = hand(number, purse)
        state = draw(st.sampled_from(list(JobState)))
        trouble = None if state is JobState.DONE else draw(st.sampled_from(list(Trouble)))
        cost_nusd = draw(st.none() | amounts)
        called = state is JobState.DONE or draw(st.booleans())
        reason = "why" if state in (JobState.FAILED, JobState.QUEUED) else None
        made.append(
            Turn(
                hand=one,
                verdict=Verdict(state=state, reason=reason),
                outcome=outcome(one, cost_nusd, trouble) if called else None,
            )
        )
    return made


@given(turns(), st.booleans())
def test_a_jobs_money_moves_as_its_entries_say(made: list[Turn], has_more: bool) -> None:
    settled = settle(*made)

    entries = list(settled.entries)
    for short in settled.shorts:
        entries += granted(short) if has_more else overrun(short)
    booked: dict[int, list[tuple[EntryKind, int]]] = defaultdict(list)
    for entry in entries:
        assert entry.amount_nusd > 0
        booked[entry.job_id].append((entry.kind, entry.amount_nusd))
    moves = {move.job_id: move for move in settled.moves}
    for turn in made:
        number = turn.hand.job.job_id
        total = balance(booked[number])
        move = moves.get(number)
        assert total.reserved_nusd == -(move.used_nusd if move else 0)
        assert total.spent_nusd + total.overrun_nusd == (move.spent_nusd if move else 0)


@given(turns())
def test_a_job_that_leaves_takes_nothing_with_it_but_what_is_held(made: list[Turn]) -> None:
    for move in settle(*made).moves:
        if move.state is not JobState.PLANNED:
            assert move.used_nusd + move.held_nusd == move.free_nusd


@given(turns())
def test_each_job_that_is_over_has_one_result_and_one_event(made: list[Turn]) -> None:
    settled = settle(*made)

    over = [t.hand.job for t in made if t.verdict.state in (JobState.DONE, JobState.FAILED)]
    assert [result.job_id for result in settled.results] == [job.job_id for job in over]
    assert [key for key, _ in settled.messages] == [job.key for job in over]
    for result, (_, message) in zip(settled.results, settled.messages, strict=True):
        said = orjson.loads(message)
        assert said["status"] == result.status
        assert said["cost_usd"] == usd(result.cost_nusd)


@given(turns())
def test_every_call_has_its_line_in_the_evidence(made: list[Turn]) -> None:
    settled = settle(*made)

    calls = [turn.outcome for turn in made if turn.outcome]
    assert [line[0] for line in settled.calls] == [str(one.noted.id) for one in calls]
    assert [ended.id for ended in settled.ended] == [one.noted.id for one in calls]


def test_a_bad_answer_is_waste_and_a_good_one_is_posted() -> None:
    good, bad = hand(1, Purse(free_nusd=100)), hand(2, Purse(free_nusd=100))
    settled = settle(
        Turn(hand=good, verdict=Verdict(state=JobState.DONE), outcome=outcome(good, 40, None)),
        Turn(
            hand=bad,
            verdict=Verdict(state=JobState.FAILED, reason="no"),
            outcome=outcome(bad, 30, Trouble.BAD_OUTPUT),
        ),
    )

    kinds = [(entry.job_id, entry.kind, entry.amount_nusd) for entry in settled.entries]
    assert kinds == [
        (1, EntryKind.POSTING, 40),
        (1, EntryKind.RELEASE, 60),
        (2, EntryKind.WASTE, 30),
        (2, EntryKind.RELEASE, 70),
    ]


def test_an_answer_of_unknown_price_is_a_result_and_its_money_is_held() -> None:
    one = hand(1, Purse(free_nusd=150))
    settled = settle(
        Turn(hand=one, verdict=Verdict(state=JobState.DONE), outcome=outcome(one, None, None))
    )

    [move] = settled.moves
    assert (move.state, move.held_nusd, move.used_nusd, move.spent_nusd) == ("done", 100, 50, 0)
    assert [(e.kind, e.amount_nusd) for e in settled.entries] == [(EntryKind.RELEASE, 50)]
    said = orjson.loads(settled.messages[0][1])
    assert (said["cost_usd"], said["cost_unknown_usd"]) == ("0", "0.0000001")


@given(st.integers(0, 10**19))
def test_amounts_in_events_are_exact(amount_nusd: int) -> None:
    whole, _, fraction = usd(amount_nusd).partition(".")
    assert int(whole) * 10**9 + int(fraction.ljust(9, "0") or 0) == amount_nusd
    assert not fraction.endswith("0")
