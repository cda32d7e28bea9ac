"""Fits the shipped tokens-per-byte table to real tokenizers, and says how far off it is.

    python benchmarks/token_table.py --texts texts.jsonl --tiktoken openai=cl100k_base.tiktoken \
        --huggingface anthropic=tokenizer.json --out scheduler/estimate/token_table.json

Texts are JSON lines with a `text`.  Needs `tiktoken` and `tokenizers`, which the service
itself does not.  Every fifth text is held back; the error figures are about those.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scheduler.estimate.features import TOKEN_STATS, script_bytes

GPT4_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ONE_DIGIT_SPLIT = GPT4_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
RATIO = 0.3
"""Tokens per byte to which the rates of byte classes never seen are drawn."""
ANSWERS = {
    # Rounded from common use, not measured: a paragraph, a form, a label, a sentence or two.
    # A score of a few tokens; models that think first need their thoughts.
    "judge": {"start": 3.5, "slope": 0.0, "spread": 1.0},
    "summarize": {"start": 4.0, "slope": 0.12, "spread": 0.5},
    "extract": {"start": 3.2, "slope": 0.25, "spread": 0.6},
    "classify": {"start": 1.4, "slope": 0.0, "spread": 0.5},
    "answer": {"start": 3.4, "slope": 0.08, "spread": 0.7},
}


def with_tiktoken(path: Path) -> Callable[[str], int]:
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    split = ONE_DIGIT_SPLIT if "qwen" in path.name else GPT4_SPLIT
    coded = tiktoken.Encoding(
        path.stem, pat_str=split, mergeable_ranks=load_tiktoken_bpe(str(path)), special_tokens={}
    )
    return lambda text: len(coded.encode_ordinary(text))


def with_tekken(path: Path) -> Callable[[str], int]:
    import base64

    import tiktoken

    body = json.loads(path.read_text())
    special = body["config"]["default_num_special_tokens"]
    most = body["config"]["default_vocab_size"] - special
    ranks = {base64.b64decode(one["token_bytes"]): one["rank"] for one in body["vocab"][:most]}
    coded = tiktoken.Encoding(
        path.stem, pat_str=body["config"]["pattern"], mergeable_ranks=ranks, special_tokens={}
    )
    return lambda text: len(coded.encode_ordinary(text))


def with_huggingface(path: Path) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    coded = Tokenizer.from_file(str(path))
    return lambda text: len(coded.encode(text, add_special_tokens=False).ids)


def fitted_rates(stats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Rates >= 0 (TOKEN_STATS,) with the least squared relative error, by coordinate descent."""
    weight = 1 / np.maximum(tokens, 10)
    columns = stats * weight[:, None]
    before = np.where(np.arange(TOKEN_STATS) < 16, RATIO, 0.0)
    bend = columns.T @ columns + np.eye(TOKEN_STATS) * 1e-3
    slope = columns.T @ (tokens * weight) + 1e-3 * before
    rates = before.copy()
    for _ in range(20_000):
        for at in range(TOKEN_STATS):
            left = slope[at] - bend[at] @ rates + bend[at, at] * rates[at]
            rates[at] = max(0.0, left / bend[at, at])
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--tiktoken", action="append", default=[])
    parser.add_argument("--tekken", action="append", default=[])
    parser.add_argument("--huggingface", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    texts = [json.loads(line)["text"] for line in asked.texts.open()]
    stats = script_bytes(texts).astype(float)
    held = np.arange(len(texts)) % 5 == 4
    families = {}
    for option, load in (
        ("tiktoken", with_tiktoken), ("tekken", with_tekken), ("huggingface", with_huggingface)
    ):  # fmt: skip
        for pair in getattr(asked, option):
            name, path = pair.split("=", 1)
            count = load(Path(path))
            tokens = np.array([count(text) for text in texts], float)
            rates = fitted_rates(stats[~held], tokens[~held])
            off = np.log(stats[held] @ rates / np.maximum(tokens[held], 1))
            families[name] = {
                "rates": [round(rate, 5) for rate in rates.tolist()],
                "spread": round(float(np.sqrt(np.mean(off**2))), 3),
            }
            total = stats[held].sum(0) @ rates / tokens[held].sum() - 1
            print(json.dumps({
                "family": name, "texts": int(held.sum()),
                "median_error": round(float(np.median(np.abs(np.expm1(off)))), 4),
                "p95_error": round(float(np.quantile(np.abs(np.expm1(off)), 0.95)), 4),
                "total_error": round(float(total), 4),
                "fourth_of_bytes_median_error": round(float(np.median(np.abs(
                    stats[held][:, :16].sum(1) / 4 / tokens[held] - 1))), 4),
            }))  # fmt: skip
    if asked.out:
        body = {"families": families, "answers": ANSWERS}
        asked.out.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
