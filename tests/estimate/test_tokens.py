"""Tokens of documents and answers, without a tokenizer."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scheduler.estimate.errors import UnknownFamily, UnknownVersion
from scheduler.estimate.features import script_bytes
from scheduler.estimate.tokens import ANY, TokenModel, Usage

PARAGRAPH = (
    "The committee met on Tuesday to consider the annual report. Members asked about the "
    "difference between the planned and the actual spending in the second quarter. "
) * 8
HAN = "委员会于星期二开会审议年度报告成员询问第二季度计划支出与实际支出之间的差额" * 8
HAN_CLASS = int(script_bytes([HAN])[0, :16].argmax())


def usage(*, tokens_per_byte: float, overhead: int, count: int) -> Usage:
    stats = script_bytes([PARAGRAPH[: 200 + 11 * at] for at in range(count)])
    size = stats[:, :16].sum(1)
    return Usage(
        stats=stats,
        family=["openai"] * count,
        offer=["x/mini"] * count,
        task=["summarize"] * count,
        input_tokens=(size * tokens_per_byte + overhead).astype(np.int64),
        output_tokens=np.full(count, 40),
    )


@pytest.mark.parametrize("family", sorted(TokenModel().families))
def test_english_prose_has_a_token_for_four_to_six_bytes(family: str) -> None:
    mean, quantile = TokenModel().input_tokens(script_bytes([PARAGRAPH]), family=family)

    assert len(PARAGRAPH) / 6.5 < mean[0] < len(PARAGRAPH) / 3.5
    assert quantile[0] > mean[0]


def test_a_document_and_its_prompt_add_up() -> None:
    together = script_bytes([PARAGRAPH]) + script_bytes(["Summarize this."])
    model = TokenModel()

    both = model.input_tokens(together, family="openai")[0]
    apart = [
        model.input_tokens(script_bytes([text]), family="openai")[0]
        for text in (PARAGRAPH, "Summarize this.")
    ]

    np.testing.assert_allclose(both, sum(apart))


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownFamily, match="openai"):
        TokenModel().input_tokens(script_bytes(["a"]), family="nope")


def test_reported_usage_corrects_the_offer_that_reported_it_and_no_other() -> None:
    reported = usage(tokens_per_byte=0.4, overhead=30, count=100)

    taught = TokenModel().learned(reported)

    mean = taught.input_tokens(reported.stats, family="openai", offer="x/mini")[0]
    np.testing.assert_allclose(mean, reported.input_tokens, rtol=0.03)
    before = TokenModel().input_tokens(reported.stats, family="openai", offer="x/other")[0]
    after = taught.input_tokens(reported.stats, family="openai", offer="x/other")[0]
    np.testing.assert_allclose(before, after, rtol=0.05)
    assert taught.families["qwen"] == TokenModel().families["qwen"]


def mixed_usage(count: int, *, per_han_byte: float, offer: str = "x/mini") -> Usage:
    """Reports of texts that are English, Chinese or both, by a tokenizer of its own mind."""
    texts = [PARAGRAPH[: 40 * (at % 9)] + HAN[: 20 * (at % 7 + 1)] for at in range(count)]
    stats = script_bytes(texts)
    rates = np.array(TokenModel().families["other"].rates)
    rates[HAN_CLASS] = per_han_byte
    return Usage(
        stats=stats,
        family=["other"] * count,
        offer=[offer] * count,
        task=["summarize"] * count,
        input_tokens=(stats @ rates).astype(np.int64),
        output_tokens=np.full(count, 40),
    )


def test_a_familys_reports_teach_what_a_script_is_worth_in_tokens() -> None:
    dear = 2 * TokenModel().families["other"].rates[HAN_CLASS]
    texts = script_bytes([HAN, PARAGRAPH])
    found = texts @ np.array(TokenModel().families["other"].rates) * np.array([2, 1])

    taught = TokenModel().learned(mixed_usage(300, per_han_byte=dear))

    mean = taught.input_tokens(texts, family="other", offer="x/mini")[0]
    np.testing.assert_allclose(mean, found, rtol=0.1)
    # Also an offer that has reported nothing: their proportion is the tokenizer's.
    mean = taught.input_tokens(texts, family="other", offer="x/new")[0]
    assert mean[0] / mean[1] == pytest.approx(found[0] / found[1], rel=0.15)


def test_learning_the_same_reports_again_changes_nothing() -> None:
    reported = mixed_usage(50, per_han_byte=0.6)
    once = TokenModel().learned(reported)

    assert once.learned(reported).families == once.families


def test_a_report_that_cannot_be_of_its_document_teaches_no_rate() -> None:
    good = mixed_usage(100, per_han_byte=0.6)
    tokens = good.input_tokens.copy()
    tokens[:3] *= 1000

    taught = TokenModel().learned(replace(good, input_tokens=tokens))

    rate = TokenModel().learned(good).families["other"].rates[HAN_CLASS]
    assert taught.families["other"].rates[HAN_CLASS] == pytest.approx(rate, rel=0.2)


def test_few_reports_move_the_answer_length_less_than_many() -> None:
    few = TokenModel().learned(usage(tokens_per_byte=0.3, overhead=0, count=2))
    many = TokenModel().learned(usage(tokens_per_byte=0.3, overhead=0, count=200))
    asked = np.array([300.0])

    def expected(model: TokenModel) -> float:
        got = model.output_tokens(asked, task="summarize", offer="x/mini", output_limit=10_000)
        return float(got[0][0])

    assert expected(TokenModel()) > expected(few) > expected(many)
    assert expected(many) == pytest.approx(40, rel=0.15)


def test_answers_never_exceed_the_limit_that_the_call_sets() -> None:
    mean, quantile = TokenModel().output_tokens(
        np.array([10.0, 1e6]), task="summarize", offer="x", output_limit=64
    )

    assert (mean <= 64).all()
    assert (quantile <= 64).all()


def test_the_reservation_quantile_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    reported = usage(tokens_per_byte=0.25, overhead=0, count=4000)
    said = np.exp(rng.normal(np.log(60), 0.5, 4000)).astype(np.int64)
    taught = TokenModel().learned(
        Usage(
            stats=reported.stats,
            family=reported.family,
            offer=reported.offer,
            task=reported.task,
            input_tokens=reported.input_tokens,
            output_tokens=said,
        )
    )

    quantile = taught.output_tokens(
        reported.input_tokens.astype(float), task="summarize", offer="x/mini", output_limit=10**6
    )[1]

    assert np.mean(said <= quantile) == pytest.approx(0.95, abs=0.015)


def test_a_model_comes_back_from_json_with_the_same_digest() -> None:
    taught = TokenModel().learned(usage(tokens_per_byte=0.4, overhead=3, count=9))

    back = TokenModel.from_dict(json.loads(json.dumps(taught.to_dict())))

    assert back == taught
    assert back.digest() == taught.digest()
    assert ("summarize", ANY) in back.answers


def test_another_format_is_refused() -> None:
    with pytest.raises(UnknownVersion):
        TokenModel.from_dict({"format": 99})
