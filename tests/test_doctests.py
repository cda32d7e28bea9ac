"""The examples in docstrings are true."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(file.relative_to(REPO).with_suffix("").parts)
    for room in ("scheduler", "workers")
    for file in (REPO / room).rglob("*.py")
    if ">>> " in file.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    found = doctest.testmod(import_module(name))

    assert found.attempted > 0
    assert found.failed == 0
