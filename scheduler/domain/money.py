"""Money as whole numbers: nUSD (1e-9 USD) for amounts, pUSD (1e-12 USD) for token prices."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

from scheduler.domain.errors import Refused

NUSD_PER_USD = 1_000_000_000
PUSD_PER_NUSD = 1_000
PUSD_PER_USD = NUSD_PER_USD * PUSD_PER_NUSD
MOST_NUSD = 2**62
"""More than four billion USD: what an amount may be at most, so that sums stay in 64 bits."""
MOST_USD = Decimal(MOST_NUSD) / NUSD_PER_USD


class BadAmount(Refused):
    """A text or number that is not an amount of money."""

    def __init__(self, amount: object) -> None:
        super().__init__(f"{amount!r} is not an amount in USD; write it like 5 or 0.25")
        self.amount = amount


def nusd_from_usd(amount: str | int | float | Decimal) -> int:
    """*amount* in USD as nUSD, rounded up.

    Raises:
        BadAmount: it is not a finite number of at least 0 and at most `MOST_NUSD`.

    >>> nusd_from_usd("0.25")
    250000000
    """
    try:
        usd = Decimal(str(amount).strip().removeprefix("$"))
    except InvalidOperation:
        raise BadAmount(amount) from None
    # Compared before it is multiplied: `1e9999999` has a product that Decimal raises Overflow for.
    if not usd.is_finite() or not 0 <= usd <= MOST_USD:
        raise BadAmount(amount)
    return int((usd * NUSD_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def usd_from_nusd(amount_nusd: int) -> Decimal:
    """*amount_nusd* in USD, exactly."""
    return Decimal(amount_nusd) / NUSD_PER_USD


def usd_text(amount_nusd: int) -> str:
    """*amount_nusd* as a person reads it: at least two decimals, and all that are not zero.

    >>> usd_text(1_500_000_000), usd_text(270_000)
    ('$1.50', '$0.00027')
    """
    sign = "-" if amount_nusd < 0 else ""
    whole, fraction = divmod(abs(amount_nusd), NUSD_PER_USD)
    return f"{sign}${whole:,}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"
