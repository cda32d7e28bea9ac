"""What a document looks like: a small vector for quality, byte counts for tokens."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.estimate.bytescan import (
    ASCII_CLASS,
    ASTRAL,
    CLASSES,
    DIGIT,
    DISTINCT,
    GREEK_CYRILLIC,
    HAN,
    INDIC,
    KANA_HANGUL,
    LANGUAGES,
    LATIN,
    LETTER,
    LINES,
    LONG_LINES,
    NEWLINE,
    PROJECTED,
    PUNCTUATION,
    QUESTIONS,
    QUOTES,
    SCANNED,
    SENTENCES,
    SHAPES,
    SPACE,
    STOP_HASHES,
    STOP_LANGUAGES,
    SYMBOL,
    TABLE_MARKS,
    UPPER,
    WORDS,
    scan_ngrams,
    scan_scripts,
)

STRUCTURAL: Final = (
    "log_bytes",
    "log_words",
    "word_length",
    "digits",
    "upper_case",
    "punctuation",
    "symbols",
    "spaces",
    "lines",
    "long_lines",
    "table_marks",
    "latin",
    "greek_cyrillic",
    "han",
    "kana_hangul",
    "other_scripts",
    "distinct_words",
    "sentence_words",
    "questions",
    "quotes",
    *(f"language_{code}" for code in LANGUAGES),
)
"""The structural figures, in the order of their columns after the projected ones."""

FEATURES: Final = PROJECTED + len(STRUCTURAL)
"""Width of a document's vector."""

TOKEN_STATS: Final = SCANNED
"""Width of a document's row of byte counts."""


def _joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All texts as one array of bytes, and where each starts (n + 1).

    Lone surrogates cannot be UTF-8; they become `?`, as they do at the providers.
    """
    encoded = [text.encode("utf-8", "replace") for text in texts]
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=starts[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), starts


def script_bytes(texts: Sequence[str]) -> NDArray[np.int32]:
    """Bytes of each text by script class, with words and numbers: (n, TOKEN_STATS) int32.

    The first `CLASSES` columns add up to the text's length in UTF-8.  This is all that
    the token model needs of a document.
    """
    scanned = np.zeros((len(texts), SCANNED), np.int32)
    scan_scripts(*_joined(texts), ASCII_CLASS, scanned)
    return scanned


def document_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vector of each text: (n, FEATURES) float32; equal texts have equal vectors.

    Words, word pairs, stems and character 4-grams are hashed and projected to
    `PROJECTED` numbers by a sparse random projection with four signs per n-gram
    (Kane & Nelson 2014), scaled to length one; the `STRUCTURAL` figures follow.
    """
    return described(texts)[0]


def described(texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """What `document_features` and `script_bytes` say of *texts*, with the bytes counted once."""
    joined, starts = _joined(texts)
    projected = np.zeros((len(texts), PROJECTED), np.float32)
    shapes = np.zeros((len(texts), SHAPES), np.float32)
    scanned = np.zeros((len(texts), SCANNED), np.int32)
    scan_scripts(joined, starts, ASCII_CLASS, scanned)
    scan_ngrams(joined, starts, ASCII_CLASS, STOP_HASHES, STOP_LANGUAGES, projected, shapes)
    length = np.sqrt(np.einsum("ij,ij->i", projected, projected))
    projected /= np.maximum(length, 1e-9)[:, None]
    return np.hstack([projected, _structural(scanned.astype(np.float32), shapes)]), scanned


def _structural(scanned: NDArray[np.float32], shapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The structural figures (n, len(STRUCTURAL)) float32, each of the order of one."""
    total = np.maximum(scanned[:, :CLASSES].sum(1), 1)
    letters = np.maximum(scanned[:, LETTER] + scanned[:, UPPER], 1)
    words = np.maximum(scanned[:, WORDS], 1)
    lines = shapes[:, LINES] + 1
    others = scanned[:, INDIC : ASTRAL + 1].sum(1) - scanned[:, HAN] - scanned[:, KANA_HANGUL]
    columns = [
        np.log1p(total) / 5,
        np.log1p(words) / 4,
        (letters + scanned[:, LATIN] + scanned[:, GREEK_CYRILLIC]) / words / 10,
        scanned[:, DIGIT] / total * 10,
        scanned[:, UPPER] / letters * 4,
        scanned[:, PUNCTUATION] / total * 10,
        scanned[:, SYMBOL] / total * 10,
        (scanned[:, SPACE] + scanned[:, NEWLINE]) / total * 4,
        np.log1p(lines) / 4,
        shapes[:, LONG_LINES] / lines,
        np.minimum(shapes[:, TABLE_MARKS] / lines, 4),
        scanned[:, LATIN] / total * 10,
        scanned[:, GREEK_CYRILLIC] / total,
        scanned[:, HAN] / total,
        scanned[:, KANA_HANGUL] / total,
        others / total,
        shapes[:, DISTINCT] / words,
        np.log1p(words / np.maximum(shapes[:, SENTENCES], 1)) / 3,
        shapes[:, QUESTIONS] / np.maximum(shapes[:, SENTENCES], 1),
        np.minimum(shapes[:, QUOTES] / words * 10, 4),
        *(shapes[:, 7 + at] / words * 2 for at in range(len(LANGUAGES))),
    ]
    return np.stack(columns, 1).astype(np.float32)
