"""The quality model: the probability of a good answer, per document, task and offer."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.errors import UnknownVersion
from scheduler.estimate.logistic import logit, sigmoid
from scheduler.estimate.novelty import Familiar
from scheduler.estimate.squash import squashed

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FORMAT: Final = 1
PRIOR_WEIGHT: Final = 8.0
"""How many outcomes the catalog's prior is worth."""
NO_PRIOR: Final = 0.7
"""The prior of an offer of which the catalog says nothing."""
SAFE_LEVEL: Final = 0.9
CHUNK: Final = 4_096
"""Documents worked on at a time by one thread, so that they stay in its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Predicted quality of n documents with m offers.

    Attributes:
        mean: (n, m) float32, 0 to 1.
        lower: (n, m) float32, what the quality is at least, at the level asked for.
    """

    mean: Singles
    lower: Singles


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """Predicted quality as `sigmoid(left @ right)`, for windows too long for a matrix.

    Attributes:
        left: (n, m + 1) float32 per document.
        right: (m + 1, m) float32 per offer.
    """

    left: Singles
    right: Singles


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskModel:
    """What was learned about one task's M offers.

    Attributes:
        offers: (M,) names.
        familiar: what the documents learned from look like.
        heads: (f, M) float32, logits per scaled feature.
        at_centre: (M,) logit that the heads say of the middle document.
        rates: (M,) mean score seen.
        counts: (M,) outcomes seen, by weight.
        surprise: (M,) logit by which the outcomes moved the catalog's prior.
        unsure: (M,) variance of the heads' logit, per unit of novelty.
        shift: standard deviation of an offer's logit from one group of documents to another.
        trust: (K, 2) novelty, and the share of the heads' word that holds there.
    """

    offers: tuple[str, ...]
    familiar: Familiar
    heads: Singles
    at_centre: Singles
    rates: Singles
    counts: Singles
    surprise: Singles
    unsure: Singles
    shift: float
    trust: Singles

    def trusted(self, novelty: Singles) -> Floats:
        """(n,) share of the heads' word that holds for documents of this *novelty*."""
        return np.interp(novelty, self.trust[:, 0], self.trust[:, 1])

    def check_width(self, width: int) -> None:
        """Check that the heads read documents of *width* features.

        Raises:
            UnknownVersion: they do not.
        """
        if self.heads.shape[0] != width:
            raise UnknownVersion(kind="quality", version=f"{self.heads.shape[0]} features")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A task's model laid out for the m offers that are asked about."""

    plain: Floats
    full: Floats
    heads: Singles
    certainty: Floats
    unsure: Floats
    shift: float

    @property
    def variance(self) -> Floats:
        """(m,) of an offer's mean, in a group of documents that may be another; in logits."""
        return 1 / self.certainty + self.shift**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """What was learned about every task, as one value; without outcomes, the priors alone.

    Attributes:
        tasks: by name.
        representation: the embedding model whose vectors the heads read beside the features;
            empty where they read the features alone.
    """

    tasks: Mapping[str, TaskModel] = field(default_factory=dict)
    representation: str = ""

    @staticmethod
    def untrained() -> "Predictor":
        """The predictor before any outcome: it answers with the catalog's priors."""
        return Predictor()

    def quality(
        self,
        features: NDArray[Any],
        *,
        task: str,
        offers: Sequence[str],
        priors: Floats,
        level: float = SAFE_LEVEL,
    ) -> Quality:
        """Quality of each document with each of *offers*, at *task*.

        Args:
            features: (n, FEATURES), of any floating type.
            priors: (m,) the catalog's prior of each offer, NaN where it has none.
            level: how sure `lower` is; 0.5 makes it the mean.
        """
        asked = self._asked(task, offers, np.asarray(priors, np.float64), features.shape[1])
        shape = (len(features), len(offers))
        mean, lower = np.empty(shape, np.float32), np.empty(shape, np.float32)
        safe = NormalDist().inv_cdf(level)
        model = self.tasks.get(task)
        plain, lift = asked.plain.astype(np.float32), (asked.full - asked.plain).astype(np.float32)
        base = asked.variance.astype(np.float32)
        unsure = asked.unsure.astype(np.float32)

        def work(here: slice) -> None:
            words, trust, novelty = _words(model, features[here], asked.heads)
            squashed(
                words, trust, novelty, plain, lift, base, unsure,
                np.float32(safe), mean[here], lower[here],
            )  # fmt: skip

        _in_chunks(len(features), work)
        return Quality(mean=mean, lower=lower)

    def means(
        self,
        count: int,
        *,
        task: str,
        offers: Sequence[str],
        priors: Floats,
        level: float = SAFE_LEVEL,
    ) -> Quality:
        """Quality of *count* documents of which nothing is known: each offer's own mean."""
        model = self.tasks.get(task)
        width = model.heads.shape[0] if model else 0
        asked = self._asked(task, offers, np.asarray(priors, np.float64), width)
        unsure = NormalDist().inv_cdf(level) * np.sqrt(asked.variance)
        shape = (count, len(offers))
        mean, lower = sigmoid(asked.plain), sigmoid(asked.plain - unsure)
        return Quality(
            mean=np.broadcast_to(mean.astype(np.float32), shape),
            lower=np.broadcast_to(lower.astype(np.float32), shape),
        )

    def factors(
        self,
        features: NDArray[Any],
        *,
        task: str,
        offers: Sequence[str],
        priors: Floats,
    ) -> Factors:
        """Quality's logit as a product of one row per document and one column per offer."""
        asked = self._asked(task, offers, np.asarray(priors, np.float64), features.shape[1])
        model = self.tasks.get(task)
        # The heads' own span is no wider than the offers: an orthogonal basis of it is enough.
        basis, triangle = np.linalg.qr(asked.heads.astype(np.float64))
        rank = basis.shape[1]
        left = np.ones((len(features), rank + 2), np.float32)

        def work(here: slice) -> None:
            words, trust, _ = _words(model, features[here], basis.astype(np.float32))
            left[here, 1] = trust
            left[here, 2:] = words * trust[:, None]

        _in_chunks(len(features), work)
        right = np.vstack([asked.plain, asked.full - asked.plain, triangle])
        return Factors(left=left, right=right.astype(np.float32))

    def novelty(self, features: NDArray[Any], *, task: str) -> Singles:
        """(n,) how unlike the documents learned from each is; about 1 for those themselves."""
        model = self.tasks.get(task)
        if model is None:
            return np.full(len(features), np.inf, np.float32)
        return model.familiar.novelty(features)

    def _asked(self, task: str, offers: Sequence[str], priors: Floats, width: int) -> _Asked:
        """The task's model for *offers*, with the catalog's priors mixed in."""
        known = np.where(np.isnan(priors), NO_PRIOR, priors)
        known = np.clip(known, 0.005, 0.995)
        start = logit(known)
        model = self.tasks.get(task)
        if model is None:
            start = start + self._elsewhere(task, offers)
            return _Asked(
                plain=start,
                full=start,
                heads=np.zeros((width, len(offers)), np.float32),
                certainty=PRIOR_WEIGHT * known * (1 - known),
                unsure=np.zeros(len(offers)),
                shift=0.0,
            )
        model.check_width(width)
        at = np.array([_place(model.offers, offer) for offer in offers], np.int64)
        seen = np.where(at >= 0, model.counts[at], 0.0)
        moved = start + self._elsewhere(task, offers) * PRIOR_WEIGHT / (PRIOR_WEIGHT + seen)
        rate = np.where(at >= 0, model.rates[at], known)
        blend = (PRIOR_WEIGHT * sigmoid(moved) + seen * rate) / (PRIOR_WEIGHT + seen)
        plain = logit(blend)
        # An offer never seen at this task moves with those that were, as they left their priors.
        common = ((plain - start) * seen / (seen + PRIOR_WEIGHT)).sum()
        common /= (seen / (seen + PRIOR_WEIGHT)).sum() + 2.0
        plain = np.where(seen > 0, plain, plain + common)
        full = plain + np.where(at >= 0, model.at_centre[at] - logit(rate), 0.0)
        return _Asked(
            plain=plain,
            full=full,
            heads=np.where(at >= 0, model.heads[:, at], np.float32(0.0)),
            certainty=(PRIOR_WEIGHT + seen) * np.maximum(blend * (1 - blend), 0.01),
            unsure=np.where(at >= 0, model.unsure[at], 0.0),
            shift=model.shift,
        )

    def _elsewhere(self, task: str, offers: Sequence[str]) -> Floats:
        """(m,) logit by which each offer did better than its prior at other tasks, halved."""
        total, count = np.zeros(len(offers)), np.zeros(len(offers))
        for name, model in self.tasks.items():
            if name == task:
                continue
            at = np.array([_place(model.offers, offer) for offer in offers], np.int64)
            total += np.where(at >= 0, model.surprise[at], 0.0)
            count += at >= 0
        return np.asarray(0.5 * total / np.maximum(count, 1))

    def to_bytes(self) -> bytes:
        """The predictor as bytes; `from_bytes` gives it back, and equal ones are equal."""
        out = io.BytesIO()
        head: dict[str, Any] = {
            "format": FORMAT,
            "tasks": {
                name: {"offers": one.offers, "shift": one.shift}
                for name, one in sorted(self.tasks.items())
            },
        }
        # Not said where there is none: what was learned before keeps its digest.
        if self.representation:
            head["representation"] = self.representation
        out.write(json.dumps(head, sort_keys=True).encode() + b"\n")
        for _, model in sorted(self.tasks.items()):
            for array in (*model.familiar.arrays(), *(getattr(model, name) for name in _ARRAYS)):
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

        def read() -> NDArray[Any]:
            return np.asarray(np.lib.format.read_array(source, allow_pickle=False))

        tasks = {}
        for name, one in sorted(head["tasks"].items()):
            familiar = Familiar(**{part.name: read() for part in fields(Familiar)})
            arrays = {part: read() for part in _ARRAYS}
            tasks[name] = TaskModel(
                offers=tuple(one["offers"]), shift=one["shift"], familiar=familiar, **arrays
            )
        return Predictor(tasks=tasks, representation=head.get("representation", ""))

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of the predictor."""
        return hashlib.sha256(self.to_bytes()).digest()


_ARRAYS: Final = ("heads", "at_centre", "rates", "counts", "surprise", "unsure", "trust")


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else -1


def _words(
    model: TaskModel | None, features: NDArray[Any], heads: Singles
) -> tuple[Singles, Singles, Singles]:
    """What the heads say (n, m), how far to trust it (n,), and the novelty (n,)."""
    if model is None:
        none = np.zeros(len(features), np.float32)
        return np.zeros((len(features), heads.shape[1]), np.float32), none, none
    singles = np.asarray(features, np.float32)
    novelty = model.familiar.novelty(singles)
    words = model.familiar.said(singles, heads)
    return words, model.trusted(novelty).astype(np.float32), novelty


def _in_chunks(count: int, work: Callable[[slice], None]) -> None:
    """Do *work* on every chunk of *count* documents, on all cores this process may use."""
    chunks = [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
    if len(chunks) < 2:
        for chunk in chunks:
            work(chunk)
        return
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        # `list` so that an error in a thread is raised here.
        list(threads.map(work, chunks))
