"""Three organisations' books over two months, made at random, and added up by hand beside."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from random import Random
from uuid import UUID

from sqlalchemy import Connection, text

from scheduler.domain.errors import BudgetExceeded
from scheduler.domain.ledger import EntryKind
from scheduler.store.budgets import LimitTooLow, set_budget
from scheduler.store.corrections import Correction, correct
from scheduler.store.ledger import Entry, book
from scheduler.store.resolution import Resolution, resolve
from scheduler.store.scopes import ensure_scope

PROJECTS = (
    "acme/legal/contracts",
    "acme/legal/cases",
    "acme/ops/mail",
    "bolt/legal/contracts",  # another's team and project of the same names
    "cora/one/one",
)
OFFERS = ("big/large", "big/small", "own/judge")
OCTOBER = (date(2026, 10, 1), date(2026, 11, 1))
NOVEMBER = (date(2026, 11, 1), date(2026, 12, 1))
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
DAYS = [date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 30)]
HUGE = 110_000_000_000_000_001
"""nUSD: 110 million USD and one, which neither a float nor a short division holds apart."""

Budget = tuple[str, tuple[date, date]]

_ROWS = """
    INSERT INTO provider (name, protocol) VALUES ('big', 'openai'), ('own', 'openai');
    INSERT INTO offer (name, provider_id, model, lane, tasks, requests_per_minute,
                       tokens_per_minute, context_limit, output_limit, concurrency, is_on,
                       tokenizer, quality_prior)
    SELECT name, CASE WHEN name LIKE 'big/%' THEN 1 ELSE 2 END, name, 'sync', '{summarize}', 1, 1,
           1, 1, 1, true, 'words', '{}'
    FROM unnest('{big/large,big/small,own/judge}'::text[]) AS name;
    INSERT INTO price (offer_id, input_pusd, output_pusd, source, digest)
    SELECT id, 1, 1, 'test', '' FROM offer;
    INSERT INTO document (tenant_id, bytes, words, digest, body, features, token_stats)
    VALUES (1, 1, 1, sha256('x'), 'x', '', '');
"""
_JOB = text("""
    INSERT INTO job (tenant_id, project_id, key, digest, document_id, task, data_class, source,
                     state, booked_on, reserved_nusd)
    VALUES (:tenant, :project, gen_random_uuid(), '', 1, :task, 'internal', 'test', 'queued', :day,
            0) RETURNING id
""")
_MOVE = text("""
    UPDATE job SET reserved_nusd = reserved_nusd + :reserved, held_nusd = held_nusd + :held,
                   spent_nusd = spent_nusd + :spent
    WHERE id = :job
""")
_ATTEMPT = text("""
    INSERT INTO attempt (id, started_at, job_id, parcel_id, ordinal, fence, offer_id, price_id,
                         reduction, prompt, state, reserved_nusd, booked_on, cost_nusd, finished_at)
    VALUES (:id, now(), :job, 1, 1, 1, :offer, 1, 'none', 'p', :state, :reserved, :day, :cost,
            now())
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, as it is added up by hand."""

    project: str
    day: date
    kind: EntryKind
    nusd: int
    offer: str
    attempt: UUID
    is_judge: bool


@dataclass(slots=True, kw_only=True)
class Unknown:
    """A call of unknown outcome."""

    attempt: UUID
    line: Line
    job: int


@dataclass(slots=True, kw_only=True)
class Posted:
    """A call whose cost is known: *kind* of it, and *over* of it beyond all budgets."""

    line: Line
    kind: EntryKind
    cost: int
    over: int


@dataclass(slots=True)
class Books:
    """The database's books, and beside them what they should say, in plain sums."""

    conn: Connection
    lines: list[Line] = field(default_factory=list)
    limits: dict[Budget, int] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    calls: int = 0

    def start(self) -> None:
        for statement in filter(str.strip, _ROWS.split(";")):
            self.conn.execute(text(statement))

    def limit(self, scope: str, period: tuple[date, date], nusd: int) -> None:
        made = ensure_scope(self.conn, scope)
        (starts_on, ends_on), used = period, self.sums((scope, period))
        is_enough = used["spent"] + used["reserved"] <= nusd
        try:
            with self.conn.begin_nested():
                set_budget(
                    self.conn, scope_id=made.id, starts_on=starts_on, ends_on=ends_on,
                    limit_nusd=nusd, by="finance",
                )  # fmt: skip
        except LimitTooLow:
            assert not is_enough
        else:
            assert is_enough
            self.limits[scope, period] = nusd

    def work(self, rng: Random, *, nusd: int) -> None:
        """One job of one call: set aside, and then used, wasted, beyond its money, or unknown."""
        project, day, offer = rng.choice(PROJECTS), rng.choice(DAYS), rng.choice(OFFERS)
        is_judge = offer == "own/judge"
        scope = ensure_scope(self.conn, project)
        task = "judge" if is_judge else "summarize"
        asked = {"tenant": scope.tenant_id, "project": scope.id, "task": task, "day": day}
        job = self.conn.execute(_JOB, asked).scalar_one()
        self.calls += 1
        of = Line(
            project=project, day=day, kind=EntryKind.RESERVATION, nusd=nusd, offer=offer,
            attempt=UUID(int=self.calls), is_judge=is_judge,
        )  # fmt: skip
        fits = all(self.free(one) >= nusd for one in self.bearers(project, day))
        try:
            with self.conn.begin_nested():
                self.book(job, of, [(EntryKind.RESERVATION, nusd)])
        except BudgetExceeded:
            assert not fits
            return
        assert fits
        self._end(rng, of, job, nusd)

    def _end(self, rng: Random, of: Line, job: int, nusd: int) -> None:
        how = rng.choice(["used", "wasted", "beyond", "unknown"])
        if how == "unknown":
            self._call(of, job, state="unknown", reserved=nusd, cost=None)
            self.conn.execute(_MOVE, {"job": job, "reserved": 0, "held": nusd, "spent": 0})
            self.unknown.append(Unknown(attempt=UUID(int=self.calls), line=of, job=job))
            return
        cost = nusd if how == "beyond" else rng.randint(0, nusd)
        over = rng.randint(1, 9) if how == "beyond" else 0
        self._call(
            of, job, state="failed" if how == "wasted" else "succeeded", reserved=nusd,
            cost=cost + over,
        )  # fmt: skip
        kind = EntryKind.WASTE if how == "wasted" else EntryKind.POSTING
        moves = [(kind, cost), (EntryKind.RELEASE, nusd - cost), (EntryKind.OVERRUN, over)]
        self.book(job, of, moves)
        self.posted.append(Posted(line=of, kind=kind, cost=cost + over, over=over))

    def resolve(self, one: Unknown, cost: int) -> None:
        """A late bill: asked of the budgets where it is more than was kept, or owed."""
        kept, of = one.line.nusd, one.line
        over = max(0, cost - kept)
        is_granted = all(self.free(each) >= over for each in self.bearers(of.project, of.day))
        resolve(self.conn, Resolution(attempt_id=one.attempt, cost_nusd=cost), by="finance")
        self.unknown.remove(one)
        moves = [(EntryKind.WASTE, cost - over), (EntryKind.RELEASE, kept - (cost - over))]
        if over and is_granted:
            moves += [(EntryKind.RESERVATION, over), (EntryKind.WASTE, over)]
        elif over:
            moves += [(EntryKind.OVERRUN, over)]
        self._note(of, moves)
        owed = 0 if is_granted else over
        self.posted.append(Posted(line=of, kind=EntryKind.WASTE, cost=cost, over=owed))

    def correct(self, one: Posted, cost: int) -> None:
        """What a bill was too high by comes back, what nobody had first; the rest is asked for."""
        of, more, less = one.line, max(0, cost - one.cost), max(0, one.cost - cost)
        is_granted = all(self.free(each) >= more for each in self.bearers(of.project, of.day))
        asked = Correction(attempt_id=of.attempt, cost_nusd=cost)
        assert correct(self.conn, [asked], by="finance", why="bill") == bool(more or less)
        back = min(less, one.over)
        credit = EntryKind.WASTE_CREDIT
        if one.kind is EntryKind.POSTING:
            credit = EntryKind.POSTING_CREDIT
        moves = [(EntryKind.OVERRUN_CREDIT, back), (credit, less - back)]
        if is_granted:
            moves += [(EntryKind.RESERVATION, more), (one.kind, more)]
        else:
            moves += [(EntryKind.OVERRUN, more)]
            one.over += more
        one.cost, one.over = cost, one.over - back
        self._note(of, moves)

    def book(self, job: int, of: Line, moves: list[tuple[EntryKind, int]]) -> None:
        scope, offers = ensure_scope(self.conn, of.project), OFFERS.index(of.offer) + 1
        spending = (EntryKind.POSTING, EntryKind.WASTE, EntryKind.OVERRUN)
        entries = [
            Entry(
                kind=kind, amount_nusd=nusd, tenant_id=scope.tenant_id, project_id=scope.id,
                booked_on=of.day, job_id=job, offer_id=offers,
                attempt_id=of.attempt if kind in spending else None,
            )
            for kind, nusd in moves
            if nusd
        ]  # fmt: skip
        book(self.conn, entries)
        self._note(of, moves)
        moved = self._sums(self.lines[-len(entries) :] if entries else [])
        self.conn.execute(
            _MOVE,
            {"job": job, "reserved": moved["reserved"], "held": 0}
            | {"spent": moved["spent"] + moved["overrun"]},
        )

    def _note(self, of: Line, moves: list[tuple[EntryKind, int]]) -> None:
        self.lines += [
            Line(
                project=of.project, day=of.day, kind=kind, nusd=nusd, offer=of.offer,
                attempt=of.attempt, is_judge=of.is_judge,
            )
            for kind, nusd in moves
            if nusd
        ]  # fmt: skip

    def _call(self, of: Line, job: int, *, state: str, reserved: int, cost: int | None) -> None:
        self.conn.execute(
            _ATTEMPT,
            {"id": of.attempt, "job": job, "offer": OFFERS.index(of.offer) + 1, "state": state}
            | {"reserved": reserved, "day": of.day, "cost": cost},
        )

    def bearers(self, project: str, day: date) -> Iterator[Budget]:
        for scope, (starts_on, ends_on) in self.limits:
            if f"{project}/".startswith(f"{scope}/") and starts_on <= day < ends_on:
                yield scope, (starts_on, ends_on)

    def free(self, one: Budget) -> int:
        used = self.sums(one)
        return self.limits[one] - used["spent"] - used["reserved"]

    def sums(self, one: Budget) -> Counter[str]:
        """What a budget's figures must be."""
        scope, (starts_on, ends_on) = one
        here = [
            line
            for line in self.lines
            if f"{line.project}/".startswith(f"{scope}/") and starts_on <= line.day < ends_on
        ]
        sums = self._sums(here)
        for kept in self.unknown:
            if kept.line in here:
                sums["unknown"] += kept.line.nusd
        return sums

    @staticmethod
    def _sums(lines: list[Line]) -> Counter[str]:
        sums: Counter[str] = Counter()
        for line in lines:
            match line.kind:
                case EntryKind.RESERVATION:
                    sums["reserved"] += line.nusd
                case EntryKind.RELEASE:
                    sums["reserved"] -= line.nusd
                case EntryKind.OVERRUN:
                    sums["overrun"] += line.nusd
                case EntryKind.OVERRUN_CREDIT:
                    sums["overrun"] -= line.nusd
                case EntryKind.POSTING_CREDIT | EntryKind.WASTE_CREDIT:
                    sums["spent"] -= line.nusd
                    sums["waste"] -= line.nusd * (line.kind is EntryKind.WASTE_CREDIT)
                    sums["judging"] -= line.nusd * line.is_judge
                case EntryKind.POSTING | EntryKind.WASTE:
                    sums["reserved"] -= line.nusd
                    sums["spent"] += line.nusd
                    sums["waste"] += line.nusd * (line.kind is EntryKind.WASTE)
                    sums["judging"] += line.nusd * line.is_judge
        return sums


def two_months(conn: Connection, *, seed: int, events: int) -> Iterator[Books]:
    """The books after every one of so many *events*."""
    rng, books = Random(seed), Books(conn)
    books.start()
    for project in PROJECTS:
        organisation, team = project.split("/")[0], project.rpartition("/")[0]
        for scope, period in ((organisation, YEAR), (team, NOVEMBER), (project, OCTOBER)):
            books.limit(scope, period, rng.choice([10**6, 2 * HUGE]))
    for _ in range(events):
        match rng.choice(["work"] * 6 + ["limit", "limit", "resolve", "correct"]):
            case "limit":
                scope, period = rng.choice(list(books.limits))
                at = sum(books.sums((scope, period))[one] for one in ("spent", "reserved"))
                books.limit(scope, period, max(0, at + rng.choice([-1, 0, 500, HUGE, 3 * HUGE])))
            case "resolve" if books.unknown:
                one = rng.choice(books.unknown)
                books.resolve(one, rng.choice([0, one.line.nusd, one.line.nusd + 3, 1]))
            case "correct" if books.posted:
                done = rng.choice(books.posted)
                wrong = [0, done.cost // 2, done.cost, done.cost + 7, done.cost + HUGE]
                books.correct(done, rng.choice(wrong))
            case _:
                books.work(rng, nusd=rng.choice([rng.randint(1, 10**5)] * 4 + [HUGE]))
        yield books
