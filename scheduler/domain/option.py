"""An option: an offer with a reduction, for one job."""

from dataclasses import dataclass

from scheduler.domain.job import Reduction


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a plan chose for a job, or its next best choice.

    Attributes:
        price_id: the dated price that the call is billed at.
        reserved_nusd: set aside for one call: its cost at the policy's quantile of output.
        output_limit: the most tokens an answer may have within that.
        input_tokens, output_tokens: expected.
        quality_ppm: predicted.
    """

    offer_id: int
    price_id: int
    reduction: Reduction
    reserved_nusd: int
    output_limit: int
    input_tokens: int
    output_tokens: int
    quality_ppm: int
