"""What a call uses in energy: observed on own machines, estimated elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRate:
    """Joules of one offer's calls, linear in tokens.

    The defaults are of the order that measurements of 70 billion parameter models report
    (Samsi et al. 2023: 3 to 4 J per output token; reading is about a tenth of that).
    """

    request_j: float = 0.0
    input_token_j: float = 0.3
    output_token_j: float = 3.0


def energy_j(input_tokens: Floats, output_tokens: Floats, rate: EnergyRate) -> Floats:
    """(n,) joules of calls with so many tokens."""
    return rate.request_j + rate.input_token_j * input_tokens + rate.output_token_j * output_tokens


def learned_rate(
    input_tokens: Floats, output_tokens: Floats, joules: Floats, *, known: EnergyRate
) -> EnergyRate:
    """The rate that measured *joules* (n,) teach, near *known* where they are few."""
    columns = np.stack([np.ones_like(joules), input_tokens, output_tokens], 1)
    before = np.array([known.request_j, known.input_token_j, known.output_token_j])
    # Ridge towards *known*, on columns brought to one scale.
    scale = np.maximum(np.sqrt(np.mean(columns**2, axis=0)), 1e-9)
    scaled = columns / scale
    bend = scaled.T @ scaled + 0.3 * np.eye(3)
    found = before + np.linalg.solve(bend, scaled.T @ (joules - columns @ before)) / scale
    kept = np.maximum(found, 0.0)
    return EnergyRate(
        request_j=float(kept[0]), input_token_j=float(kept[1]), output_token_j=float(kept[2])
    )
