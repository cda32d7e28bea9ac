"""How long a call takes, per offer, from what was observed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.errors import UnknownVersion

Floats = NDArray[np.float64]

FORMAT: Final = 1
FIRST_TOKEN_S: Final = 0.8
TOKENS_PER_S: Final = 60.0
SPREAD: Final = 0.6
"""Standard deviation of the logarithm of latency where nothing was observed."""
WORTH: Final = 5.0
"""How many observations the catalog's figures are worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One offer's pace: `first_s + output tokens * token_s`, log-normal around it."""

    first_s: float
    token_s: float
    spread: float
    count: float


CATALOG_PACE: Final = Pace(first_s=FIRST_TOKEN_S, token_s=1 / TOKENS_PER_S, spread=SPREAD, count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """Latency per offer; an offer never observed has the catalog's pace, or a common one."""

    paces: Mapping[str, Pace] = field(default_factory=dict)

    def latency_s(
        self, output_tokens: Floats, *, offer: str, level: float = 0.5, catalog: Pace = CATALOG_PACE
    ) -> Floats:
        """(n,) seconds that a call with so many *output_tokens* takes at most, at *level*."""
        pace = self.paces.get(offer, catalog)
        middle = pace.first_s + pace.token_s * np.asarray(output_tokens, np.float64)
        return np.asarray(middle * np.exp(NormalDist().inv_cdf(level) * pace.spread))

    def learned(
        self,
        *,
        offer: Sequence[str],
        output_tokens: NDArray[np.int64],
        seconds: Floats,
        catalog: Mapping[str, Pace] | None = None,
    ) -> "LatencyModel":
        """This model with the offers in *offer* (n,) learned anew from *seconds* (n,)."""
        names = np.asarray(offer)
        paces = dict(self.paces)
        for name in np.unique(names).tolist():
            mine = names == name
            known = (catalog or {}).get(name, CATALOG_PACE)
            paces[name] = _fitted(output_tokens[mine].astype(np.float64), seconds[mine], known)
        return LatencyModel(paces=paces)

    def to_dict(self) -> dict[str, Any]:
        """The model as plain values that JSON can hold."""
        paces = {
            name: [pace.first_s, pace.token_s, pace.spread, pace.count]
            for name, pace in sorted(self.paces.items())
        }
        return {"format": FORMAT, "paces": paces}

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "LatencyModel":
        """The model that `to_dict` wrote."""
        if body.get("format") != FORMAT:
            raise UnknownVersion(kind="latency", version=body.get("format"))
        return LatencyModel(
            paces={
                name: Pace(first_s=one[0], token_s=one[1], spread=one[2], count=one[3])
                for name, one in body["paces"].items()
            }
        )

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of the model."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).digest()


def _fitted(tokens: Floats, seconds: Floats, known: Pace) -> Pace:
    """Pace from one offer's calls, with *known* counted as `WORTH` further ones."""
    # Relative errors count: a weighted fit of seconds on tokens, each call by 1 / seconds.
    at = np.append(tokens, [0.0, 200.0])
    took = np.append(np.maximum(seconds, 1e-3), known.first_s + known.token_s * np.r_[0.0, 200.0])
    weight = np.append(np.ones(len(tokens)), [WORTH / 2, WORTH / 2]) / took**2
    columns = np.stack([np.ones(len(at)), at], 1)
    found = np.linalg.lstsq(columns * np.sqrt(weight)[:, None], took * np.sqrt(weight), rcond=None)[
        0
    ]
    first_s, token_s = max(float(found[0]), 1e-3), max(float(found[1]), 0.0)
    off = np.log(np.maximum(seconds, 1e-3)) - np.log(first_s + token_s * tokens)
    # The squared errors weigh long calls less than their median does; set the middle right.
    middle = float(np.median(off)) if len(off) else 0.0
    square = (np.sum((off - middle) ** 2) + WORTH * known.spread**2) / (len(off) + WORTH)
    return Pace(
        first_s=first_s * float(np.exp(middle)),
        token_s=token_s * float(np.exp(middle)),
        spread=float(np.sqrt(square)),
        count=float(len(tokens)),
    )
