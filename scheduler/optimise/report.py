"""Rows after the solve: what is used, what is left, and what one more unit would buy."""

from scheduler.domain.money import NUSD_PER_USD
from scheduler.domain.plan import PPM, Row, RowKind
from scheduler.optimise.kernels import Floats, Wholes
from scheduler.optimise.problem import COST, Objective, Problem
from scheduler.optimise.result import RowUse
from scheduler.optimise.rows import FLOORS, Rows, sums

GOODS = {
    Objective.VALUE: "of value",
    Objective.COST: "USD less cost",
    Objective.EARNINGS: "USD of earnings",
}


def row_uses(
    problem: Problem, measures: list[str], rows: Rows, prices: Floats, used: Wholes
) -> tuple[RowUse, ...]:
    """Every row of *problem*: its use in *used* (measures, groups, options), and its price."""
    priced = dict(zip(rows.names, prices.tolist(), strict=True))
    return tuple(
        _row_use(problem, row, measures, priced.get(row.name, 0.0), used) for row in problem.rows
    )


def _row_use(problem: Problem, row: Row, measures: list[str], price: float, used: Wholes) -> RowUse:
    part, whole, jobs = sums(row, measures, used)
    match row.kind:
        case RowKind.SHARE_MOST | RowKind.SHARE_LEAST:
            use, price = (PPM * part / whole if whole else 0.0), price * whole
        case RowKind.MEAN_LEAST | RowKind.MEAN_MOST:
            use, price = (part / jobs if jobs else float(row.limit)), price * jobs
        case _:
            use = float(part)
    slack = use - row.limit if row.kind in FLOORS else row.limit - use
    if row.kind is RowKind.ALL_OR_NOTHING:
        slack = use - row.limit if use else 0.0
    if row.kind in (RowKind.SHARE_MOST, RowKind.SHARE_LEAST) and not whole:
        slack = 0.0
    return RowUse(
        name=row.name,
        kind=row.kind,
        measure=row.measure,
        limit=row.limit,
        use=use,
        slack=slack,
        price=price,
        plain=_plain(problem.objective, row, price),
    )


def _plain(objective: Objective, row: Row, price: float) -> str:
    """*price* as a sentence in units that people think in."""
    if row.measure == COST and row.kind in (RowKind.MOST, RowKind.LEAST):
        unit, size = "dollar", NUSD_PER_USD
    elif row.kind in (RowKind.SHARE_MOST, RowKind.SHARE_LEAST):
        unit, size = "percentage point", PPM // 100
    elif row.measure.endswith("_ppm"):
        unit, size = "hundredth", PPM // 100
    else:
        unit, size = f"of {row.measure}", 1
    what = "one less" if row.kind in FLOORS else "one more"
    if price == 0:
        return f"{what} {unit} in {row.name} buys nothing: it does not bind"
    return f"{what} {unit} in {row.name} buys {price * size:.4g} {GOODS[objective]}"
