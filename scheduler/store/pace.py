"""Each offer's rate limit, shared by all workers: whoever would call takes a slice of time.

The rule is the generic cell rate algorithm (ITU-T I.371): a limit of N a minute is a line on
which every request takes a place 60/N seconds long, and `..._until` is the line's end.  Who
needs ten places moves the end by ten, in one UPDATE, and may begin where the end was before.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert

from scheduler.store.tables.catalog import pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a provider lets through for one offer, over all workers.

    Attributes:
        burst_s: so much of a pause may be made good at once.
    """

    requests_per_minute: int
    tokens_per_minute: int
    burst_s: float = 1.0


# The slice begins where both lines allow it.  A line that nobody stood in for a while begins
# anew, *burst* before now.
_TAKE = text("""
    WITH line AS (
        SELECT offer_id, clock_timestamp() AS now,
               greatest(requests_until, clock_timestamp() - :burst) AS requests_from,
               greatest(tokens_until, clock_timestamp() - :burst) AS tokens_from
        FROM pace WHERE offer_id = :offer_id FOR UPDATE
    )
    UPDATE pace
    SET requests_until = requests_from + :requests_last,
        tokens_until = tokens_from + :tokens_last
    FROM line
    WHERE pace.offer_id = line.offer_id
    RETURNING extract(epoch FROM greatest(requests_from, tokens_from) - now)::float8
""")

_HOLD = text("""
    UPDATE pace SET requests_until = greatest(requests_until, clock_timestamp() + :wait)
    WHERE offer_id = :offer_id
""")


def take(conn: Connection, *, offer_id: int, limit: Limit, requests: int, tokens: int) -> float:
    """Take a slice for *requests* calls with *tokens* in all; seconds until it begins.

    Zero or less: it has begun.  The slice is the caller's, whether it is used or not.
    """
    conn.execute(insert(pace).values(offer_id=offer_id).on_conflict_do_nothing())
    wait_s = conn.execute(
        _TAKE,
        {
            "offer_id": offer_id,
            "burst": timedelta(seconds=limit.burst_s),
            "requests_last": timedelta(seconds=60 * requests / limit.requests_per_minute),
            "tokens_last": timedelta(seconds=60 * tokens / limit.tokens_per_minute),
        },
    ).scalar_one()
    return float(wait_s)


def hold(conn: Connection, *, offer_id: int, wait_s: float) -> None:
    """Let no worker take a slice that begins before *wait_s* from now: the provider asked so."""
    conn.execute(insert(pace).values(offer_id=offer_id).on_conflict_do_nothing())
    conn.execute(_HOLD, {"offer_id": offer_id, "wait": timedelta(seconds=wait_s)})
