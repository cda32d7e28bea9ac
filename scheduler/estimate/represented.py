"""Documents as a predictor reads them: their features, and an embedding model's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.embedding import with_embedding
from scheduler.estimate.learning import MOST_DOCUMENTS, learned
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

    @property
    def has_vector(self) -> Known:
        """(n,) which documents have a vector."""
        return np.asarray(self.embedded.any(1))

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


def learned_beside(
    outcomes: Observations, *, seed: int, documents_max: int = MOST_DOCUMENTS
) -> Predictor:
    """The predictor that *outcomes* teach with their embedding model's vectors.

    Documents without a vector teach nothing.
    """
    documents = Represented.of(outcomes)
    both = with_embedding(documents.features, documents.embedded)
    taught = replace(outcomes, features=both).of(documents.has_vector[outcomes.row])
    predictor = learned(taught, seed=seed, documents_max=documents_max)
    return replace(predictor, representation=outcomes.model)


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
    asked: dict[str, Any] = {"task": task, "offers": offers, "priors": priors, "level": level}
    if not predictor.representation:
        return predictor.quality(documents.features, **asked)
    means = predictor.means(len(documents.features), **asked)
    known = documents.has_vector
    if predictor.representation != documents.model or not known.any():
        return means
    read = with_embedding(
        documents.features[known].astype(np.float32), documents.embedded[known].astype(np.float32)
    )
    told = predictor.quality(read, **asked)
    mean, lower = means.mean.copy(), means.lower.copy()
    mean[known], lower[known] = told.mean, told.lower
    return Quality(mean=mean, lower=lower)
