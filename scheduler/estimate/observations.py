"""Outcomes to learn from, as columns."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.errors import BadObservations


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """How offers did on documents: n outcomes on d documents.

    Attributes:
        features: (d, FEATURES) float32, one row per document.
        row: (n,) which document each outcome is about.
        task, offer: (n,) names.
        score: (n,) 0 (useless) to 1 (perfect).
        weight: (n,) how much each outcome counts; all alike when absent.
        prior: (n,) the catalog's quality prior for the outcome's task and offer, NaN where
            there is none; none at all when absent.
        group: (d,) what a document shares with others (template, customer, source), so that
            what is learned is tried on groups never seen; every document its own when absent.
        embedded: (d, w) float32, each document's vector of the embedding *model*, zeros where it
            has none; none at all when absent.
        model: its name, or empty.
    """

    features: NDArray[np.float32]
    row: NDArray[np.int64]
    task: Sequence[str]
    offer: Sequence[str]
    score: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    prior: NDArray[np.float64] | None = None
    group: Sequence[object] | None = None
    embedded: NDArray[np.float32] | None = None
    model: str = ""

    def __post_init__(self) -> None:
        count = len(self.row)
        columns: dict[str, Sized] = {"task": self.task, "offer": self.offer, "score": self.score}
        if self.weight is not None:
            columns["weight"] = self.weight
        if self.prior is not None:
            columns["prior"] = self.prior
        for name, column in columns.items():
            if len(column) != count:
                raise BadObservations(column=name, reason=f"{len(column)} values for {count} rows")
        if self.group is not None and len(self.group) != len(self.features):
            raise BadObservations(column="group", reason="it needs one value per document")
        if count and not (self.row.min() >= 0 and self.row.max() < len(self.features)):
            raise BadObservations(column="row", reason="it names a document that is not there")
        if not (np.isfinite(self.score) & (self.score >= 0) & (self.score <= 1)).all():
            raise BadObservations(column="score", reason="scores are numbers from 0 to 1")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight >= 0)).all():
            raise BadObservations(column="weight", reason="weights are finite and not negative")
        if not np.isfinite(self.features).all():
            raise BadObservations(column="features", reason="a feature is not finite")

    def weights(self) -> NDArray[np.float64]:
        """(n,) the weights, ones where none were given."""
        return np.ones(len(self.row)) if self.weight is None else self.weight

    def of(self, chosen: NDArray[np.bool_]) -> "Observations":
        """The outcomes where *chosen* (n,) holds, on the same documents."""
        kept = np.flatnonzero(chosen)
        names = kept.tolist()
        return Observations(
            features=self.features,
            row=self.row[kept],
            task=[self.task[at] for at in names],
            offer=[self.offer[at] for at in names],
            score=self.score[kept],
            weight=None if self.weight is None else self.weight[kept],
            prior=None if self.prior is None else self.prior[kept],
            group=self.group,
            embedded=self.embedded,
            model=self.model,
        )
