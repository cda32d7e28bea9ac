"""The rules of the house that no other tool checks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scheduler.cli.main import apportion

REPO = Path(__file__).parents[1]
INITS = sorted(
    file for package in ("scheduler", "workers") for file in (REPO / package).rglob("__init__.py")
)


def commands(
    group: click.Group, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command below *group*, by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        words = (*above, name)
        yield " ".join(words), command
        if isinstance(command, click.Group):
            yield from commands(command, words)


COMMANDS = dict(commands(apportion))


def pages() -> str:
    files = [REPO / "README.md", *(REPO / "docs").rglob("*.md")]
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_teaches(name: str) -> None:
    command = COMMANDS[name]
    assert len((command.help or "").split()) >= 5, "say what it does, and when one needs it"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{option.name} is not explained"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_the_pages(name: str) -> None:
    assert f"apportion {name}" in pages()


def test_a_test_that_the_pages_name_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", pages())

    assert len(named) >= 10
    missing = [name for file, name in named if f"def {name}(" not in (REPO / file).read_text()]
    assert missing == []


@pytest.mark.parametrize("file", INITS, ids=lambda file: str(file.relative_to(REPO)))
def test_a_package_opens_with_one_docstring_and_no_code(file: Path) -> None:
    [only] = ast.parse(file.read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)
    assert isinstance(only.value.value, str)
