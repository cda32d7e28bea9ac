"""What a model is told: one versioned template per task, the document fenced as untrusted."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Final

from scheduler.domain.job import Task

VERSIONS: Final[Mapping[Task, str]] = {
    Task.SUMMARIZE: "summarize-1",
    Task.EXTRACT: "extract-1",
    Task.CLASSIFY: "classify-1",
    Task.ANSWER: "answer-1",
}
"""The template in use per task.  A template that was used is never changed: a new one is added."""

SUMMARY_WORDS: Final = 150

_BREAK: Final = "=== user\n"
_FENCED = re.compile(r"^<(document-[0-9a-f]{12})>\n(.*)\n</\1>$", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r"^(Task|Length|JSON Schema|Labels|Question): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
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
    digest = hashlib.sha256("\0".join((version, system, filled)).encode("utf-8", "replace"))
    return Prompt(system=system, user=filled, version=version, digest=digest.digest())


def template_digest(task: Task) -> bytes:
    """SHA-256 (32 bytes) of the template that *task* uses."""
    return hashlib.sha256(_source(VERSIONS[task]).encode()).digest()


def read_prompt(user: str) -> Asked:
    """What *user*, a prompt of `render`'s, asks for; anything else is a document to summarize."""
    fenced = _FENCED.search(user)
    if fenced is None:
        return Asked(task="", document=user)
    head = dict(_HEAD.findall(user[: fenced.start()]))
    length = re.search(r"\d+", head.get("Length", ""))
    return Asked(
        task=head.get("Task", ""),
        document=fenced[2],
        words=int(length[0]) if length else SUMMARY_WORDS,
        question=head.get("Question", ""),
        labels=tuple(json.loads(head.get("Labels", "[]"))),
        schema=json.loads(head.get("JSON Schema", "null")),
    )


def _fence(text: str) -> str:
    """A mark that *text* does not hold, so that no document can close its own fence.

    It is made from the document, not drawn: the same job makes the same prompt again.
    """
    digest = hashlib.sha256(text.encode("utf-8", "replace"))
    while (fence := f"document-{digest.hexdigest()[:12]}") in text:
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
