"""How one project's jobs stand, for whoever waits for them."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from scheduler.domain.ledger import WASTE_BY
from scheduler.store.ledger_sums import total


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One project's jobs by state, without judgings, and all its money in nUSD.

    *waste* is part of *spent*.
    """

    queued: int
    planned: int
    done: int
    failed: int
    spent_nusd: int
    reserved_nusd: int
    waste_nusd: int

    @property
    def jobs(self) -> int:
        return self.queued + self.planned + self.done + self.failed

    @property
    def over(self) -> int:
        return self.done + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferWork:
    """What one offer did for a project: answers used, calls that came to nothing, and the money.

    *moved* of the answers were given by it although the plan had wanted another offer.
    """

    offer: str
    used: int
    moved: int
    lost_calls: int
    unknown_calls: int
    spent_nusd: int


_STANDING = text(f"""
    SELECT count(*) FILTER (WHERE state = 'queued' AND task <> 'judge') AS queued,
           count(*) FILTER (WHERE state = 'planned' AND task <> 'judge') AS planned,
           count(*) FILTER (WHERE state = 'done' AND task <> 'judge') AS done,
           count(*) FILTER (WHERE state = 'failed' AND task <> 'judge') AS failed,
           coalesce(sum(spent_nusd), 0)::bigint AS spent_nusd,
           coalesce(sum(reserved_nusd), 0)::bigint AS reserved_nusd,
           (SELECT {total(WASTE_BY)}::bigint FROM ledger
            WHERE project_id = :project_id) AS waste_nusd
    FROM job WHERE project_id = :project_id
""")  # noqa: S608 - kinds of ours

_OFFERS = text("""
    WITH calls AS (
        SELECT attempt.offer_id,
               count(*) FILTER (WHERE attempt.state = 'succeeded') AS used,
               count(*) FILTER (WHERE attempt.state = 'failed') AS lost_calls,
               count(*) FILTER (WHERE attempt.state = 'unknown') AS unknown_calls,
               count(*) FILTER (WHERE attempt.state = 'succeeded'
                                  AND attempt.offer_id <> parcel.offer_id) AS moved,
               coalesce(sum(attempt.cost_nusd), 0)::bigint AS spent_nusd
        FROM attempt
        JOIN job ON job.id = attempt.job_id
        JOIN parcel ON parcel.id = attempt.parcel_id
        WHERE job.project_id = :project_id AND job.task <> 'judge'
        GROUP BY attempt.offer_id
    )
    SELECT offer.name AS offer, used, moved, lost_calls, unknown_calls, spent_nusd
    FROM calls JOIN offer ON offer.id = calls.offer_id
    ORDER BY used DESC, offer.name
""")

_RESTING = text("SELECT count(*) FROM breaker WHERE resting_until > now()")


def standing(conn: Connection, *, project_id: int) -> Standing:
    """How the project's jobs stand."""
    row = conn.execute(_STANDING, {"project_id": project_id}).one()
    return Standing(**row._asdict())


def offers_used(conn: Connection, *, project_id: int) -> list[OfferWork]:
    """What each offer did for the project, the most used first."""
    rows = conn.execute(_OFFERS, {"project_id": project_id})
    return [OfferWork(**row._asdict()) for row in rows]


def offers_resting(conn: Connection) -> int:
    """How many offers are left alone at this moment."""
    return int(conn.execute(_RESTING).scalar_one())
