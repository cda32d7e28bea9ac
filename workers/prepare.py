"""From jobs to what is sent for them: texts read in bulk, shortened, and put into templates."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.errors import Refused
from scheduler.domain.job import JobState, Task
from scheduler.store.assignments import Source, read_sources
from workers.inhand import InHand, Turn, Verdict
from workers.prompts import Prompt, render, render_judging
from workers.reduce import reduce


class DocumentChanged(Refused):
    """A document's file is not what it was when the job was taken in."""

    def __init__(self, *, document_id: int, reason: str) -> None:
        super().__init__(
            f"document {document_id}: its file {reason}; submit it again under a new job_id"
        )
        self.document_id = document_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Jobs with what is to be sent for them, and those for which that cannot be had."""

    prompts: list[tuple[InHand, Prompt]]
    turns: list[Turn]


def prepare(conn: Connection, hands: Sequence[InHand]) -> Prepared:
    """The prompts of *hands*, each at its option."""
    sources = {
        source.document_id: source
        for source in read_sources(conn, {hand.job.document_id for hand in hands})
    }
    prepared = Prepared(prompts=[], turns=[])
    for hand in hands:
        try:
            text = text_of(sources[hand.job.document_id])
        except DocumentChanged as error:
            verdict = Verdict(state=JobState.FAILED, reason=str(error))
            prepared.turns.append(Turn(hand=hand, verdict=verdict))
            continue
        prepared.prompts.append((hand, _prompt(hand, text)))
    return prepared


def text_of(source: Source) -> str:
    """The document's text.

    Raises:
        DocumentChanged: its file is gone, or holds another text than was taken in.
    """
    if source.body is not None:
        return source.body
    assert source.path is not None
    try:
        # As it was taken in: a byte order mark is no part of the text.
        text = Path(source.path).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"cannot be read ({type(error).__name__})"
        raise DocumentChanged(document_id=source.document_id, reason=reason) from None
    if hashlib.sha256(text.encode()).digest() != source.digest:
        raise DocumentChanged(document_id=source.document_id, reason="has changed")
    return text


def _prompt(hand: InHand, text: str) -> Prompt:
    params = hand.job.params
    if hand.job.task is Task.JUDGE:
        return _judging(params["judged"], text)
    asked = {
        name: params[name] for name in ("question", "labels", "schema", "words") if params.get(name)
    }
    return render(hand.job.task, reduce(text, hand.option.reduction), **asked)


def _judging(judged: dict[str, Any], text: str) -> Prompt:
    said = judged["answer"]
    answer = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return render_judging(Task(judged["task"]), text, answer=answer, request=judged["request"])
