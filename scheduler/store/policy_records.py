"""What the evidence keeps of policies: every figure of each, for plans and calls name digests."""

from collections.abc import Iterator
from dataclasses import asdict

from sqlalchemy import Connection, select, text

from scheduler.domain.policy import Policy
from scheduler.store.evidence import append
from scheduler.store.locks import Duty, alone
from scheduler.store.tables.evidence import evidence

STREAM = "policy"

# Its spelling is canonical, so it is found without reading JSON, which another hand may have made
# into none.
_KNOWN = text("""
    SELECT EXISTS (SELECT FROM evidence WHERE stream = :stream AND body LIKE :named)
""")
_NAMED = text("SELECT id, inputs->>'policy' AS digest FROM plan ORDER BY id")


def prove_policy(conn: Connection, policy: Policy) -> None:
    """See to it that a record spells out *policy*, in the caller's transaction.

    There is one for each digest, and whoever asks waits for others who do.
    """
    alone(conn, Duty.RECORDING)
    digest = policy.digest().hex()
    named = {"stream": STREAM, "named": f'{{"digest":"{digest}",%'}
    if not conn.execute(_KNOWN, named).scalar_one():
        body = {"digest": digest, "policy": asdict(policy)}
        append(conn, stream=STREAM, kind="policy", bodies=[body])


def lesson_records(conn: Connection) -> Iterator[tuple[str, int, str]]:
    """Stream, number and body of every record of what was learned, in their order."""
    kept = select(evidence.c.stream, evidence.c.seq, evidence.c.body)
    for row in conn.execute(kept.where(evidence.c.kind == "learn").order_by(evidence.c.seq)):
        yield row.stream, row.seq, row.body


def policies_of_plans(conn: Connection) -> Iterator[tuple[int, str | None]]:
    """Each plan's id and the digest (hex) of the policy it went by, in the order of the ids."""
    for row in conn.execute(_NAMED):
        yield row.id, row.digest
