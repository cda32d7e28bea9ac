"""What the documents learned from look like, and how unlike them another is."""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.shape import STRUCTURAL

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
        away = bare._folded(features - centre) / bare._folded_scale()
        folded = away.astype(np.float64)
        bend = folded.T @ folded / max(1, len(folded))
        bend += np.eye(len(bend)) * (0.1 * np.trace(bend) / len(bend) + 1e-9)
        whitening = np.linalg.inv(np.linalg.cholesky(bend)).T / np.sqrt(len(bend))
        return Familiar(centre=centre, scale=scale, whitening=whitening.astype(np.float32))

    def scaled(self, features: NDArray[Any]) -> Singles:
        """(n, f) float32: centred, and of comparable size."""
        return np.asarray((features - self.centre) / self.scale, np.float32)

    def novelty(self, features: NDArray[Any]) -> Singles:
        """(n,) squared distance from the documents learned from, about 1 for those."""
        away = (self._folded(features) - self._folded(self.centre[None, :])) / self._folded_scale()
        away = np.asarray(away, np.float32) @ self.whitening
        return np.asarray(np.einsum("ij,ij->i", away, away), np.float32)

    def said(self, features: Singles, heads: Singles) -> Singles:
        """(n, m) `scaled(features) @ heads`, without a scaled copy of the features."""
        eased = heads / self.scale[:, None]
        return np.asarray(features @ eased - self.centre @ eased, np.float32)

    def _folded(self, features: NDArray[Any]) -> NDArray[Any]:
        projected = features[:, : -len(STRUCTURAL)]
        folds = projected.shape[1] // FOLDED
        folded = projected.reshape(len(features), folds, FOLDED).sum(1, dtype=np.float32)
        return np.hstack([folded, features[:, -len(STRUCTURAL) :]])

    def _folded_scale(self) -> Singles:
        return np.concatenate([np.ones(FOLDED, np.float32), self.scale[-len(STRUCTURAL) :]])

    def arrays(self) -> tuple[Singles, ...]:
        """The arrays, in the order of the fields."""
        return tuple(getattr(self, part.name) for part in fields(self))
