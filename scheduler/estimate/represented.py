"""Documents as a predictor reads them: their features, and an embedding model's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.embedding import with_embedding
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import SAFE_LEVEL, Predictor, Quality

Known = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Represented:
    """What is known of n documents.

    Attributes:
        features: (n, FEATURES), of any floating type.
        embedded: (n, w) the vectors of *model*; zeros where a document has none.
        model: the embedding model's name; empty where there is none.
    """

    features: NDArray[Any]
    embedded: NDArray[Any]
    model: str

    def known_to(self, predictor: Predictor) -> Known:
        """(n,) which documents have all that the heads of *predictor* read."""
        if not predictor.representation:
            return np.ones(len(self.features), np.bool_)
        if predictor.representation != self.model:
            return np.zeros(len(self.features), np.bool_)
        return np.asarray(self.embedded.any(1))

    def read_by(self, predictor: Predictor, documents: Known) -> NDArray[np.float32]:
        """(k, f) what the heads of *predictor* read of the *documents*, all known to it."""
        features = self.features[documents].astype(np.float32)
        if not predictor.representation:
            return features
        return with_embedding(features, self.embedded[documents].astype(np.float32))

    @staticmethod
    def of(outcomes: Observations) -> "Represented":
        """The documents of *outcomes*."""
        embedded = outcomes.embedded
        if embedded is None:
            embedded = np.zeros((len(outcomes.features), 0), np.float32)
        return Represented(features=outcomes.features, embedded=embedded, model=outcomes.model)

    def part(self, documents: NDArray[np.int64]) -> "Represented":
        """Those *documents* alone."""
        return replace(self, features=self.features[documents], embedded=self.embedded[documents])


def learned_beside(outcomes: Observations, *, seed: int) -> Predictor:
    """The predictor that *outcomes* teach with their embedding model's vectors.

    Documents without a vector teach nothing.
    """
    documents = Represented.of(outcomes)
    has_vector: Known = np.asarray(documents.embedded.any(1))
    both = with_embedding(documents.features, documents.embedded)
    taught = replace(outcomes, features=both).of(has_vector[outcomes.row])
    return replace(learned(taught, seed=seed), representation=outcomes.model)


def quality_of(
    documents: Represented,
    predictor: Predictor,
    *,
    task: str,
    offers: Sequence[str],
    priors: NDArray[np.float64],
    level: float = SAFE_LEVEL,
) -> Quality:
    """Quality of the *documents*; where the heads cannot read one, the offers' means.

    Heads that were learned on one model's vectors say nothing of another's, but how good an
    offer is on the whole they know.
    """
    known = documents.known_to(predictor)
    if not predictor.representation:
        return predictor.quality(
            documents.features, task=task, offers=offers, priors=priors, level=level
        )
    means = predictor.means(len(known), task=task, offers=offers, priors=priors, level=level)
    if not known.any():
        return means
    told = predictor.quality(
        documents.read_by(predictor, known), task=task, offers=offers, priors=priors, level=level
    )
    mean, lower = means.mean.copy(), means.lower.copy()
    mean[known], lower[known] = told.mean, told.lower
    return Quality(mean=mean, lower=lower)
