"""Rows that belong together, as cells: see `belonging`.

What others of a row's group, and its neighbours in time, tell of a cell stands
beside the table in columns of their own, its helpers, which every method sees
as observed. They come from observed cells alone, and never from the cell
itself. What is constant in each group is known where one cell of it is.

Beside a table stands, too, which cells are there of columns that are empty
where a condition is not met: that tells of the condition.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.belonging import (
    Process,
    Rows,
    Stated,
    away,
    choose,
    constant_by,
    filled_by,
    tell,
)
from miri_jax.data.columns import Column, block_of, starts_of
from miri_jax.data.scores import all_atoms
from miri_jax.data.transforms import Scaler

# How much a helper and its column go together, and how far beyond chance in
# units of 1 / sqrt(n), for the helper to be kept.
ALIKE, BEYOND = 0.1, 4.0
# How much what is left varies, as a share of its mean, for a helper of its own.
VARIED = 0.1
# Distances of gaps that are kept for tables to come.
DISTANCES = 64
# What signs, 1 for a cell that is there and 0 for none, are standardised by.
SIGN = (0.5, 0.5)


class Helper(NamedTuple):
    """What a column is told by.

    Attributes:
      column: which of the c columns.
      scored: whether numbers are told on the scale of their scores.
      center: `[w]`, the mean of the observed cells.
      process: how cells are alike.
      away: how far gaps are from what is observed, see `belonging.away`.
      low: `[w]`, smallest and
      high: `[w]`, largest number of an encoded helper.
      spread: mean and deviation of what is left, where that varies.
    """

    column: int
    scored: bool
    center: tuple[float, ...]
    process: Process
    away: tuple[tuple[float, float], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: tuple[float, float] | None = None


class Belonging(NamedTuple):
    """What a fit knows of rows that belong together.

    Attributes:
      stated: by which columns they do.
      constants: numbers of columns that have one value in each group.
      helpers: of columns with gaps.
      time: how times are read, where models do not see them; else None.
      signs: numbers of columns that are empty where a condition is not met.
    """

    stated: Stated
    constants: tuple[int, ...] = ()
    helpers: tuple[Helper, ...] = ()
    time: Column | None = None
    signs: tuple[int, ...] = ()


class Beside(NamedTuple):
    """What stands beside the n rows of a table.

    Attributes:
      fitted: how it is found.
      rows: which of them belong together.
      weights: `[n]`, how much each counts; None for alike.
      columns: how helpers are encoded.
      values: `[n, h]` float64, signs and helpers, encoded.
    """

    fitted: Belonging
    rows: Rows
    weights: np.ndarray | None
    columns: tuple[Column, ...]
    values: np.ndarray

    def take(self, rows: slice | np.ndarray) -> "Beside":
        """Of some of the rows; what others told of them stays."""
        group, time = self.rows
        return self._replace(
            rows=Rows(group[rows], None if time is None else time[rows]),
            weights=None if self.weights is None else self.weights[rows],
            values=self.values[rows],
        )


def constants_of(
    stated: Stated,
    rows: Rows,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
) -> tuple[int, ...]:
    """Columns with gaps that have one value in each group.

    Args:
      stated: by which columns rows belong together.
      rows: n.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
    """
    if stated.group is None:
        return ()
    return tuple(
        j
        for j, column in enumerate(columns)
        if column.kind != "id"
        and constant_by(rows.group[known[:, j]], numbers[known[:, j], j])
    )


def fill_constants(
    rows: Rows,
    constants: Sequence[int],
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
) -> tuple[str, ...]:
    """Puts what a group is known by into its gaps; in place.

    Returns:
      A sentence on each column that has got something.
    """
    notes = []
    for j in constants:
        value, there = filled_by(rows.group, numbers[:, j], known[:, j])
        new = ~known[:, j] & there
        numbers[new, j], known[new, j] = value[new], True
        left = ~known[:, j]
        if not new.any() and not left.any():
            continue
        groups = len(np.unique(rows.group[left]))
        more = f", {groups} group(s) have none and get one" if groups else ""
        notes.append(
            f"column {columns[j].name!r} has one value in each group:"
            f" {int(new.sum())} gap(s) are given by it{more}"
        )
    return tuple(notes)


def share_constants(
    beside: Beside,
    m: np.ndarray,
    columns: Sequence[Column],
    values: np.ndarray,
) -> None:
    """Gives all of a group the draw of its first row; in place.

    Args:
      beside: of the table.
      m: `[n, d]` bool, True = known.
      columns: c.
      values: `[n, d]` float64, filled, encoded.
    """
    starts = starts_of(columns)
    for j in beside.fitted.constants:
        entries = slice(starts[j], starts[j + 1])
        gaps = np.flatnonzero(~m[:, entries].all(axis=1))
        group = beside.rows.group[gaps]
        _, first, which = np.unique(
            group, return_index=True, return_inverse=True
        )
        values[gaps, entries] = values[gaps[first[which]], entries]


def fit_helpers(
    stated: Stated,
    rows: Rows,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    values: np.ndarray,
) -> tuple[Helper, ...]:
    """What columns with gaps are told by, of a table without gaps all columns.

    Args:
      stated: by which columns rows belong together.
      rows: n.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      values: `[n, d]`, encoded.
    """
    if stated.group is None and stated.time is None:
        return ()
    starts, found = starts_of(columns), []
    for j, column in enumerate(columns):
        seen = known[:, j]
        named = str(column.name) in (stated.time, stated.weights)
        if not column.width or named or (seen.all() and not known.all()):
            continue
        block = values[:, starts[j] : starts[j + 1]]
        if len(np.unique(block[seen], axis=0)) < 2:
            continue
        helper = _fit_helper(j, column, rows, numbers[:, j], seen, block)
        if helper is not None:
            found.append(helper)
    return tuple(found)


def _fit_helper(
    j: int,
    column: Column,
    rows: Rows,
    numbers: np.ndarray,
    seen: np.ndarray,
    block: np.ndarray,
) -> Helper | None:
    far = away(rows, seen, DISTANCES)
    away_ = tuple(map(tuple, far.tolist()))
    low, high = block[seen].min(axis=0), block[seen].max(axis=0)
    room = 0.2 * (high - low)
    ends = tuple((low - room).tolist()), tuple((high + room).tolist())
    best, least = None, np.inf
    for scored in (False, True) if _has_scale(column) else (True,):
        given = block if scored else numbers[:, None]
        center = given[seen].mean(axis=0)
        process = choose(rows, given, seen, center, far)
        helper = Helper(
            j, scored, tuple(center.tolist()), process, away_, *ends
        )
        told, spread = _encoded_helper(
            helper, column, rows, numbers, seen, block
        )
        error = np.mean((told - block)[seen] ** 2)
        if error < least:
            best, least = (helper, told, spread), error
        if rows.time is not None:  # where two would take twice as long
            break
    helper, told, spread = best
    if _alike(told[seen], block[seen]) < max(
        ALIKE, BEYOND / np.sqrt(seen.sum())
    ):
        return None
    if spread.std() > VARIED * spread.mean():
        ends = float(spread.mean()), float(spread.std())
        helper = helper._replace(spread=ends)
    return helper


def _has_scale(column: Column) -> bool:
    """Whether a column has numbers that scores are another scale of."""
    if column.levels is not None or column.knots is None:
        return False
    return not all_atoms(column.knots)


def _alike(told: np.ndarray, block: np.ndarray) -> float:
    """How much the entries of a block go with what they are told by."""
    a, b = told - told.mean(axis=0), block - block.mean(axis=0)
    size = np.sqrt(np.sum(a**2) * np.sum(b**2))
    return float(np.sum(a * b) / size) if size > 0 else 0.0


def _encoded_helper(
    helper: Helper,
    column: Column,
    rows: Rows,
    numbers: np.ndarray,
    seen: np.ndarray,
    block: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A helper as imputers see it, `[n, w]`, and what it leaves, `[n]`."""
    given = block if helper.scored else numbers[:, None]
    told, spread = tell(
        rows,
        given,
        seen,
        np.array(helper.center),
        np.array(helper.away),
        helper.process,
    )
    if not helper.scored:
        told = block_of(column, told[:, 0])
    return np.clip(told, helper.low, helper.high), spread


def beside(
    fitted: Belonging,
    rows: Rows,
    weights: np.ndarray | None,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    values: np.ndarray,
) -> Beside:
    """What stands beside a table, by what a fit knows.

    Args:
      fitted: of this table or an earlier one.
      rows: n.
      weights: `[n]`, or None.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      values: `[n, d]`, encoded.
    """
    starts, blocks = starts_of(columns), [known[:, list(fitted.signs)]]
    for helper in fitted.helpers:
        j = helper.column
        block = values[:, starts[j] : starts[j + 1]]
        told, spread = _encoded_helper(
            helper, columns[j], rows, numbers[:, j], known[:, j], block
        )
        blocks.append(told)
        if helper.spread is not None:
            blocks.append(spread[:, None])
    return Beside(
        fitted,
        rows,
        weights,
        helper_columns(fitted, columns),
        np.concatenate(blocks, axis=1),
    )


def helper_columns(
    fitted: Belonging | None, columns: Sequence[Column]
) -> tuple[Column, ...]:
    """The columns that signs and helpers are encoded as, one a number."""
    if fitted is None:
        return ()
    found = [
        Column(f"{columns[j].name}, whether it is there", "real")
        for j in fitted.signs
    ]
    for helper in fitted.helpers:
        column = columns[helper.column]
        knots = None if helper.scored else column.knots
        found += [
            Column(f"{name}, by its like", "real", knots=knots)
            for name in column.encoded_names
        ]
        if helper.spread is not None:
            found.append(Column(f"{column.name}, how well told", "real"))
    return tuple(found)


def told_by(
    fitted: Belonging | None, columns: Sequence[Column]
) -> tuple[int, ...]:
    """Of each of the d + h entries the one that tells it, -1 for none.

    Nothing at all where no entry has one.
    """
    if fitted is None or not fitted.helpers:
        return ()
    starts = starts_of(columns)
    here = int(starts[-1]) + len(fitted.signs)
    found = np.full(here, -1)
    for helper in fitted.helpers:
        entries = range(starts[helper.column], starts[helper.column + 1])
        found[list(entries)] = range(here, here + len(entries))
        here += len(entries) + (helper.spread is not None)
    return (*found.tolist(), *(-1,) * (here - len(found)))


def with_helpers(
    scaler: Scaler, fitted: Belonging | None, columns: Sequence[Column]
) -> Scaler:
    """The scale of `[d + h]` entries: a helper has that of what it tells."""
    if fitted is None:
        return scaler
    starts, parts = starts_of(columns), [np.stack(scaler)]
    parts.append(np.tile(np.array(SIGN)[:, None], len(fitted.signs)))
    for helper in fitted.helpers:
        entries = slice(starts[helper.column], starts[helper.column + 1])
        parts.append(parts[0][:, entries])
        if helper.spread is not None:
            parts.append(np.array(helper.spread)[:, None])
    return Scaler(*np.concatenate(parts, axis=1))


def to_plain(fitted: Belonging | None) -> Any:
    """What JSON can hold."""
    if fitted is None:
        return None
    helpers = [
        helper._asdict() | {"process": list(helper.process)}
        for helper in fitted.helpers
    ]
    return {
        "stated": fitted.stated._asdict(),
        "constants": list(fitted.constants),
        "helpers": helpers,
        "time": fitted.time and [fitted.time.name, fitted.time.kind],
        "signs": list(fitted.signs),
    }


def from_plain(content: Any) -> Belonging | None:
    """The inverse of `to_plain`."""
    if content is None:
        return None
    tuples = lambda x: tuple(map(tuples, x)) if isinstance(x, list) else x
    helpers = []
    for one in content["helpers"]:
        one = {name: tuples(value) for name, value in one.items()}
        helpers.append(Helper(**(one | {"process": Process(*one["process"])})))
    return Belonging(
        Stated(**content["stated"]),
        tuple(content["constants"]),
        tuple(helpers),
        content["time"] and Column(*content["time"]),
        tuple(content["signs"]),
    )
