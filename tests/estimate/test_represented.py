"""A document is read by heads that know its representation, and else known by the means."""

import numpy as np
import pytest

from scheduler.estimate.embedding import with_embedding
from scheduler.estimate.observations import Observations
from scheduler.estimate.quality import Predictor, Quality
from scheduler.estimate.represented import Represented, learned_beside, quality_of
from tests.estimate.test_learning import documents

COUNT = 120
ODD = np.arange(COUNT) % 2
SEEN = documents(COUNT)
VECTORS = np.eye(10, dtype=np.float32)[ODD]
MODEL = "onnx:one"
ASKED = {"task": "summarize", "offers": ["a"], "priors": np.array([0.7])}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Of documents that its vectors alone tell apart."""
    outcomes = Observations(
        features=SEEN,
        row=np.arange(COUNT),
        task=["summarize"] * COUNT,
        offer=["a"] * COUNT,
        score=ODD.astype(np.float64),
        embedded=VECTORS,
        model=MODEL,
    )
    return learned_beside(outcomes, seed=0)


def said(predictor: Predictor, embedded: np.ndarray, model: str) -> Quality:
    documents = Represented(features=SEEN, embedded=embedded, model=model)
    return quality_of(documents, predictor, **ASKED)  # type: ignore[arg-type]


def test_documents_with_vectors_are_told_apart(predictor: Predictor) -> None:
    found = said(predictor, VECTORS, MODEL).mean[:, 0]

    assert found[1::2].min() > found[::2].max() + 0.3
    whole = predictor.quality(with_embedding(SEEN, VECTORS), **ASKED)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, whole.mean[:, 0])


def test_a_document_without_a_vector_gets_the_offers_mean(predictor: Predictor) -> None:
    some = VECTORS.copy()
    some[3] = 0
    means = predictor.means(1, **ASKED)  # type: ignore[arg-type]

    found = said(predictor, some, MODEL)

    assert found.mean[3] == means.mean[0]
    assert found.lower[3] == means.lower[0]
    assert found.lower[3] < found.mean[3] < found.mean[5]
    assert abs(float(means.mean[0, 0]) - 0.5) < 0.1


def test_another_models_vectors_are_not_read(predictor: Predictor) -> None:
    assert np.ptp(said(predictor, VECTORS, "onnx:other").mean) == 0
    assert np.ptp(said(predictor, np.zeros((COUNT, 0), np.float32), "").mean) == 0


def test_a_stored_predictor_names_what_it_reads(predictor: Predictor) -> None:
    again = Predictor.from_bytes(predictor.to_bytes())

    assert again.representation == MODEL
    assert again.digest() == predictor.digest()
    assert again.digest() != Predictor(tasks=predictor.tasks).digest()


def test_a_predictor_that_reads_no_vectors_is_stored_as_before() -> None:
    head = Predictor.untrained().to_bytes()

    assert b"representation" not in head
    assert Predictor.from_bytes(head).representation == ""
