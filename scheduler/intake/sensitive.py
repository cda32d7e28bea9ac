"""Signs of personal data in a document, by patterns that are checked where they can be."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.job import DataClass
from scheduler.estimate.bytescan import DIGIT

DIGITS_MIN = 8
"""Fewer digits make no card, account or social security number."""

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_CARD = re.compile(r"(?<![\d-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\d-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")


def found_classes(texts: Sequence[str], stats: NDArray[np.int32]) -> list[DataClass]:
    """How sensitive each text looks, given its byte counts *stats* (n, TOKEN_STATS) int32.

    `restricted` for a social security number, a payment card (Luhn) or an IBAN (ISO 7064),
    `confidential` for an e-mail address, `public` otherwise: nothing was found, which is no
    promise that nothing is there.
    """
    many_digits = (stats[:, DIGIT] >= DIGITS_MIN).tolist()
    return [
        DataClass.RESTRICTED
        if digits and _has_number(text)
        else DataClass.CONFIDENTIAL
        if "@" in text and _MAIL.search(text)
        else DataClass.PUBLIC
        for text, digits in zip(texts, many_digits, strict=True)
    ]


def _has_number(text: str) -> bool:
    return (
        _SSN.search(text) is not None
        or any(_is_card(found[0]) for found in _CARD.finditer(text))
        or any(_is_iban(found[0]) for found in _IBAN.finditer(text))
    )


def _is_card(spelt: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in spelt if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(spelt: str) -> bool:
    """Whether its two digits check the rest (ISO 13616, ISO 7064 MOD 97-10)."""
    plain = spelt.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(one, 36)) for one in turned)) % 97 == 1
