"""Formulas over a table's cells: what they give, and of which gap.

`relations` has what a formula says of numbers; here numbers are the cells of
columns, with their units, levels and roundings.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.mending import Values
from miri_jax.data.numbers import on_grid
from miri_jax.relations import DAY, Formula, Kind, evaluate, solve

# Of numbers with any decimals, what part of them is a rounding.
ROUNDING = 1e-6


def by_name_of(columns: Sequence[Column]) -> dict[str, Column]:
    """Columns by their names as text, which expressions have."""
    return {str(column.name): column for column in columns}


def kind_of(column: Column) -> Kind:
    """What an expression may do with a column."""
    if column.kind == "id":
        return Kind("")
    if column.levels is None:
        day = None if column.day is None else column.day / DAY
        return Kind("time" if column.kind == "datetime" else "number", (), day)
    if all(isinstance(level, bool | np.bool_) for level in column.levels):
        return Kind("truth", column.levels)
    if any(isinstance(level, str) for level in column.levels):
        return Kind("text", column.levels)
    return Kind("number", column.levels)


def cells_of(column: Column, values: np.ndarray) -> np.ndarray:
    """Values as expressions take them: times in days, levels as themselves."""
    if column.levels is None:
        return values / _scale(column)
    unknown = np.isnan(values)
    ranks = np.where(unknown, 0, values).astype(int)
    if kind_of(column).what == "text":
        levels = np.empty(len(column.levels), object)
        levels[:] = column.levels
        found = levels[ranks]
        found[unknown] = None
        return found
    levels = np.array([float(level) for level in column.levels])
    return np.where(unknown, np.nan, levels[ranks])


def env_of(by_name: Mapping[str, Column], values: Values) -> Values:
    """Values of columns as expressions take them."""
    return {name: cells_of(by_name[name], x) for name, x in values.items()}


def complete(
    by_name: Mapping[str, Column], formulas: Sequence[Formula], values: Values
) -> Values:
    """Values, NaN where unknown, with what formulas tell of them.

    Where a formula's column is known, its first operand that is not and can be
    solved for becomes what it must be; else the column becomes what the formula
    gives. Where several formulas give a cell, it is taken from the one that
    rounding leaves least open.
    """
    values = {name: x.copy() for name, x in values.items()}
    fixed = {name: ~np.isnan(x) for name, x in values.items()}
    env = env_of(by_name, values)

    def put(name: str, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        column = by_name[name]
        found = found * _scale(column)
        rows = rows & np.isfinite(found)
        found = on_grid(
            np.where(rows, found, 0.0), column.decimals, column.step
        )
        values[name][rows] = found[rows]
        env[name] = cells_of(column, values[name])
        fixed[name] |= rows
        return rows

    for name, rows, found in _surest(by_name, formulas, env, fixed):
        put(name, rows, found)
    for target, of in reversed(formulas):
        open_ = fixed[target].copy()
        for name in of.names:
            rows = open_ & ~fixed[name]
            if by_name[name].levels is None and rows.any():
                found = solve(of.tree, name, env[target], env)
                open_ &= ~put(name, rows, found)
    for target, of in formulas:
        rows = ~fixed[target]
        if rows.any():
            found = np.broadcast_to(evaluate(of.tree, env), rows.shape)
            put(target, rows, found)
    return values


def _surest(
    by_name: Mapping[str, Column],
    formulas: Sequence[Formula],
    env: Values,
    fixed: Mapping[str, np.ndarray],
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Of columns that several formulas give: where, and the surest numbers.

    Args:
      by_name: columns.
      formulas: of them.
      env: `[n]` of each, as expressions take them, NaN where unknown.
      fixed: `[n]` bool of each, True where known.
    """
    surest = []
    for name, known in fixed.items():
        ways = [f for f in formulas if name in (f.target, *f.of.names)]
        rows = np.flatnonzero(~known)
        if len(ways) < 2 or by_name[name].levels is not None or not rows.size:
            continue
        some = {other: x[rows] for other, x in env.items()}
        each = [_given(by_name, way, name, some) for way in ways]
        found, slack = map(np.array, zip(*each))
        slack[~np.isfinite(found)] = np.inf
        best = np.argmin(slack, axis=0)
        several = np.isfinite(slack).sum(axis=0) > 1
        where, numbers = np.zeros(len(known), bool), np.zeros(len(known))
        where[rows] = several
        numbers[rows] = found[best, np.arange(len(rows))]
        surest.append((name, where, numbers))
    return surest


def _given(
    by_name: Mapping[str, Column], formula: Formula, name: str, env: Values
) -> tuple[np.ndarray, np.ndarray]:
    """What a formula gives of one of its columns, and what rounding moves it.

    `[n]` each, NaN where it gives nothing.
    """
    target, (_, tree, names) = formula

    def give(env: Values) -> np.ndarray:
        if name == target:
            return np.broadcast_to(evaluate(tree, env), env[name].shape)
        return solve(tree, name, env[target], env)

    found, slack = give(env), 0.0
    for other in dict.fromkeys((target, *names)):
        half = _unit(by_name[other]) / 2
        if half and other != name:
            moved = give({**env, other: env[other] + half})
            slack = slack + np.abs(moved - found)
    return found, np.broadcast_to(np.nan_to_num(slack, nan=np.inf), found.shape)


def derived(
    by_name: Mapping[str, Column],
    formulas: Sequence[Formula],
    known: Values,
    drawn: Values,
    shared: Collection[str] = (),
) -> Values:
    """A draw of which formulas hold: one gap of each is computed, see `_order`.

    NaN where that is no number.

    Args:
      by_name: columns.
      formulas: each after those whose columns it needs.
      known: `[n]` of each column, NaN in gaps.
      drawn: `[n]` of each, read in gaps only.
      shared: columns whose draws other rows have, too: they are computed last.
    """
    values = {name: x.copy() for name, x in known.items()}
    guess = {
        name: np.where(np.isnan(x), drawn[name], x) for name, x in known.items()
    }
    for formula in reversed(formulas):
        names = tuple(dict.fromkeys((formula.target, *formula.of.names)))
        gaps = np.array([np.isnan(values[name]) for name in names])
        rows = np.flatnonzero(gaps.sum(axis=0) > 1)
        if not rows.size:
            continue
        env = env_of(by_name, {name: guess[name][rows] for name in names})
        order = _order(by_name, formula, names, gaps[:, rows], env)
        order[[name in shared for name in names]] /= 10
        last = np.argmax(order, axis=0)
        for j, name in enumerate(names):
            some = rows[gaps[j, rows] & (last != j)]
            values[name][some] = drawn[name][some]
        values = complete(by_name, formulas, values)
    # What was solved for is rounded as its column is: the formula is to hold of
    # the rounded one.
    for target, _ in formulas:
        if target not in shared:
            values[target] = known[target]
    return complete(by_name, formulas, values)


def _order(
    by_name: Mapping[str, Column],
    formula: Formula,
    names: Sequence[str],
    gaps: np.ndarray,
    env: Values,
) -> np.ndarray:
    """How gladly each column of a formula is computed from the others' draws.

    Most gladly the one whose spread reaches furthest through the formula.
    Computed from it, each of the others would have its error many times over,
    as a density has that of a drawn mass or volume. What is within its bounds
    goes before. Where the formula's own column is known, the reach counts by as
    much less as the computed number, rounded as its column is, breaks the
    formula.

    Args:
      by_name: columns.
      formula: of the columns `names`, its own first.
      names: k.
      gaps: `[k, n]` bool.
      env: `[n]` of each, as expressions take them, gaps as they were drawn.

    Returns:
      `[k, n]`, from 1 to 3, or 0: it is known, or cannot be computed.
    """
    target, (_, tree, _) = formula
    wanted, own = env[target], _spread(by_name[target])
    slack = _unit(by_name[target]) / 2 or ROUNDING * np.abs(wanted)
    order = np.zeros(gaps.shape)
    order[0] = np.where(gaps[0], 2 + _part(1.0 if own else 1e9), 0)
    for j, name in enumerate(names[1:], 1):
        column = by_name[name]
        if column.levels is not None or not gaps[j].any():
            continue
        spread, unit = _spread(column), _unit(column)
        step = spread / 10 or unit / 2 or 1
        low, high = (
            evaluate(tree, {**env, name: env[name] + h}) for h in (-step, step)
        )
        slope = np.nan_to_num(np.abs(high - low) / (2 * step))
        rounding = slope * unit / 2
        with np.errstate(divide="ignore", over="ignore"):
            off = np.where(~gaps[0] & (rounding > slack), rounding / slack, 1.0)
            reach = slope * spread / (own or 1) / off
        found = solve(tree, name, wanted, env) * _scale(column)
        inside = (found >= column.low) & (found <= column.high)
        good = 1 + inside + _part(reach)
        order[j] = np.where(gaps[j] & np.isfinite(found), good, 0)
    return order


def _part(x: np.ndarray | float) -> np.ndarray | float:
    """Ascending with x, from 0 to below 1."""
    return 1 - 1 / (1 + x)


def _spread(column: Column) -> float:
    """From the 5 % to the 95 % quantile, as expressions take it; 0: unknown."""
    if column.knots is None or column.levels is not None:
        return 0.0
    ends = np.interp((0.05, 0.95), *column.knots[:2])
    return float(ends[1] - ends[0]) / _scale(column)


def formula_holds(
    by_name: Mapping[str, Column], formula: Formula, env: Values
) -> np.ndarray:
    """1 where a formula holds within the rounding of cells, 0, NaN: unknown."""
    target, (_, tree, names) = formula
    found, wanted = evaluate(tree, env), env[target]
    slack = np.full(wanted.shape, _unit(by_name[target]) / 2)
    for name in names:
        half = _unit(by_name[name]) / 2
        if half:
            moved = [
                np.abs(evaluate(tree, {**env, name: env[name] + h}) - found)
                for h in (-half, half)
            ]
            slack = slack + np.fmax(*moved)
    slack = slack * (1 + ROUNDING) + ROUNDING * np.abs(wanted) * (
        _unit(by_name[target]) == 0
    )
    near = np.abs(found - wanted) <= slack + 1e-9 * np.abs(wanted)
    return np.where(np.isnan(found) | np.isnan(wanted), np.nan, near)


def _unit(column: Column) -> float:
    if column.levels is not None:
        return 0.0
    return column.unit / _scale(column)


def _scale(column: Column) -> float:
    """The unit of expressions in that of the column's values: days of times."""
    return DAY if column.kind == "datetime" else 1.0
