"""Rows that no draw brought right: the nearest values that keep a relation.

What a bound is to a number that is drawn outside it, a comparison is to one of
its columns: the value at which it is just met. It is the last resort, for rows
that hardly any draw brings right and for methods that draw but once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.numbers import on_grid
from miri_jax.relations import (
    COMPARISONS,
    DAY,
    Call,
    Expression,
    Text,
    evaluate,
    names_in,
    solve,
)

Values = dict[str, np.ndarray]
# Levels that are tried one by one at most, and what is a step of numbers that
# have no decimals, in their spread.
MOST_LEVELS, STEP = 24, 1e-5


def mended(
    by_name: Mapping[str, Column],
    trees: Sequence[Expression],
    drawn: Values,
    gaps: Mapping[str, np.ndarray],
    env: Callable[[Values, np.ndarray], Values],
    wrong: Callable[[Values, np.ndarray, str | None], np.ndarray],
) -> Values:
    """Drawn values with single ones replaced, so that rows are right.

    Args:
      by_name: the columns.
      trees: of the conditions.
      drawn: `[k]` by column.
      gaps: `[k]` bool by column, what may be replaced.
      env: values of some rows, and which they are, `[r]`: completed, as
        expressions take them.
      wrong: how many relations each of some rows breaks, `[r]`, of all or of
        those that a column has a part in.
    """
    drawn = {name: x.copy() for name, x in drawn.items()}
    taken = lambda rows: {name: x[rows] for name, x in drawn.items()}
    count = wrong(drawn, np.arange(len(next(iter(drawn.values())))), None)
    aside = {name: np.zeros(len(count), bool) for name in drawn}

    def replace(tree: Expression, *, every: bool, on: bool) -> bool:
        """Cells by one condition; `on` where that only moves a fault on."""
        rows, changed = np.flatnonzero(count > 0), False
        if not rows.size:
            return changed
        values = env(taken(rows), rows)
        unmet = every | np.broadcast_to(evaluate(tree, values) != 1, rows.shape)
        rows = rows[unmet]
        if not rows.size:
            return changed
        values = {name: x[unmet] for name, x in values.items()}
        for name, found in _candidates(by_name, tree, values):
            some = (count[rows] > 0) & gaps[name][rows] & np.isfinite(found)
            some &= ~(on & aside[name][rows])
            here = rows[some]
            if not here.size:
                continue
            trial = taken(here)
            before = wrong(trial, here, name)
            trial[name] = found[some]
            gain = before - wrong(trial, here, name)
            better = gain > 0
            if on:
                met = evaluate(tree, env(trial, here)) == 1
                better |= (gain == 0) & met
                aside[name][here[better]] = True
            drawn[name][here[better]] = trial[name][better]
            count[here[better]] -= gain[better]
            changed |= bool(better.any())
        return changed

    # Twice, as one replaced may break another relation: by the conditions that
    # a row breaks, and what that does not bring right by all, as bounds of what
    # is computed are no conditions.
    for every in (False, False, True, True):
        for tree in trees:
            replace(tree, every=every, on=False)
    # Of a chain, as a <= b <= c <= d with gaps in b and c, one cell after the
    # other has to give way, each no more than once.
    while any([replace(tree, every=False, on=True) for tree in trees]):
        pass
    return drawn


def _candidates(
    by_name: Mapping[str, Column], tree: Expression, env: Values
) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of a condition, and values at which it may be met."""
    size = np.shape(next(iter(env.values())))
    for name in names_in(tree):
        levels = by_name[name].levels
        if levels is not None and len(levels) <= MOST_LEVELS:
            for rank in range(len(levels)):
                yield name, np.full(size, float(rank))
    for part in _comparisons(tree):
        a, b = part.args
        between = Call("+", (a, Call("neg", (b,))))
        for name in names_in(part):
            column = by_name[name]
            if column.levels is not None:
                continue
            edge = solve(between, name, np.zeros(size), env)
            if column.kind == "datetime":
                edge = edge * DAY
            step = column.unit or STEP * _size(column, edge)
            # Scores are of single precision, so that no number without
            # decimals comes back at the very edge.
            for k in (0, 1, -1) if column.unit else (1, -1):
                near = np.nan_to_num(edge + k * step)
                near = on_grid(near, column.decimals, column.step)
                yield name, np.where(np.isfinite(edge), near, np.nan)


def _size(column: Column, edge: np.ndarray) -> float | np.ndarray:
    """What numbers of a column spread over."""
    if column.knots is None:
        return np.maximum(np.abs(edge), 1)
    return column.knots.values[-1] - column.knots.values[0]


def _comparisons(tree: Expression) -> Iterator[Call]:
    if isinstance(tree, Call) and tree.what in COMPARISONS:
        if not any(isinstance(x, Text) for x in tree.args):
            yield tree
    elif isinstance(tree, Call):
        for part in tree.args:
            yield from _comparisons(part)
