"""Windows made without a database, for rules that need none."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from scheduler.domain.policy import PlanPolicy
from scheduler.estimate.features import document_features, script_bytes
from scheduler.planning.estimates import Estimates, Estimators, estimate
from scheduler.planning.masks import Allowed, Facts, allowed_options
from scheduler.planning.options import Options, make_options
from scheduler.store.offers import PlanOffer
from scheduler.store.windows import DATA_CLASSES, NO_DEADLINE, NO_MAX_COST, TASKS, UNSAID, Window
from tests.planning.queued import NOON, Listing, When, Wish


def plan_offers(*listings: Listing, resting: dict[str, datetime] | None = None) -> list[PlanOffer]:
    """*listings* as plans see them, by name."""
    return [
        PlanOffer(
            id=number,
            provider_id=1,
            price_id=number,
            price_digest=bytes(32),
            offer=one.offer,
            tasks=frozenset(one.tasks),
            tokenizer=one.tokenizer,
            quality_prior_ppm=dict(one.quality_prior_ppm),
            pace_s=one.pace_s,
            resting_until=(resting or {}).get(one.offer.name),
        )
        for number, one in enumerate(sorted(listings, key=lambda one: one.offer.name), start=1)
    ]


def window_of(*wishes: Wish) -> Window:
    """*wishes* as the planner would read them."""
    places: list[tuple[str, ...]] = [()]
    for wish in wishes:
        if tuple(wish.residency) not in places:
            places.append(tuple(wish.residency))

    def column(values: Sequence[Any]) -> Any:
        return np.array(values, np.int64)

    count = len(wishes)
    return Window(
        job_id=np.arange(1, count + 1),
        version=np.ones(count, np.int64),
        tenant_id=np.ones(count, np.int64),
        project_id=np.ones(count, np.int64),
        task=column([TASKS.index(wish.task) for wish in wishes]),
        priority=column([wish.priority for wish in wishes]),
        due_us=column(
            [int(wish.deadline.timestamp() * 1e6) if wish.deadline else NO_DEADLINE
             for wish in wishes]
        ),
        min_quality_ppm=column([wish.min_quality_ppm for wish in wishes]),
        max_cost_nusd=column(
            [NO_MAX_COST if wish.max_cost_nusd is None else wish.max_cost_nusd for wish in wishes]
        ),
        gain_nusd=column([UNSAID if one.gain_nusd is None else one.gain_nusd for one in wishes]),
        loss_nusd=column([UNSAID if one.loss_nusd is None else one.loss_nusd for one in wishes]),
        place=column([places.index(tuple(wish.residency)) for wish in wishes]),
        data_class=column(
            [max(DATA_CLASSES.index(wish.data_class), DATA_CLASSES.index(wish.found_class))
             for wish in wishes]
        ),
        night=np.array([wish.when is When.NIGHT for wish in wishes]),
        deferrals=column([wish.deferrals for wish in wishes]),
        used_nusd=np.zeros(count, np.int64),
        params_bytes=column([len(wish.params) for wish in wishes]),
        judged_offer=column([wish.judged_offer for wish in wishes]),
        words=np.zeros(count, np.int64),
        features=document_features([wish.text for wish in wishes]),
        token_stats=script_bytes([wish.text for wish in wishes]),
        embedded=np.zeros((count, 0), np.float16),
        model="",
        places=tuple(places),
    )  # fmt: skip


def judged(
    window: Window,
    offers: Sequence[PlanOffer],
    *,
    policy: PlanPolicy | None = None,
    now: datetime = NOON,
    budgeted: bool = True,
    level: float = 0.5,
) -> tuple[Allowed, Options, Estimates]:
    """What the rules leave of *offers* for *window*."""
    policy = policy or PlanPolicy(quality_level=level)
    options = make_options(offers, policy)
    estimates = estimate(window, options, estimators=Estimators(), policy=policy)
    facts = Facts(
        window=window,
        options=options,
        estimates=estimates,
        policy=policy,
        now=now,
        budgeted=np.full(window.jobs, budgeted),
        project_paths={1: "acme/legal/contracts"},
    )
    return allowed_options(facts), options, estimates


def offers_left(wish: Wish, *offers: PlanOffer, **given: Any) -> tuple[set[str], str | None]:
    """The offers that *wish* may have, and why not if it may have none."""
    allowed, options, _ = judged(window_of(wish), offers, **given)
    names = {
        options.offers[k].offer.name
        for k in options.offer_of[np.flatnonzero(allowed.eligible[0])].tolist()
    }
    return names, allowed.reasons.get(0)
