"""What an offer costs: by date, by what its calls ask for, and never too little."""

from datetime import date
from typing import Any

import pytest

from scheduler.catalog.listings import prices_digest
from scheduler.catalog.prices import NoPrice, Wanted, listed_price
from scheduler.catalog.terms import Terms, terms_of
from scheduler.domain.listing import Protocol
from scheduler.domain.offer import Lane
from tests.catalog.written import ACME, PRICED, TODAY, listed, only

EXPLICIT = {"prompt_cache_options": {"mode": "explicit"}}


def genai(**said: Any) -> Wanted:
    usual: dict[str, Any] = {
        "offer": "x",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "lane": Lane.SYNC,
        "context_limit": 100_000,
    }
    return Wanted(**(usual | said))


@pytest.mark.parametrize(
    ("today", "input_pusd", "output_pusd"),
    [
        (date(2026, 1, 1), 100_000, 700_000),
        (date(2026, 5, 31), 100_000, 700_000),
        (date(2026, 6, 1), 300_000, 1_100_000),
    ],
)
def test_the_newest_price_that_has_begun_holds_exactly(
    today: date, input_pusd: int, output_pusd: int
) -> None:
    one = only(ACME, today=today)

    # 0.1 and 0.7 have no binary form; the price is exact all the same.
    assert (one.offer.input_price, one.offer.output_price) == (input_pusd, output_pusd)


def test_a_price_that_has_not_begun_is_none() -> None:
    one = only(ACME, today=date(2025, 12, 31))

    assert one.off_reason is not None
    assert "begins on 2026-01-01" in one.off_reason
    assert one.price is None


def test_a_price_below_a_pusd_is_rounded_up() -> None:
    cheap = ACME.replace("0.30", "0.0000001")

    assert only(cheap).offer.input_price == 1


def test_an_unknown_price_turns_the_offer_off_and_says_what_to_do() -> None:
    one = only(ACME.replace(PRICED, ""))

    assert one.off_reason is not None
    assert "genai-prices knows no one of acme" in one.off_reason
    assert "`prices`" in one.off_reason


def test_a_known_price_is_dated() -> None:
    def price(today: date) -> int:
        return listed_price(
            genai(provider="google", model="gemini-3.8-flash"), today=today
        ).input_pusd

    assert price(date(2026, 12, 31)) == 750_000
    assert price(date(2027, 1, 1)) == 1_500_000


def test_a_known_price_names_its_source() -> None:
    source = listed_price(genai(), today=TODAY).source.source

    assert source.startswith("genai-prices ")
    assert source.endswith(" openai/gpt-4.1-mini")


def test_a_price_that_rises_with_length_holds_below_the_rise_alone() -> None:
    tiered = {"provider": "anthropic", "model": "claude-haiku-5-5"}

    assert listed_price(genai(**tiered), today=TODAY).input_pusd == 100_000
    with pytest.raises(NoPrice, match="set its context_limit to 100000 or less"):
        listed_price(genai(**tiered, context_limit=100_001), today=TODAY)


def test_a_call_that_is_made_at_once_has_no_batch_price() -> None:
    with pytest.raises(NoPrice, match="billed so, not as a batch"):
        listed_price(genai(model="gpt-6-luna", lane=Lane.BATCH), today=TODAY)

    flexible = genai(
        model="gpt-6-luna", lane=Lane.BATCH, terms=Terms(tier={"service_tier": "flex"})
    )
    assert listed_price(flexible, today=TODAY).input_pusd == 50_000


@pytest.mark.parametrize(
    ("protocol", "base_url", "body", "input_pusd"),
    [
        ("openai", "https://api.openai.com/v1", {}, 125_000),
        ("openai", "https://api.openai.com/v1", EXPLICIT, 100_000),
        ("openai", "https://eu.api.openai.com/v1", EXPLICIT, 110_000),
        ("openai", "https://api.openai.com/v1", {**EXPLICIT, "service_tier": "auto"}, 100_000),
        ("openai", "https://api.openai.com/v1", {**EXPLICIT, "service_tier": "flex"}, 50_000),
        ("openai", "https://api.openai.com/v1", {**EXPLICIT, "service_tier": "priority"}, 200_000),
        ("anthropic", "https://api.anthropic.com", {}, 4_000_000),
        ("anthropic", "https://api.anthropic.com", {"service_tier": "standard_only"}, 4_000_000),
        ("anthropic", "https://api.anthropic.com", {"inference_geo": "us"}, 4_400_000),
        ("anthropic", "https://api.anthropic.com", {"speed": "fast"}, 8_000_000),
        (
            "anthropic",
            "https://api.anthropic.com",
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            8_000_000,
        ),
    ],
)
def test_a_price_is_that_of_what_the_calls_ask_for(
    protocol: str, base_url: str, body: dict[str, Any], input_pusd: int
) -> None:
    terms = terms_of(Protocol(protocol), base_url=base_url, body=body)
    model = {"openai": "gpt-6-luna", "anthropic": "claude-opus-5-5"}[protocol]

    found = listed_price(genai(provider=protocol, model=model, terms=terms), today=TODAY)

    assert found.input_pusd == input_pusd


def test_a_dearer_tier_without_a_price_turns_the_offer_off() -> None:
    terms = Terms(tier={"service_tier": "performance"})

    with pytest.raises(NoPrice, match=r"no price .* for its service_tier performance"):
        listed_price(genai(provider="groq", model="openai/gpt-oss-20b", terms=terms), today=TODAY)


def test_a_price_by_the_hour_is_the_dearest_hours() -> None:
    deepseek = genai(provider="deepseek", model="deepseek-chat")

    # Half its price at night, before it had one price for all hours.
    assert listed_price(deepseek, today=date(2025, 5, 1)).input_pusd == 270_000


def test_the_digest_moves_with_the_price_and_not_with_the_day() -> None:
    before, after = date(2026, 5, 30), date(2026, 6, 2)

    def digest(today: date) -> bytes:
        return prices_digest(listed(ACME, today=today))

    assert digest(before) == digest(date(2026, 5, 31)) != digest(after)
    assert len(digest(before)) == 32
