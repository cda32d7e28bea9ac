"""How long calls take and what they use, as observed."""

import json

import numpy as np
import pytest

from scheduler.estimate.energy import EnergyRate, energy_j, learned_rate
from scheduler.estimate.latency import LatencyModel


def observed(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    tokens = rng.integers(10, 800, count)
    return tokens, (0.3 + tokens / 25) * np.exp(rng.normal(0, 0.3, count))


def test_latency_is_learned_per_offer_with_its_spread() -> None:
    tokens, seconds = observed(3000)
    model = LatencyModel().learned(offer=["x"] * 3000, output_tokens=tokens, seconds=seconds)

    np.testing.assert_allclose(
        model.latency_s(np.array([100.0]), offer="x"), 0.3 + 100 / 25, rtol=0.08
    )
    within = seconds <= model.latency_s(tokens.astype(float), offer="x", level=0.9)
    assert within.mean() == pytest.approx(0.9, abs=0.02)


def test_an_offer_never_observed_has_the_catalogs_pace() -> None:
    tokens, seconds = observed(10)
    model = LatencyModel().learned(offer=["x"] * 10, output_tokens=tokens, seconds=seconds)

    np.testing.assert_array_equal(
        model.latency_s(np.array([50.0]), offer="y"),
        LatencyModel().latency_s(np.array([50.0]), offer="y"),
    )


def test_a_latency_model_comes_back_from_json_with_the_same_digest() -> None:
    tokens, seconds = observed(10)
    model = LatencyModel().learned(offer=["x"] * 10, output_tokens=tokens, seconds=seconds)

    back = LatencyModel.from_dict(json.loads(json.dumps(model.to_dict())))

    assert back.digest() == model.digest()


def test_measured_energy_replaces_the_estimate() -> None:
    rng = np.random.default_rng(4)
    asked, said = rng.uniform(100, 5000, 500), rng.uniform(10, 500, 500)
    true = EnergyRate(request_j=5, input_token_j=0.05, output_token_j=1.2)

    rate = learned_rate(asked, said, energy_j(asked, said, true), known=EnergyRate())

    np.testing.assert_allclose(
        energy_j(asked, said, rate).sum(), energy_j(asked, said, true).sum(), rtol=0.02
    )
