"""Sentence embeddings from a model of one's own, beside the features that need none.

The model is a folder with `model.onnx` and `tokenizer.json`, as sentence-embedding models are
published.  It runs on this machine; nothing is downloaded and no text leaves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused
from scheduler.estimate.novelty import FOLDED
from scheduler.estimate.shape import STRUCTURAL

Singles = NDArray[np.float32]

TOKENS_MOST: Final = 256
"""Of a text, so many tokens are read from its beginning."""
CHARACTERS_MOST: Final = 50 * TOKENS_MOST
"""And so many characters: whoever keeps texts need not bring more of one."""
BATCH: Final = 32


class NoEmbedding(Refused):
    """An embedding model that cannot be used."""

    def __init__(self, *, folder: Path, reason: str) -> None:
        super().__init__(f"embedding model {folder}: {reason}")
        self.folder = folder
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """A sentence-embedding model.

    Attributes:
        name: of the representation; heads learned on one say nothing on another.
        width: how many numbers a vector has.
        session, tokenizer: onnxruntime's and tokenizers' objects.
    """

    name: str
    width: int
    session: Any
    tokenizer: Any

    @staticmethod
    def load(folder: Path) -> "Embedder":
        """The model in *folder*.

        Raises:
            NoEmbedding: a file or a library is missing, or the model cannot be read.
        """
        model, words = folder / "model.onnx", folder / "tokenizer.json"
        for path in (model, words):
            if not path.is_file():
                raise NoEmbedding(
                    folder=folder, reason=f"there is no {path.name}; it needs model.onnx "
                    "and tokenizer.json"
                )  # fmt: skip
        try:
            import onnxruntime
            import tokenizers
        except ImportError:
            raise NoEmbedding(
                folder=folder, reason="install it with: pip install 'apportion[embeddings]'"
            ) from None
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(words))
            session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise classes of their own, or bare ones
            raise NoEmbedding(folder=folder, reason=f"it cannot be read: {error}") from None
        tokenizer.enable_truncation(TOKENS_MOST)
        tokenizer.enable_padding()
        digest = hashlib.sha256(model.read_bytes() + words.read_bytes()).hexdigest()
        loaded = Embedder(name=f"onnx:{digest[:16]}", width=0, session=session, tokenizer=tokenizer)
        try:
            width = loaded.embedded(["one two three"]).shape[1]
        except Exception as error:  # a model that asks for other inputs, or gives other outputs
            raise NoEmbedding(folder=folder, reason=f"it does not embed: {error}") from None
        return replace(loaded, width=width)

    def embedded(self, texts: Sequence[str]) -> Singles:
        """(n, w) the mean of each text's token vectors, of length one; zeros for no tokens."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        parts = [
            self._batch([texts[at] for at in order[start : start + BATCH]])
            for start in range(0, len(order), BATCH)
        ]
        found = np.empty((len(texts), parts[0].shape[1]), np.float32)
        found[order] = np.concatenate(parts)
        return found

    def _batch(self, texts: Sequence[str]) -> Singles:
        encoded = self.tokenizer.encode_batch([text[:CHARACTERS_MOST] for text in texts])
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        if not mask.shape[1]:
            mask = np.zeros((len(texts), 1), np.int64)
        ids = np.zeros(mask.shape, np.int64)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = one.ids
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        asked = {one.name: known[one.name] for one in self.session.get_inputs()}
        tokens = np.asarray(self.session.run(None, asked)[0], np.float32)
        total = (tokens * mask[:, :, None]).sum(1)
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))


def with_embedding(features: Singles, embedded: Singles) -> Singles:
    """(n, f + w') features with *embedded* (n, w) before the structural figures.

    It is filled up with zeros, so that novelty can fold it like the hashed numbers.
    """
    room = -embedded.shape[1] % FOLDED
    filled = np.pad(embedded, ((0, 0), (0, room)))
    split = features.shape[1] - len(STRUCTURAL)
    return np.hstack([features[:, :split], filled, features[:, split:]]).astype(np.float32)
