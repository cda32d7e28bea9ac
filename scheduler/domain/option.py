"""An option: an offer with a reduction, for one job."""

from typing import NamedTuple

from scheduler.domain.job import Reduction


class Option(NamedTuple):
    """What a plan chose for a job, or its next best choice.

    Attributes:
        price_id: the dated price that the call is billed at.
        reserved_nusd: set aside for one call: its cost at the policy's quantile of output.
        output_limit: the most tokens an answer may have within that.
        input_tokens, output_tokens: expected.
        quality_ppm: predicted.
    """

    reduction: Reduction
    offer_id: int
    price_id: int
    reserved_nusd: int
    output_limit: int
    input_tokens: int
    output_tokens: int
    quality_ppm: int
