"""How far estimates of tokens, cost and time were from what calls reported."""

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.job import TEMPLATE_TOKENS, Task
from scheduler.domain.money import PUSD_PER_NUSD
from scheduler.estimate.latency import LatencyModel
from scheduler.estimate.tokens import TokenModel
from scheduler.store.outcomes import Calls

Chosen = NDArray[np.bool_]
Floats = NDArray[np.float64]
Figures = dict[str, float]


def token_errors(model: TokenModel, calls: Calls, held: Chosen, *, level: float) -> Figures:
    """Errors of *model* on the calls in *held* (n,); NaN where nothing is.

    `loss` is the mean of |log(estimate / reported)|, input and output together.  `..._off` is the
    median of how far one call's estimate was off, and `..._total_off` how far the sum was, as
    shares of what was reported.  `output_covered` is the share of the answers that were no longer
    than the reservation's quantile at *level*: what it should be.
    """
    tokens_in, tokens_out, most = (np.zeros(len(held)) for _ in range(3))
    offers, tasks = np.array(calls.offer), np.array(calls.task)
    for offer, task in sorted({*zip(calls.offer, calls.task, strict=True)}):
        mine = held & (offers == offer) & (tasks == task)
        family = calls.family[calls.offer.index(offer)]
        mean, _ = model.input_tokens(calls.stats[mine], family=family, offer=offer)
        tokens_in[mine] = mean + TEMPLATE_TOKENS[Task(task)]
        tokens_out[mine], most[mine] = model.output_tokens(
            tokens_in[mine], task=task, offer=offer, output_limit=1_000_000, level=level
        )
    read, said = calls.input_tokens[held], calls.output_tokens[held]
    cost_nusd = (tokens_in * calls.input_pusd + tokens_out * calls.output_pusd) / PUSD_PER_NUSD
    billed = held & (cost_nusd > 0) & (calls.cost_nusd > 0)
    off_in, off_out = _off(tokens_in[held], read), _off(tokens_out[held], said)
    return {
        "loss": _mean(np.concatenate([off_in, off_out])),
        **_shares("input", tokens_in[held], read),
        **_shares("output", tokens_out[held], said),
        "output_covered": _mean(said <= most[held]),
        **_shares("cost", cost_nusd[billed], calls.cost_nusd[billed]),
    }


def latency_errors(model: LatencyModel, calls: Calls, held: Chosen, *, level: float) -> Figures:
    """The same of the seconds that calls took; `covered` is by the deadline's quantile at *level*.

    The answers' lengths are those reported, so that this is the error of the pace alone.
    """
    middle, most = np.zeros(len(held)), np.zeros(len(held))
    offers = np.array(calls.offer)
    for offer in sorted(set(calls.offer)):
        mine = held & (offers == offer)
        tokens = calls.output_tokens[mine].astype(np.float64)
        middle[mine] = model.latency_s(tokens, offer=offer)
        most[mine] = model.latency_s(tokens, offer=offer, level=level)
    took = calls.seconds[held]
    return {
        "loss": _mean(_off(middle[held], took)),
        **_shares("seconds", middle[held], took),
        "covered": _mean(took <= most[held]),
    }


def _shares(name: str, estimate: Floats, found: NDArray[np.int64] | Floats) -> Figures:
    off = np.median(_off(estimate, found)) if len(found) else np.nan
    total = estimate.sum() / found.sum() - 1 if len(found) else np.nan
    return {f"{name}_off": float(np.expm1(off)), f"{name}_total_off": float(total)}


def _off(estimate: Floats, found: NDArray[np.int64] | Floats) -> Floats:
    off = np.log(np.maximum(estimate, 1e-6) / np.maximum(found, 1e-6))
    return np.asarray(np.abs(off), np.float64)


def _mean(values: Chosen | Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
