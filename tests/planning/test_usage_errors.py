"""Error figures of the estimates of tokens, cost and time."""

from datetime import UTC, datetime

import numpy as np
import pytest

from scheduler.domain.job import TEMPLATE_TOKENS, Task
from scheduler.estimate.features import script_bytes
from scheduler.estimate.latency import LatencyModel, Pace
from scheduler.estimate.tokens import AnswerLength, TokenModel
from scheduler.planning.usage_errors import latency_errors, token_errors
from scheduler.store.outcomes import Calls

COUNT = 100
STATS = script_bytes(["The council voted for the bridge. " * 20] * COUNT)
ANSWERS = AnswerLength(start=np.log(60), slope=0.0, spread=0.5)
MODEL = TokenModel(answers={("summarize", "*"): ANSWERS})
ALL = np.ones(COUNT, np.bool_)


def calls(
    *, read: float = 1.0, said: float = 1.0, seconds: float = 1.0, cost_nusd: int = 1
) -> Calls:
    """Calls that reported so many times what the model expects of them."""
    sent = MODEL.input_tokens(STATS, family="openai")[0] + TEMPLATE_TOKENS[Task.SUMMARIZE]
    mean = MODEL.output_tokens(sent, task="summarize", offer="x", output_limit=10**6)[0]
    return Calls(
        stats=STATS,
        family=["openai"] * COUNT,
        offer=["x"] * COUNT,
        task=["summarize"] * COUNT,
        input_tokens=np.round(sent * read).astype(np.int64),
        output_tokens=np.round(mean * said).astype(np.int64),
        cut=np.zeros(COUNT, np.bool_),
        seconds=np.full(COUNT, seconds),
        cost_nusd=np.full(COUNT, cost_nusd),
        input_pusd=np.full(COUNT, 0),
        output_pusd=np.full(COUNT, 1_000_000),
        at=[datetime(2026, 1, 1, tzinfo=UTC)] * COUNT,
    )


def test_an_estimate_that_is_right_is_off_by_nothing() -> None:
    found = token_errors(MODEL, calls(), ALL, level=0.95)

    assert found["loss"] == pytest.approx(0, abs=0.01)
    assert found["input_off"] == pytest.approx(0, abs=0.01)
    assert found["output_total_off"] == pytest.approx(0, abs=0.01)
    assert found["output_covered"] == 1


def test_input_and_answers_are_told_apart() -> None:
    found = token_errors(MODEL, calls(read=0.5, said=4.0), ALL, level=0.95)

    assert found["input_off"] == pytest.approx(1.0, abs=0.02)
    assert found["input_total_off"] == pytest.approx(1.0, abs=0.02)
    assert found["output_off"] == pytest.approx(3.0, abs=0.02)
    assert found["output_total_off"] == pytest.approx(-0.75, abs=0.02)
    assert found["output_covered"] == 0


def test_cost_is_by_the_prices_that_were_billed() -> None:
    mean = calls().output_tokens[0]

    found = token_errors(MODEL, calls(cost_nusd=int(mean) * 2_000), ALL, level=0.95)

    assert found["cost_total_off"] == pytest.approx(-0.5, abs=0.02)


def test_only_what_is_held_back_counts() -> None:
    some = calls()
    some.output_tokens[:50] = 1

    found = token_errors(MODEL, some, np.arange(COUNT) >= 50, level=0.95)

    assert found["output_off"] == pytest.approx(0, abs=0.01)


def test_with_nothing_held_back_there_is_no_figure() -> None:
    found = token_errors(MODEL, calls(), ~ALL, level=0.95)

    assert all(np.isnan(value) for value in found.values())


def test_a_pace_is_held_against_the_time_that_calls_took() -> None:
    model = LatencyModel(paces={"x": Pace(first_s=2.0, token_s=0.0, spread=0.1, count=9)})

    found = latency_errors(model, calls(seconds=1.0), ALL, level=0.95)
    late = latency_errors(model, calls(seconds=3.0), ALL, level=0.95)

    assert found["seconds_off"] == pytest.approx(1.0)
    assert found["seconds_total_off"] == pytest.approx(1.0)
    assert (found["covered"], late["covered"]) == (1, 0)
