"""What an answer must be to count as one: valid JSON, a label of the list, some text."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson
import regex
from jsonschema import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from workers.schemas import hold

Output: TypeAlias = Any
"""What a result holds: text, a label, or the JSON value that was extracted."""

_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)\n?\s*```", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


class OutputInvalid(Refused):
    """A model's answer is not what the task asks for; another model may do better.

    The message names the rule that was broken, and never the answer's own text.
    """

    def __init__(self, *, task: Task, reason: str) -> None:
        super().__init__(f"the answer is no valid output of {task}: {reason}")
        self.task = task
        self.reason = reason


def check(
    task: Task,
    text: str,
    *,
    labels: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
) -> Output:
    """The output that the answer *text* is: text, a label, or a JSON value.

    Raises:
        OutputInvalid: it is none.
    """
    # Some local servers leave a model's thinking in front.  Postgres takes no NUL.
    said = _THOUGHT.sub("", text).replace("\0", "").strip()
    if not said:
        raise OutputInvalid(task=task, reason="it is empty")
    if task is Task.CLASSIFY:
        return _label(said, labels)
    if task in (Task.EXTRACT, Task.JUDGE):
        return _value(task, said, schema or {})
    return said


def _label(said: str, labels: Sequence[str]) -> str:
    """The label that *said* is, or the only one that it names."""
    by_name = {_plain(label): label for label in labels}
    bare = _plain(_unquoted(said))
    if bare in by_name:
        return by_name[bare]
    # A label inside another ("spam" in "not spam") counts only where it stands alone.
    named = _plain(said)
    found = []
    for name in sorted(by_name, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
        if re.search(pattern, named):
            found.append(by_name[name])
            named = re.sub(pattern, " ", named)
    if len(found) != 1:
        raise OutputInvalid(
            task=Task.CLASSIFY, reason=f"it names {len(found)} of the {len(labels)} labels"
        )
    return found[0]


def _unquoted(said: str) -> str:
    """What stands in a JSON answer such as `{"label": "spam"}`; else *said* itself."""
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        return said
    if isinstance(value, dict) and len(value) == 1:
        [value] = value.values()
    return value if isinstance(value, str) else said


def _plain(label: str) -> str:
    return " ".join(re.sub(r"[*_`\"'“”.:]+", " ", label).split()).casefold()


def _value(task: Task, said: str, schema: Mapping[str, Any]) -> Output:
    value = _parsed(task, said)
    try:
        hold(value, schema)
    except ValidationError as error:
        where = "/".join(str(step) for step in error.absolute_path)[:100] or "the whole"
        raise OutputInvalid(
            task=task, reason=f"{where} breaks the schema's `{error.validator}`"
        ) from None
    except SchemaError as error:
        raise OutputInvalid(
            task=task, reason=f"the job's schema is wrong at {error.json_path}"
        ) from None
    except Unresolvable:
        raise OutputInvalid(
            task=task, reason="the job's schema refers to what is not in it"
        ) from None
    except (RecursionError, TimeoutError, regex.error) as error:
        raise OutputInvalid(
            task=task, reason=f"the job's schema cannot be held ({type(error).__name__})"
        ) from None
    return value


def _parsed(task: Task, said: str) -> Output:
    """The JSON value in *said*: all of it, in a code fence, or behind some words."""
    candidates = [said, *_FENCE.findall(said)]
    start = re.search(r"[{\[]", said)
    if start:
        candidates.append(_first_value(said[start.start() :]))
    for candidate in candidates:
        try:
            return _without_nul(orjson.loads(candidate))
        except orjson.JSONDecodeError:
            continue
    raise OutputInvalid(task=task, reason="it is not JSON")


def _first_value(said: str) -> str:
    try:
        _, end = json.JSONDecoder().raw_decode(said)
    except (ValueError, RecursionError):
        return said
    return said[:end]


def _without_nul(value: Output) -> Output:
    """*value* without the character U+0000, which Postgres takes in no text."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(one) for one in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(one) for name, one in value.items()}
    return value
