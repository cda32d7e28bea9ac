"""The whole audit: the chains, and the books, each held against what it must agree with."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby, islice
from operator import itemgetter
from time import monotonic

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from scheduler.compliance.chain import ChainCount, chain_faults
from scheduler.compliance.checkpoint import Checkpoint
from scheduler.domain.decision import decisions_digest
from scheduler.domain.errors import Broken
from scheduler.domain.policy import figures_digest
from scheduler.store.audit_books import BOOKS, disagreements
from scheduler.store.audit_read import (
    all_decisions,
    all_records,
    all_results,
    digest_at,
    plan_digests,
)
from scheduler.store.evidence import heads, records
from scheduler.store.policy_records import STREAM as POLICY_STREAM
from scheduler.store.policy_records import lesson_records, policies_of_plans
from scheduler.store.reports import budget_standings

CHAIN = "the chain of records"
CHECKPOINT = "the chain against the checkpoint"
DECISIONS = "decisions against their plans' digests"
RESULTS = "results against their digests"
BUDGETS = "the ledger against the budgets"
POLICIES = "plans and lessons against the policies on record"
NO_RECORD = "went by a policy of which no record tells"
ALTERED_DECISIONS = "a decision was altered, put in or taken away"
UNREADABLE = "cannot be told: a record's body is not what the service writes"
FINDINGS_MAX = 1_000
"""Of one check; whoever made more of them did not hide it."""


class AuditFailed(Broken):
    """Something was altered, put in or taken away; what and where was told before."""

    def __init__(self, *, findings: int) -> None:
        super().__init__(
            f"faults found: {findings}; keep the database as it is, and compare it with a backup"
        )
        self.findings = findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault: which check found it, at which row or record, and how it shows."""

    check: str
    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit went through, how long each check took, and what it found."""

    streams: int
    records: int
    seconds: dict[str, float]
    findings: tuple[Finding, ...]


def verify(conn: Connection, *, checkpoint: Checkpoint | None = None) -> Audit:
    """Go through everything; *conn* must see one instant (`store.connect.snapshot`)."""
    count = ChainCount()
    checks = {CHAIN: _chain(conn, count)}
    if checkpoint is not None:
        checks[CHECKPOINT] = _checkpoint(conn, checkpoint)
    checks[DECISIONS] = _decisions(conn)
    checks[RESULTS] = _results(conn)
    checks[BUDGETS] = _budgets(conn)
    checks[POLICIES] = _policies(conn)
    checks |= {name: _books(conn, name) for name in BOOKS}
    findings: list[Finding] = []
    seconds: dict[str, float] = {}
    for name, found in checks.items():
        started = monotonic()
        findings += islice(found, FINDINGS_MAX)
        seconds[name] = round(monotonic() - started, 3)
    return Audit(
        streams=count.streams,
        records=count.records,
        seconds=seconds,
        findings=tuple(findings),
    )


def _chain(conn: Connection, count: ChainCount) -> Iterator[Finding]:
    for fault in chain_faults(all_records(conn), heads(conn), count):
        yield _at(CHAIN, stream=fault.stream, seq=fault.seq, what=fault.reason)


def _checkpoint(conn: Connection, checkpoint: Checkpoint) -> Iterator[Finding]:
    for stream, (seq, digest) in checkpoint.heads.items():
        found = digest_at(conn, stream=stream, seq=seq) if seq else digest
        if found is None:
            what = f"was there on {checkpoint.made_at}, and is gone"
            yield _at(CHECKPOINT, stream=stream, seq=seq, what=what)
        elif found != digest:
            what = f"is not the one of {checkpoint.made_at}: the chain was made anew"
            yield _at(CHECKPOINT, stream=stream, seq=seq, what=what)


def _decisions(conn: Connection) -> Iterator[Finding]:
    unseen = plan_digests(conn)
    for plan_id, decisions in groupby(all_decisions(conn), key=itemgetter(0)):
        if decisions_digest(row for _, row in decisions) != unseen.pop(plan_id, None):
            yield Finding(check=DECISIONS, where=f"plan {plan_id}", what=ALTERED_DECISIONS)
    for plan_id, digest in unseen.items():
        if digest != decisions_digest([]):
            yield Finding(check=DECISIONS, where=f"plan {plan_id}", what=ALTERED_DECISIONS)


def _results(conn: Connection) -> Iterator[Finding]:
    for job_id, output, reason, digest in all_results(conn):
        said = (reason or "").encode() if output is None else _spelled(output)
        if hashlib.sha256(said).digest() != digest:
            what = "its output is not the one that was delivered"
            yield Finding(check=RESULTS, where=f"job {job_id}", what=what)


def _spelled(output: object) -> bytes:
    """*output* as the worker spelled it when it was digested."""
    return orjson.dumps(output, option=orjson.OPT_SORT_KEYS)


def _budgets(conn: Connection) -> Iterator[Finding]:
    for standing in budget_standings(conn, starts_on=date.min, ends_on=date.max):
        where = f"budget {standing.scope} from {standing.starts_on}"
        for what in standing.mismatches():
            yield Finding(check=BUDGETS, where=where, what=what)
        if standing.free_nusd < 0:
            what = f"has {-standing.free_nusd} nUSD less than nothing free"
            yield Finding(check=BUDGETS, where=where, what=what)


def _policies(conn: Connection) -> Iterator[Finding]:
    known = set()
    for record, _ in records(conn, stream=POLICY_STREAM):
        named = _policy_named(record.body)
        if named is None:
            what = "the figures of a policy are not those of its digest"
            yield _at(POLICIES, stream=POLICY_STREAM, seq=record.seq, what=what)
        else:
            known.add(named)
    # An older program recorded none.
    is_kept = False
    for plan_id, named in policies_of_plans(conn):
        is_kept = is_kept or named in known
        if is_kept and named not in known:
            yield Finding(check=POLICIES, where=f"plan {plan_id}", what=NO_RECORD)
    for stream, seq, body in lesson_records(conn):
        if (named := _policy_learned_by(body)) is not None and named not in known:
            yield _at(POLICIES, stream=stream, seq=seq, what=NO_RECORD)


def _policy_named(body: str) -> str | None:
    """The digest (hex) that a record's *body* names, if its figures have it."""
    try:
        said = json.loads(body)
        named = str(said["digest"])
        return named if figures_digest(said["policy"]).hex() == named else None
    except (ValueError, TypeError, KeyError):
        return None


def _policy_learned_by(body: str) -> str | None:
    """The digest (hex) that a record of learning names; an older program's names none."""
    try:
        said = json.loads(body)
    except ValueError:
        # That it was altered shows in its chain.
        return None
    named = said.get("policy") if isinstance(said, dict) else None
    return None if named is None else str(named)


def _books(conn: Connection, name: str) -> Iterator[Finding]:
    # A record that was made into no JSON, or into another shape of it, ends the query that reads
    # it.  That must not end the audit, which has the record's place from its chain.
    try:
        with conn.begin_nested():
            differing = disagreements(conn, BOOKS[name])
    except DataError:
        yield Finding(check=name, where="the evidence", what=UNREADABLE)
        return
    for found in differing:
        yield Finding(check=name, where=found.where, what=found.what)


def _at(check: str, *, stream: str, seq: int, what: str) -> Finding:
    return Finding(check=check, where=f"stream {stream}, record {seq}", what=what)
