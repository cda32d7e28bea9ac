"""The catalog that ships: it can be read, has prices, and is on where a key is."""

from scheduler.catalog.listings import offers_on, sandbox_offers
from scheduler.catalog.loading import load_catalog
from scheduler.domain.job import Task
from scheduler.domain.listing import Protocol
from scheduler.estimate.tokens import TokenModel
from tests.catalog.written import TODAY


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


def test_the_shipped_openai_offers_write_no_cache() -> None:
    [luna] = [
        one
        for one in offers_on(load_catalog(), today=TODAY, environ={})
        if one.offer.model == "gpt-6-luna"
    ]

    assert luna.access.body["prompt_cache_options"] == {"mode": "explicit"}
    assert luna.access.body["service_tier"] == "default"
    assert luna.offer.input_price == 100_000
