"""From logits to probabilities for whole windows, compiled."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=True)
def squashed(words, trust, novelty, plain, lift, base, unsure, safe, mean, lower):  # type: ignore[no-untyped-def]
    """Fill *mean* and *lower* (n, m) float32 from what the heads say.

    Args:
        words: (n, m) what the heads add to the middle document's logit.
        trust, novelty: (n,).
        plain, lift: (m,) logit of the offer's mean, and what the heads' centre adds to it.
        base, unsure: (m,) variance of the mean's logit, and of the heads' per unit of novelty.
        safe: standard deviations between the mean and the lower bound.
    """
    for row in range(words.shape[0]):
        for at in range(words.shape[1]):
            middle = plain[at] + trust[row] * (lift[at] + words[row, at])
            spread = np.sqrt(base[at] + trust[row] * trust[row] * novelty[row] * unsure[at])
            mean[row, at] = np.float32(1) / (np.float32(1) + np.exp(-middle))
            lower[row, at] = np.float32(1) / (np.float32(1) + np.exp(safe * spread - middle))
