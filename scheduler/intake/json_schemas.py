"""Whether a client's JSON Schema can be used to check answers against."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

SCHEMA_BYTES_MAX = 65_536


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
    return _problem(spelt)


# A night's jobs share a few schemas, and to check one takes milliseconds.
@lru_cache(maxsize=1_024)
def _problem(spelt: str) -> str | None:
    schema = json.loads(spelt)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "it"
        return f"is no JSON Schema: {where}: {error.message[:300]}"
    # A reference elsewhere would make a worker fetch what a client names.
    elsewhere = next((ref for ref in _references(schema) if not ref.startswith("#")), None)
    return f"refers to {elsewhere[:100]!r}; put it under $defs" if elsewhere else None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, inner in schema.items():
            if name in ("$ref", "$dynamicRef") and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)
