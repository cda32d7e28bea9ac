"""Whether a client's JSON Schema can be used to check answers against."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from jsonschema import SchemaError
from referencing import Registry, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT3, DRAFT4, specification_with

from scheduler.drafts import draft_of

SCHEMA_BYTES_MAX = 65_536
SCHEMA_DEPTH_MAX = 64
"""Objects and lists within each other; jsonschema goes down by itself, and Python ends at a
thousand calls."""
Resolver: TypeAlias = Any
"""`referencing` keeps the class to itself."""


def check_schema(schema: dict[str, Any]) -> str | None:
    """What is wrong with *schema*, or None.

    Found here, it costs nothing; found by a worker, every answer would have been paid for.
    """
    try:
        spelt = json.dumps(schema, sort_keys=True, allow_nan=False)
    except ValueError:
        return "has a number that is not finite"
    if len(spelt) > SCHEMA_BYTES_MAX:
        return f"is longer than {SCHEMA_BYTES_MAX} bytes"
    if _is_deeper(schema, SCHEMA_DEPTH_MAX):
        return f"is nested more than {SCHEMA_DEPTH_MAX} levels deep"
    return _problem(spelt)


# A night's jobs share a few schemas, and to check one takes milliseconds.
@lru_cache(maxsize=1_024)
def _problem(spelt: str) -> str | None:
    schema = json.loads(spelt)
    draft = draft_of(schema)
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "it"
        return f"is no JSON Schema: {where}: {error.message[:300]}"
    if all(f'"{name}":' in spelt for name in ("patternProperties", "unevaluatedProperties")):
        # The checker matches such names by `re`, which may never end, and it alone can tell them.
        return "has patternProperties beside unevaluatedProperties; use additionalProperties"
    # A reference elsewhere would make a worker fetch what a client names.
    written_in = specification_with(draft.META_SCHEMA["$schema"])
    resolver = Registry().with_resource("", written_in.create_resource(schema)).resolver()
    for ref, base in _references(schema, resolver, written_in):
        if not ref.startswith("#"):
            return f"refers to {ref[:100]!r}; put it under $defs"
        if not _is_there(ref, base):
            return f"refers to {ref[:100]!r}, where no schema is; put it there"
    return None


def _is_there(ref: str, base: Resolver) -> bool:
    try:
        found = base.lookup(ref).contents
    except (Unresolvable, LookupError, TypeError, ValueError):
        # A pointer may lead through what is no schema, of which it takes no heed.
        return False
    return isinstance(found, dict | bool)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more than *levels* objects and lists stand within each other."""
    within = [value]
    for _ in range(levels):
        within = [inner for one in within for inner in _inside(one)]
    return any(isinstance(one, dict | list) for one in within)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _references(
    schema: Any, base: Resolver, written_in: Specification[Any]
) -> Iterator[tuple[str, Resolver]]:
    """Every reference in *schema*, and from where it is followed."""
    if isinstance(schema, dict):
        # A property may have that name, too, and then holds a schema.
        if isinstance(schema.get("id" if written_in in (DRAFT3, DRAFT4) else "$id"), str):
            base = base.in_subresource(written_in.create_resource(schema))
        for name, inner in schema.items():
            if name in ("$ref", "$dynamicRef") and isinstance(inner, str):
                yield inner, base
            else:
                yield from _references(inner, base, written_in)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner, base, written_in)
