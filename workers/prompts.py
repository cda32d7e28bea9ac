"""What a model is told: one versioned template per task, the document fenced as untrusted."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple

from scheduler.domain.job import CLIENT_TASKS, Task

VERSIONS: Final[Mapping[Task, str]] = {
    Task.SUMMARIZE: "summarize-1",
    Task.EXTRACT: "extract-1",
    Task.CLASSIFY: "classify-1",
    Task.ANSWER: "answer-1",
}
JUDGING: Final[Mapping[Task, str]] = {task: f"judge-{task}-1" for task in CLIENT_TASKS}
"""The same for judging an answer to a task."""
"""The template in use per task.  A template that was used is never changed: a new one is added."""

SUMMARY_WORDS: Final = 150

_BREAK: Final = "=== user\n"
_FENCED = re.compile(r"^<(document-[0-9a-f]{12})>\n(.*)\n</\1>$", re.DOTALL | re.MULTILINE)
_ANSWER = re.compile(r"^<(answer-[0-9a-f]{12})>\n(.*)\n</\1>$", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(
    r"^(Task|Judged|Request|Length|JSON Schema|Labels|Question): (.*)$", re.MULTILINE
)


class Prompt(NamedTuple):
    """What is sent.

    Attributes:
        version: of the template, like `summarize-1`.
        digest: SHA-256 (32 bytes) of version, system and user: exactly what was asked.
    """

    system: str
    user: str
    version: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a prompt of ours asks for, read back by those who answer without a model."""

    task: str
    document: str
    words: int = SUMMARY_WORDS
    question: str = ""
    labels: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    judged: str = ""
    answer: str = ""


def render(
    task: Task,
    text: str,
    *,
    question: str | None = None,
    labels: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    words: int = SUMMARY_WORDS,
) -> Prompt:
    """The prompt for *task* on the document *text*.

    `answer` needs a *question*, `classify` its *labels*, `extract` a *schema*; `summarize`
    keeps to *words*.
    """
    assert task is not Task.ANSWER or question, "a question is needed"
    assert task is not Task.CLASSIFY or labels, "labels are needed"
    assert task is not Task.EXTRACT or schema is not None, "a schema is needed"
    version = VERSIONS[task]
    system, user = _template(version)
    filled = user % {
        "document": text,
        "fence": _fence(text),
        "question": " ".join(question.split()) if question else "",
        "labels": json.dumps(list(labels), ensure_ascii=False) if labels else "",
        "schema": json.dumps(schema, ensure_ascii=False) if schema is not None else "",
        "words": words,
    }
    return _prompt(version, system, filled)


def render_judging(task: Task, text: str, *, answer: str, request: Mapping[str, Any]) -> Prompt:
    """The prompt that asks for a score of *answer*, given for *task* on the document *text*.

    *request* is what the task had beside the document: question, labels, schema or words.
    """
    version = JUDGING[task]
    system, user = _template(version)
    # Neither may close the other's fence: an answer's model has seen one like the document's.
    both = f"{text}\0{answer}"
    filled = user % {
        "document": text,
        "fence": _fence(both),
        "answer": answer,
        "answer_fence": _fence(both, kind="answer"),
        "request": json.dumps(request, ensure_ascii=False),
    }
    return _prompt(version, system, filled)


def template_digest(version: str) -> bytes:
    """SHA-256 (32 bytes) of the template of that *version*."""
    return hashlib.sha256(_source(version).encode()).digest()


def read_prompt(user: str) -> Asked:
    """What *user*, a prompt of `render`'s, asks for; anything else is a document to summarize."""
    fenced = _FENCED.search(user)
    if fenced is None:
        return Asked(task="", document=user)
    head = dict(_HEAD.findall(user[: fenced.start()]))
    length = re.search(r"\d+", head.get("Length", ""))
    if head.get("Task") == Task.JUDGE:
        return _read_judging(user, fenced, head)
    return Asked(
        task=head.get("Task", ""),
        document=fenced[2],
        words=int(length[0]) if length else SUMMARY_WORDS,
        question=head.get("Question", ""),
        labels=tuple(json.loads(head.get("Labels", "[]"))),
        schema=json.loads(head.get("JSON Schema", "null")),
    )


def _read_judging(user: str, fenced: re.Match[str], head: Mapping[str, str]) -> Asked:
    request = json.loads(head.get("Request", "{}"))
    answer = _ANSWER.search(user, fenced.end())
    return Asked(
        task=Task.JUDGE,
        document=fenced[2],
        judged=head.get("Judged", ""),
        answer=answer[2] if answer else "",
        question=request.get("question", ""),
        labels=tuple(request.get("labels", ())),
        schema=request.get("schema"),
    )


def _prompt(version: str, system: str, user: str) -> Prompt:
    digest = hashlib.sha256("\0".join((version, system, user)).encode("utf-8", "replace"))
    return Prompt(system=system, user=user, version=version, digest=digest.digest())


def _fence(text: str, *, kind: str = "document") -> str:
    """A mark that *text* does not hold, so that no document can close its own fence.

    It is made from the document, not drawn: the same job makes the same prompt again.
    """
    digest = hashlib.sha256(text.encode("utf-8", "replace"))
    while (fence := f"{kind}-{digest.hexdigest()[:12]}") in text:
        digest.update(b"again")
    return fence


def _source(version: str) -> str:
    return files("workers").joinpath("templates", f"{version}.txt").read_text(encoding="utf-8")


@cache
def _template(version: str) -> tuple[str, str]:
    """The system's text, and the user's as a format for `%`: it is filled for every call."""
    system, user = _source(version).split(_BREAK)
    names = Template(user.strip().replace("%", "%%"))
    return system.strip(), names.substitute(
        {name: f"%({name})s" for name in names.get_identifiers()}
    )
