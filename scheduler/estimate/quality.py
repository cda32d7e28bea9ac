"""The quality model: the probability of a good answer, per document, task and offer."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.errors import UnknownVersion
from scheduler.estimate.features import FEATURES
from scheduler.estimate.logistic import logit, sigmoid

FORMAT: Final = 1
PRIOR_WEIGHT: Final = 8.0
"""How many outcomes the catalog's prior is worth."""
NO_PRIOR: Final = 0.7
"""The prior of an offer of which the catalog says nothing."""
SAFE_LEVEL: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Predicted quality of n documents with m offers.

    Attributes:
        mean: (n, m) float32, 0 to 1.
        lower: (n, m) float32, what the quality is at least, at the level asked for.
    """

    mean: NDArray[np.float32]
    lower: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """Predicted quality as `sigmoid(left @ right)`, for windows too long for a matrix.

    Attributes:
        left: (n, r) float32 per document.
        right: (r, m) float32 per offer.
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """What was learned about every (task, offer), as one value.

    Attributes:
        tasks, offers: (T,) and (M,) names.
        centre, scale: (FEATURES,) float32, what makes features comparable.
        familiar: (FEATURES, FEATURES) float32: |(x - centre) / scale @ familiar|^2 says how
            unlike the documents learned from a document is.
        heads: (T, M, FEATURES) float32, logits per scaled feature.
        centres: (T, M) float32, logit at the centre.
        rates: (T, M) float32, mean score seen.
        counts: (T, M) float32, outcomes seen, by weight.
        trust: (K, 2) float32: novelty, and how much of the heads' word holds there.
    """

    tasks: tuple[str, ...]
    offers: tuple[str, ...]
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    familiar: NDArray[np.float32]
    heads: NDArray[np.float32]
    centres: NDArray[np.float32]
    rates: NDArray[np.float32]
    counts: NDArray[np.float32]
    trust: NDArray[np.float32]

    @staticmethod
    def untrained() -> "Predictor":
        """The predictor before any outcome: it answers with the catalog's priors."""
        return Predictor(
            tasks=(),
            offers=(),
            centre=np.zeros(FEATURES, np.float32),
            scale=np.ones(FEATURES, np.float32),
            familiar=np.zeros((FEATURES, FEATURES), np.float32),
            heads=np.zeros((0, 0, FEATURES), np.float32),
            centres=np.zeros((0, 0), np.float32),
            rates=np.zeros((0, 0), np.float32),
            counts=np.zeros((0, 0), np.float32),
            trust=np.array([[0, 1]], np.float32),
        )

    def novelty(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) how unlike the documents learned from each is; of the order of 1 for them."""
        away = ((features - self.centre) / self.scale) @ self.familiar
        return np.asarray(np.einsum("ij,ij->i", away, away), np.float32)

    def quality(
        self,
        features: NDArray[np.float32],
        *,
        task: str,
        offers: Sequence[str],
        priors: NDArray[np.float64],
        level: float = SAFE_LEVEL,
    ) -> Quality:
        """Quality of each document with each of *offers*, at *task*.

        Args:
            features: (n, FEATURES) float32.
            priors: (m,) the catalog's prior of each offer, NaN where it has none.
            level: how sure `lower` is; 0.5 makes it the mean.
        """
        factors = self.factors(features, task=task, offers=offers, priors=priors)
        logits = (factors.left @ factors.right).astype(np.float64)
        _, counts = self._centres(task, offers, priors)
        novelty = self.novelty(features)
        spread = np.sqrt(1 / (0.25 * (counts[None, :] + 1)) * (1 + novelty[:, None]))
        safe = NormalDist().inv_cdf(level)
        return Quality(
            mean=sigmoid(logits).astype(np.float32),
            lower=sigmoid(logits - safe * spread).astype(np.float32),
        )

    def factors(
        self,
        features: NDArray[np.float32],
        *,
        task: str,
        offers: Sequence[str],
        priors: NDArray[np.float64],
    ) -> Factors:
        """Quality's logit as a product of one row per document and one column per offer."""
        centres, _ = self._centres(task, offers, priors)
        heads = np.zeros((FEATURES, len(offers)), np.float32)
        if task in self.tasks:
            of_task = self.heads[self.tasks.index(task)]
            for at, offer in enumerate(offers):
                if offer in self.offers:
                    heads[:, at] = of_task[self.offers.index(offer)]
        scaled = (features - self.centre) / self.scale
        trust = np.interp(self.novelty(features), self.trust[:, 0], self.trust[:, 1])
        left = np.hstack(
            [np.ones((len(features), 1), np.float32), scaled * trust[:, None]], dtype=np.float32
        )
        return Factors(left=left, right=np.vstack([centres[None, :], heads], dtype=np.float32))

    def _centres(
        self, task: str, offers: Sequence[str], priors: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(m,) each offer's logit at the centre, and how many outcomes stand behind it."""
        known = np.where(np.isnan(priors), NO_PRIOR, priors)
        centres = logit(known)
        counts = np.full(len(offers), PRIOR_WEIGHT)
        if task not in self.tasks:
            return centres, counts
        at_task = self.tasks.index(task)
        for at, offer in enumerate(offers):
            if offer not in self.offers:
                continue
            place = (at_task, self.offers.index(offer))
            seen, rate = float(self.counts[place]), float(self.rates[place])
            blend = (PRIOR_WEIGHT * known[at] + seen * rate) / (PRIOR_WEIGHT + seen)
            moved = logit(np.array([blend, rate]))
            if seen > 0:
                centres[at] = float(self.centres[place]) + moved[0] - moved[1]
            counts[at] += seen
        return centres, counts

    def to_bytes(self) -> bytes:
        """The predictor as bytes; `from_bytes` gives it back, and equal ones are equal."""
        out = io.BytesIO()
        head = {"format": FORMAT, "tasks": self.tasks, "offers": self.offers}
        out.write(json.dumps(head, sort_keys=True).encode() + b"\n")
        for name in _ARRAYS:
            array: NDArray[np.float32] = getattr(self, name)
            np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
        return out.getvalue()

    @staticmethod
    def from_bytes(body: bytes) -> "Predictor":
        """The predictor that `to_bytes` wrote.

        Raises:
            UnknownVersion: it was written in another format.
        """
        source = io.BytesIO(body)
        head = json.loads(source.readline())
        if head.get("format") != FORMAT:
            raise UnknownVersion(kind="quality", version=head.get("format"))
        arrays = {name: np.lib.format.read_array(source, allow_pickle=False) for name in _ARRAYS}
        return Predictor(tasks=tuple(head["tasks"]), offers=tuple(head["offers"]), **arrays)

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of the predictor."""
        return hashlib.sha256(self.to_bytes()).digest()


_ARRAYS: Final = (
    "centre", "scale", "familiar", "heads", "centres", "rates", "counts", "trust",
)  # fmt: skip
