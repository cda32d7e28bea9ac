"""What every option would give and cost for every job of a window."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from scheduler.domain.job import INSTRUCTION_TOKENS, TEMPLATE_TOKENS, Task
from scheduler.domain.money import PUSD_PER_NUSD
from scheduler.domain.offer import Offer
from scheduler.domain.policy import PlanPolicy
from scheduler.estimate.latency import LatencyModel, Pace
from scheduler.estimate.quality import Predictor
from scheduler.estimate.represented import Represented, quality_of
from scheduler.estimate.tokens import TokenModel
from scheduler.planning.options import REDUCTIONS, Options
from scheduler.store.estimators import active_estimators
from scheduler.store.windows import TASKS, Window

Floats = NDArray[np.float64]

CHUNK_JOBS = 20_000
COST_LIMIT_NUSD = 2**62 // PUSD_PER_NUSD
"""What an estimate of a call's cost is cut at: such a call is never made."""

# A question or a schema is short, and may be code: few characters to a token.
PARAMS_TOKENS_PER_BYTE, PARAMS_TOKENS_PER_BYTE_MOST = 0.3, 0.5
# An answer of a given length in words: European languages take up to two tokens for one.
TOKENS_PER_WORD, TOKENS_PER_WORD_MOST = 1.3, 2.2
PACE_SPREAD = 0.6
"""Standard deviation of the logarithm of latency, where the catalog alone knows the pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimators:
    """The versions that a plan goes by."""

    quality: Predictor = field(default_factory=Predictor.untrained)
    tokens: TokenModel = field(default_factory=TokenModel)
    latency: LatencyModel = field(default_factory=LatencyModel)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 (hex) by kind."""
        return {
            "quality": self.quality.digest().hex(),
            "tokens": self.tokens.digest().hex(),
            "latency": self.latency.digest().hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """For n jobs and m options, each array (n, m).

    Attributes:
        quality: float32, expected, 0 to 1.
        lower: float32, what it is at least, at the policy's level.
        input_tokens, output_tokens: int32, expected.
        input_most: int32, at the policy's quantile.
        output_limit: int32, likewise; the call asks the provider to keep to it.
        reserved_nusd: int64, what the call costs with `input_most` and `output_limit`.
        seconds: float32, how long the call takes at most, at the policy's quantile.
    """

    quality: NDArray[np.float32]
    lower: NDArray[np.float32]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    input_most: NDArray[np.int32]
    output_limit: NDArray[np.int32]
    reserved_nusd: NDArray[np.int64]
    seconds: NDArray[np.float32]

    def part(self, jobs: slice) -> "Estimates":
        """Those of the *jobs* alone."""
        return Estimates(**{one.name: getattr(self, one.name)[jobs] for one in fields(self)})


def load_estimators(bodies: Mapping[str, bytes]) -> Estimators:
    """The estimators whose stored bodies are in *bodies* by kind; the shipped ones for the rest."""
    readers: dict[str, Callable[[bytes], object]] = {
        "quality": Predictor.from_bytes,
        "tokens": lambda body: TokenModel.from_dict(json.loads(body)),
        "latency": lambda body: LatencyModel.from_dict(json.loads(body)),
    }
    return Estimators(**{kind: readers[kind](body) for kind, body in bodies.items()})  # type: ignore[arg-type]


def estimators_in_use(conn: Connection) -> Estimators:
    """The estimators that plans go by now."""
    return load_estimators({one.kind: one.body for one in active_estimators(conn)})


def estimate(
    window: Window, options: Options, *, estimators: Estimators, policy: PlanPolicy
) -> Estimates:
    """Estimates of every option for every job of *window*.

    Raises:
        UnknownFamily: the catalog names a tokenizer that there are no ratios for.
    """
    shape = (window.jobs, options.count)
    out = Estimates(
        quality=np.zeros(shape, np.float32),
        lower=np.zeros(shape, np.float32),
        input_tokens=np.zeros(shape, np.int32),
        output_tokens=np.zeros(shape, np.int32),
        input_most=np.zeros(shape, np.int32),
        output_limit=np.zeros(shape, np.int32),
        reserved_nusd=np.zeros(shape, np.int64),
        seconds=np.zeros(shape, np.float32),
    )
    for task in np.unique(window.task).tolist():
        of_task = np.flatnonzero(window.task == task)
        for start in range(0, len(of_task), CHUNK_JOBS):
            jobs = of_task[start : start + CHUNK_JOBS]
            _quality(out, window, jobs, options, task, estimators, policy)
            _usage(out, window, jobs, options, task, estimators, policy)
    return out


def cost_nusd(
    offer: Offer, input_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`Offer.cost_nusd` of many requests at once (int64), cut at `COST_LIMIT_NUSD`."""
    rough_pusd = (
        float(offer.request_price)
        + input_tokens * float(offer.input_price)
        + output_tokens * float(offer.output_price)
    )
    fits = rough_pusd < COST_LIMIT_NUSD * float(PUSD_PER_NUSD)
    if not fits.any():
        # The prices alone may be beyond 64 bits.
        return np.full(fits.shape, COST_LIMIT_NUSD, np.int64)
    tokens_in, tokens_out = np.where(fits, input_tokens, 0), np.where(fits, output_tokens, 0)
    pusd = offer.request_price + tokens_in * offer.input_price + tokens_out * offer.output_price
    return np.where(fits, -(-pusd // PUSD_PER_NUSD), COST_LIMIT_NUSD)


def expected_cost_nusd(options: Options, estimates: Estimates) -> NDArray[np.int64]:
    """(n, m) int64, what every option is expected to cost."""
    found = np.zeros(estimates.reserved_nusd.shape, np.int64)
    for option, k in enumerate(options.offer_of.tolist()):
        found[:, option] = cost_nusd(
            options.offers[k].offer,
            estimates.input_tokens[:, option].astype(np.int64),
            estimates.output_tokens[:, option].astype(np.int64),
        )
    return found


def _quality(
    out: Estimates,
    window: Window,
    jobs: NDArray[np.int64],
    options: Options,
    task: int,
    estimators: Estimators,
    policy: PlanPolicy,
) -> None:
    name = TASKS[task]
    priors = [one.quality_prior_ppm.get(name) for one in options.offers]
    documents = Represented(
        features=window.features[jobs], embedded=window.embedded[jobs], model=window.model
    )
    found = quality_of(
        documents,
        estimators.quality,
        task=name,
        offers=[one.offer.name for one in options.offers],
        priors=np.array([np.nan if ppm is None else ppm / 1e6 for ppm in priors]),
        level=policy.quality_level,
    )
    kept = options.quality_kept[task]
    out.quality[jobs] = found.mean[:, options.offer_of] * kept
    out.lower[jobs] = found.lower[:, options.offer_of] * kept


def _usage(
    out: Estimates,
    window: Window,
    jobs: NDArray[np.int64],
    options: Options,
    task: int,
    estimators: Estimators,
    policy: PlanPolicy,
) -> None:
    """Tokens, cost and time of the *jobs*, all of one task."""
    stats, params = window.token_stats[jobs], window.params_bytes[jobs]
    around = TEMPLATE_TOKENS[Task(TASKS[task])] + params * PARAMS_TOKENS_PER_BYTE
    around_most = INSTRUCTION_TOKENS + params * PARAMS_TOKENS_PER_BYTE_MOST
    for k, one in enumerate(options.offers):
        mean, most = estimators.tokens.input_tokens(
            stats, family=one.tokenizer, offer=one.offer.name, level=policy.output_quantile
        )
        pace = Pace(first_s=one.pace_s[0], token_s=one.pace_s[1], spread=PACE_SPREAD, count=0)
        for option in range(k * len(REDUCTIONS), (k + 1) * len(REDUCTIONS)):
            if options.quality_kept[task, option] == 0:
                continue
            tokens_in = np.ceil(mean * options.kept[option] + around)
            tokens_most = np.ceil(most * options.kept[option] + around_most).astype(np.int64)
            usual, usual_most = estimators.tokens.output_tokens(
                tokens_in,
                task=TASKS[task],
                offer=one.offer.name,
                output_limit=one.offer.output_limit,
                level=policy.output_quantile,
            )
            tokens_out, limit = _as_asked(
                usual, usual_most, words=window.words[jobs], most_allowed=one.offer.output_limit
            )
            out.input_tokens[jobs, option] = tokens_in
            out.input_most[jobs, option] = tokens_most
            out.output_tokens[jobs, option] = np.ceil(tokens_out)
            out.output_limit[jobs, option] = limit
            out.reserved_nusd[jobs, option] = cost_nusd(one.offer, tokens_most, limit)
            out.seconds[jobs, option] = estimators.latency.latency_s(
                tokens_out, offer=one.offer.name, level=policy.latency_quantile, catalog=pace
            )


def _as_asked(
    mean: Floats, most: Floats, *, words: NDArray[np.int64], most_allowed: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Tokens of answers, expected and at most: by *words* where the client said how many."""
    mean = np.where(words > 0, np.minimum(words * TOKENS_PER_WORD, most_allowed), mean)
    most = np.where(words > 0, np.minimum(words * TOKENS_PER_WORD_MOST, most_allowed), most)
    return mean, np.maximum(np.ceil(most), 1).astype(np.int64)


def rows_of(estimates: Estimates, jobs: NDArray[np.int64], chosen: NDArray[np.int64]) -> Estimates:
    """The estimates of one option (*chosen*) for each of *jobs*; each array (len(jobs),)."""
    return Estimates(
        **{one.name: getattr(estimates, one.name)[jobs, chosen] for one in fields(Estimates)}
    )
