"""A JSON Schema as Anthropic takes it: objects closed, and no rule that its grammar cannot hold.

What is left out here is not lost: the schema stands in the prompt as it is, and the answer is
held to all of it when it is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OPTIONAL_MAX: Final = 24
UNIONS_MAX: Final = 16
"""Properties that are not required, and choices between types, in all of a schema."""
NODES_MAX: Final = 2_000
"""Schemas within a schema, each as often as it is referred to: references may fan out."""

_KEPT: Final = ("type", "const", "description", "title", "default", "required")
_FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
_CHOICES: Final = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_SAYS_WHAT: Final = {"type", "enum", "const", "$ref", *_CHOICES}
_SHELVES: Final = ("$defs", "definitions")
_SCALARS: Final = (str, int, float, bool, type(None))


class _Unfit(Exception):
    """The schema cannot be said in what is taken."""


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """*schema* with every object closed; None where it would be refused all the same.

    Unfit are what contains itself, objects of any names, values of any kind, and too much.
    """
    closing = _Closing(root=schema)
    try:
        fit = closing.closed(schema)
    except _Unfit:
        return None
    is_small = closing.optional <= OPTIONAL_MAX and closing.unions <= UNIONS_MAX
    # Only what is referred to: to look through the rest could take as long again for each.
    return fit | closing.shelves if is_small else None


@dataclass(slots=True, kw_only=True)
class _Closing:
    """One walk over a schema, and what was counted on it.

    Attributes:
        within: the references above.
        shelves: what was referred to, closed, by its shelf and name.
    """

    root: Mapping[str, Any]
    optional: int = 0
    unions: int = 0
    nodes: int = 0
    within: tuple[str, ...] = ()
    shelves: dict[str, dict[str, Any]] = field(default_factory=dict)

    def closed(self, schema: Any) -> dict[str, Any]:
        self.nodes += 1
        says_what = isinstance(schema, Mapping) and _SAYS_WHAT & schema.keys()
        if not says_what or self.nodes > NODES_MAX:
            raise _Unfit
        if "$ref" in schema:
            return self._referred(schema["$ref"])
        fit = {name: schema[name] for name in _KEPT if name in schema}
        if "enum" in schema:
            if not all(isinstance(one, _SCALARS) for one in schema["enum"]):
                raise _Unfit
            fit["enum"] = schema["enum"]
        for said, taken in _CHOICES.items():
            if said in schema:
                fit[taken] = [self.closed(one) for one in schema[said]]
        if any("$ref" in one for one in fit.get("allOf", ())):
            raise _Unfit
        if schema.get("format") in _FORMATS:
            fit["format"] = schema["format"]
        self.unions += "anyOf" in fit or isinstance(fit.get("type"), list)
        return fit | self._inside(schema)

    def _referred(self, ref: str) -> dict[str, Any]:
        """The reference as it is, once what it names was looked through."""
        mark, _, rest = ref.partition("/")
        shelf, _, name = rest.partition("/")
        known = self.root.get(shelf, {}) if shelf in _SHELVES else {}
        if mark != "#" or name not in known or ref in self.within:
            raise _Unfit
        above, self.within = self.within, (*self.within, ref)
        self.shelves.setdefault(shelf, {})[name] = self.closed(known[name])
        self.within = above
        return {"$ref": ref}

    def _inside(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """What an object or a list holds."""
        kinds = schema.get("type", ())
        if kinds == "array" or "array" in kinds:
            least = {"minItems": schema["minItems"]} if schema.get("minItems") in (0, 1) else {}
            return {"items": self.closed(schema.get("items"))} | least
        if kinds != "object" and "object" not in kinds:
            return {}
        names, others = schema.get("properties"), schema.get("additionalProperties", True)
        required = set(schema.get("required", ()))
        is_open = "patternProperties" in schema or isinstance(others, Mapping)
        if not names or is_open or required - names.keys():
            raise _Unfit
        self.optional += len(names.keys() - required)
        return {
            "properties": {name: self.closed(one) for name, one in names.items()},
            "additionalProperties": False,
        }
