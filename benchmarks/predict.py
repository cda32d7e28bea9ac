"""How long predictions for a whole window take: `python benchmarks/predict.py`.

Prints one JSON line: seconds for mean and lower bound of every (document, offer), and for the
factored form.  Features are held as they are stored, in half precision.
"""

import argparse
import json
import time

import numpy as np

from scheduler.estimate.features import FEATURES
from scheduler.estimate.learning import learned
from scheduler.estimate.observations import Observations


def trained(offers: int, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """A predictor that has learned from 300 documents."""
    features = rng.normal(0, 0.05, (300, FEATURES)).astype(np.float32)
    chance = 1 / (1 + np.exp(-features[:, :offers] * 40))
    return learned(
        Observations(
            features=features,
            row=np.repeat(np.arange(300), offers),
            task=["summarize"] * (300 * offers),
            offer=[f"offer-{at}" for at in range(offers)] * 300,
            score=(rng.random((300, offers)) < chance).astype(float).ravel(),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--options", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one JSON line, as always")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    predictor = trained(asked.options, rng)
    offers = [f"offer-{at}" for at in range(asked.options)]
    priors = np.full(asked.options, np.nan)
    block = rng.normal(0, 0.05, (10_000, FEATURES)).astype(np.float16)
    features = np.tile(block, (-(-asked.jobs // len(block)), 1))[: asked.jobs]
    predictor.quality(features[:1000], task="summarize", offers=offers, priors=priors)
    started, busy = time.perf_counter(), time.process_time()
    quality = predictor.quality(features, task="summarize", offers=offers, priors=priors)
    quality_s, quality_cpu_s = time.perf_counter() - started, time.process_time() - busy
    started = time.perf_counter()
    factors = predictor.factors(features, task="summarize", offers=offers, priors=priors)
    factors_s = time.perf_counter() - started
    print(json.dumps({
        "benchmark": "predict", "jobs": asked.jobs, "options": asked.options,
        "width": FEATURES, "quality_s": round(quality_s, 3),
        "quality_cpu_s": round(quality_cpu_s, 3), "factors_s": round(factors_s, 3),
        "rank": factors.left.shape[1], "mean": round(float(quality.mean.mean()), 4),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
