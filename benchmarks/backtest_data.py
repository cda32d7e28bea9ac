"""Public outcomes as `apportion backtest` reads them: `python -m benchmarks.backtest_data FROM TO`.

FROM holds the folders `frugalgpt_overruling_12llm` and `vectara_hhem_150llm`.  In TO come, for
OVERRULING: items with columns to split by (`cluster`: 40 k-means clusters of TF-IDF vectors,
`coarse`: 8 of them, `length`: ten bands, `ref_answer`), outcomes, and outcomes that belong to
other items (`shuffled`); for HHEM: the items with a text, all items (those without a text have
an empty one), and the outcomes of the models that genai-prices prices.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import genai_prices
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from genai_prices import Usage
from numpy.typing import NDArray

from scheduler.estimate.folds import likeness_groups

SHUFFLE_SEED = 0
BYTES_PER_TOKEN = 4.5
"""Of English prose; HHEM's outcomes have no token counts, only the texts' lengths."""
PROMPT_TOKENS = 40


def tfidf(texts: list[str]) -> NDArray[np.float64]:
    """(n, words) TF-IDF vectors of length one, of the words that three texts or more have."""
    words = [re.findall(r"[a-z]{2,}", text.lower()) for text in texts]
    seen = Counter(word for one in words for word in set(one))
    place = {word: at for at, word in enumerate(sorted(w for w in seen if seen[w] > 2))}
    found = np.zeros((len(texts), len(place)))
    for row, one in enumerate(words):
        for word in one:
            if word in place:
                found[row, place[word]] += 1
    found = np.log1p(found) * np.log(len(texts) / np.maximum(1, (found > 0).sum(0)))
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9))


def overruling(source: Path, target: Path) -> None:
    items = pyarrow.csv.read_csv(source / "items.csv.gz")
    outcomes = pyarrow.csv.read_csv(source / "outcomes.csv.gz")
    texts = items["text"].to_pylist()
    vectors = tfidf(texts)
    for name, groups in (("cluster", 40), ("coarse", 8)):
        items = items.append_column(
            name, pa.array(likeness_groups(vectors, groups=groups, seed=0).astype(str))
        )
    rank = np.argsort(np.argsort([len(text) for text in texts], kind="stable"))
    items = items.append_column("length", pa.array((rank * 10 // len(texts)).astype(str)))
    pyarrow.csv.write_csv(items, target / "overruling_items.csv")
    pyarrow.csv.write_csv(outcomes, target / "overruling_outcomes.csv")
    ids = items["item_id"].to_pylist()
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(ids))
    other = {one: ids[order[at]] for at, one in enumerate(ids)}
    moved = pa.array([other[one] for one in outcomes["item_id"].to_pylist()])
    pyarrow.csv.write_csv(
        outcomes.set_column(outcomes.column_names.index("item_id"), "item_id", moved),
        target / "overruling_shuffled.csv",
    )


def usd(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """What the call costs by genai-prices; None where it has no price for *model*.

    A price of nothing, as some providers' trials have, is none that a night's work could have.
    """
    provider, _, name = model.partition("/")
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    for asked in (name, name.lower(), model.lower()):
        for of in (provider, None):
            try:
                found = float(genai_prices.calc_price(usage, asked, provider_id=of).total_price)
            except LookupError:
                continue
            return found or None
    return None


def hhem(source: Path, target: Path) -> None:
    texts = pyarrow.csv.read_csv(source / "matched_docs.csv.gz")
    text_of = dict(zip(texts["article_id"].to_pylist(), texts["text"].to_pylist(), strict=True))
    table = pyarrow.parquet.read_table(source / "outcomes.parquet")
    articles = sorted(set(table["article_id"].to_pylist()))
    middle = float(np.median([len(text) for text in text_of.values()]))
    priced = {m: usd(m, 1, 1) is not None for m in set(table["model_id"].to_pylist())}
    rows: dict[str, list[object]] = {"item_id": [], "model": [], "score": [], "cost_usd": []}
    for row in table.to_pylist():
        if not priced[row["model_id"]]:
            continue
        asked = len(text_of.get(row["article_id"], "")) or middle
        tokens = round(asked / BYTES_PER_TOKEN) + PROMPT_TOKENS
        # An answer that is none (a refusal, an empty one) is paid for and worth nothing.
        score = row["hhem_score"] if row["is_valid"] else 0.0
        said = round((row["summary_chars"] or 0) / BYTES_PER_TOKEN) + 1
        rows["item_id"].append(row["article_id"])
        rows["model"].append(row["model_id"])
        rows["score"].append(min(1.0, max(0.0, float(score or 0.0))))
        rows["cost_usd"].append(usd(row["model_id"], tokens, said))
    outcomes = pa.table(rows)
    kept = pa.array([item in text_of for item in rows["item_id"]])
    pyarrow.csv.write_csv(outcomes, target / "hhem_all_outcomes.csv")
    pyarrow.csv.write_csv(outcomes.filter(kept), target / "hhem_outcomes.csv")
    for name, some in (("hhem", sorted(text_of)), ("hhem_all", articles)):
        pyarrow.csv.write_csv(
            pa.table({"item_id": some, "text": [text_of.get(one, "") for one in some]}),
            target / f"{name}_items.csv",
        )
    print(f"{sum(priced.values())} of {len(priced)} models have a price")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    asked = parser.parse_args()
    asked.target.mkdir(parents=True, exist_ok=True)
    overruling(asked.source / "frugalgpt_overruling_12llm", asked.target)
    hhem(asked.source / "vectara_hhem_150llm", asked.target)


if __name__ == "__main__":
    main()
