"""Sobol indices, against functions whose indices are known."""

from collections.abc import Mapping

import numpy as np
import pytest

from scheduler.estimate.sensitivity import sobol_indices

UNIT = (-np.pi, np.pi)


def ishigami(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    a, b, c = inputs["a"], inputs["b"], inputs["c"]
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def test_the_ishigami_function_has_its_known_indices() -> None:
    found = sobol_indices(ishigami, {"a": UNIT, "b": UNIT, "c": UNIT}, samples=20_000, seed=1)
    by_name = {one.name: one for one in found}

    assert by_name["a"].first == pytest.approx(0.314, abs=0.03)
    assert by_name["b"].first == pytest.approx(0.442, abs=0.03)
    assert by_name["c"].first == pytest.approx(0.0, abs=0.03)
    assert by_name["a"].total == pytest.approx(0.558, abs=0.03)
    assert by_name["c"].total == pytest.approx(0.244, abs=0.03)


def test_the_strongest_input_comes_first() -> None:
    found = sobol_indices(
        lambda inputs: inputs["weak"] + 10 * inputs["strong"],
        {"weak": (0, 1), "strong": (0, 1)},
        samples=1000,
        seed=0,
    )

    assert [one.name for one in found] == ["strong", "weak"]


def test_an_input_that_does_not_vary_moves_nothing() -> None:
    found = sobol_indices(
        lambda inputs: inputs["fixed"] * inputs["free"],
        {"fixed": (2, 2), "free": (0, 1)},
        samples=500,
        seed=0,
    )

    assert found[-1].name == "fixed"
    assert found[-1].total == 0
