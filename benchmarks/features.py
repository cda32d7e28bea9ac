"""How many documents a second one core describes: `python benchmarks/features.py`.

Prints one JSON line per document size.  Texts are cut from the shipped example documents, or
made up of common words where there are none.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from scheduler.estimate.features import FEATURES, document_features, script_bytes

EXAMPLES = Path(__file__).parent.parent / "examples" / "documents"
WORDS = "the report of a committee on public works shows that spending rose in 2023 by 4.2 % "


def texts(size: int, count: int) -> list[str]:
    """*count* texts of about *size* bytes, no two alike."""
    found = "\n".join(path.read_text() for path in sorted(EXAMPLES.rglob("*.txt"))[:40])
    body = found if len(found) > 20 * size else WORDS * (20 * size // len(WORDS) + 1)
    starts = np.random.default_rng(0).integers(0, len(body) - size, count)
    return [body[start : start + size] for start in starts.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--json", action="store_true", help="one JSON line each, as always")
    asked = parser.parse_args()
    started = time.perf_counter()
    document_features(["warm"])
    script_bytes(["warm"])
    load_s = time.perf_counter() - started
    for size in asked.sizes:
        some = texts(size, max(100, asked.count * 1024 // size))
        started, busy = time.perf_counter(), time.process_time()
        document_features(some)
        features_s, features_cpu_s = time.perf_counter() - started, time.process_time() - busy
        started, busy = time.perf_counter(), time.process_time()
        script_bytes(some)
        stats_s, stats_cpu_s = time.perf_counter() - started, time.process_time() - busy
        print(json.dumps({
            "benchmark": "features", "bytes": size, "documents": len(some), "width": FEATURES,
            "features_per_s": round(len(some) / features_s),
            "features_per_cpu_s": round(len(some) / features_cpu_s),
            "token_stats_per_s": round(len(some) / stats_s),
            "token_stats_per_cpu_s": round(len(some) / stats_cpu_s),
            "load_s": round(load_s, 3),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
