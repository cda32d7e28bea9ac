"""Which items are learned from, and which are planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.errors import Refused

LEAST_PER_GROUP: Final = 3.0
LEAST_GROUPS: Final = 4


class BadSplit(Refused):
    """A split that the items cannot be split by."""

    def __init__(self, *, split: str, reason: str) -> None:
        super().__init__(
            f"--split {split}: {reason}; write random, group:COLUMN, or column:COLUMN "
            "with the values train and test"
        )
        self.split = split
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Items to learn from and items to plan, as places among all items.

    Attributes:
        groups: of every item, what it shares with others, where that is known.
        grouped_by: the column that the groups are of; empty without groups.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: tuple[str, ...] | None
    grouped_by: str = ""


def split_items(
    split: str,
    *,
    count: int,
    columns: Mapping[str, Sequence[str]],
    known: NDArray[np.bool_],
    train_share: float,
    seed: int,
) -> Split:
    """Split *count* items as *split* says.

    Args:
        columns: of the items, for `group:` and `column:`.
        known: (count,) whether an item has any outcome; without one it is never learned from.

    Raises:
        BadSplit: the column is not there, or one side would be empty.
    """
    kind, _, name = split.partition(":")
    rng = np.random.default_rng(seed)
    if kind == "random" and not name:
        order = rng.permutation(count)
        is_train = np.zeros(count, np.bool_)
        is_train[order[: round(count * train_share)]] = True
        groups, grouped_by = None, ""
    elif kind == "group" and name in columns:
        groups, grouped_by = tuple(columns[name]), name
        is_train = _whole_groups(groups, train_share=train_share, rng=rng)
    elif kind == "column" and name in columns:
        is_train = _as_told(split, columns[name])
        others = {key: values for key, values in columns.items() if key != name}
        grouped_by = _apart(others, is_train)
        groups = tuple(others[grouped_by]) if grouped_by else None
    else:
        have = ", ".join(columns) or "none"
        raise BadSplit(split=split, reason=f"the items' further columns are: {have}")
    train, test = np.flatnonzero(is_train & known), np.flatnonzero(~is_train)
    if not len(train) or not len(test):
        raise BadSplit(split=split, reason="one side of it has no items")
    return Split(train=train, test=test, groups=groups, grouped_by=grouped_by)


def _whole_groups(
    groups: Sequence[str], *, train_share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Groups drawn one by one into training until it has its share; at least one stays out."""
    names, at = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(at)
    chosen = np.zeros(len(names), np.bool_)
    order = rng.permutation(len(names))
    for group in order[:-1]:
        if sizes[chosen].sum() >= len(at) * train_share:
            break
        chosen[group] = True
    return np.asarray(chosen[at])


def _as_told(split: str, values: Sequence[str]) -> NDArray[np.bool_]:
    odd = sorted(set(values) - {"train", "test"})
    if odd:
        raise BadSplit(split=split, reason=f"{odd[0]!r} is neither train nor test")
    return np.array([value == "train" for value in values])


def _apart(columns: Mapping[str, Sequence[str]], is_train: NDArray[np.bool_]) -> str:
    """The column by which the two sides are apart, as groups never seen are; or nothing.

    Where the test items' customers, say, are none of the training items', what is learned
    must be tried on customers never seen, though nobody said so.  Of several such columns
    the coarsest is taken that still has `LEAST_GROUPS` groups to learn from, or the finest.
    """
    found = []
    for name, values in columns.items():
        column = np.asarray(values)
        ours, theirs = set(column[is_train].tolist()), set(column[~is_train].tolist())
        enough = len(ours) * LEAST_PER_GROUP <= is_train.sum()
        if not ours & theirs and enough:
            found.append((len(ours), name))
    many = [one for one in found if one[0] >= LEAST_GROUPS]
    return min(many)[1] if many else max(found, default=(0, ""))[1]
