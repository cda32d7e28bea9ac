"""What is learned, and how far it is trusted."""

import numpy as np

from scheduler.estimate.features import document_features
from scheduler.estimate.learning import learned, learned_and_held_back
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor

OFFERS = ("x/large", "x/mini", "x/tiny")
NO_PRIORS = np.full(3, np.nan)
SUBJECTS = {
    "recipe": "stir the onions in butter until golden then add {} cups of stock and simmer",
    "lease": "the lessor shall indemnify the lessee under clause {} of this agreement",
    "match": "the striker scored after {} minutes and the keeper had no chance at all",
    "memo": "please note that the meeting on budget line {} has moved to another room",
}


def documents(count: int, subjects: tuple[str, ...] = tuple(SUBJECTS)) -> np.ndarray:
    return document_features(
        [SUBJECTS[subjects[at % len(subjects)]].format(at) for at in range(count)]
    )


def outcomes(
    features: np.ndarray, chance: np.ndarray, *, seed: int = 0, group: list[str] | None = None
) -> Observations:
    """Each document with each offer, good with *chance* (d, 3)."""
    count = len(features)
    drawn = np.random.default_rng(seed).random((count, 3)) < chance
    return Observations(
        features=features,
        row=np.repeat(np.arange(count), 3),
        task=["classify"] * (3 * count),
        offer=list(OFFERS) * count,
        score=drawn.astype(float).ravel(),
        group=group,
    )


def mean(predictor: Predictor, features: np.ndarray) -> np.ndarray:
    quality = predictor.quality(features, task="classify", offers=OFFERS, priors=NO_PRIORS)
    return quality.mean


def easy_and_hard(count: int) -> np.ndarray:
    """The large one is good at all; the others at every other subject only."""
    hard = np.arange(count) % 2 == 1
    return np.stack([np.full(count, 0.95), np.where(hard, 0.1, 0.9), np.where(hard, 0.1, 0.8)], 1)


def test_predictions_of_new_documents_are_calibrated() -> None:
    chance = easy_and_hard(200)
    predicted = mean(learned(outcomes(documents(200), chance)), documents(200))

    assert np.abs(predicted - chance).mean() < 0.08


def test_documents_unlike_all_that_was_learned_from_get_the_means() -> None:
    predictor = learned(outcomes(documents(300), easy_and_hard(300)))
    strange = document_features(["1010101 || 22 || 33 ;;; 0x00ff" * 30, "中文文本没有空格" * 40])

    rates = predictor.tasks["classify"].rates
    assert predictor.novelty(strange, task="classify").min() > 3
    np.testing.assert_allclose(mean(predictor, strange), [rates, rates], atol=0.05)


def test_labels_that_have_nothing_to_do_with_the_texts_leave_the_means() -> None:
    features = documents(300)
    chance = np.tile([0.9, 0.6, 0.4], (300, 1))

    predicted = mean(learned(outcomes(features, chance)), features)

    assert predicted.std(0).max() < 0.05


def test_what_holds_within_groups_only_is_not_trusted_across_them() -> None:
    # In each group another word decides; what one group teaches is wrong in the next.
    rng = np.random.default_rng(1)
    groups = [f"customer {at % 8}" for at in range(480)]
    flags = rng.random(480) < 0.5
    texts = [
        f"{'alpha' if flag else 'beta'} request number {10_000 + at} about the usual things"
        for at, flag in enumerate(flags)
    ]
    turned = np.array([(at % 8) % 2 == 0 for at in range(480)])
    good = np.where(flags == turned, 0.9, 0.1)
    chance = np.stack([np.full(480, 0.9), good, good], 1)
    features = document_features(texts)

    told = learned(outcomes(features, chance, group=groups))

    assert np.abs(mean(told, features)[:, 1] - 0.5).max() < 0.15


def test_an_offer_with_few_outcomes_stays_near_its_mean() -> None:
    features = documents(200)
    full = outcomes(features, easy_and_hard(200))
    is_thin = np.array([offer == "x/tiny" and row > 5 for offer, row in
                        zip(full.offer, full.row, strict=True)])  # fmt: skip

    thin = learned(full.of(~is_thin))
    spread_thin = mean(thin, features)[:, 2].std()

    assert spread_thin < mean(learned(full), features)[:, 2].std()


def test_lower_bounds_hold_at_least_as_often_as_they_say() -> None:
    held = []
    for seed in range(4):
        chance = easy_and_hard(160)
        predictor = learned(outcomes(documents(160), chance, seed=seed))
        quality = predictor.quality(
            documents(160), task="classify", offers=OFFERS, priors=NO_PRIORS, level=0.9
        )
        held.append((quality.lower <= chance).mean())

    assert np.mean(held) > 0.9


def test_held_back_predictions_are_those_of_documents_not_learned_from() -> None:
    features = documents(200)
    chance = np.tile([0.5, 0.5, 0.5], (200, 1))
    _, held = learned_and_held_back(outcomes(features, chance))

    # Of labels that are noise, nothing can be known beforehand.
    said, came = held["classify"].quality.ravel(), held["classify"].score.ravel()
    assert abs(np.corrcoef(said, came)[0, 1]) < 0.15


def test_too_few_documents_teach_the_means_alone() -> None:
    predictor, held = learned_and_held_back(outcomes(documents(8), np.full((8, 3), 0.5)))

    assert held == {}
    assert mean(predictor, documents(8)).std(0).max() < 1e-6


def test_another_task_keeps_its_own_means() -> None:
    predictor = learned(outcomes(documents(100), np.full((100, 3), 0.2)))

    other = predictor.quality(
        documents(2), task="extract", offers=OFFERS, priors=np.array([0.9, 0.8, 0.7])
    )

    np.testing.assert_allclose(other.mean, [[0.9, 0.8, 0.7]] * 2, atol=1e-3)


def test_outcomes_at_one_task_move_the_prior_at_another_half_way() -> None:
    features = documents(100)
    seen = outcomes(features, np.full((100, 3), 0.3))
    told = Observations(
        features=features,
        row=seen.row,
        task=seen.task,
        offer=seen.offer,
        score=seen.score,
        prior=np.full(300, 0.9),
    )

    other = learned(told).quality(
        features[:1], task="extract", offers=OFFERS, priors=np.full(3, 0.9)
    )

    assert (other.mean < 0.85).all()
    assert (other.mean > 0.4).all()


def test_learning_is_the_same_for_the_same_seed() -> None:
    seen = outcomes(documents(60), easy_and_hard(60))

    assert learned(seen, seed=1).digest() == learned(seen, seed=1).digest()
