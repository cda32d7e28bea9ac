"""The `apportion` command: every command's name, and where it is."""

import sys
from importlib import import_module

import click

from scheduler.cli.supervise import end_with_supervisor
from scheduler.domain.errors import SchedulerError

COMMANDS = {
    "advise": "scheduler.cli.advise",
    "assign": "scheduler.cli.assign",
    "attempts": "scheduler.cli.attempts",
    "audit": "scheduler.cli.audit",
    "backtest": "scheduler.cli.backtest",
    "budget": "scheduler.cli.budget",
    "demo": "scheduler.cli.demo",
    "doctor": "scheduler.cli.doctor",
    "feedback": "scheduler.cli.feedback",
    "intake": "scheduler.cli.intake",
    "judge": "scheduler.cli.judge",
    "learn": "scheduler.cli.learn",
    "migrate": "scheduler.cli.migrate",
    "offers": "scheduler.cli.offers",
    "plan": "scheduler.cli.plan",
    "report": "scheduler.cli.report",
    "results": "scheduler.cli.results",
    "run": "scheduler.cli.run",
    "sandbox": "scheduler.cli.sandbox",
    "schema": "scheduler.cli.schema",
    "serve": "scheduler.cli.serve",
    "status": "scheduler.cli.status",
    "submit": "scheduler.cli.submit",
    "worker": "scheduler.cli.worker",
}
"""Each command's module, which has the click command as `command`."""


class Commands(click.Group):
    """Imports a command when it is asked for: some take a second, and most need no solver."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion", prog_name="apportion")
def apportion() -> None:
    """Schedule bulk document work over many language models under a budget."""


def main() -> None:
    """Run the command; an error raised on purpose is one line, and exit status 1."""
    end_with_supervisor()
    try:
        apportion()
    except SchedulerError as error:
        click.echo(f"apportion: {error}", err=True)
        sys.exit(1)
