"""From jobs to what is sent for them: texts read in bulk, shortened, and put into templates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.job import JobState, Task
from scheduler.store.sources import DocumentChanged, read_sources, text_of
from workers.inhand import InHand, Turn, Verdict
from workers.prompts import Prompt, render, render_judging
from workers.reduce import reduce


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


def _prompt(hand: InHand, text: str) -> Prompt:
    params = hand.job.params
    if hand.job.task is Task.JUDGE:
        return _judging(params["judged"], text)
    # Not `if params.get(name)`: a schema may be {}, which allows any JSON.
    names = ("question", "labels", "schema", "words")
    asked = {name: params[name] for name in names if name in params}
    return render(hand.job.task, reduce(text, hand.option.reduction), **asked)


def _judging(judged: dict[str, Any], text: str) -> Prompt:
    said = judged["answer"]
    answer = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return render_judging(Task(judged["task"]), text, answer=answer, request=judged["request"])
