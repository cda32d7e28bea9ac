"""`apportion offers`: what the catalog sells today, on or off, and at which price."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import load_catalog, shipped_text
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.domain.job import CLIENT_TASKS, Task
from scheduler.domain.listing import Listing
from scheduler.domain.money import PUSD_PER_NUSD, usd_text
from scheduler.settings import read_settings

MILLION = 1_000_000
COLUMNS = ("offer", "lane", "region", "tasks", "input $/M", "output $/M", "price", "on")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object; prices in pUSD per token.")
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Another file than APPORTION_CATALOG names, or than the one that ships.",
)
@click.option("--on", "only_on", is_flag=True, help="Leave out what is off.")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day that prices are wanted of; today (UTC) by default.",
)
@click.option("--shipped", is_flag=True, help="Print the catalog file that ships, to start from.")
def command(
    *, as_json: bool, catalog: Path | None, only_on: bool, day: datetime | None, shipped: bool
) -> None:
    """List the offers of the catalog, their prices, and what to do about those that are off.

    A provider is on when its API key is in the environment: `export OPENAI_API_KEY=...`.  Keys are
    read, never shown.  To change what is offered, or at which price:

    \b
      apportion offers --shipped > catalog.yaml
      export APPORTION_CATALOG=catalog.yaml
    """
    if shipped:
        click.echo(shipped_text(), nl=False)
        return
    found = load_catalog(catalog or read_settings().catalog)
    today = day.date() if day else datetime.now(UTC).date()
    listings = offers_on(found, today=today, environ=os.environ)
    shown = [one for one in listings if one.is_on or not only_on]
    if as_json:
        print_json({"date": today, "offers": [_plain(one) for one in shown]})
        return
    print_tables([table(f"Offers on {today}", COLUMNS, [_row(one) for one in shown])])
    for reason, names in _reasons(shown).items():
        click.echo(f"off: {', '.join(names)}\n     {reason}")


def print_prices(listings: Sequence[Listing], *, task: Task) -> None:
    """Print what those that are on ask, and how well they are expected to do at *task*."""
    columns = ("offer", "input $/M", "output $/M", "expected quality")
    rows = [
        [
            one.offer.name,
            _per_million(one.offer.input_price),
            _per_million(one.offer.output_price),
            f"{one.quality_prior_ppm[task] / 1e6:.2f}",
        ]
        for one in listings
        if one.is_on and task in one.quality_prior_ppm
    ]
    print_tables([table("What is on offer", columns, rows)])


def _row(one: Listing) -> list[Any]:
    known = one.price is not None
    return [
        one.offer.name,
        one.offer.lane,
        one.offer.region or "-",
        "all" if one.tasks >= set(CLIENT_TASKS) else ", ".join(sorted(one.tasks)),
        _per_million(one.offer.input_price) if known else "-",
        _per_million(one.offer.output_price) if known else "-",
        # Where in that list is the model's name once more.
        " ".join(one.price.source.split()[:2]) if one.price else "unknown",
        one.is_on,
    ]


def _per_million(pusd: int) -> str:
    return usd_text(pusd * MILLION // PUSD_PER_NUSD)


def _reasons(listings: list[Listing]) -> dict[str, list[str]]:
    """The offers that are off, by what to do about it."""
    reasons: dict[str, list[str]] = {}
    for one in listings:
        if one.off_reason is not None:
            reasons.setdefault(one.off_reason, []).append(one.offer.name)
    return reasons


def _plain(one: Listing) -> dict[str, Any]:
    """The listing without its access, which holds the key."""
    since: date | None = one.price.since if one.price else None
    return {
        "name": one.offer.name,
        "provider": one.offer.provider,
        "model": one.offer.model,
        "on": one.is_on,
        "off_reason": one.off_reason,
        "lane": one.offer.lane,
        "region": one.offer.region,
        "tasks": sorted(one.tasks),
        "certificates": sorted(one.offer.certificates),
        "input_pusd": one.offer.input_price if one.price else None,
        "output_pusd": one.offer.output_price if one.price else None,
        "request_pusd": one.offer.request_price if one.price else None,
        "price_source": one.price.source if one.price else None,
        "price_since": since,
        "price_digest": one.price.digest if one.price else None,
        "requests_per_minute": one.offer.requests_per_minute,
        "tokens_per_minute": one.offer.tokens_per_minute,
        "concurrency": one.offer.concurrency,
        "context_limit": one.offer.context_limit,
        "output_limit": one.offer.output_limit,
        "tokenizer": one.tokenizer,
        "quality_prior_ppm": {str(task): ppm for task, ppm in one.quality_prior_ppm.items()},
        "key_variable": one.key_variable,
    }
