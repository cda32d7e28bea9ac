"""Reading the catalog file: YAML whose numbers stay exact, and errors that name the line."""

import re
from collections.abc import Sequence
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scheduler.catalog.errors import BadCatalog
from scheduler.catalog.schema import Catalog

SHIPPED = "catalog.yaml"
_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """YAML as it is safe to load, with exact numbers, no key twice, and two words for a bool.

    To YAML 1.1 `off`, `on`, `yes` and `no` are truth values too: a field called `off` would be
    `False`, and so would the region `no`.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What *node* says; a 30th of February or `!!int x` is told like any other mistake."""
        try:
            return super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except (ValueError, ArithmeticError, LookupError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(node.value)[:100]} cannot be read: {error}", node.start_mark
            ) from None


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalog at *path*, or the one that ships.

    Raises:
        BadCatalog: it cannot be read, or says something that is not understood.
    """
    name = "that ships" if path is None else str(path)
    try:
        text = shipped_text() if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalog(path=name, problems=(str(error),)) from None
    return read_catalog(text, name=name)


def shipped_text() -> str:
    """The catalog that ships, as a person reads it."""
    return files("scheduler.catalog").joinpath(SHIPPED).read_text(encoding="utf-8")


def read_catalog(text: str, *, name: str) -> Catalog:
    """The catalog that *text* is; *name* is for messages.

    Raises:
        BadCatalog: it says something that is not understood.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        said = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, see above
    except yaml.YAMLError as error:
        raise BadCatalog(path=name, problems=(str(error),)) from None
    except RecursionError:
        raise BadCatalog(path=name, problems=("it is nested too deep",)) from None
    try:
        return Catalog.model_validate(said)
    except ValidationError as error:
        problems = tuple(
            _problem(root, one["loc"], one["msg"], one["type"])
            for one in error.errors(include_input=False, include_url=False)
        )
        raise BadCatalog(path=name, problems=problems) from None


def _problem(root: yaml.Node | None, loc: Sequence[Any], message: str, kind: str) -> str:
    where = ".".join(str(step) for step in loc if step != "[key]")
    if kind == "extra_forbidden":
        message = "there is no such field"
    message = message.removeprefix("Value error, ")
    return f"line {_line(root, loc)}: {where or 'the file'}: {message}"


def _line(node: yaml.Node | None, loc: Sequence[Any]) -> int:
    """The line of *loc*, or of the nearest thing around it that there is."""
    line = 1
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((one for one in node.value if one[0].value == str(step)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _exact(loader: _Loader, node: yaml.ScalarNode) -> Decimal | float:
    """A number with a point, without a detour through binary."""
    value = loader.construct_yaml_float(node)
    return Decimal(node.value.replace("_", "")) if abs(value) < float("inf") else value


def _once(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping; of a key that stands twice, YAML would keep the last and say nothing."""
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, "a name must be a word", key.start_mark
            )
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key.value} stands twice", key.start_mark
            )
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != _BOOL]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("true|false"), ["t", "f"])
_Loader.add_constructor("tag:yaml.org,2002:float", _exact)
_Loader.add_constructor("tag:yaml.org,2002:map", _once)
