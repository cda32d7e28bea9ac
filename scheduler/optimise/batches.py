"""Rows that are all or nothing: each is either shut or met, and the two are tried.

A provider's batch below its least size cannot be sent.  Left open, such a row is ignored,
which can only raise the bound; where the plan then lies between nothing and the least size,
the search goes both ways: with the row's options closed (or its use held to nothing, where an
option may use nothing), and with its least size as a floor.  (Branch and bound.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.plan import Row, RowKind
from scheduler.optimise import kernels
from scheduler.optimise.columns import Columns
from scheduler.optimise.kernels import Floats
from scheduler.optimise.problem import REQUESTS, Tariff
from scheduler.optimise.rows import sums
from scheduler.optimise.search import Found, Limits, Search

NODES_MOST = 64

Closed = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of the search: some rows shut, some met, the others open.

    Attributes:
        bound: no plan of this part is worth more, as far as its parent knows.
        prices: by row name, where to start from.
    """

    shut: frozenset[str] = frozenset()
    met: frozenset[str] = frozenset()
    bound: float = np.inf
    prices: Mapping[str, float] = field(default_factory=dict)


def branch(
    columns: Columns,
    rows: tuple[Row, ...],
    *,
    limits: Limits,
    seed: int,
    prices: Mapping[str, float] | None = None,
) -> tuple[Found, Closed | None]:
    """The best plan that keeps every row, and which options its prices were found without.

    *prices*, by row, are where to start from, if some are known.
    """
    firm = tuple(row for row in rows if row.kind is not RowKind.ALL_OR_NOTHING)
    batches = {row.name: row for row in rows if row.kind is RowKind.ALL_OR_NOTHING}
    known = prices or {}
    if not batches:
        search = Search(columns, firm, closed=None, limits=limits, seed=seed)
        return search.run(starting(firm, known)), None
    tree = _Tree(columns, firm, batches, limits=limits, seed=seed, root=Node(prices=known))
    tree.grow()
    return tree.answer()


class _Tree:
    """The search over which of the all-or-nothing rows are shut."""

    def __init__(
        self,
        columns: Columns,
        firm: tuple[Row, ...],
        batches: dict[str, Row],
        *,
        limits: Limits,
        seed: int,
        root: Node,
    ) -> None:
        self._columns = columns
        self._firm = firm
        self._batches = batches
        self._porous = {name for name, row in batches.items() if _may_be_nothing(columns, row)}
        self._limits = limits
        self._seed = seed
        self._nodes = [root]
        self._best: tuple[Found, Closed | None] | None = None
        self._relaxed: tuple[Found, Closed | None] | None = None
        self._bound = -np.inf

    def grow(self) -> None:
        """Search until nothing is open that could be better, or the limits are reached."""
        for count in range(NODES_MOST):
            if not self._nodes or (count and not self._limits.timely()):
                break
            node = self._nodes.pop()
            if node.bound > self._value:
                self._visit(node)
        if self._best is None and self._nodes:
            # Out of time without a plan: one without any batch is tried before giving up.
            self._visit(Node(shut=frozenset(self._batches)))

    def answer(self) -> tuple[Found, Closed | None]:
        """The best plan, with the bound over everything that was, and was not, searched."""
        bound = max([self._bound, *(node.bound for node in self._nodes)])
        best = self._best or self._relaxed
        assert best is not None, "the first node is always visited"
        found, closed = best
        if self._best is None:
            return replace(found, plan=None, value=-np.inf, bound=bound), closed
        return replace(found, bound=max(bound, found.value)), closed

    @property
    def _value(self) -> float:
        return -np.inf if self._best is None else self._best[0].value

    def _visit(self, node: Node) -> None:
        floors = tuple(
            replace(self._batches[name], kind=RowKind.LEAST) for name in sorted(node.met)
        )
        # A choice that uses nothing of a measure may stay where the row is shut.
        lids = tuple(
            replace(self._batches[name], kind=RowKind.MOST, limit=0)
            for name in sorted(node.shut & self._porous)
        )
        closed = self._closed(node)
        rows = (*self._firm, *floors, *lids)
        search = Search(self._columns, rows, closed=closed, limits=self._limits, seed=self._seed)
        found = search.run(starting(rows, node.prices))
        if self._relaxed is None:
            self._relaxed = (found, closed)
        bound = min(node.bound, found.bound)
        undecided = self._undecided(found, node)
        if undecided is None:
            self._bound = max(self._bound, bound)
            if found.plan is not None and found.value > self._value:
                self._best = (found, closed)
            return
        name, share = undecided
        prices = dict(zip(found.rows.names, found.point.prices.tolist(), strict=True))
        shut = Node(shut=node.shut | {name}, met=node.met, bound=bound, prices=prices)
        met = Node(shut=node.shut, met=node.met | {name}, bound=bound, prices=prices)
        self._nodes.extend((shut, met) if share > 0.5 else (met, shut))

    def _undecided(self, found: Found, node: Node) -> tuple[str, float] | None:
        """The open row that the plan is furthest from keeping; how much of it is there."""
        if found.plan is None:
            open_rows = [name for name in self._batches if name not in node.shut | node.met]
            # No plan was found, and none is ruled out: deciding a row may help.
            return (open_rows[0], 0.0) if open_rows and found.bound > -np.inf else None
        worst, missing = None, 0.0
        for name, row in self._batches.items():
            use, _, _ = sums(row, self._columns.measures, found.used)
            if 0 < use < row.limit and min(use, row.limit - use) / row.limit > missing:
                missing = min(use, row.limit - use) / row.limit
                worst = (name, use / row.limit)
        return worst

    def _closed(self, node: Node) -> Closed | None:
        shut = node.shut - self._porous
        if not shut:
            return None
        closed = np.zeros((self._columns.group_count, self._columns.m), np.bool_)
        for name in shut:
            row = self._batches[name]
            groups = range(self._columns.group_count) if row.groups is None else row.groups
            options = range(self._columns.m) if row.options is None else row.options
            inside = [g for g in groups if 0 <= g < self._columns.group_count]
            closed[np.ix_(inside, list(options))] = True
        return closed


def _may_be_nothing(columns: Columns, row: Row) -> bool:
    """Whether a choice may count for *row* and use nothing of it."""
    given = columns.problem.measures.get(row.measure)
    if given is None:
        return row.measure != REQUESTS
    return isinstance(given, Tariff) or not given.size or int(kernels.extremes(given)[0]) == 0


def starting(rows: tuple[Row, ...], prices: Mapping[str, float]) -> Floats | None:
    """(rows,) the prices to start from; None where none is known."""
    if not prices:
        return None
    return np.array([prices.get(row.name, 0.0) for row in rows])
