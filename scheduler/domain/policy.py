"""The limits and choices that are the operator's to make; every one has a name here."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scheduler.domain.errors import Refused
from scheduler.domain.evidence import canonical, digest
from scheduler.domain.job import CLIENT_TASKS
from scheduler.domain.money import nusd_from_usd


class BadPolicy(Refused):
    """Figures of the policy that do not fit together."""

    def __init__(self, figure: str, reason: str, *, group: str = "plan") -> None:
        super().__init__(f"policy {group}.{figure}: {reason}")
        self.figure = figure
        self.reason = reason


class PlanObjective(StrEnum):
    """What a plan is to have most of.

    `quality`: predicted quality, weighted by priority.
    `earnings`: `gain p - loss (1 - p) - cost`, in USD.
    `encs`: expected net cost savings, the reader's time saved at a wage, less cost, in USD.
    """

    QUALITY = "quality"
    EARNINGS = "earnings"
    ENCS = "encs"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakePolicy:
    """What comes in, and what a job has when its message does not say.

    Attributes:
        text_bytes_max: the longest document taken inline.
        file_bytes_max: the longest document read from a file.
        message_bytes_max: the longest message that is looked at at all.
        chunk_messages: messages stored in one transaction, at most.
        queue_jobs_max: intake waits while this many jobs are queued.
    """

    default_scope: str = "default/default/default"
    default_priority: int = 5
    default_data_class: str = "internal"
    text_bytes_max: int = 1_048_576
    file_bytes_max: int = 16_777_216
    message_bytes_max: int = 2_097_152
    chunk_messages: int = 5_000
    queue_jobs_max: int = 5_000_000


def _kept_quality() -> dict[str, dict[str, int]]:
    # Careful guesses, until outcomes of shortened documents say better.  Extraction has none:
    # a field that was cut away cannot be found.
    return {
        "summarize": {"light": 960_000, "strong": 850_000},
        "classify": {"light": 980_000, "strong": 930_000},
        "answer": {"light": 850_000},
    }


def _certificates() -> dict[str, tuple[str, ...]]:
    return {"restricted": ("hipaa", "iso27001", "soc2")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPolicy:
    """When a window closes, and how its jobs are planned.

    Attributes:
        window_jobs: a window closes at this many jobs,
        window_s: or when its oldest job has waited this long.
        night_crontab: when the bulk jobs' window closes, five fields,
        night_zone: in this IANA time zone.
        quality_level: confidence of the quality's lower bound that a plan counts on.
        output_quantile: reservations cover an answer's length up to this quantile.
        embed_s: how long documents are embedded before their window is planned, where there is
            an embedding model; those not reached are planned by the offers' means.
        solve_s: the time limit of one solve.
        solve_tries: how often a plan is made anew when the world moved meanwhile.
        parcel_jobs: jobs in one parcel, at most.
        parcel_attempts: leases of one parcel, at most.
        alternatives: next best options kept for failover.
        deferral_s: how long a deferred job waits before it is planned again; twice as long
            each time,
        deferral_max_s: up to this.
        deferrals_max: after this many, a job with no allowed option fails.
        horizon_s: an offer is given as much work as its rate limits take in this time,
        night_s: and in this time by a nightly plan.
        night_jobs_max: jobs planned together at night, at most; each takes about 5 KB of memory.
        batch_s: how long a provider's batch may take.
        latency_quantile: a deadline is kept if a call is over by then up to this quantile.
        ring_s: a bell that nobody answered rings again after this,
        bells_max: and so many parcels of one provider are rung at once, at most.
        poll_s: how often the queue is looked at.
        kept_quality_ppm: how much of an offer's quality is left when a document is shortened,
            by task and reduction.  A reduction that a task does not name is not used for it.
        certificates: the certificates of which an offer needs one to see documents of a data
            class; a class that is not named needs none, and own machines need none.
        edit_score: what an answer is worth that was edited before it was used, 0 to 1.
        explore_ppm: of a window's jobs, the share that goes to offers of which little is known;
            it may cost no larger share of the plan's value.  0 turns it off.
        explore_below: little is known of an offer at a task with fewer outcomes than this.
        objective: what a plan is to have most of.
        gain_usd, loss_usd: by task, as decimals ("0.25"), what a good answer is worth, and what
            a bad one costs beside its price; for `earnings`.
        wage_usd_per_hour: a reader's, as decimals; for `encs`.
        saved_s: by task, the seconds that an answer saves its reader who can `use`, must `edit`,
            or has to `ignore` it (negative: reading it took time); for `encs`.
        edited_ppm: of the answers that a predicted quality allows to be edited ones, the share
            that is; the others are used or ignored.  For `encs`.
        wave_ppm: where money is short, a run commits this share of its jobs at once, and plans
            the rest when it knows what is left of the money that was set aside.
        wave_jobs_min: fewer jobs than this are planned at once.
        loss_deferrals_max: a job of which every answer would cost more than it is worth fails
            after it was put off so often; for `earnings` and `encs`.
        seed: of the solve.
    """

    window_jobs: int = 20_000
    window_s: float = 2.0
    night_crontab: str = "0 22 * * *"
    night_zone: str = "UTC"
    quality_level: float = 0.8
    output_quantile: float = 0.95
    embed_s: float = 60.0
    solve_s: float = 30.0
    solve_tries: int = 3
    parcel_jobs: int = 256
    parcel_attempts: int = 5
    alternatives: int = 3
    deferral_s: float = 60.0
    deferral_max_s: float = 3_600.0
    deferrals_max: int = 10_000
    horizon_s: float = 600.0
    night_s: float = 28_800.0
    night_jobs_max: int = 1_000_000
    batch_s: float = 86_400.0
    latency_quantile: float = 0.95
    ring_s: float = 30.0
    bells_max: int = 100
    poll_s: float = 0.2
    kept_quality_ppm: Mapping[str, Mapping[str, int]] = field(default_factory=_kept_quality)
    certificates: Mapping[str, tuple[str, ...]] = field(default_factory=_certificates)
    edit_score: float = 0.5
    explore_ppm: int = 20_000
    explore_below: int = 30
    objective: PlanObjective = PlanObjective.QUALITY
    gain_usd: Mapping[str, str] = field(default_factory=dict)
    loss_usd: Mapping[str, str] = field(default_factory=dict)
    wage_usd_per_hour: str = "0"
    saved_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    edited_ppm: int = 500_000
    loss_deferrals_max: int = 10
    wave_ppm: int = 600_000
    wave_jobs_min: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        """Look the objective's figures through.

        Raises:
            BadPolicy: one is missing or out of range.
            BadAmount: one is not an amount of money.
        """
        for share in ("explore_ppm", "edited_ppm", "wave_ppm"):
            if not 0 <= getattr(self, share) <= 1_000_000:
                raise BadPolicy(share, "it is a share in ppm, 0 to 1 000 000")
        for usd in (*self.gain_usd.values(), *self.loss_usd.values(), self.wage_usd_per_hour):
            nusd_from_usd(usd)
        needed: tuple[str, ...] = ()
        if self.objective is PlanObjective.EARNINGS:
            needed = ("gain_usd", "loss_usd")
        elif self.objective is PlanObjective.ENCS:
            needed = ("saved_s",)
            if nusd_from_usd(self.wage_usd_per_hour) == 0:
                raise BadPolicy("wage_usd_per_hour", "the objective encs needs it, like 40")
        for figure in needed:
            self._need_every_task(figure)

    def _need_every_task(self, figure: str) -> None:
        said = getattr(self, figure)
        for task in CLIENT_TASKS:
            if task not in said:
                raise BadPolicy(figure, f"the objective {self.objective} needs it for {task}")
            if figure == "saved_s" and set(said[task]) != {"use", "edit", "ignore"}:
                raise BadPolicy(figure, f"{task} needs seconds for use, edit and ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPolicy:
    """How calls are made, retried and given up.

    Attributes:
        lease_s: a parcel's lease; renewed while its worker lives.
        flush_jobs: outcomes settled in one transaction, at most,
        flush_s: and at least this often.
        concurrency: calls in flight of one worker process.
        claim_s: so long a worker that is not heard of keeps its share of an offer's concurrency.
        call_s: the time limit of one call.
        tries_max: calls of one attempt (after failures that were surely not billed).
        tries_s: time limit of one attempt with all its waits.
        attempts_max: attempts of one job over all its offers, before it goes back to the queue.
        job_attempts_max: attempts of one job in all; after so many it fails.
        stop_s: how long a worker that is told to stop waits for calls in flight.
        drain_s: how long one bell keeps a worker taking parcels.
        breaker_failures: failures in a row that rest an offer,
        breaker_rest_s: for this long.
    """

    lease_s: float = 60.0
    flush_jobs: int = 1_000
    flush_s: float = 0.5
    concurrency: int = 64
    claim_s: float = 10.0
    call_s: float = 120.0
    tries_max: int = 4
    tries_s: float = 180.0
    attempts_max: int = 4
    job_attempts_max: int = 20
    stop_s: float = 20.0
    drain_s: float = 300.0
    breaker_failures: int = 5
    breaker_rest_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePolicy:
    """Which answers are shown to a judge, an offer whose catalog entry has the task `judge`.

    Attributes:
        share_ppm: of the finished jobs, by their ids; 0 turns it off.
        tasks: of these.
        scope: who pays: empty for the job's own project, else TEAM/PROJECT in its organisation;
            an organisation without that project is not judged.
        per_day_max: judgings begun in one day (UTC), at most.
        priority: of a judging among the jobs that it is planned with.
        worth_usd: what a judging is worth to a plan that counts in USD, as decimals.
        within_s: a judging that was not to be had for so long is given up.
        own_answers: whether an offer may judge what it answered itself.
        weight_ppm: what a judge's score counts beside a person's.
        every_s: how often finished jobs are looked through,
        lookback_s: and how far back, when a planner has just begun.
    """

    share_ppm: int = 0
    tasks: tuple[str, ...] = tuple(map(str, CLIENT_TASKS))
    scope: str = ""
    per_day_max: int = 1_000
    priority: int = 1
    worth_usd: str = "0.01"
    within_s: float = 86_400.0
    own_answers: bool = False
    weight_ppm: int = 300_000
    every_s: float = 10.0
    lookback_s: float = 86_400.0

    def __post_init__(self) -> None:
        """Look the figures through.

        Raises:
            BadPolicy: one is out of range.
            BadAmount: the worth is not an amount of money.
        """
        for share in ("share_ppm", "weight_ppm"):
            if not 0 <= getattr(self, share) <= 1_000_000:
                raise BadPolicy(share, "it is a share in ppm, 0 to 1 000 000", group="judge")
        if not 1 <= self.priority <= 9:
            raise BadPolicy("priority", "it is 1 (least) to 9", group="judge")
        if unknown := sorted(set(self.tasks) - set(CLIENT_TASKS)):
            words = ", ".join(CLIENT_TASKS)
            raise BadPolicy("tasks", f"{unknown[0]!r} is none of {words}", group="judge")
        if self.scope and self.scope.count("/") != 1:
            raise BadPolicy("scope", "write TEAM/PROJECT, or nothing", group="judge")
        nusd_from_usd(self.worth_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnPolicy:
    """How much is learned from at once, which is what learning takes time and memory for.

    Attributes:
        outcomes_max: answers that somebody said something of, and as many calls; the newest.
        documents_max: of each task, drawn from those at random.
    """

    outcomes_max: int = 200_000
    documents_max: int = 40_000

    def __post_init__(self) -> None:
        """Look the figures through.

        Raises:
            BadPolicy: one is out of range.
        """
        for most in ("outcomes_max", "documents_max"):
            if getattr(self, most) < 1:
                raise BadPolicy(most, "nothing is learned from fewer than 1", group="learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All of it; its digest goes into the evidence of what was decided under it."""

    intake: IntakePolicy = IntakePolicy()
    plan: PlanPolicy = PlanPolicy()
    work: WorkPolicy = WorkPolicy()
    judge: JudgePolicy = JudgePolicy()
    learn: LearnPolicy = LearnPolicy()

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of every figure."""
        return figures_digest(dataclasses.asdict(self))


def figures_digest(figures: Mapping[str, Any]) -> bytes:
    """SHA-256 (32 bytes) of a policy's *figures*, spelled out as a record of it has them."""
    return digest(canonical(figures).encode())
