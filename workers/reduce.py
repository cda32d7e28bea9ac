"""Shortening a document before the call, so that less is paid for."""

from itertools import pairwise

import numpy as np

from scheduler.domain.job import KEPT_PPM, Reduction
from workers.ranking import scores, sentences, words_of

SHORTEST_CHARS = 1_000
"""A document of at most this length is left whole: it costs next to nothing as it is."""


def reduce(text: str, reduction: Reduction) -> str:
    """The part of *text* that *reduction* keeps: its best sentences, in their order.

    At most `KEPT_PPM` of the characters are kept, but for a document that is short already.
    """
    if reduction is Reduction.NONE or len(text) <= SHORTEST_CHARS:
        return text
    left = max(len(text) * KEPT_PPM[reduction] // 1_000_000, SHORTEST_CHARS)
    spans = sentences(text)
    rank = scores(words_of([text[start:end] for start, end in spans]))
    # Beginnings say what a document is about; without them the rest is hard to follow.
    rank = rank * (1.0 + np.exp(-np.arange(len(spans)) / 2.0))
    kept = []
    for at in np.argsort(-rank, kind="stable").tolist():
        start, end = spans[at]
        if end - start + 1 <= left:
            kept.append(at)
            left -= end - start + 1
    if not kept:  # one endless sentence: a table, or a text without marks
        return text[:left]
    return _joined(text, [spans[at] for at in sorted(kept)])


def _joined(text: str, spans: list[tuple[int, int]]) -> str:
    """The *spans* of *text*, each on its line where something between them was left out."""
    pieces = [text[spans[0][0] : spans[0][1]]]
    for (_, before), (start, end) in pairwise(spans):
        pieces.append(" " if not text[before:start].strip() else "\n")
        pieces.append(text[start:end])
    return "".join(pieces)
