"""The filled cells of one column in m tables, and what changes make of them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.data.columns import Column, values_of
from miri_jax.data.numbers import on_grid
from miri_jax.data.transforms import LARGEST
from miri_jax.exceptions import DataError
from miri_jax.sensitivity._changes import Change
from miri_jax.settings import did_you_mean


class Filled(NamedTuple):
    """A column of m tables.

    Attributes:
      column: its kind, bounds, decimals and levels.
      number: its place in the table.
      gaps: `[n]` bool, True where a cell was filled.
      values: m times `[n]` float64: numbers, or ranks of levels.
    """

    column: Column
    number: int
    gaps: np.ndarray
    values: Sequence[np.ndarray]


class Changed(NamedTuple):
    """What changes made of a column.

    Attributes:
      values: m times `[n]`.
      cells: how many filled cells the changes are about, in all tables.
      cut: how many of them were set to the lower and to the upper bound.
      notes: sentences on what could not be done.
    """

    values: list[np.ndarray]
    cells: int = 0
    cut: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()


def change_cells(
    filled: Filled,
    changes: Sequence[Change],
    groups: Mapping[Hashable, Filled],
    *,
    rounding: bool = True,
    seed: int = 0,
) -> Changed:
    """Changes the filled cells of a column; observed ones stay.

    Args:
      filled: the column.
      changes: of it.
      groups: the columns that changes name by `by`.
      rounding: whether numbers have the column's decimals afterwards.
      seed: of the choice of cells that take another level.

    Raises:
      DataError: on a change that does not fit the column, and an unknown level.
    """
    for change in changes:
        _check(filled.column, change)
    rows = [_rows(filled, change, groups) for change in changes]
    if filled.column.levels is None:
        return _numbers(filled, changes, rows, rounding)
    found = Changed(list(filled.values))
    for k, change in enumerate(changes):
        words = (seed, filled.number, k)
        made = _odds(filled.column, found.values, change, rows[k], words)
        found = made._replace(
            cells=found.cells + made.cells, notes=found.notes + made.notes
        )
    return found


def _numbers(
    filled: Filled,
    changes: Sequence[Change],
    rows: Sequence[Sequence[np.ndarray]],
    rounding: bool,
) -> Changed:
    """Scales and shifts, c y + d, within what is possible."""
    column = filled.column._replace(knots=None)
    made, cells, below, above = [], 0, 0, 0
    for k, values in enumerate(filled.values):
        factor, added = np.ones(len(values)), np.zeros(len(values))
        for change, where in zip(changes, rows):
            if change.what == "scale":
                factor[where[k]] *= change.amount
            else:
                added[where[k]] += change.amount
        at = np.any([where[k] for where in rows], axis=0)
        with np.errstate(over="ignore"):
            moved = factor[at] * values[at] + added[at]
        moved = np.clip(moved, -LARGEST, LARGEST)
        if rounding:
            moved = on_grid(moved, column.decimals, column.step)
            inside = values_of(column, moved[:, None])
        else:
            inside = np.clip(moved, column.low, column.high)
        cells += len(moved)
        below += int((moved < inside).sum())
        above += int((moved > inside).sum())
        new = values.copy()
        new[at] = inside
        made.append(new)
    return Changed(made, cells, (below, above))


def _odds(
    column: Column,
    values: Sequence[np.ndarray],
    change: Change,
    rows: Sequence[np.ndarray],
    words: Sequence[int],
) -> Changed:
    """Multiplies the odds of a level, see `_changes.odds`."""
    rank, factor = level_rank(column, change.level), change.amount
    cells = np.concatenate([x[at] for x, at in zip(values, rows)])
    others = cells[cells != rank]
    p = 1 - len(others) / max(len(cells), 1)
    if factor != 1 and len(cells) and not 0 < p < 1:
        level = str(column.levels[rank])
        note = (
            f"{'no' if p == 0 else 'each'} filled cell of {str(column.name)!r}"
            f" {'where the group is as said ' if change.by is not None else ''}"
            f"is {level!r}, so that its odds are the same whatever they are"
            " multiplied by"
        )
        return Changed(list(values), len(cells), notes=(note,))
    q = factor * p / (1 - p + factor * p)
    made = []
    for k, (x, at) in enumerate(zip(values, rows)):
        # The same numbers whatever the factor, so that a larger one changes
        # more cells, not others.
        u, which = np.random.default_rng((*words, k)).random((2, len(x)))
        if factor >= 1:
            to = at & (x != rank) & (u * (1 - p) < q - p)
            made.append(np.where(to, float(rank), x))
        else:
            away = at & (x == rank) & (u * p < p - q)
            new = x.copy()
            new[away] = others[(which[away] * len(others)).astype(int)]
            made.append(new)
    return Changed(made, len(cells))


def level_rank(column: Column, level: Any) -> int:
    """The rank of a level that is given as itself or as text.

    Raises:
      DataError: if the column has no such level.
    """
    levels = column.levels
    known = ", ".join(map(str, levels))[:300]
    if level is None:
        if {*levels} - {0, 1}:  # True is 1
            raise DataError(
                f"column {column.name!r} has the levels {known}; say whose odds"
                " are to be multiplied",
                about=("odds",),
            )
        level = True
    for same in (lambda a, b: a == b, lambda a, b: str(a) == str(b)):
        for rank, one in enumerate(levels):
            if same(one, level):
                return rank
    hint = did_you_mean(str(level), map(str, levels))
    raise DataError(
        f"column {column.name!r} has no level {str(level)!r}"
        f"{hint or f'; there are {known}'}"
    )


def _rows(
    filled: Filled, change: Change, groups: Mapping[Hashable, Filled]
) -> list[np.ndarray]:
    """Filled cells that a change is about, m times `[n]` bool."""
    if change.by is None:
        return [filled.gaps] * len(filled.values)
    group = groups[change.by]
    wanted = _group_value(group, change.group)
    return [filled.gaps & (x == wanted) for x in group.values]


def _group_value(group: Filled, wanted: Any) -> float:
    """The value, or rank, that rows of a group have."""
    column = group.column
    if column.levels is not None:
        return level_rank(column, wanted)
    if column.kind != "integer":
        raise DataError(
            f"column {column.name!r} is {column.kind} and makes no groups; use"
            " one of levels or of whole numbers"
        )
    try:
        number = float(wanted)
    except (TypeError, ValueError):
        number = np.nan
    if not any((x == number).any() for x in group.values):
        raise DataError(
            f"no cell of column {column.name!r} is {str(wanted)!r}; give a"
            " value that it holds"
        )
    return number


def _check(column: Column, change: Change) -> None:
    """Refuses a change that does not fit a column's kind."""
    name, kind = column.name, column.kind
    if kind == "id":
        raise DataError(
            f"column {name!r} is an id, of which no cell is filled; leave it"
            " out of the changes"
        )
    if column.levels is not None and change.what != "odds":
        raise DataError(
            f"column {name!r} is {kind}, which is no number to {change.what};"
            " multiply the odds of a level, or call it real or integer",
            about=("odds", "real", "integer"),
        )
    if kind == "datetime":
        raise DataError(
            f"column {name!r} is datetime, whose filled cells cannot be"
            " changed; give it as a number, such as days"
        )
    if column.levels is None and change.what == "odds":
        raise DataError(
            f"column {name!r} is {kind} and has no odds; shift or scale it, or"
            " call it categorical",
            about=("shift", "scale", "categorical"),
        )
