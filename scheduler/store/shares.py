"""Each offer's concurrency, divided among all workers: who may have how many calls under way.

A worker's claim on an offer is a row that it renews while it has jobs for the offer.  What is
claimed never adds up to more than the offer takes: claims are changed one worker at a time, and a
claim gets smaller only after its worker has stopped to begin calls beyond the new one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, text

from scheduler.domain.shares import Claim, Share, share_of
from scheduler.store.locks import Duty, alone

# A server that was away may have kept the workers from renewing their claims.
_LIVES = "greatest(share.expires_at, pg_postmaster_start_time() + :lasts) > now()"

_READ = text(f"""
    SELECT offer.id AS offer_id, offer.concurrency, share.worker, share.calls,
           share.expires_at > now() + :lasts * 0.7 AS is_fresh
    FROM offer LEFT JOIN share ON share.offer_id = offer.id AND {_LIVES}
    ORDER BY offer.id, share.since, share.worker
""")  # noqa: S608 - of this module's own text
_DROP = text(f"""
    DELETE FROM share
    WHERE NOT {_LIVES} OR (worker = :worker AND offer_id = ANY(CAST(:offers AS int[])))
""")  # noqa: S608 - likewise
_WRITE = text("""
    INSERT INTO share (offer_id, worker, calls, expires_at)
    SELECT offer_id, :worker, calls, now() + :lasts
    FROM unnest(CAST(:offers AS int[]), CAST(:calls AS int[])) AS claim (offer_id, calls)
    ON CONFLICT (offer_id, worker) DO UPDATE
    SET calls = excluded.calls, expires_at = excluded.expires_at
""")


@dataclass(slots=True)
class _Divided:
    """One offer's claims; *mine* is the asking worker's, fresh if it need not be renewed soon."""

    limit: int
    claims: list[Claim] = field(default_factory=list)
    mine: int | None = None
    is_fresh: bool = False


def full_offers(conn: Connection, *, worker: str, lasts: timedelta) -> set[int]:
    """The offers that as many other workers call as they take calls."""
    return {
        offer_id
        for offer_id, one in _read(conn, worker=worker, lasts=lasts).items()
        if share_of(worker, one.claims, limit=one.limit, using=0).is_full
    }


def claim(
    conn: Connection,
    using: Mapping[int, int],
    *,
    worker: str,
    lasts: timedelta,
    keeps_others: bool = False,
) -> dict[int, Share]:
    """*worker*'s shares of all offers, of which it wants those in *using*.

    *using* is how many calls of each the worker may have begun before it hears the answer.  It
    gives up its claims on all others, unless it *keeps_others*.  The answer holds for as long as
    a claim *lasts*.  Where nothing changes, as a rule, this is one statement and takes no lock.
    """
    found = _read(conn, worker=worker, lasts=lasts)
    if _is_settled(found, using, worker=worker, keeps_others=keeps_others):
        return _shares(found, using, worker=worker)
    alone(conn, Duty.SHARING)
    found = _read(conn, worker=worker, lasts=lasts)
    shares = _shares(found, using, worker=worker)
    mine = {offer_id: shares[offer_id].claimed for offer_id in _claimed(shares, using)}
    gone = [offer_id for offer_id in (using if keeps_others else found) if offer_id not in mine]
    asked = {"worker": worker, "lasts": lasts}
    conn.execute(_DROP, asked | {"offers": gone})
    conn.execute(_WRITE, asked | {"offers": list(mine), "calls": list(mine.values())})
    return shares


def _read(conn: Connection, *, worker: str, lasts: timedelta) -> dict[int, _Divided]:
    found: dict[int, _Divided] = {}
    for row in conn.execute(_READ, {"lasts": lasts}):
        one = found.setdefault(row.offer_id, _Divided(row.concurrency))
        if row.worker is not None:
            one.claims.append(Claim(worker=row.worker, calls=row.calls))
        if row.worker == worker:
            one.mine, one.is_fresh = row.calls, row.is_fresh
    return found


def _shares(
    found: Mapping[int, _Divided], using: Mapping[int, int], *, worker: str
) -> dict[int, Share]:
    return {
        offer_id: share_of(worker, one.claims, limit=one.limit, using=using.get(offer_id, 0))
        for offer_id, one in found.items()
    }


def _claimed(shares: Mapping[int, Share], using: Collection[int]) -> list[int]:
    """Of the offers in *using*, those on which there is to be a claim.

    One without calls is a place, too: the others see it, and make room.
    """
    return [one for one in using if shares[one].claimed or not shares[one].is_full]


def _is_settled(
    found: Mapping[int, _Divided],
    using: Mapping[int, int],
    *,
    worker: str,
    keeps_others: bool,
) -> bool:
    """Whether the claims are as they should be, and last for some time yet."""
    shares = _shares(found, using, worker=worker)
    wanted = set(_claimed(shares, using))
    return all(
        one.is_fresh and one.mine == shares[offer_id].claimed
        if offer_id in wanted
        else one.mine is None or (keeps_others and offer_id not in using)
        for offer_id, one in found.items()
    )
