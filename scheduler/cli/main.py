"""The `apportion` command: the name of every command, and what it does."""

import errno
import sys
from importlib import import_module

import click

from scheduler.cli.supervise import end_with_supervisor
from scheduler.cli.terminal import harmless, print_any_text
from scheduler.domain.errors import SchedulerError
from scheduler.interpreter import calculate_on_one_core

COMMANDS = {
    "demo": "Summarize real documents with made-up models, money and failures.",
    "run": "Do one task on documents, within a budget, and end.",
    "submit": "Put jobs into the queue.",
    "plan": "Plan the queue: which offer gets which job.",
    "results": "Print results, one JSON object a line.",
    "feedback": "Take in what people thought of results.",
    "status": "Show the queue, the work under way, and today's budgets.",
    "offers": "List the catalog's offers, their prices, and how to turn them on.",
    "budget": "Set budgets, and list them.",
    "report": "Report on money, from the ledger.",
    "attempts": "List calls of unknown outcome, and resolve them.",
    "audit": "Verify the audit trail, and sign checkpoints of it.",
    "learn": "Learn from feedback and reported usage; use what proves better.",
    "judge": "Queue judgings for a share of the finished jobs.",
    "backtest": "See what planning would have brought on your own outcomes.",
    "advise": "Say which figure moves the return most.",
    "assign": "Choose an option for every item of a CSV of estimates.",
    "serve": "Run the service: intake, planner, relay and rescue.",
    "worker": "Do what is planned: call providers, settle what they bill.",
    "intake": "Take jobs and feedback in from Kafka, and nothing else.",
    "sandbox": "Serve made-up models that speak OpenAI's protocol.",
    "compile": "Compile what plans run, so that the first one is not late.",
    "doctor": "Check all that the service needs, and say what to do.",
    "migrate": "Bring the database to this version's tables.",
    "schema": "Print the schema of a message.",
}
"""What each command does, in one line; `scheduler.cli.NAME` has it as `command`.

In the order in which they are met.  The lines are here because importing every command for the
sake of `apportion --help` takes two seconds.
"""

BESIDE_THE_SERVICE = ("learn",)
"""Commands that calculate for minutes where intake and plans are not to wait for them."""

FULL = (errno.ENOSPC, errno.EDQUOT)


class Commands(click.Group):
    """Imports a command when it is asked for: some take a second, and most need no solver."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in BESIDE_THE_SERVICE:
            calculate_on_one_core()  # before numpy comes with the command
        command = import_module(f"scheduler.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion", prog_name="apportion")
def apportion() -> None:
    """Schedule bulk document work over many language models under a budget."""


def main() -> None:
    """Run the command; an error raised on purpose is one line, and exit status 1."""
    end_with_supervisor()
    print_any_text()
    try:
        apportion()
    except SchedulerError as error:
        said = harmless(str(error), keep="\n")
        click.echo(f"apportion: {said}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno in FULL:
            said = "the disk is full; make room, and run the same command again"
        elif error.filename is not None:
            # Files that a person named: what is ours is looked after where it is used.
            said = harmless(f"{error.filename}: {error.strerror}")
        else:
            raise
        click.echo(f"apportion: {said}", err=True)
        sys.exit(1)
