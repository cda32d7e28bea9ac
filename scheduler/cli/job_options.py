"""The options that say what a job is, for every command that makes jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from scheduler.domain.job import CLIENT_TASKS, DataClass, When

Command = TypeVar("Command", bound=Callable[..., Any])


class Pair(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, said = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r}: write NAME=VALUE, like department=legal", param, ctx)
        return name, said


class SchemaFile(click.ParamType[dict[str, Any]]):
    """A file with a JSON Schema."""

    name = "file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            schema = json.loads(Path(value).read_text(encoding="utf-8"))
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"{value} is not JSON: {error}", param, ctx)
        if not isinstance(schema, dict):
            self.fail(f"{value} holds no JSON Schema", param, ctx)
        return schema


MISSED = {
    "task: field required": "--task",
    "needs labels": "--label",
    "needs question": "--question",
    "needs schema": "--schema",
}
"""What a reason for a refusal says that an option could have said; and the option."""

OPTIONS = (
    click.option(
        "--task", type=click.Choice(list(map(str, CLIENT_TASKS))), help="What is to be done."
    ),
    click.option("--scope", help="Who pays, like acme/legal/contracts."),
    click.option("--priority", type=click.IntRange(1, 9), help="1 (least) to 9 (most)."),
    click.option("--deadline", help="Like 2026-12-31T18:00:00+01:00, with its time zone."),
    click.option("--min-quality", type=click.FloatRange(0, 1), help="0 to 1."),
    click.option("--max-cost", "max_cost_usd", help="The most one job may cost, in USD."),
    click.option("--gain", "gain_usd", help="What a good answer is worth, in USD."),
    click.option("--loss", "loss_usd", help="What a bad answer costs beside its price, in USD."),
    click.option(
        "--residency", multiple=True, help="A region where it may be processed; repeatable."
    ),
    click.option(
        "--data-class", type=click.Choice(list(map(str, DataClass))), help="How sensitive it is."
    ),
    click.option(
        "--when", type=click.Choice(list(map(str, When))), help="now, or planned at night."
    ),
    click.option("--tag", "tags", type=Pair(), multiple=True, help="NAME=VALUE; repeatable."),
    click.option("--question", help="For answer."),
    click.option("--label", "labels", multiple=True, help="For classify; repeatable."),
    click.option("--schema", type=SchemaFile(), help="For extract: a file with a JSON Schema."),
    click.option("--words", type=click.IntRange(1), help="For summarize: about how long."),
)


def job_options(command: Command) -> Command:
    """Give *command* the options; `job_fields` makes a message's fields of what they are given."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def job_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The message's fields for those of *options* that were given; they are taken out of it."""
    names = [option.name for option in _parameters() if option.name]
    given = {name: options.pop(name, None) for name in names}
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    if "tags" in fields:
        fields["tags"] = dict(fields["tags"])
    return fields


def with_option(reason: str) -> str:
    """*reason*, with the option that says what the message did not."""
    for missed, option in MISSED.items():
        if missed in reason:
            return f"{reason}; give {option}"
    return reason


def _parameters() -> list[click.Parameter]:
    @job_options
    def bare() -> None: ...

    return list(reversed(bare.__click_params__))  # type: ignore[attr-defined]
