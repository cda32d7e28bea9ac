"""The documents that ship with the product: real, licensed, and of the promised lengths."""

import json
from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parents[1] / "examples" / "documents"
INDEX = json.loads((DOCUMENTS / "index.json").read_text())
SOURCES = (DOCUMENTS / "SOURCES.md").read_text()
LICENCES = {"MIT": "Copyright (c) 2021 Yale-LILY", "US government work": "17 U.S.C. § 105"}


def test_every_document_is_in_the_index_and_no_other() -> None:
    assert [entry["file"] for entry in INDEX] == sorted(
        file.name for file in DOCUMENTS.glob("*.txt")
    )


def test_there_are_enough_documents_and_few_bytes() -> None:
    assert len(INDEX) >= 60
    assert sum(file.stat().st_size for file in DOCUMENTS.iterdir()) < 2_000_000


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["file"])
def test_a_document_is_as_long_as_its_entry_says(entry: dict[str, str | int]) -> None:
    words = len((DOCUMENTS / str(entry["file"])).read_text(encoding="utf-8").split())

    assert words == entry["words"]
    assert 200 <= words <= 8_000


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["file"])
def test_a_document_has_its_source_and_licence_stated(entry: dict[str, str | int]) -> None:
    row = " | ".join(str(entry[key]) for key in ("file", "words", "title", "source", "licence"))

    assert f"| {row} |" in SOURCES
    assert LICENCES[str(entry["licence"])] in SOURCES


def test_most_documents_are_short_and_a_few_are_long() -> None:
    lengths = sorted(entry["words"] for entry in INDEX)
    long = [words for words in lengths if words > 2_500]

    assert lengths[len(lengths) // 2] < 1_200
    assert 0.1 < len(long) / len(lengths) < 0.2
    assert lengths[-1] > 6_000


def test_no_document_is_there_twice() -> None:
    texts = {file.read_text(encoding="utf-8") for file in DOCUMENTS.glob("*.txt")}
    assert len(texts) == len(INDEX)
