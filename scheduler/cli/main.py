"""The `apportion` command: every command's name, and where it is."""

import sys

import click

from scheduler.domain.errors import SchedulerError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion", prog_name="apportion")
def apportion() -> None:
    """Schedule bulk document work over many language models under a budget."""


def main() -> None:
    """Run the command; an error raised on purpose is one line, and exit status 1."""
    try:
        apportion()
    except SchedulerError as error:
        click.echo(f"apportion: {error}", err=True)
        sys.exit(1)
