"""What outcomes with token counts cost: by a table of prices, or by genai-prices."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused

Floats = NDArray[np.float64]


class NoPrice(Refused):
    """A model whose price nobody knows."""

    def __init__(self, *, model: str) -> None:
        super().__init__(
            f"there is no price for {model!r}; give one with --prices FILE "
            "(model,input_usd_per_million,output_usd_per_million), or costs as cost_usd"
        )
        self.model = model


def cost_from_tokens(
    models: Sequence[str],
    input_tokens: Floats,
    output_tokens: Floats,
    *,
    prices: Mapping[str, tuple[float, float]] | None,
) -> Floats:
    """(n,) USD for calls to *models* (n,) with so many tokens.

    Args:
        prices: USD per million input and output tokens, by model; genai-prices without it.

    Raises:
        NoPrice: a model is in neither.
    """
    known = {model: _price(model, prices) for model in sorted(set(models))}
    asked = np.array([known[model][0] for model in models])
    said = np.array([known[model][1] for model in models])
    return np.asarray((input_tokens * asked + output_tokens * said) / 1e6)


def _price(model: str, prices: Mapping[str, tuple[float, float]] | None) -> tuple[float, float]:
    if prices is not None:
        if model not in prices:
            raise NoPrice(model=model)
        return prices[model]
    from genai_prices import Usage, calc_price

    try:
        # A thousand tokens: some prices rise with the length of the prompt.
        asked = calc_price(Usage(input_tokens=1_000), model_ref=model)
        said = calc_price(Usage(output_tokens=1_000), model_ref=model)
    except LookupError:
        raise NoPrice(model=model) from None
    return float(asked.total_price) * 1_000, float(said.total_price) * 1_000
