"""The in-house summarizer, and the ranking under it."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import Task
from scheduler.domain.listing import Protocol, ProviderAccess
from workers import loop
from workers.calls import Answer, Call, CallRefused, Finish
from workers.extracting import Effort, summary
from workers.prompts import Prompt, render
from workers.providers.extractive import MODEL
from workers.providers.http import open_client
from workers.providers.registry import adapter_for
from workers.ranking import scores, sentences, words_of

REPORT = """\
The river flooded the town of Ashby in March. Water rose over the lower bridge by noon.
Officials closed the bridge and moved 300 residents of Ashby. A resident of Ashby kept a black cat.
The flood in Ashby cost 2 million dollars. Repairs to the bridge begin in June.
My aunt prefers tea. The river and the bridge are watched by officials of the town now.
"""


def asked(prompt: Prompt, *, limit: int = 400) -> Answer:
    async def run() -> Answer:
        async with open_client(concurrency=1) as client:
            access = ProviderAccess(name="inhouse", protocol=Protocol.EXTRACTIVE)
            call = Call(
                model="extractive",
                system=prompt.system,
                prompt=prompt.user,
                output_limit_tokens=limit,
                attempt_key="a",
            )
            return await adapter_for(access, client).answer(call)

    return loop.run(run())


def test_a_summary_is_made_of_the_documents_own_sentences() -> None:
    answer = asked(render(Task.SUMMARIZE, REPORT, words=30))

    assert answer.text
    for sentence in re.split(r"(?<=\.) ", answer.text):
        assert sentence in " ".join(REPORT.split())


def test_it_says_what_it_is() -> None:
    assert asked(render(Task.SUMMARIZE, REPORT)).model == MODEL == "extractive-textrank-1"


def test_it_reports_what_it_read_and_wrote() -> None:
    answer = asked(render(Task.SUMMARIZE, REPORT))

    assert answer.usage is not None
    assert answer.usage.input_tokens > len(REPORT) // 4
    assert answer.usage.output_tokens == -(-len(answer.text) // 4)
    assert answer.finish is Finish.STOP


def test_it_keeps_the_output_limit() -> None:
    assert len(asked(render(Task.SUMMARIZE, REPORT * 20, words=500), limit=40).text) // 4 <= 40


def test_it_refuses_what_it_cannot_do() -> None:
    with pytest.raises(CallRefused, match="only summarizes"):
        asked(render(Task.CLASSIFY, REPORT, labels=["a", "b"]))


def test_a_summary_keeps_its_words() -> None:
    assert len(summary(REPORT, words_max=25).split()) <= 25


@pytest.mark.parametrize(
    "sentence",
    [
        "第{}季度公司收入增长，主要来自海外市场的扩张和新产品的推出。",
        "第{}四半期の売上高は増加し、海外市場の拡大が主な要因となった。",
        "ในไตรมาสที่{}รายได้ของบริษัทเพิ่มขึ้นจากการขยายตลาดต่างประเทศ ",
    ],
)
def test_a_script_without_spaces_has_words_too(sentence: str) -> None:
    text = "".join(sentence.format(n) for n in range(200))

    assert 40 <= len(summary(text, words_max=50)) <= 150


@pytest.mark.parametrize("text", ["长" * 100_000, "x" * 100_000, '."' * 50_000, "a " * 50_000])
def test_a_text_without_sentences_is_cut(text: str) -> None:
    made = summary(text, words_max=50)

    assert 50 <= len(made) <= 1_000
    assert text.startswith(made)


def test_a_sentence_that_no_other_supports_ranks_last() -> None:
    lines = [REPORT[start:end] for start, end in sentences(REPORT)]

    rank = scores(words_of(lines))

    assert lines[int(np.argmin(rank))] == "My aunt prefers tea."


def test_scores_add_up_to_one() -> None:
    lines = [REPORT[start:end] for start, end in sentences(REPORT)]

    assert scores(words_of(lines)).sum() == pytest.approx(1.0)


def test_the_ranking_is_that_of_the_graph_it_never_builds() -> None:
    lines = [REPORT[start:end] for start, end in sentences(REPORT)]
    words = words_of(lines)
    dense = np.zeros((words.sentences, words.vocabulary))
    dense[words.sentence, words.word] = words.weight
    graph = dense @ dense.T
    np.fill_diagonal(graph, 0.0)
    degree = graph.sum(0)
    moves = np.divide(graph, degree, out=np.zeros_like(graph), where=degree > 0)
    rank = np.full(len(lines), 1 / len(lines))
    for _ in range(200):
        rank = 0.15 / len(lines) + 0.85 * moves @ rank
        rank /= rank.sum()

    assert scores(words) == pytest.approx(rank, abs=1e-3)


def test_a_harder_effort_does_not_repeat_itself() -> None:
    twice = f"{REPORT}\n{REPORT}"

    text = summary(twice, words_max=60, effort=Effort(leads=0.0))

    lines = re.split(r"(?<=\.) ", text)
    assert len(lines) == len(set(lines))


def test_a_weak_effort_takes_the_beginning() -> None:
    text = summary(REPORT, words_max=9, effort=Effort(sentences_read=12, ranks=False))

    assert text == "The river flooded the town of Ashby in March."


@given(st.text(max_size=400), st.integers(1, 80))
def test_any_text_has_a_summary_that_keeps_its_words(text: str, words_max: int) -> None:
    made = summary(text, words_max=words_max)

    assert len(made.split()) <= words_max
    assert bool(made) == bool(text.split())


@given(st.text(max_size=400))
def test_sentences_hold_all_that_is_not_blank_in_order(text: str) -> None:
    spans = sentences(text)

    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
