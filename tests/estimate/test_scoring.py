"""How answers agree with references."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import CLIENT_TASKS
from scheduler.estimate.scoring import agreement

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(CLIENT_TASKS), values, values)
def test_agreement_is_a_share_and_whole_with_oneself(task: str, said: Any, right: Any) -> None:
    assert 0 <= agreement(task, said, right) <= 1
    assert agreement(task, said, said) == 1


@pytest.mark.parametrize(
    ("task", "said", "right", "score"),
    [
        ("classify", " Not Spam", "not spam", 1.0),
        ("classify", "spam", "not spam", 0.0),
        # Shared in order: "the cat sat"; in any order all four.
        ("summarize", "the cat sat down", "down the cat sat", 0.75),
        ("answer", "the cat sat down", "down the cat sat", 1.0),
        ("answer", "on Monday", "Monday", 2 / 3),
        ("answer", "", "Monday", 0.0),
        ("extract", {"a": 4, "b": "X  y"}, {"a": 4.0, "b": "x Y"}, 1.0),
        ("extract", {"a": 1, "c": 3}, {"a": 1, "b": 2}, 1 / 3),
        ("extract", {"a": True}, {"a": 1}, 0.0),
        ("extract", {"a": None}, {}, 1.0),
        ("extract", {"a": [1, 2]}, {"a": [1, 3]}, 0.5),
    ],
)
def test_each_task_is_scored_by_its_own_rule(
    task: str, said: Any, right: Any, score: float
) -> None:
    assert agreement(task, said, right) == pytest.approx(score)
