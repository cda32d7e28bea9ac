"""How far the heads' word holds, by how unlike the documents learned from a document is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.logistic import sigmoid

Floats = NDArray[np.float64]

KNOTS: Final = 8
BIN_DOCUMENTS: Final = 60
CAUTION: Final = 1.0
"""Standard errors by which a measured trust is lowered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Documents that were held back, and what was predicted of them.

    Attributes:
        plain: (d, m) logit of the offer's mean, on what was not held back.
        full: (d, m) logit that the heads predicted.
        score, weight: (d, m) as in a `Grid`.
        novelty: (d,) to the documents that were not held back.
        cluster: (d,) which documents stand or fall together.
    """

    plain: Floats
    full: Floats
    score: Floats
    weight: Floats
    novelty: Floats
    cluster: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> "Trial":
        """The documents where *chosen* (d,) holds."""
        return Trial(
            plain=self.plain[chosen],
            full=self.full[chosen],
            score=self.score[chosen],
            weight=self.weight[chosen],
            novelty=self.novelty[chosen],
            cluster=self.cluster[chosen],
        )

    def joined(self, other: "Trial") -> "Trial":
        """Both trials' documents, with their clusters apart."""
        return Trial(
            plain=np.vstack([self.plain, other.plain]),
            full=np.vstack([self.full, other.full]),
            score=np.vstack([self.score, other.score]),
            weight=np.vstack([self.weight, other.weight]),
            novelty=np.concatenate([self.novelty, other.novelty]),
            cluster=np.concatenate([self.cluster, other.cluster + self.cluster.max() + 1]),
        )


def loss(logits: Floats, score: Floats, weight: Floats) -> float:
    """Weighted mean cross-entropy of *score* under *logits*."""
    p = np.clip(sigmoid(logits), 1e-6, 1 - 1e-6)
    entropy = -(score * np.log(p) + (1 - score) * np.log1p(-p))
    return float((weight * entropy).sum() / max(weight.sum(), 1e-9))


def measured_trust(trial: Trial) -> float:
    """Share 0..1 of the heads' word that held on *trial*, less `CAUTION` standard errors.

    It is the slope s of a logistic regression of the scores on the heads' word, with
    `plain` as offset; its error allows for clusters (Liang & Zeger 1986).
    """
    said = trial.full - trial.plain
    share = 0.5
    for _ in range(30):
        p = sigmoid(trial.plain + share * said)
        slope = (trial.weight * (trial.score - p) * said).sum()
        bend = (trial.weight * np.maximum(p * (1 - p), 1e-4) * said**2).sum() + 1e-9
        share = float(np.clip(share + np.clip(slope / bend, -0.5, 0.5), -1.0, 3.0))
    p = sigmoid(trial.plain + share * said)
    pulls = (trial.weight * (trial.score - p) * said).sum(1)
    bend = (trial.weight * np.maximum(p * (1 - p), 1e-4) * said**2).sum() + 1e-9
    by_cluster = np.bincount(trial.cluster, weights=pulls)
    count = max(2, len(np.unique(trial.cluster)))
    error = float(np.sqrt((by_cluster**2).sum() * count / (count - 1)) / bend)
    return float(np.clip(share - CAUTION * error, 0.0, 1.0))


def trust_curve(trial: Trial) -> NDArray[np.float32]:
    """(KNOTS, 2) float32: novelty, and the trust there; never rising with novelty."""
    order = np.argsort(trial.novelty, kind="stable")
    bins = int(np.clip(len(order) // BIN_DOCUMENTS, 1, KNOTS - 2))
    places, shares = [], []
    for part in np.array_split(order, bins):
        chosen = np.zeros(len(order), np.bool_)
        chosen[part] = True
        places.append(float(np.median(trial.novelty[part])))
        shares.append(measured_trust(trial.of(chosen)))
    falling = np.minimum.accumulate(shares)
    # Beyond all that was tried nothing is known: the word of the heads fades out.
    furthest = float(trial.novelty.max(initial=1.0))
    places += [max(furthest, places[-1] * 1.01), max(furthest, places[-1]) * 2]
    ends = [*falling.tolist(), float(falling[-1]), 0.0]
    while len(places) < KNOTS:
        places.append(places[-1] + 1)
        ends.append(0.0)
    return np.stack([places, ends], 1).astype(np.float32)
