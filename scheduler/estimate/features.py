"""What a document looks like: a small vector for quality, byte counts for tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.bytescan import (
    ASCII_CLASS,
    PROJECTED,
    SCANNED,
    SHAPES,
    STOP_HASHES,
    STOP_LANGUAGES,
    scan_ngrams,
    scan_scripts,
)
from scheduler.estimate.shape import STRUCTURAL, finish, to_halves

FEATURES: Final = PROJECTED + len(STRUCTURAL)
"""Width of a document's vector."""

TOKEN_STATS: Final = SCANNED
"""Width of a document's row of byte counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Texts in one piece, as the compiled passes read them.

    Attributes:
        text: uint8, all of them in UTF-8.
        starts: (n + 1,) int64, where each starts; the last is the end.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """*texts* in one piece.

        Lone surrogates cannot be UTF-8; they become `?`, as they do at the providers.
        """
        encoded = [text.encode("utf-8", "replace") for text in texts]
        starts = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(one) for one in encoded], out=starts[1:])
        return cls(text=np.frombuffer(b"".join(encoded), np.uint8), starts=starts)

    def described(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """What `document_features` and `script_bytes` say, with the bytes counted once.

        It hardly needs the interpreter, and may run beside a thread that does.
        """
        count = len(self.starts) - 1
        features = np.zeros((count, FEATURES), np.float32)
        shapes = np.zeros((count, SHAPES), np.float32)
        scanned = np.zeros((count, SCANNED), np.int32)
        scan_scripts(self.text, self.starts, ASCII_CLASS, scanned)
        scan_ngrams(
            self.text, self.starts, ASCII_CLASS, STOP_HASHES, STOP_LANGUAGES, features, shapes
        )
        finish(scanned, shapes, features)
        return features, scanned


def script_bytes(texts: Sequence[str]) -> NDArray[np.int32]:
    """Bytes of each text by script class, with words and numbers: (n, TOKEN_STATS) int32.

    The first `CLASSES` columns add up to the text's length in UTF-8.  This is all that
    the token model needs of a document.
    """
    joined = Joined.of(texts)
    scanned = np.zeros((len(texts), SCANNED), np.int32)
    scan_scripts(joined.text, joined.starts, ASCII_CLASS, scanned)
    return scanned


def document_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vector of each text: (n, FEATURES) float32; equal texts have equal vectors.

    Words, word pairs, stems and character 4-grams are hashed and projected to
    `PROJECTED` numbers by a sparse random projection with four signs per n-gram
    (Kane & Nelson 2014), scaled to length one; the `STRUCTURAL` figures follow.
    """
    return Joined.of(texts).described()[0]


def as_stored(features: NDArray[np.float32]) -> NDArray[np.float16]:
    """*features* as float16, little-endian, of the same shape."""
    halves = np.empty(features.shape, np.uint16)
    to_halves(features.ravel(), features.view(np.uint32).ravel(), halves.ravel())
    return halves.view(np.float16).astype("<f2", copy=False)
