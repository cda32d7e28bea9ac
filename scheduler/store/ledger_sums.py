"""What ledger entries add up to, in SQL: every query counts them as the domain does."""

from scheduler.domain.ledger import Signs


def total(signs: Signs) -> str:
    """SQL for what a group of ledger entries adds up to, in nUSD, where each counts as *signs* say.

    >>> from scheduler.domain.ledger import EntryKind
    >>> total({EntryKind.OVERRUN: 1})
    "coalesce(sum(CASE ledger.kind WHEN 'overrun' THEN ledger.amount_nusd END), 0)"
    """
    counted = " ".join(
        f"WHEN '{kind}' THEN {'' if sign > 0 else '-'}ledger.amount_nusd"
        for kind, sign in signs.items()
    )
    return f"coalesce(sum(CASE ledger.kind {counted} END), 0)"


def of_kinds(signs: Signs) -> str:
    """SQL for whether a ledger entry counts at all."""
    return f"ledger.kind IN ({', '.join(repr(str(kind)) for kind in signs)})"
