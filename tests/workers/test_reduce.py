"""How a document is shortened."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import KEPT_PPM, Reduction
from workers.reduce import SHORTEST_CHARS, reduce

WORDS = ("budget", "river", "council", "bridge", "flood", "repair", "money", "vote", "road")
DRAWN = random.Random(7)
# Sentences that differ in how much they share with the others, so that ranks do too.
SENTENCES = [
    f"Item {n} is about {' and '.join(DRAWN.sample(WORDS, DRAWN.randint(1, 6)))}."
    for n in range(200)
]
DOCUMENT = " ".join(SENTENCES)

paragraphs = st.lists(
    st.text(st.sampled_from("abc de.! \n"), min_size=1, max_size=200), min_size=1, max_size=40
)


def test_none_leaves_a_document_as_it_is() -> None:
    assert reduce(DOCUMENT, Reduction.NONE) == DOCUMENT


@pytest.mark.parametrize("reduction", [Reduction.LIGHT, Reduction.STRONG])
def test_a_reduction_keeps_its_share_and_uses_it(reduction: Reduction) -> None:
    kept = len(reduce(DOCUMENT, reduction)) / len(DOCUMENT)

    most = KEPT_PPM[reduction] / 1_000_000
    assert most * 0.9 < kept <= most


def test_what_is_kept_are_sentences_in_their_order() -> None:
    kept = [one for one in SENTENCES if one in reduce(DOCUMENT, Reduction.STRONG)]

    rest = reduce(DOCUMENT, Reduction.STRONG)
    for sentence in kept:
        before, found, rest = rest.partition(sentence)
        assert found
        assert not before.strip()
    assert not rest.strip()


def test_a_beginning_counts_for_more_than_the_same_sentence_later() -> None:
    def kept(*, first: bool) -> int:
        lines = [f"Item 500 is about {word} and {WORDS[0]}." for word in WORDS[1:]]
        documents = [[one, *SENTENCES] if first else [*SENTENCES, one] for one in lines]
        return sum(
            one in reduce(" ".join(document), Reduction.LIGHT)
            for one, document in zip(lines, documents, strict=True)
        )

    assert kept(first=True) > kept(first=False)


def test_a_short_document_is_left_whole() -> None:
    short = DOCUMENT[:SHORTEST_CHARS]

    assert reduce(short, Reduction.STRONG) == short


def test_a_text_without_sentences_is_cut() -> None:
    table = "1;2;3;" * 2_000

    assert reduce(table, Reduction.LIGHT) == table[: len(table) // 2]


@given(paragraphs, st.sampled_from(list(Reduction)))
def test_any_text_is_shortened_alike_every_time_and_never_beyond_its_share(
    parts: list[str], reduction: Reduction
) -> None:
    text = "\n".join(parts)

    kept = reduce(text, reduction)

    assert kept == reduce(text, reduction)
    most = max(len(text) * KEPT_PPM.get(reduction, 1_000_000) // 1_000_000, SHORTEST_CHARS)
    assert len(kept) <= most or kept == text
    assert bool(kept.strip()) == bool(text.strip())
