"""What an answer must be to count as one: valid JSON, a label of the list, some text."""

import json
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson
import regex
from jsonschema import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from scheduler.domain.errors import Refused
from scheduler.domain.job import Task
from workers.schemas import hold

Output: TypeAlias = Any
"""What a result holds: text, a label, or the JSON value that was extracted."""

_FENCE = re.compile(r"```[\w-]*[^\S\n]*\n(.*?)```", re.DOTALL)
_LINE_END = re.compile(r"[^\S\n]*\n")
_START = re.compile(r"[{\[]")
VALUES_MAX: Final = 20
"""How many values among words are looked at."""
HOLD_S: Final = 1.0
"""How long the values in an answer may be held to its schema: other calls wait for that."""
_DECODER: Final = json.JSONDecoder()
_POINT_MAX: Final = 1e16
"""From here on orjson spells a float with an exponent, and Postgres without."""
_WHOLE_LEAST: Final = -(2**63)
_WHOLE_MAX: Final = 2**64
"""Whole numbers below the one, and from the other on, orjson reads as floats, and spells no other
way."""


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
    # Postgres takes no NUL.
    said = _answer_in(text).replace("\0", "").strip()
    if not said:
        raise OutputInvalid(task=task, reason="it is empty")
    if task is Task.CLASSIFY:
        return _label(said, labels)
    if task in (Task.EXTRACT, Task.JUDGE):
        return _value(task, said, schema or {})
    return said


def _answer_in(text: str) -> str:
    """*text* without a model's thinking, which some local servers leave in front."""
    if "</think>" not in text:
        return text
    thought, _, answer = text.partition("</think>")
    # Where a chat template has opened the thought, as those of reasoning models do, the text holds
    # its end alone, and behind that a line's.  No JSON text has the end of a line in a string.
    is_whole = thought.lstrip().startswith("<think>")
    is_end = "<think>" not in thought and _LINE_END.match(answer)
    return answer if is_whole or is_end else text


def _label(said: str, labels: Sequence[str]) -> str:
    """The label that *said* is, or the only one that it names."""
    unquoted = _unquoted(said).strip()
    # As it stands first: labels may differ in case or in a mark alone.
    for exact in (said, unquoted):
        if exact in labels:
            return exact
    by_name = {_plain(label): label for label in labels}
    bare = _plain(unquoted)
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
    """*label* without case and marks; an accent may be a letter's part, or behind it."""
    bare = re.sub(r"[*_`\"'“”.:]+", " ", unicodedata.normalize("NFC", label))
    return " ".join(bare.split()).casefold()


def _value(task: Task, said: str, schema: Mapping[str, Any]) -> Output:
    """The first JSON value in *said* that keeps to *schema*; it may stand behind others."""
    wrong: OutputInvalid | None = None
    until_s = time.monotonic() + HOLD_S
    for candidate in _candidates(said):
        try:
            value = _kept(orjson.loads(candidate))
        except orjson.JSONDecodeError:
            continue
        except RecursionError:
            raise OutputInvalid(task=task, reason="it is nested too deep") from None
        found = _broken_rule(task, value, schema, until_s=until_s)
        if found is None and _loses_digits(candidate):
            found = OutputInvalid(
                task=task,
                reason="it has a whole number beyond 64 bits, which would lose digits; let the "
                "schema ask for a string",
            )
        if found is None:
            return value
        wrong = wrong or found
    raise wrong or OutputInvalid(task=task, reason="it is not JSON")


def _broken_rule(
    task: Task, value: Output, schema: Mapping[str, Any], *, until_s: float
) -> OutputInvalid | None:
    """Which rule of *schema* the *value* breaks, or None.

    Raises:
        OutputInvalid: no value can be held to such a schema.
    """
    try:
        hold(value, schema, until_s=until_s)
    except ValidationError as error:
        where = "/".join(str(step) for step in error.absolute_path)[:100] or "the whole"
        return OutputInvalid(task=task, reason=f"{where} breaks the schema's `{error.validator}`")
    except SchemaError as error:
        reason = f"the job's schema is wrong at {error.json_path}"
    except Unresolvable:
        reason = "the job's schema refers to what is not in it"
    except (RecursionError, TimeoutError, regex.error) as error:
        reason = f"the job's schema cannot be held ({type(error).__name__})"
    else:
        return None
    raise OutputInvalid(task=task, reason=reason)


def _candidates(said: str) -> Iterator[str]:
    """What may be a JSON value: all of *said*, what stands in code fences, or among words."""
    yield said
    yield from (fenced.strip() for fenced in _FENCE.findall(said))
    at = 0
    for _ in range(VALUES_MAX):
        start = _START.search(said, at)
        if start is None:
            return
        try:
            _, at = _DECODER.raw_decode(said, start.start())
        except (ValueError, RecursionError):
            # What stands within something broken is a part of an answer, and no answer.
            return
        yield said[start.start() : at]


def _kept(value: Output) -> Output:
    """*value* as Postgres gives it back, or it would not be what was digested.

    No text there has the character U+0000, no zero a sign, and no whole number an exponent.
    """
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, float):
        if value == 0:
            return 0.0
        is_whole = abs(value) >= _POINT_MAX and _WHOLE_LEAST <= value < _WHOLE_MAX
        return int(value) if is_whole else value
    if isinstance(value, list):
        return [_kept(one) for one in value]
    if isinstance(value, dict):
        return {_kept(name): _kept(one) for name, one in value.items()}
    return value


def _loses_digits(said: str) -> bool:
    """Whether the JSON text *said* has a whole number that is read as a float."""
    if not re.search(r"\d{19}", said):
        return False
    wholes: list[Decimal] = []
    # As decimals: Python refuses whole numbers of very many digits.
    json.loads(said, parse_int=lambda digits: wholes.append(Decimal(digits)))
    return any(not _WHOLE_LEAST <= whole < _WHOLE_MAX for whole in wholes)
