"""What a person sees while a run goes on, and at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from scheduler.cli.context import Service
from scheduler.cli.messages import Taken
from scheduler.cli.plan import print_outcome
from scheduler.cli.printing import table
from scheduler.cli.running import Ended, Watcher
from scheduler.cli.terminal import harmless
from scheduler.domain.money import usd_text
from scheduler.planning.outcome import PlanOutcome
from scheduler.store.budgets import BudgetLine, list_budgets
from scheduler.store.project_standing import OfferWork, Standing, offers_used
from scheduler.store.scopes import Scope
from scheduler.store.status import BreakerLine, resting

TOLD = 20
"""Documents that are named one by one; of more there is a number."""
OFFERS = ("offer", "answers", "moved here", "calls in vain", "unknown", "spent")


class _Screen:
    """A progress bar, with plans and failing offers told above it."""

    def __init__(self, say: Console, service: Service) -> None:
        self._say = say
        self._service = service
        self._told: set[str] = set()
        self._plans = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("documents · {task.fields[money]}"),
            TimeElapsedColumn(),
            console=say,
        )
        self._bar = self.progress.add_task("working", total=None, money="")

    def planned(self, outcome: PlanOutcome) -> None:
        self._plans += 1
        if self._plans == 1 and not self._say.quiet:
            self.progress.stop()
            print_outcome(outcome)
            self.progress.start()
        elif outcome.planned:
            self._say.print(
                f"planned again: {outcome.planned} jobs that waited, or were given back"
            )

    def looked(self, now: Standing) -> None:
        money = f"{usd_text(now.spent_nusd)} spent, {usd_text(now.reserved_nusd)} set aside"
        self.progress.update(self._bar, total=now.jobs, completed=now.over, money=money)
        with self._service.engine.connect() as conn:
            for line in resting(conn):
                if line.offer not in self._told:
                    self._told.add(line.offer)
                    self._say.print(_failing(line))


@contextmanager
def watching(say: Console, service: Service) -> Iterator[Watcher]:
    """A watcher that shows a run's plan, progress and troubles for as long as the block runs."""
    screen = _Screen(say, service)
    with screen.progress:
        yield Watcher(planned=screen.planned, looked=screen.looked)


def _failing(line: BreakerLine) -> Text:
    # Text, and not markup: a provider's error may speak of `[/INST]`.
    if line.is_asked:
        until = line.resting_until.astimezone(UTC)
        head, why = f"{line.offer} asks for a pause", f"until {until:%H:%M:%S} UTC"
    else:
        head, why = f"{line.offer} fails", f"{line.failures} times in a row"
    said = (
        f" ({why}: {line.last_error}); it is left alone, and its jobs move to their next best offer"
    )
    return Text.assemble((head, "red"), harmless(said))


def print_taken(say: Console, taken: Taken) -> None:
    """Print which documents have no job, and why: as errors, unless nobody asked for them."""
    for problem in taken.problems[:TOLD]:
        click.echo(harmless(problem), err=True)
    if len(taken.problems) > TOLD:
        click.echo(f"and {len(taken.problems) - TOLD} more that cannot be taken", err=True)
    if taken.left_out:
        first = ", ".join(str(file) for file in taken.left_out[:3])
        more = ", ..." if len(taken.left_out) > 3 else ""
        say.print(
            harmless(
                f"left out, by their names no texts: {len(taken.left_out)} files ({first}{more})"
            ),
            markup=False,
        )


def print_end(say: Console, service: Service, project: Scope, ended: Ended) -> None:
    """Print what was done by whom, what it cost, and what is left."""
    with service.engine.connect() as conn:
        used = offers_used(conn, project_id=project.id)
        budgets = [line for line in list_budgets(conn) if line.scope == project.path]
    say.print(table("What was done", OFFERS, map(_row, used)))
    for line in budgets:
        say.print(_budget_text(line))
    now = ended.standing
    say.print(f"{now.done} done, {now.failed} failed, {now.queued + now.planned} left.")
    for reason in ended.reasons:
        say.print(f"  waits: {reason}", markup=False)


def _row(work: OfferWork) -> list[object]:
    return [
        work.offer,
        work.used,
        work.moved,
        work.lost_calls,
        work.unknown_calls,
        usd_text(work.spent_nusd),
    ]


def _budget_text(line: BudgetLine) -> str:
    return (
        f"Budget {usd_text(line.limit_nusd)} = spent {usd_text(line.spent_nusd)}"
        f" + set aside {usd_text(line.reserved_nusd)} + free {usd_text(line.free_nusd)}"
    )
