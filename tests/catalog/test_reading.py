"""A catalog file: read exactly, or refused by the line."""

from pathlib import Path

import orjson
import pytest

from scheduler.catalog.errors import BadCatalog
from scheduler.catalog.loading import load_catalog
from tests.catalog.written import ACME, listed, only, refused


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


def test_two_offers_of_one_model_need_names() -> None:
    twice = ACME + ACME[ACME.index("      - model: one") :]

    assert "two offers are called acme/one; give one of them a `name`" in refused(twice)
    named = ACME + ACME[ACME.index("      - model: one") :].replace("one", "one\n        name: uno")
    assert [one.offer.name for one in listed(named)] == ["acme/one", "uno"]
