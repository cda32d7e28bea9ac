"""Which sentences of a text say most: TextRank over TF-IDF, without a model.

Sentences vote for sentences that share their rarer words (Mihalcea and Tarau, 2004, with
the cosine of TF-IDF vectors as weight).  The graph is never built: its matrix is `X X'`, and
a product with it is two passes over the words, so the time grows with the text's length alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAMPING = 0.85
ROUNDS = 20
_CLOSE = 1e-3
"""Ranks that move less than this in a round, all together, are taken as settled."""

_ALONE = 1e-9

# A sentence ends at its mark and what closes after it, before white space and what may open the
# next; or at an empty line.  `Mr. Smith` and `U.S. Code` are cut wrongly now and then, which
# costs a ranking little and saves a model of abbreviations.
_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\Wa-z_])|[。！？]|\n\s*\n")
_WORD = re.compile(r"\w{2,}")
_COMMON = """
    a about above after again all also an and any are as at be because been before being below
    between both but by can could did do does during each for from further had has have he her
    here hers him his how if in into is it its itself just may might more most must my no nor not
    now of off on once only or other our out over own same shall she should so some such than
    that the their them then there these they this those through to too under until up upon very
    was we were what when where which while who whom why will with would you your
"""
STOP_WORDS = frozenset(_COMMON.split())
"""English words that say nothing of what a text is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of n sentences: word `word[k]` is in sentence `sentence[k]` with `weight[k]`.

    Each sentence's weights are a TF-IDF vector of length 1 (0 for a sentence without words).
    """

    sentence: NDArray[np.int64]
    word: NDArray[np.int64]
    weight: Floats
    sentences: int
    vocabulary: int


def sentences(text: str, *, most: int | None = None) -> list[tuple[int, int]]:
    """Where *text*'s first *most* sentences lie: (start, end) of each, without blank ones."""
    spans = []
    start = 0
    for end in islice(_END.finditer(text), most):
        spans.append((start, end.end()))
        start = end.end()
    if most is None or len(spans) < most:
        spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trimmed(text, span))[0] < trimmed[1]]


def words_of(texts: Sequence[str]) -> Words:
    """The words of *texts* (n sentences), weighted."""
    ids: dict[str, int] = {}
    sentence: list[int] = []
    word: list[int] = []
    for number, text in enumerate(texts):
        found = {
            ids.setdefault(each, len(ids))
            for each in _WORD.findall(text.lower())
            if each not in STOP_WORDS
        }
        word.extend(sorted(found))
        sentence.extend([number] * len(found))
    rows, columns = np.asarray(sentence, np.int64), np.asarray(word, np.int64)
    spread = np.bincount(columns, minlength=len(ids))
    weight = np.log1p(len(texts) / np.maximum(spread, 1))[columns]
    length = np.sqrt(np.bincount(rows, weight**2, minlength=len(texts)))
    return Words(
        sentence=rows,
        word=columns,
        weight=weight / np.maximum(length, 1e-12)[rows] if len(rows) else weight,
        sentences=len(texts),
        vocabulary=len(ids),
    )


def scores(words: Words) -> Floats:
    """(n,) TextRank of each sentence; they add up to 1."""
    count = words.sentences
    if count == 0:
        return np.zeros(0)
    has_words = np.bincount(words.sentence, minlength=count) > 0
    # A sentence's likeness to itself is taken out: it would vote for itself.
    degree = _times_graph(words, np.ones(count)) - has_words
    # Who shares no word with anyone votes for no one.
    share = np.where(degree > _ALONE, 1.0 / np.maximum(degree, _ALONE), 0.0)
    rank = np.full(count, 1.0 / count)
    for _ in range(ROUNDS):
        flow = rank * share
        votes: Floats = _times_graph(words, flow) - flow * has_words
        new: Floats = (1 - DAMPING) / count + DAMPING * votes
        new /= new.sum()
        if np.abs(new - rank).sum() < _CLOSE:
            return new
        rank = new
    return rank


def _times_graph(words: Words, vector: Floats) -> Floats:
    """`X X' vector`, X being the (n, vocabulary) matrix of weights."""
    by_word = np.bincount(
        words.word, words.weight * vector[words.sentence], minlength=words.vocabulary
    )
    return np.bincount(
        words.sentence, words.weight * by_word[words.word], minlength=words.sentences
    ).astype(np.float64, copy=False)


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
