"""Rows as sums over (measure, group, option): folded into prices, and read from use.

Every kind of row is one or two weighted sums held below a bound, `sum weight x use <= bound`:
a share cap, for one, is `1 000 000 x its options - limit x all options <= 0`.  A row meets a
job only through its group, its option and its measure.  So all rows' prices add up to one
table per measure, (groups x options), and a pass over the jobs costs the same for a thousand
rows as for one.
"""

from dataclasses import dataclass

import numpy as np

from scheduler.domain.plan import PPM, Row, RowKind
from scheduler.optimise.kernels import Floats, Wholes
from scheduler.optimise.problem import REQUESTS

EPS = float(np.finfo(np.float64).eps)

Part = tuple[str, int, tuple[int, ...] | None]
"""A weighted sum: the measure, the weight of one unit, and the options that count."""

FLOORS = (RowKind.LEAST, RowKind.SHARE_LEAST, RowKind.MEAN_LEAST)
"""The kinds that ask for more, and so give way by a lower limit."""


def parts_of(row: Row) -> tuple[list[Part], int]:
    """*row* as weighted sums, and the bound that they must stay below."""
    measure, limit, options = row.measure, row.limit, row.options
    match row.kind:
        case RowKind.MOST:
            return [(measure, 1, options)], limit
        case RowKind.LEAST:
            return [(measure, -1, options)], -limit
        case RowKind.SHARE_MOST:
            return [(measure, PPM, options), (measure, -limit, None)], 0
        case RowKind.SHARE_LEAST:
            return [(measure, -PPM, options), (measure, limit, None)], 0
        case RowKind.MEAN_LEAST:
            return [(measure, -1, options), (REQUESTS, limit, options)], 0
        case RowKind.MEAN_MOST:
            return [(measure, 1, options), (REQUESTS, -limit, options)], 0
    raise AssertionError(f"{row.name}: {row.kind} is not a sum below a bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows, taken apart into parts and the cells of the tables that each part reads.

    A table has one line more than there are groups: a part that counts every group reads
    that last line, which holds the sums over all of them.

    Attributes:
        names: of the rows.
        bounds: (rows,) Python integers, exact.
        row, measure, weight: (parts,) int64.
        cells: flat indices into a (measures, groups + 1, options) table, part by part.
        starts: (parts,) where each part's cells begin.
        shape: of the tables.
    """

    names: tuple[str, ...]
    bounds: tuple[int, ...]
    row: Wholes
    measure: Wholes
    weight: Wholes
    cells: Wholes
    starts: Wholes
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, rows: tuple[Row, ...], *, measures: list[str], groups: int, options: int) -> "Rows":
        """Take *rows* apart."""
        row_of, measure_of, weights, cells, bounds = [], [], [], [], []
        shape = (len(measures), groups + 1, options)
        for k, row in enumerate(rows):
            parts, bound = parts_of(row)
            bounds.append(bound)
            lines = (
                (groups,)
                if row.groups is None
                else tuple(g for g in sorted(set(row.groups)) if 0 <= g < groups)
            )
            for measure, weight, wanted in parts:
                columns = range(options) if wanted is None else sorted(set(wanted))
                row_of.append(k)
                measure_of.append(measures.index(measure))
                weights.append(weight)
                cells.append(
                    np.ravel_multi_index(
                        np.ix_([measure_of[-1]], lines, list(columns)), shape
                    ).ravel()
                )
        lengths = [len(part) for part in cells]
        return cls(
            names=tuple(row.name for row in rows),
            bounds=tuple(bounds),
            row=np.array(row_of, np.int64),
            measure=np.array(measure_of, np.int64),
            weight=np.array(weights, np.int64),
            cells=np.concatenate([*cells, np.empty(0, np.int64)]).astype(np.int64),
            starts=np.cumsum([0, *lengths])[:-1].astype(np.int64),
            shape=shape,
        )

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.bounds)

    @property
    def lengths(self) -> Wholes:
        """(parts,) how many cells each part reads."""
        return np.diff(np.append(self.starts, len(self.cells)))

    def fold(self, prices: Floats) -> Floats:
        """Rows' *prices* (rows,) as one table (measures, groups, options).

        What a part's price adds to a cell is rounded down by more than all rounding in
        the sums, so that scores at these prices are never below the true ones, and a
        bound that is computed from them is one.
        """
        each = prices[self.row] * self.weight
        lowered = each - np.abs(each) * (4 + 2 * len(self.row)) * EPS
        flat = np.bincount(
            self.cells, np.repeat(lowered, self.lengths), minlength=int(np.prod(self.shape))
        )
        table = flat.reshape(self.shape)
        return np.ascontiguousarray(table[:, :-1] + table[:, -1:])

    def use(self, used: Wholes) -> Wholes:
        """(parts,) what each part adds up to, from *used* (measures, groups, options)."""
        table = np.concatenate([used, used.sum(axis=1, keepdims=True)], axis=1)
        sums = np.concatenate([[0], np.cumsum(table.ravel()[self.cells])])
        ends = self.starts + self.lengths
        return np.asarray(sums[ends] - sums[self.starts], np.int64)

    def excess(self, used: Wholes) -> list[int]:
        """By how much each row is broken, exactly; zero or less where it is kept."""
        over = [-bound for bound in self.bounds]
        for k, weight, use in zip(self.row, self.weight, self.use(used), strict=True):
            over[k] += int(weight) * int(use)
        return over

    def by_place(self) -> tuple[Wholes, Wholes, Wholes]:
        """The cells sorted by group and option, so that a job finds its rows at once.

        Returns *begins* (groups + 1, options + 1) into *entries* (cells, 3): the row, the
        measure and the part of each cell; and which part each entry's weight is that of.
        """
        part = np.repeat(np.arange(len(self.row)), self.lengths)
        _, lines, options = self.shape
        _, line, option = np.unravel_index(self.cells, self.shape)
        place = line * options + option
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(lines * options + 1))
        begins = np.stack([ends[g * options : (g + 1) * options + 1] for g in range(lines)])
        part = part[order]
        entries = np.stack([self.row[part], self.measure[part], part], axis=1)
        return begins.astype(np.int64), np.ascontiguousarray(entries, np.int64), part


def sums(row: Row, measures: list[str], used: Wholes) -> tuple[int, int, int]:
    """What *row* adds up to in *used* (measures, groups, options).

    Its own part, the whole over all options, and how many jobs have one of its options.
    """
    groups = range(used.shape[1]) if row.groups is None else sorted(set(row.groups))
    lines = [g for g in groups if 0 <= g < used.shape[1]]
    options = slice(None) if row.options is None else sorted(set(row.options))
    table = used[measures.index(row.measure)][lines]
    jobs = used[measures.index(REQUESTS)][lines][:, options]
    return int(table[:, options].sum()), int(table.sum()), int(jobs.sum())
