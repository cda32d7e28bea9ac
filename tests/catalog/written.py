"""Catalogs as these tests write them."""

from collections.abc import Mapping
from datetime import date

import pytest

from scheduler.catalog.errors import BadCatalog
from scheduler.catalog.listings import offers_on
from scheduler.catalog.loading import read_catalog
from scheduler.domain.listing import Listing

TODAY = date(2026, 11, 24)
LIMITS = """\
    requests_per_minute: 10
    tokens_per_minute: 1000
    concurrency: 2
    context_limit: 4000
    output_limit: 500
"""
PRICED = """\
        prices:
          - {from: 2026-01-01, input_usd_per_million: 0.1, output_usd_per_million: 0.7}
          - {from: 2026-06-01, input_usd_per_million: 0.30, output_usd_per_million: 1.1}
"""
ACME = f"""\
providers:
  acme:
    protocol: openai
    base_url: https://acme.test/v1
    key_variable: ACME_KEY
{LIMITS}\
    offers:
      - model: one
{PRICED}"""
KEYED = {"ACME_KEY": "secret-1"}


def listed(text: str, environ: Mapping[str, str] = KEYED, *, today: date = TODAY) -> list[Listing]:
    return offers_on(read_catalog(text, name="c.yaml"), today=today, environ=environ)


def only(text: str, environ: Mapping[str, str] = KEYED, *, today: date = TODAY) -> Listing:
    [one] = listed(text, environ, today=today)
    return one


def refused(text: str) -> str:
    with pytest.raises(BadCatalog) as caught:
        read_catalog(text, name="c.yaml")
    return str(caught.value)
