"""The policy's digest tells one set of figures from every other."""

import dataclasses
from collections.abc import Mapping

import pytest

from scheduler.domain.policy import Policy


def altered(value: object) -> object:
    """Another value of the same kind."""
    match value:
        case None:
            return 1
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() if value.replace(".", "").isdigit():
            return value + "1"
        case str():
            return value + "x"
        case tuple():
            return value[:-1]
        case Mapping():
            return {**value, "x": 1.0}
        case _:
            raise TypeError(value)


SPECIAL = {("judge", "scope"): "team/project"}
"""Figures that must be of a shape."""

FIGURES = [
    (group.name, figure.name)
    for group in dataclasses.fields(Policy)
    if dataclasses.is_dataclass(getattr(Policy(), group.name))
    for figure in dataclasses.fields(getattr(Policy(), group.name))
]


@pytest.mark.parametrize(("group", "figure"), FIGURES)
def test_every_figure_is_under_the_digest(group: str, figure: str) -> None:
    usual = getattr(Policy(), group)
    value = SPECIAL.get((group, figure)) or altered(getattr(usual, figure))
    other = dataclasses.replace(usual, **{figure: value})

    assert dataclasses.replace(Policy(), **{group: other}).digest() != Policy().digest()


def test_the_same_figures_have_the_same_digest() -> None:
    assert Policy().digest() == Policy().digest()
