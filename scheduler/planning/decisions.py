"""A solved window, spelled out: one decision per job, and the parcels that do the work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.decision import DecisionRow
from scheduler.domain.policy import PlanPolicy
from scheduler.planning.alternatives import NONE
from scheduler.planning.carry import Left
from scheduler.planning.estimates import Estimates, cost_nusd, rows_of
from scheduler.planning.options import PPM, REDUCTIONS, Options
from scheduler.planning.problem import Case
from scheduler.store.parcels_made import NewParcel
from scheduler.store.windows import NO_DEADLINE

Wholes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The planned jobs' own columns, p of them.

    Attributes:
        jobs: their numbers in the window, rising.
        options: of each.
        cost_nusd: expected.
        reserved_nusd: set aside.
    """

    jobs: Wholes
    options: Wholes
    estimates: Estimates
    cost_nusd: Wholes
    reserved_nusd: Wholes


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The parcels, and which of them each planned job (p,) is in."""

    parcels: tuple[NewParcel, ...]
    parcel_of: Wholes


def chosen_of(case: Case, choice: NDArray[np.int32]) -> Chosen:
    """The planned jobs of *choice*, with their options' figures."""
    jobs = np.flatnonzero(choice >= 0)
    options = choice[jobs].astype(np.int64)
    estimates = rows_of(case.estimates, jobs, options)
    return Chosen(
        jobs=jobs,
        options=options,
        estimates=estimates,
        cost_nusd=_expected_cost(case.options, options, estimates),
        reserved_nusd=estimates.reserved_nusd,
    )


def decision_rows(
    case: Case, chosen: Chosen, alternatives: Wholes, left: Sequence[Left]
) -> list[DecisionRow]:
    """Every job's decision in the order of the window, which is that of the jobs' ids."""
    ids = case.window.job_id.tolist()
    rows: list[DecisionRow] = [()] * len(ids)
    for job, row in zip(
        chosen.jobs.tolist(), _planned_rows(case, chosen, alternatives), strict=True
    ):
        rows[job] = row
    for one in left:
        rows[one.job] = (ids[one.job], *(None,) * 10, "[]", one.reason)
    return rows


def pack(case: Case, chosen: Chosen, *, policy: PlanPolicy, patience_s: float) -> Packing:
    """Parcels of one offer each, of at most `parcel_jobs` jobs, the urgent jobs together.

    Jobs of an offer are spread evenly over the fewest parcels that hold them.
    """
    due_us = _due_us(case, chosen.jobs, patience_s=patience_s)
    offer_of = case.options.offer_of[chosen.options]
    tokens = chosen.estimates.input_tokens.astype(np.int64) + chosen.estimates.output_tokens
    parcel_of = np.zeros(len(chosen.jobs), np.int64)
    parcels: list[NewParcel] = []
    for k in np.unique(offer_of).tolist():
        mine = np.flatnonzero(offer_of == k)
        mine = mine[np.argsort(due_us[mine], kind="stable")]
        for part in np.array_split(mine, -(-len(mine) // policy.parcel_jobs)):
            parcel_of[part] = len(parcels)
            parcels.append(
                NewParcel(
                    offer_id=case.options.offers[k].id,
                    provider_id=case.options.offers[k].provider_id,
                    jobs=len(part),
                    tokens=int(tokens[part].sum()),
                    due_at=datetime.fromtimestamp(int(due_us[part[0]]) / 1e6, UTC),
                )
            )
    return Packing(parcels=tuple(parcels), parcel_of=parcel_of)


def _due_us(case: Case, jobs: Wholes, *, patience_s: float) -> Wholes:
    """By when each job should be done, in microseconds since 1970; its deadline at the latest.

    A job without a deadline is as urgent as its priority: *patience_s* at the least.
    """
    share = (10 - case.window.priority[jobs]) / 9
    patient = int(case.now.timestamp() * 1e6) + (share * patience_s * 1e6).astype(np.int64)
    due_us = case.window.due_us[jobs]
    return np.where(due_us == NO_DEADLINE, patient, np.minimum(due_us, patient))


def _expected_cost(options: Options, chosen: Wholes, estimates: Estimates) -> Wholes:
    cost = np.zeros(len(chosen), np.int64)
    offer_of = options.offer_of[chosen]
    for k in np.unique(offer_of).tolist():
        mine = np.flatnonzero(offer_of == k)
        cost[mine] = cost_nusd(
            options.offers[k].offer,
            estimates.input_tokens[mine].astype(np.int64),
            estimates.output_tokens[mine].astype(np.int64),
        )
    return cost


def _planned_rows(case: Case, chosen: Chosen, alternatives: Wholes) -> Iterator[DecisionRow]:
    options, figures = case.options, chosen.estimates
    offers = [options.offers[k] for k in options.offer_of.tolist()]
    offer_ids, price_ids = [one.id for one in offers], [one.price_id for one in offers]
    reductions = [str(options.reduction(option)) for option in range(options.count)]
    for job_id, option, cost, reserved, quality, low, tokens_in, tokens_out, limit, others in zip(
        case.window.job_id[chosen.jobs].tolist(),
        chosen.options.tolist(),
        chosen.cost_nusd.tolist(),
        chosen.reserved_nusd.tolist(),
        in_ppm(figures.quality).tolist(),
        in_ppm(figures.lower).tolist(),
        figures.input_tokens.tolist(),
        figures.output_tokens.tolist(),
        figures.output_limit.tolist(),
        _spelled(case, chosen.jobs, alternatives),
        strict=True,
    ):
        yield (
            job_id,
            offer_ids[option],
            price_ids[option],
            reductions[option],
            cost,
            reserved,
            quality,
            low,
            tokens_in,
            tokens_out,
            limit,
            others,
            None,
        )


def in_ppm(share: NDArray[np.float32]) -> Wholes:
    """Shares as whole parts per million."""
    return np.rint(share.astype(np.float64) * PPM).astype(np.int64)


def _spelled(case: Case, jobs: Wholes, alternatives: Wholes) -> list[str]:
    """Each job's next best options as canonical JSON."""
    columns = [_column(case, jobs, alternatives[jobs, at]) for at in range(alternatives.shape[1])]
    if not columns:
        return ["[]"] * len(jobs)
    return [f"[{','.join(filter(None, parts))}]" for parts in zip(*columns, strict=True)]


def _column(case: Case, jobs: Wholes, options: Wholes) -> list[str]:
    """One alternative of each job, keys in order; empty where there is none.

    Spelled by hand: a serializer would take longer for these than the solve takes for all.
    """
    figures = rows_of(case.estimates, jobs, np.maximum(options, 0))
    tails = []
    for option in range(case.options.count):
        one = case.options.offers[option // len(REDUCTIONS)]
        reduction = case.options.reduction(option)
        tails.append((f'"offer_id":{one.id}', f'"price_id":{one.price_id}', f'"{reduction}"'))
    return [
        ""
        if option == NONE
        else f'{{"input_tokens":{tokens_in},{tails[option][0]},"output_limit":{limit},'
        f'"output_tokens":{tokens_out},{tails[option][1]},"quality_ppm":{quality},'
        f'"reduction":{tails[option][2]},"reserved_nusd":{reserved}}}'
        for option, tokens_in, limit, tokens_out, quality, reserved in zip(
            options.tolist(),
            figures.input_tokens.tolist(),
            figures.output_limit.tolist(),
            figures.output_tokens.tolist(),
            in_ppm(figures.quality).tolist(),
            figures.reserved_nusd.tolist(),
            strict=True,
        )
    ]
