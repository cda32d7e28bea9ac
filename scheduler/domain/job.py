"""A job: one document with one task and its limits."""

from enum import StrEnum


class Task(StrEnum):
    """What is to be done with a document.

    `judge` is the service's own: a document with an answer that was given to one of the others.
    """

    SUMMARIZE = "summarize"
    EXTRACT = "extract"
    CLASSIFY = "classify"
    ANSWER = "answer"
    JUDGE = "judge"


CLIENT_TASKS = (Task.SUMMARIZE, Task.EXTRACT, Task.CLASSIFY, Task.ANSWER)
"""What clients may ask for."""

OWN_JOB_IDS = "apportion:"
"""How ids of jobs begin that the service itself makes; no client's may."""


class JobState(StrEnum):
    """Where a job stands.

    `queued`: waits for a window (a deferred job is queued again, with its reason).
    `planned`: has an option, and belongs to a parcel.
    `done`: has its result.  `failed`: will get none; the reason is its result.
    """

    QUEUED = "queued"
    PLANNED = "planned"
    DONE = "done"
    FAILED = "failed"


class Reduction(StrEnum):
    """How far a document is shortened before the call."""

    NONE = "none"
    LIGHT = "light"
    STRONG = "strong"


class When(StrEnum):
    """Which window a job waits for."""

    NOW = "now"
    NIGHT = "night"


class DataClass(StrEnum):
    """How sensitive a document is, least first."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


KEPT_PPM = {Reduction.NONE: 1_000_000, Reduction.LIGHT: 500_000, Reduction.STRONG: 200_000}
"""The most of a document's text (ppm of its characters) that a reduction keeps."""

TEMPLATE_TOKENS = {
    Task.SUMMARIZE: 170,
    Task.EXTRACT: 160,
    Task.CLASSIFY: 120,
    Task.ANSWER: 130,
    Task.JUDGE: 235,
}
"""About how many tokens a task's template adds to a document."""

INSTRUCTION_TOKENS = 400
"""The most tokens that a task's template adds to a document; question and schema come on top."""
