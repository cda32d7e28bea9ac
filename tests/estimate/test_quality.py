"""The quality model: priors, learning, bounds, and what it is stored as."""

import numpy as np
import pytest

from scheduler.estimate.errors import BadObservations, UnknownVersion
from scheduler.estimate.features import FEATURES, document_features
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor

OFFERS = ("x/mini", "x/large")
PRIORS = np.array([0.6, 0.9])
EASY = "stir the onions in butter until golden and add two cups of stock number {}"
HARD = "whereas the party of the first part indemnifies the lessor under clause {}"


def documents(count: int) -> np.ndarray:
    return document_features([(EASY, HARD)[at % 2].format(at) for at in range(count)])


def outcomes(count: int, *, mini_on_hard: float = 0.0) -> Observations:
    """The large one is always right; the small one always on easy documents."""
    features = documents(count)
    row = np.repeat(np.arange(count), 2)
    hard = row % 2 == 1
    offer = [OFFERS[at % 2] for at in range(2 * count)]
    score = np.where(hard & (np.arange(2 * count) % 2 == 0), mini_on_hard, 1.0)
    return Observations(
        features=features, row=row, task=["classify"] * (2 * count), offer=offer, score=score
    )


def test_without_any_outcome_the_catalogs_prior_is_the_prediction() -> None:
    quality = Predictor.untrained().quality(
        documents(3), task="classify", offers=OFFERS, priors=PRIORS
    )

    np.testing.assert_allclose(quality.mean, np.tile(PRIORS, (3, 1)), atol=1e-4)
    assert (quality.lower < quality.mean).all()


def test_an_offer_without_a_prior_is_predicted_all_the_same() -> None:
    quality = Predictor.untrained().quality(
        documents(1), task="classify", offers=["new"], priors=np.array([np.nan])
    )

    assert 0 < quality.lower[0, 0] < quality.mean[0, 0] < 1


def test_outcomes_teach_which_documents_a_small_model_can_do() -> None:
    taught = learned(outcomes(200))

    mean = taught.quality(documents(20), task="classify", offers=OFFERS, priors=PRIORS).mean

    assert mean[0::2, 0].min() > 0.8
    assert mean[1::2, 0].max() < 0.3
    assert mean[:, 1].min() > 0.9


def test_an_offer_never_observed_keeps_its_prior_beside_those_that_were() -> None:
    taught = learned(outcomes(50))

    mean = taught.quality(
        documents(4), task="classify", offers=["x/new", *OFFERS], priors=np.array([0.5, 0.6, 0.9])
    ).mean

    assert 0.3 < mean[:, 0].mean() < 0.8


def test_more_outcomes_bring_the_lower_bound_nearer() -> None:
    def gap(count: int) -> float:
        quality = learned(outcomes(count, mini_on_hard=1.0)).quality(
            documents(20), task="classify", offers=OFFERS, priors=PRIORS
        )
        return float((quality.mean - quality.lower).mean())

    assert gap(400) < gap(40) < gap(4)


def test_a_higher_level_gives_a_lower_bound() -> None:
    taught = learned(outcomes(50))

    def lower(level: float) -> np.ndarray:
        return taught.quality(
            documents(6), task="classify", offers=OFFERS, priors=PRIORS, level=level
        ).lower

    assert (lower(0.95) < lower(0.8)).all()


def test_the_factors_multiply_to_the_prediction() -> None:
    taught = learned(outcomes(60))
    asked = {"task": "classify", "offers": OFFERS, "priors": PRIORS}

    factors = taught.factors(documents(7), **asked)
    mean = taught.quality(documents(7), **asked).mean

    np.testing.assert_allclose(1 / (1 + np.exp(-(factors.left @ factors.right))), mean, atol=1e-5)


def test_a_predictor_comes_back_from_bytes_with_the_same_digest() -> None:
    taught = learned(outcomes(30))

    back = Predictor.from_bytes(taught.to_bytes())

    assert back.digest() == taught.digest()
    asked = {"task": "classify", "offers": OFFERS, "priors": PRIORS}
    np.testing.assert_array_equal(
        back.quality(documents(5), **asked).lower, taught.quality(documents(5), **asked).lower
    )


def test_the_same_outcomes_teach_the_same_predictor() -> None:
    assert learned(outcomes(30)).digest() == learned(outcomes(30)).digest()


def test_another_format_is_refused() -> None:
    with pytest.raises(UnknownVersion, match="apportion learn"):
        Predictor.from_bytes(b'{"format": 99}\n')


def test_a_score_outside_0_to_1_is_refused_by_its_column() -> None:
    with pytest.raises(BadObservations, match="score"):
        Observations(
            features=np.zeros((1, FEATURES), np.float32),
            row=np.array([0]),
            task=["answer"],
            offer=["x"],
            score=np.array([1.5]),
        )
