"""Holding a value to a JSON Schema that comes from outside, in bounded time.

A schema is a program of sorts: a pattern may try every way to split a word, references may fan
out without end, and the library compares objects that must differ pair by pair.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from typing import Any, Final, TypeAlias

import regex
from jsonschema import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from scheduler.drafts import draft_of, without_draft

PATTERN_S: Final = 0.1
"""How long one pattern may be looked for in one text."""

_UNTIL_S: ContextVar[float] = ContextVar("_UNTIL_S")
_Rule: TypeAlias = Callable[[Any, Any, Any, Any], Any]


def hold(value: Any, schema: Mapping[str, Any], *, until_s: float) -> None:
    """Raise where *value* is not valid under *schema*, or that is not known *until_s* (monotonic).

    Raises:
        ValidationError: it is not.
        SchemaError, Unresolvable: the schema is wrong, or refers to what is not in it.
        TimeoutError, RecursionError, regex.error: the schema cannot be held.
    """
    validator = _validator(json.dumps(schema, sort_keys=True))
    _UNTIL_S.set(until_s)
    validator.validate(value)


def _in_time(
    rule: _Rule, validator: Any, wanted: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    _check_clock()
    yield from rule(validator, wanted, instance, schema) or ()


def _check_clock() -> None:
    if time.monotonic() > _UNTIL_S.get():
        raise TimeoutError


def _finds(pattern: str, text: str) -> bool:
    """Whether *pattern* occurs in *text*; `re` may take for ever to say."""
    # Here, too: many names may each take nearly as long as one may.
    _check_clock()
    return regex.search(pattern, text, timeout=PATTERN_S) is not None


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Any:
    if validator.is_type(instance, "string") and not _finds(pattern, instance):
        yield ValidationError("does not match the pattern")


def _by_pattern(validator: Any, rules: Mapping[str, Any], instance: Any, _schema: Any) -> Any:
    if not validator.is_type(instance, "object"):
        return
    for pattern, rule in rules.items():
        for name, value in instance.items():
            if _finds(pattern, name):
                yield from validator.descend(value, rule, path=name, schema_path=pattern)


def _additional(validator: Any, rule: Any, instance: Any, schema: Any) -> Any:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in named or any(_finds(pattern, name) for pattern in patterns):
            continue
        if rule is False:
            yield ValidationError("has a property that is not named")
        else:
            yield from validator.descend(value, rule, path=name)


def _unique(validator: Any, wanted: bool, instance: Any, _schema: Any) -> Any:
    if wanted and validator.is_type(instance, "array"):
        spelt = {json.dumps(_same(one), sort_keys=True) for one in instance}
        if len(spelt) < len(instance):
            yield ValidationError("has the same item twice")


def _same(value: Any) -> Any:
    """*value* with 1.0 as 1: to JSON Schema they are the same, and `true` is neither."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_same(one) for one in value]
    if isinstance(value, dict):
        return {name: _same(one) for name, one in value.items()}
    return value


# Every long way goes through one of these; to look at the clock in all rules takes twice as long.
_LEADS_ON: Final = (
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "allOf",
    "anyOf",
    "enum",
    "extends",
    "items",
    "oneOf",
    "properties",
)
_OURS: Final = {
    "additionalProperties": _additional,
    "pattern": _pattern,
    "patternProperties": _by_pattern,
    "uniqueItems": _unique,
}


@cache
def _bounded(draft: type[Validator]) -> type[Validator]:
    """*draft*, but that no rule of it takes long."""
    rules: Mapping[str, _Rule] = draft.VALIDATORS
    timed = {name: partial(_in_time, rules[name]) for name in _LEADS_ON if name in rules}
    ours = {name: rule for name, rule in _OURS.items() if name in rules}
    bounded: type[Validator] = extend(draft, timed | ours)  # type: ignore[no-untyped-call]
    return bounded


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator:
    parsed = json.loads(schema)
    draft = draft_of(parsed)
    draft.check_schema(parsed)
    # With an empty registry nothing is fetched: a `$ref` to an address would be called.
    return _bounded(draft)(without_draft(parsed), registry=Registry())
