"""Learning the quality model from outcomes."""

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.features import FEATURES
from scheduler.estimate.logistic import fitted, logit
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor

PENALTY = 30.0


def learned(observations: Observations) -> Predictor:
    """The predictor that *observations* teach; with none of them, the untrained one."""
    if not len(observations.row):
        return Predictor.untrained()
    tasks, task_at = np.unique(np.asarray(observations.task), return_inverse=True)
    offers, offer_at = np.unique(np.asarray(observations.offer), return_inverse=True)
    centre = observations.features.mean(0)
    scale = observations.features.std(0) + np.float32(0.02)
    scaled = ((observations.features - centre) / scale).astype(np.float64)
    shape = (len(tasks), len(offers))
    heads = np.zeros((*shape, FEATURES), np.float32)
    centres, rates, counts = (np.zeros(shape, np.float32) for _ in range(3))
    weights = observations.weights()
    penalty = np.full(FEATURES + 1, PENALTY)
    penalty[0] = 0.1
    for place in np.ndindex(shape):
        mine = np.flatnonzero((task_at == place[0]) & (offer_at == place[1]))
        if not len(mine):
            continue
        score, weight = observations.score[mine], weights[mine]
        counts[place] = weight.sum()
        rates[place] = (score * weight).sum() / max(weight.sum(), 1e-9)
        columns = np.hstack([np.ones((len(mine), 1)), scaled[observations.row[mine]]])
        offset = np.full(len(mine), logit(np.asarray([rates[place]], np.float64))[0])
        found = fitted(columns, score, weight, offset, penalty)
        centres[place] = offset[0] + found[0]
        heads[place] = found[1:]
    return Predictor(
        tasks=tuple(tasks.tolist()),
        offers=tuple(offers.tolist()),
        centre=centre,
        scale=scale,
        familiar=_familiar(scaled),
        heads=heads,
        centres=centres,
        rates=rates,
        counts=counts,
        trust=np.array([[0, 1], [2, 1], [8, 0]], np.float32),
    )


def _familiar(scaled: NDArray[np.float64]) -> NDArray[np.float32]:
    """Whitening (FEATURES, FEATURES) float32: squared lengths average one over *scaled*."""
    spread = scaled.T @ scaled / len(scaled) + 0.1 * np.eye(FEATURES)
    whitening = np.linalg.inv(np.linalg.cholesky(spread)).T / np.sqrt(FEATURES)
    return np.asarray(whitening, np.float32)
