"""Extractive summaries: a document's own sentences, the ones that say most."""

import re
from dataclasses import dataclass

import numpy as np

from workers.ranking import Words, scores, sentences, words_of

SENTENCES_READ_MAX = 4_000
"""Beyond this the rest of a document is not read; about 80 000 words."""
_SENTENCE_CHARS_MAX = 600
_WORD_CHARS_MAX = 20
"""Of the words of a text that is cut, on average: one without spaces may be data, or megabytes."""
# Thai and Lao, Burmese, Khmer, Japanese, Chinese: no spaces stand between their words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_UNSPACED_CHARS = 2
"""Of a word in these scripts, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard a summary is thought about.

    Attributes:
        sentences_read: the rest of the document is not looked at.
        ranks: False takes the first sentences as they come.
        spreads: whether a sentence that repeats a chosen one loses its place.
        leads: what the beginning of a document is worth beyond its rank.
    """

    sentences_read: int = SENTENCES_READ_MAX
    ranks: bool = True
    spreads: bool = True
    leads: float = 0.3


FULL = Effort()


def summary(text: str, *, words_max: int, effort: Effort = FULL) -> str:
    """The sentences of *text* that say most, in its order, of at most *words_max* words.

    At least one sentence comes back where the text has any, cut if it is too long.
    """
    spans = sentences(text, most=effort.sentences_read)
    lines = [text[start:end] for start, end in spans]
    if not lines:
        return ""
    lengths = [_words(line) for line in lines]
    chosen: list[int] = []
    left = words_max
    for at in _order(lines, effort):
        if lengths[at] <= left and len(lines[at]) <= _SENTENCE_CHARS_MAX:
            chosen.append(at)
            left -= lengths[at]
        if left < 5:
            break
    if not chosen:
        return _cut(lines[0], words_max)
    return " ".join(" ".join(lines[at].split()) for at in sorted(chosen))


def _words(line: str) -> int:
    """How many words *line* has, about, whatever its script."""
    return len(line.split()) + len(_UNSPACED.findall(line)) // _UNSPACED_CHARS


def _cut(line: str, words_max: int) -> str:
    """The beginning of *line*, of about *words_max* words."""
    begun = line[: (words_max + 1) * _SENTENCE_CHARS_MAX]
    is_spaced = _words(begun) < 2 * len(begun.split())
    chars = words_max * (_WORD_CHARS_MAX if is_spaced else _UNSPACED_CHARS)
    return " ".join(begun.split()[:words_max])[:chars].strip()


def _order(lines: list[str], effort: Effort) -> list[int]:
    """The sentences, the one to take first in front."""
    if not effort.ranks:
        return list(range(len(lines)))
    words = words_of(lines)
    rank = scores(words) * len(lines)
    rank *= 1.0 + effort.leads * np.exp(-np.arange(len(lines)) / 3.0)
    if not effort.spreads:
        return [int(at) for at in np.argsort(-rank, kind="stable")]
    return _spread(words, rank)


def _spread(words: Words, rank: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    """The best sentences first, each by what it adds to those before it.

    The words of a sentence that was taken are worth half from then on.
    """
    worth = np.ones(words.vocabulary)
    left = rank.copy()
    order = []
    square = words.weight**2
    for _ in range(min(len(rank), 60)):
        novelty = np.bincount(words.sentence, square * worth[words.word], minlength=words.sentences)
        at = int(np.argmax(left * novelty))
        order.append(at)
        left[at] = -1.0
        worth[words.word[words.sentence == at]] *= 0.5
    taken = set(order)
    return order + [int(at) for at in np.argsort(-rank, kind="stable") if int(at) not in taken]


def tokens(text: str) -> int:
    """About how many tokens *text* has: four bytes each."""
    return -(-len(text.encode("utf-8", "replace")) // 4)
