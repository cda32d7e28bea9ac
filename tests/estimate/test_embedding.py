"""An embedding model of one's own, beside the built-in features."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import tokenizers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from scheduler.estimate.embedding import Embedder, NoEmbedding, with_embedding
from scheduler.estimate.features import FEATURES, document_features
from scheduler.estimate.novelty import Familiar
from scheduler.estimate.shape import STRUCTURAL
from scheduler.reporting.backtest.run import Settings, run_seeds
from tests.cli.test_backtest import made

WIDTH = 10


WORDS = ("[UNK]", "stir", "the", "onions", "lessor", "shall", "indemnify", "lessee", "lease")


def model_folder(
    folder: Path,
    *,
    seed: int = 0,
    words: Sequence[str] = WORDS,
    table: NDArray[np.float32] | None = None,
) -> Path:
    """A model that gives every word of a small vocabulary a vector (row of *table*)."""
    level = tokenizers.models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]")
    tokenizer = tokenizers.Tokenizer(level)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    if table is None:
        table = np.random.default_rng(seed).normal(size=(len(words), WIDTH)).astype(np.float32)
    sizes = ["batch", "tokens"]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, sizes)
         for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*sizes, WIDTH])],
        [numpy_helper.from_array(table, "table")],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    return folder


def test_a_text_is_the_mean_of_its_words_and_padding_does_not_count(tmp_path: Path) -> None:
    embedder = Embedder.load(model_folder(tmp_path))

    alone = embedder.embedded(["stir the onions"])
    beside = embedder.embedded(
        ["lessor shall indemnify the lessee in the lease", "stir the onions"]
    )
    turned = embedder.embedded(["onions the stir"])

    np.testing.assert_allclose(np.linalg.norm(beside, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(beside[1], alone[0], rtol=1e-5)
    np.testing.assert_allclose(turned, alone, rtol=1e-5)
    assert np.abs(beside[0] - beside[1]).max() > 0.1


def test_a_text_without_a_word_is_at_the_origin(tmp_path: Path) -> None:
    embedder = Embedder.load(model_folder(tmp_path))

    assert not embedder.embedded([""]).any()
    assert embedder.embedded(["", "stir the onions"])[1].any()


def test_the_embedding_stands_before_the_structural_figures(tmp_path: Path) -> None:
    texts = ["stir the onions", "the lessor shall indemnify"]
    features = document_features(texts)
    both = with_embedding(features, Embedder.load(model_folder(tmp_path)).embedded(texts))

    np.testing.assert_array_equal(both[:, -len(STRUCTURAL) :], features[:, -len(STRUCTURAL) :])
    assert both.shape[1] == FEATURES + 64
    assert np.isfinite(Familiar.of(both).novelty(both)).all()


def test_another_model_is_another_representation(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = model_folder(tmp_path / "a"), model_folder(tmp_path / "b", seed=1)

    assert Embedder.load(one).name == Embedder.load(one).name != Embedder.load(other).name


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (model_folder(tmp_path) / "tokenizer.json").unlink()

    with pytest.raises(NoEmbedding, match=r"there is no tokenizer\.json"):
        Embedder.load(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (model_folder(tmp_path) / "model.onnx").write_text("not a model")

    with pytest.raises(NoEmbedding, match="cannot be read"):
        Embedder.load(tmp_path)


def test_without_the_libraries_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(NoEmbedding, match=r"apportion\[embeddings\]"):
        Embedder.load(model_folder(tmp_path))


def test_a_backtest_learns_from_the_embedding(tmp_path: Path) -> None:
    settings = Settings(seeds=1, budgets_usd=(0.3,), embedding=model_folder(tmp_path))
    [plans] = run_seeds(made(), settings)

    model = plans.learned.predictor.tasks["backtest"]
    assert model.heads.shape[0] == FEATURES + 64
    assert model.heads[512 : 512 + WIDTH].any()
    assert not model.heads[512 + WIDTH : 512 + 64].any()
