"""Attempts in Postgres: written before the call goes out, and ended once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.work import AttemptState
from scheduler.store.bulk import copy_rows, numbers, texts

STARTED_COLUMNS = (
    "id",
    "started_at",
    "job_id",
    "parcel_id",
    "fence",
    "ordinal",
    "offer_id",
    "price_id",
    "reduction",
    "prompt",
    "reserved_nusd",
    "booked_on",
)
"""What is written of a call before it is made."""


class Ended(NamedTuple):
    """How a started call went; the fields in the order of `_END`'s columns.

    Attributes:
        id: a UUID as text.
        cost_nusd: None exactly where *state* is unknown.
        finish: the provider's reason to stop, in our words.
    """

    id: str
    started_at: datetime
    state: AttemptState
    cost_nusd: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str | None = None
    served_model: str | None = None
    request_id: str | None = None
    error: str | None = None
    seconds: float | None = None


# The range of started_at lets Postgres leave out the months that cannot hold them.  Only the ids
# find the calls: the index of open ones still holds all that were ended since the last vacuum.
_END = text("""
    UPDATE attempt
    SET state = ended.state, cost_nusd = ended.cost_nusd, input_tokens = ended.input_tokens,
        output_tokens = ended.output_tokens, finish = ended.finish,
        served_model = ended.served_model, request_id = ended.request_id,
        error = ended.error, seconds = ended.seconds, finished_at = now()
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:costs AS bigint[]),
                CAST(:inputs AS int[]), CAST(:outputs AS int[]),
                CAST(:finishes AS text[]), CAST(:models AS text[]), CAST(:requests AS text[]),
                CAST(:errors AS text[]), CAST(:seconds AS float8[]))
         AS ended (id, state, cost_nusd, input_tokens, output_tokens, finish,
                   served_model, request_id, error, seconds)
    WHERE attempt.id = ended.id AND coalesce(attempt.state = 'started', false)
      AND attempt.started_at BETWEEN :first AND :last
""")


def start(conn: Connection, attempts: Iterable[Sequence[Any]]) -> None:
    """Write *attempts* down, each a value for every one of `STARTED_COLUMNS`.

    Only when this is committed may their calls go out.
    """
    copy_rows(conn, "attempt", STARTED_COLUMNS, attempts)


def end(conn: Connection, attempts: Sequence[Ended]) -> int:
    """End started *attempts*; how many of them were still open."""
    if not attempts:
        return 0
    # Column by column: with a loop for each, they take as long as the statement itself.
    ids, times, states, costs, inputs, outputs, finishes, models, requests, errors, seconds = zip(
        *attempts, strict=True
    )
    return conn.execute(
        _END,
        {
            "ids": texts(ids),
            "states": texts(states),
            "costs": numbers(costs),
            "inputs": numbers(inputs),
            "outputs": numbers(outputs),
            "finishes": texts(finishes),
            "models": texts(models),
            "requests": texts(requests),
            "errors": texts(errors),
            "seconds": numbers(seconds),
            "first": min(times),
            "last": max(times),
        },
    ).rowcount
