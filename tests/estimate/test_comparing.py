"""Only what is better on held-back outcomes replaces what is in use."""

import numpy as np

from scheduler.estimate.comparing import compare
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor
from tests.estimate.test_learning import documents, easy_and_hard, outcomes


def held_back(count: int = 200, *, seed: int = 9) -> Observations:
    return outcomes(documents(count), easy_and_hard(count), seed=seed)


def test_a_predictor_that_learned_replaces_one_that_did_not() -> None:
    candidate = learned(outcomes(documents(200), easy_and_hard(200)))

    verdict = compare(Predictor.untrained(), candidate, held_back())

    assert verdict.is_better
    assert verdict.candidate_loss < verdict.current_loss
    assert verdict.candidate_ece < verdict.current_ece


def test_a_worse_candidate_is_turned_down() -> None:
    current = learned(outcomes(documents(200), easy_and_hard(200)))

    verdict = compare(current, Predictor.untrained(), held_back())

    assert not verdict.is_better
    assert verdict.gain < 0


def test_the_same_predictor_is_no_improvement() -> None:
    current = learned(outcomes(documents(100), easy_and_hard(100)))

    assert not compare(current, current, held_back()).is_better


def test_a_difference_that_may_be_luck_changes_nothing() -> None:
    one = learned(outcomes(documents(100), np.full((100, 3), 0.7), seed=1))
    other = learned(outcomes(documents(100), np.full((100, 3), 0.7), seed=2))
    fair = outcomes(documents(60), np.full((60, 3), 0.7), seed=3)

    verdicts = [compare(one, other, fair, caution=2), compare(other, one, fair, caution=2)]

    assert not any(verdict.is_better for verdict in verdicts)


def test_too_few_outcomes_settle_nothing() -> None:
    candidate = learned(outcomes(documents(200), easy_and_hard(200)))

    verdict = compare(Predictor.untrained(), candidate, held_back(5))

    assert not verdict.is_better
    assert "too few" in verdict.reason


def test_documents_of_one_group_count_as_one_piece_of_evidence() -> None:
    candidate = learned(outcomes(documents(200), easy_and_hard(200)))
    seen = held_back()
    grouped = Observations(
        features=seen.features,
        row=seen.row,
        task=seen.task,
        offer=seen.offer,
        score=seen.score,
        group=["one", "other"] * 100,
    )

    alone = compare(Predictor.untrained(), candidate, seen)
    together = compare(Predictor.untrained(), candidate, grouped)

    assert together.error > alone.error
