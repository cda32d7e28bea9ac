"""What the documents learned from look like, and how unlike them another is."""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.features import STRUCTURAL

Singles = NDArray[np.float32]

FOLDED: Final = 64
"""To how many numbers the projected ones are added up: still a random projection."""
STRUCTURAL_WEIGHT: Final = 0.1
"""What a structural figure weighs, in standard deviations, beside a vector of length one."""
LEAST_SPREAD: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiar:
    """The middle and the spread of the documents learned from.

    Attributes:
        centre, scale: (f,) float32, what a feature is moved and divided by.
        whitening: (k, k) float32: makes the folded vectors of those documents round.
    """

    centre: Singles
    scale: Singles
    whitening: Singles

    @staticmethod
    def of(features: NDArray[Any]) -> "Familiar":
        """What the documents with these *features* (d, f) look like."""
        centre = features.mean(0, dtype=np.float64).astype(np.float32)
        scale = np.ones(features.shape[1], np.float32)
        spread = features[:, -len(STRUCTURAL) :].std(0, dtype=np.float64) + LEAST_SPREAD
        scale[-len(STRUCTURAL) :] = spread / STRUCTURAL_WEIGHT
        bare = Familiar(centre=centre, scale=scale, whitening=np.eye(1, dtype=np.float32))
        folded = bare._folded(bare.scaled(features)).astype(np.float64)
        bend = folded.T @ folded / max(1, len(folded))
        bend += np.eye(len(bend)) * (0.1 * np.trace(bend) / len(bend) + 1e-9)
        whitening = np.linalg.inv(np.linalg.cholesky(bend)).T / np.sqrt(len(bend))
        return Familiar(centre=centre, scale=scale, whitening=whitening.astype(np.float32))

    def scaled(self, features: NDArray[Any]) -> Singles:
        """(n, f) float32: centred, and of comparable size."""
        return np.asarray((features - self.centre) / self.scale, np.float32)

    def novelty(self, scaled: Singles) -> Singles:
        """(n,) squared distance of *scaled* documents, about 1 for those learned from."""
        away = self._folded(scaled) @ self.whitening
        return np.asarray(np.einsum("ij,ij->i", away, away), np.float32)

    def _folded(self, scaled: Singles) -> Singles:
        projected = scaled[:, : -len(STRUCTURAL)]
        folds = projected.shape[1] // FOLDED
        folded = projected.reshape(len(scaled), FOLDED, folds).sum(2)
        return np.hstack([folded, scaled[:, -len(STRUCTURAL) :]])

    def arrays(self) -> tuple[Singles, ...]:
        """The arrays, in the order of the fields."""
        return tuple(getattr(self, part.name) for part in fields(self))
