"""Which draft of JSON Schema a client's schema is written in, by its `$schema`."""

from typing import Any, Final

from jsonschema import (
    Draft3Validator,
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
)
from jsonschema.protocols import Validator

DEFAULT: Final[type[Validator]] = Draft202012Validator
"""Of a schema that names none, or one that is not known."""
_KNOWN: Final = (
    Draft3Validator,
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
)
_VALUES: Final = frozenset({"const", "default", "enum", "examples"})
"""Keywords that hold values, and no schemas."""


def _bare(address: str) -> str:
    """*address* without what people leave out, or write in another way."""
    return address.partition("://")[2].rstrip("#")


_BY_NAME: Final = {_bare(one.META_SCHEMA["$schema"]): one for one in _KNOWN}


def draft_of(schema: Any) -> type[Validator]:
    """The checker of the draft that *schema* names.

    >>> draft_of({"$schema": "http://json-schema.org/draft-07/schema#"}).__name__
    'Draft7Validator'
    >>> draft_of({"type": "object"}).__name__
    'Draft202012Validator'
    """
    named = schema.get("$schema") if isinstance(schema, dict) else None
    return _BY_NAME.get(_bare(named), DEFAULT) if isinstance(named, str) else DEFAULT


def without_draft(schema: Any) -> Any:
    """*schema* without any `$schema`, by which jsonschema would go on with a checker of its own."""
    if isinstance(schema, list):
        return [without_draft(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: inner if name in _VALUES else without_draft(inner)
        for name, inner in schema.items()
        if name != "$schema" or not isinstance(inner, str)
    }
