"""Compiled steps behind the scans: structural figures, lengths of one, halves for storage."""

from typing import Final

import numpy as np
from numba import njit

from scheduler.estimate.bytescan import (
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
    SENTENCES,
    SPACE,
    SYMBOL,
    TABLE_MARKS,
    UPPER,
    WORDS,
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

_OF_LANGUAGES: Final = len(STRUCTURAL) - len(LANGUAGES)
_MOST: Final = 4.0
"""Of figures that have no end: a text of a megabyte may be one word."""


# Not one with the scans: what is compiled is kept by the file that it stands in, and another file's
# change would not be seen.
@njit(cache=True, nogil=True)
def finish(scanned, shapes, features):  # type: ignore[no-untyped-def]
    """Scale what the scan left in *features* (n, FEATURES) float32, and put the figures behind."""
    for doc in range(shapes.shape[0]):
        _scale(features[doc])
        _figures(scanned[doc], shapes[doc], features[doc, PROJECTED:])


@njit(cache=True)
def _scale(row):  # type: ignore[no-untyped-def]
    """Scale the first PROJECTED of *row* to length one, unless they are nothing."""
    # Four sums at once, and always the same four: left to the compiler, their order was the
    # machine's, and equal texts had vectors that differed in their last bits.
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for at in range(0, PROJECTED, 4):
        a += row[at] * row[at]
        b += row[at + 1] * row[at + 1]
        c += row[at + 2] * row[at + 2]
        d += row[at + 3] * row[at + 3]
    squares = (a + b) + (c + d)
    scale = np.float32(1.0) / max(np.sqrt(squares), np.float32(1e-9))
    for at in range(PROJECTED):
        row[at] *= scale


@njit(cache=True)
def _figures(scanned, shape, row):  # type: ignore[no-untyped-def]
    """Fill *row* (len(STRUCTURAL),) with figures of the order of one."""
    total = max(scanned[:CLASSES].sum(), 1)
    letters = max(scanned[LETTER] + scanned[UPPER], 1)
    words = max(scanned[WORDS], 1)
    lines = shape[LINES] + 1
    sentences = max(shape[SENTENCES], 1)
    wide = scanned[INDIC : ASTRAL + 1].sum() - scanned[HAN] - scanned[KANA_HANGUL]
    row[0] = np.log1p(total) / 5
    row[1] = np.log1p(words) / 4
    row[2] = min((letters + scanned[LATIN] + scanned[GREEK_CYRILLIC]) / words / 10, _MOST)
    row[3] = scanned[DIGIT] / total * 10
    row[4] = scanned[UPPER] / letters * 4
    row[5] = scanned[PUNCTUATION] / total * 10
    row[6] = scanned[SYMBOL] / total * 10
    row[7] = (scanned[SPACE] + scanned[NEWLINE]) / total * 4
    row[8] = np.log1p(lines) / 4
    row[9] = shape[LONG_LINES] / lines
    row[10] = min(shape[TABLE_MARKS] / lines, _MOST)
    row[11] = scanned[LATIN] / total * 10
    row[12] = scanned[GREEK_CYRILLIC] / total
    row[13] = scanned[HAN] / total
    row[14] = scanned[KANA_HANGUL] / total
    row[15] = wide / total
    row[16] = shape[DISTINCT] / words
    row[17] = np.log1p(words / sentences) / 3
    row[18] = shape[QUESTIONS] / sentences
    row[19] = min(shape[QUOTES] / words * 10, _MOST)
    for at in range(len(LANGUAGES)):
        row[_OF_LANGUAGES + at] = shape[7 + at] / words * 2


@njit(cache=True, nogil=True)
def to_halves(singles, bits, halves):  # type: ignore[no-untyped-def]
    """Fill *halves* (k,) uint16 with *singles* (k,) float32, whose *bits* are given as uint32.

    Rounded to the nearest, halves to even (IEEE 754), as numpy does one by one and ten times
    slower.
    """
    for at in range(bits.shape[0]):
        size = bits[at] & np.uint32(0x7FFFFFFF)
        sign = (bits[at] >> np.uint32(16)) & np.uint32(0x8000)
        odd = (size >> np.uint32(13)) & np.uint32(1)
        normal = ((size + np.uint32(0xFFF) + odd) >> np.uint32(13)) - np.uint32(112 << 10)
        # Below 2**-14 a half counts in steps of 2**-24.
        tiny = np.uint32(np.rint(abs(singles[at]) * np.float32(1 << 24)))
        is_tiny = size < np.uint32(113 << 23)
        halves[at] = sign | (tiny if is_tiny else min(normal, np.uint32(0x7C00)))
