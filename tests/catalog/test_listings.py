"""Which offers a catalog has, what each may do, and why one is off."""

import pytest

from scheduler.domain.job import Task
from scheduler.domain.listing import Structured
from tests.catalog.written import ACME, KEYED, only


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
