"""What came of learning one kind of estimator, for people and for the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What came of one kind of estimator: whether a new one is in use, why, and its figures.

    *left_out* of what could have been learned from are older than the observations that were
    read, and *documents_left_out* of those, a task each, were not drawn.
    """

    kind: str
    is_new: bool
    reason: str
    observations: int
    figures: dict[str, Any]
    left_out: int = 0
    documents_left_out: int = 0


def nothing(kind: str, reason: str) -> Lesson:
    """There was nothing to learn from, for that *reason*."""
    return Lesson(kind=kind, is_new=False, reason=reason, observations=0, figures={})


def plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """*figures* as JSON holds them: what is not a number is null."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in figures.items()
    }


def evidence(lesson: Lesson) -> dict[str, Any]:
    """*lesson* as its record says it."""
    return {
        "kind": lesson.kind,
        "in_use": lesson.is_new,
        "reason": lesson.reason,
        "observations": lesson.observations,
        "left_out": lesson.left_out,
        "documents_left_out": lesson.documents_left_out,
        "figures": lesson.figures,
    }
