"""The catalog: read exactly, refused by the line, priced by date, on where a key is."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from scheduler.catalog.errors import BadCatalog
from scheduler.catalog.listings import offers_on, prices_digest, sandbox_offers
from scheduler.catalog.loading import load_catalog, read_catalog
from scheduler.catalog.prices import NoPrice, Wanted, listed_price
from scheduler.catalog.terms import Terms, terms_of
from scheduler.domain.job import Task
from scheduler.domain.listing import Listing, Protocol, Structured
from scheduler.domain.offer import Lane
from scheduler.estimate.tokens import TokenModel

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
EXPLICIT = {"prompt_cache_options": {"mode": "explicit"}}


def listed(text: str, environ: Mapping[str, str] = KEYED, *, today: date = TODAY) -> list[Listing]:
    return offers_on(read_catalog(text, name="c.yaml"), today=today, environ=environ)


def only(text: str, environ: Mapping[str, str] = KEYED, *, today: date = TODAY) -> Listing:
    [one] = listed(text, environ, today=today)
    return one


def refused(text: str) -> str:
    with pytest.raises(BadCatalog) as caught:
        read_catalog(text, name="c.yaml")
    return str(caught.value)


def genai(**said: Any) -> Wanted:
    usual: dict[str, Any] = {
        "offer": "x",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "lane": Lane.SYNC,
        "context_limit": 100_000,
    }
    return Wanted(**(usual | said))


def test_the_catalog_that_ships_can_be_read_and_priced() -> None:
    keys = dict.fromkeys(
        (
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
            "MISTRAL_API_KEY",
            "GROQ_API_KEY",
        ),
        "k",
    )
    urls = dict.fromkeys(("APPORTION_SANDBOX_URL", "APPORTION_LOCAL_URL"), "http://127.0.0.1:1/v1")

    listings = offers_on(load_catalog(), today=TODAY, environ=keys | urls)

    assert {one.offer.name: one.off_reason for one in listings if not one.is_on} == {}
    assert len(listings) > 10


def test_with_no_key_at_all_the_in_house_summarizer_is_on_alone() -> None:
    listings = offers_on(load_catalog(), today=TODAY, environ={})

    assert [one.offer.name for one in listings if one.is_on] == ["inhouse/extractive"]


def test_the_in_house_summarizer_is_only_given_summaries() -> None:
    [one] = [one for one in offers_on(load_catalog(), today=TODAY, environ={}) if one.is_on]

    assert one.tasks == {Task.SUMMARIZE}
    assert one.access.protocol is Protocol.EXTRACTIVE


def test_the_sandbox_is_off_until_its_address_is_given() -> None:
    catalog = load_catalog()

    off = offers_on(catalog, today=TODAY, environ={})
    on = offers_on(catalog, today=TODAY, environ={"APPORTION_SANDBOX_URL": "http://127.0.0.1:9/v1"})

    sandbox = [one for one in off if one.offer.provider == "sandbox"]
    assert {one.off_reason for one in sandbox} == {"set APPORTION_SANDBOX_URL to its address"}
    assert {one.access.base_url for one in on if one.offer.provider == "sandbox"} == {
        "http://127.0.0.1:9/v1"
    }
    assert sandbox_offers(off).keys() >= {"sandbox-small", "sandbox-medium", "sandbox-large"}


def test_every_tokenizer_of_the_catalog_is_one_that_estimates_know() -> None:
    listings = offers_on(load_catalog(), today=TODAY, environ={})

    assert {one.tokenizer for one in listings} <= TokenModel().families.keys()


def test_a_provider_is_on_when_its_key_is_there() -> None:
    assert only(ACME).is_on
    assert only(ACME).access.api_key == "secret-1"
    assert only(ACME, {}).off_reason == "set ACME_KEY to its API key"
    assert only(ACME, {"ACME_KEY": "  "}).off_reason == "set ACME_KEY to its API key"


def test_a_key_with_a_line_break_turns_its_provider_off_unseen() -> None:
    one = only(ACME, {"ACME_KEY": "se cret"})

    assert one.off_reason == "ACME_KEY holds characters that no API key has"


def test_a_key_is_in_nothing_that_is_printed() -> None:
    assert "secret-1" not in repr(only(ACME))


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


def test_the_shipped_openai_offers_write_no_cache() -> None:
    [luna] = [
        one
        for one in offers_on(load_catalog(), today=TODAY, environ={})
        if one.offer.model == "gpt-6-luna"
    ]

    assert luna.access.body["prompt_cache_options"] == {"mode": "explicit"}
    assert luna.access.body["service_tier"] == "default"
    assert luna.offer.input_price == 100_000


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


def test_an_offer_says_more_than_its_provider() -> None:
    text = ACME.replace("    offers:", "    region: us\n    structured: json\n    offers:").replace(
        "      - model: one\n", "      - model: one\n        region: eu\n        concurrency: 9\n"
    )

    one = only(text)

    assert (one.offer.region, one.offer.concurrency) == ("eu", 9)
    assert (one.offer.requests_per_minute, one.access.structured) == (10, Structured.JSON)
    assert one.offer.name == "acme/one@eu"


def test_a_quality_is_exact_and_only_of_its_tasks() -> None:
    text = ACME.replace(
        "      - model: one\n",
        "      - model: one\n        tasks: [extract, answer]\n        quality: {extract: 0.29}\n",
    )

    assert only(text).quality_prior_ppm == {Task.EXTRACT: 290_000, Task.ANSWER: 700_000}


def test_a_model_may_be_named_by_the_environment() -> None:
    text = ACME.replace("      - model: one\n", "      - model: one\n        model_variable: M\n")

    assert only(text).offer.model == "one"
    assert only(text, KEYED | {"M": "llama"}).offer.model == "llama"
    assert only(text, KEYED | {"M": "llama"}).offer.name == "acme/one"


@pytest.mark.parametrize("level", ["      - model: one\n", "    protocol: openai\n"])
def test_an_offer_can_be_turned_off_by_hand(level: str) -> None:
    pad = " " * (8 if "model" in level else 4)

    one = only(ACME.replace(level, f"{level}{pad}off: under review by legal\n"))

    assert one.off_reason == "under review by legal"


def test_two_offers_of_one_model_need_names() -> None:
    twice = ACME + ACME[ACME.index("      - model: one") :]

    assert "two offers are called acme/one; give one of them a `name`" in refused(twice)
    named = ACME + ACME[ACME.index("      - model: one") :].replace("one", "one\n        name: uno")
    assert [one.offer.name for one in listed(named)] == ["acme/one", "uno"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://acme.test/v1?api-version=1", "put what stands behind it into `query`"),
        ("https://acme.test/v1#x", "must end before the ?"),
        ("https://acme.test:port/v1", "cannot be read"),
        ("https://acme.test:99999/v1", "cannot be read"),
        ("https://[::1/v1", "cannot be read"),
        (f"https://{'a' * 99}.test/v1", "cannot be read"),
        ("https:///v1", "names no host"),
        ("https://me:secret-2@acme.test/v1", "put them into `headers`"),
    ],
)
def test_an_address_that_no_call_could_go_to_turns_its_provider_off(
    address: str, said: str
) -> None:
    one = only(ACME.replace("https://acme.test/v1", f'"{address}"'))

    assert one.off_reason is not None
    assert said in one.off_reason
    assert "secret-2" not in f"{one.off_reason} {one.access.base_url}"


def test_an_address_must_be_http() -> None:
    one = only(ACME.replace("https://", "ftp://"))

    assert one.off_reason is not None
    assert "must begin with http:// or https://" in one.off_reason


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        (
            "    protocol: openai\n    colour: red\n",
            "    protocol: openai\n",
            "line 4: providers.acme.colour: there is no such field",
        ),
        (
            "      - model: one\n        prise: 1\n",
            "      - model: one\n",
            "line 13: providers.acme.offers.0.prise: there is no such field",
        ),
        ("protocol: smtp", "protocol: openai", "line 3: providers.acme.protocol"),
        ("concurrency: two", "concurrency: 2", "line 8: providers.acme.concurrency"),
        ("concurrency: '2'", "concurrency: 2", "line 8: providers.acme.concurrency"),
        ("concurrency: 0", "concurrency: 2", "line 8: providers.acme.concurrency"),
        ("concurrency: true", "concurrency: 2", "line 8: providers.acme.concurrency"),
        ("_per_million: -1,", "_per_million: 0.1,", "prices.0.input_usd_per_million"),
        ("_per_million: .inf,", "_per_million: 0.1,", "prices.0.input_usd_per_million"),
        ("    output_limit: 500\n", "", "lacks output_limit"),
        ("from: 2026-06-31,", "from: 2026-06-01,", "2026-06-31 cannot be read: day is out of"),
        ("_per_million: 1:30.5,", "_per_million: 0.1,", "1:30.5 cannot be read"),
        ("concurrency: !!int two", "concurrency: 2", "two cannot be read"),
        ("from: 2026-01-01,", "from: 2026-06-01,", "two prices begin on the same day"),
        ("    ? [a, b]\n    : 1\n    conc", "    conc", "a name must be a word"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(wrong: str, right: str, said: str) -> None:
    text = ACME.replace(right, wrong, 1) if right else ACME.replace(wrong, right)

    assert said in refused(text)


def test_what_goes_into_requests_is_json() -> None:
    text = ACME.replace("    offers:", "    body: {top_p: 0.9, stop: [1.5, x]}\n    offers:")

    assert orjson.dumps(only(text).access.body) == b'{"top_p":0.9,"stop":[1.5,"x"]}'


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("{stream: true}", "stream"),
        ("{n: 2}", "n"),
        ("{max_tokens: 9000}", "max_tokens"),
        ("{model: dearer}", "model"),
        ("{generationConfig: {maxOutputTokens: 9000}}", "maxOutputTokens"),
    ],
)
def test_what_a_call_says_of_itself_cannot_be_said_otherwise(body: str, name: str) -> None:
    text = ACME.replace("    offers:", f"    body: {body}\n    offers:")

    assert f"providers.acme.body: {name} is set by every call; leave it out" in refused(text)


def test_only_true_and_false_are_truth_values() -> None:
    text = ACME.replace("    offers:", "    region: no\n    temperature: false\n    offers:")

    assert only(text).offer.region == "no"
    assert only(text).access.temperature is False


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "protocol stands twice" in refused(
        ACME.replace("    base", "    protocol: gemini\n    base")
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "providers: {}", "providers: [", "a: !!python/name:os.x", "a: " + "[" * 5_000],
)
def test_what_is_no_catalog_is_refused(text: str) -> None:
    assert "the catalog c.yaml cannot be used" in refused(text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCatalog, match=r"No such file"):
        load_catalog(tmp_path / "catalog.yaml")
