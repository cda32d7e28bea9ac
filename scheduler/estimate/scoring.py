"""How far an answer agrees with a reference, 0 to 1: by task, with a version that is kept."""

import re
from collections import Counter
from typing import Any, Final

from scheduler.domain.job import Task

SCORER: Final = "reference-1"
"""What is scored how.  Another rule is another version, and scores by the old one are made anew."""

WORDS_MAX: Final = 2_000
"""Of longer texts the first words are compared: the time grows with their product."""

_WORD = re.compile(r"\w+")


def agreement(task: str, output: Any, reference: Any) -> float:
    """How well *output* agrees with *reference*, both as JSON holds them.

    A label: 1 if it is the same but for case and spaces.  An object: the share of the
    reference's fields that have the same value, where one too many counts as a wrong one.  A
    summary: ROUGE-L (the F1 of the longest common sequence of words; Lin 2004).  Other texts: the
    F1 of their words (Rajpurkar et al. 2016).
    """
    if task == Task.EXTRACT:
        return _of_fields(output, reference)
    said, right = _words(output), _words(reference)
    if task == Task.CLASSIFY:
        return float(said == right)
    if not said or not right:
        return float(said == right)
    if task == Task.SUMMARIZE:
        return _f1(_longest_common(said, right), len(said), len(right))
    return _f1((Counter(said) & Counter(right)).total(), len(said), len(right))


def _words(value: Any) -> list[str]:
    return _WORD.findall(str(value).casefold())[:WORDS_MAX]


def _f1(shared: int, said: int, right: int) -> float:
    return 2 * shared / (said + right)


def _longest_common(left: list[str], right: list[str]) -> int:
    row = [0] * (len(right) + 1)
    for word in left:
        before = 0
        for at, other in enumerate(right, start=1):
            kept = row[at]
            row[at] = before + 1 if word == other else max(kept, row[at - 1])
            before = kept
    return row[-1]


def _of_fields(output: Any, reference: Any) -> float:
    said, right = dict(_leaves(output)), dict(_leaves(reference))
    fields = said.keys() | right.keys()
    if not fields:
        return 1.0
    return sum(name in said and said.get(name) == right.get(name) for name in fields) / len(fields)


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Every value in *value* that holds no other, by its path; what is null is not there."""
    if isinstance(value, dict):
        return [leaf for name in value for leaf in _leaves(value[name], f"{path}/{name}")]
    if isinstance(value, list):
        return [leaf for at, one in enumerate(value) for leaf in _leaves(one, f"{path}/{at}")]
    if value is None:
        return []
    # 4 and 4.0 are one number; true is none.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return [
        (path, f"{float(value):.12g}" if is_number else " ".join(str(value).casefold().split()))
    ]
