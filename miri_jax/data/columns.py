"""Columns of any type as numbers that imputers see, and back.

    kind         inside                           comes back as
    real         its normal score                 number within bounds
    integer      likewise                         whole number within bounds
    datetime     that of seconds since 1970       time
    ordinal      that of the rank of its level    level
    boolean      0 or 1                           level
    categorical  0/1 for each level, or a point   level
    id           nothing                          as it came

`detecting` states how a kind is found where none is given. Of a few cells
numbers and times have no scores and stay numbers. Levels come back by the
nearest code among those of levels that exist, so that no value is ever made up.

Three scales: *cells* as they came; *values* `[n]` float64, numbers, seconds or
ranks of levels; *blocks* `[n, width]`, what imputers see.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data import codes
from miri_jax.data.bounds import find_bounds, may_bound
from miri_jax.data.calendars import (
    CLOCK,
    Calendar,
    day_of,
    on_calendar,
    on_day,
)
from miri_jax.data.cells import to_numbers
from miri_jax.data.codes import LEVEL_KINDS
from miri_jax.data.detecting import Found, check_times, detect
from miri_jax.data.numbers import digits, mean_of, on_grid
from miri_jax.data.scores import (
    Knots,
    fit_atoms,
    fit_scores,
    from_scores,
    to_scores,
)
from miri_jax.exceptions import DataError
from miri_jax.settings import no_column

KINDS = (
    "real",
    "integer",
    "datetime",
    "ordinal",
    "boolean",
    "categorical",
    "id",
)
# Seconds of a day, an hour, a minute and a second: what times may be full of.
STEPS = (86400, 3600, 60, 1)


class Column(NamedTuple):
    """How one column is turned into numbers and back.

    Attributes:
      name: as in the header.
      kind: one of `KINDS`.
      levels: what a level comes back as, in order; None for other kinds.
      low: smallest and
      high: largest number that an imputed cell may have, by what the user or
        the column's type says; infinite where nothing does.
      decimals: digits after the point that its numbers have; None for any.
      step: seconds that its times are whole multiples of; None for any.
      knots: of its normal scores, where it has them.
      book: the point of each level, where it has learnt ones.
      offsets: of the levels, see `codes.fit_offsets`; None for none.
      calendar: the grid that its times lie on, where it is more than a step.
      day: when the day of a clock's times begins, see `calendars.day_of`; None
        of times with dates.
      why: it is of this kind, in words.
      other: the kind that it may be instead, in doubt; "" for none.
      censored: whether its gaps are known to lie beyond a limit.
    """

    name: Hashable
    kind: str
    levels: tuple[Any, ...] | None = None
    low: float = -math.inf
    high: float = math.inf
    decimals: int | None = None
    step: int | None = None
    knots: Knots | None = None
    book: tuple[tuple[float, ...], ...] | None = None
    offsets: tuple[float, ...] | None = None
    calendar: Calendar | None = None
    day: float | None = None
    why: str = ""
    other: str = ""
    censored: bool = False

    @property
    def coded(self) -> bool:
        """Whether its levels have codes, not ranks."""
        return self.levels is not None and self.kind != "ordinal"

    @property
    def one_hot(self) -> bool:
        """Whether each level has a number to itself."""
        return self.coded and codes.is_one_hot(self.kind, len(self.levels))

    @property
    def width(self) -> int:
        """How many numeric columns imputers see for it."""
        if self.kind == "id":
            return 0
        if not self.coded:
            return 1
        if self.book is not None:
            return len(self.book[0])
        return codes.code_width(self.kind, len(self.levels))

    @property
    def unit(self) -> float:
        """What its numbers are whole multiples of; 0 for nothing."""
        return unit_of(self.step, self.decimals)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of its numeric columns."""
        if self.width == 1:
            return (str(self.name),)
        if self.one_hot:
            return tuple(f"{self.name}={level}" for level in self.levels)
        part = "bit" if self.book is None else "coordinate"
        return tuple(f"{self.name}, {part} {k}" for k in range(self.width))


def unit_of(step: int | None, decimals: int | None) -> float:
    """What numbers of a step, or of some decimals, are whole multiples of."""
    if step:
        return float(step)
    return 0.0 if decimals is None else 0.1**decimals


def fit_column(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    *,
    kind: str | None = None,
    bounds: tuple[float | None, float | None] | None = None,
    levels: Sequence[Any] | None = None,
    decimals: int | None = None,
    text: bool = False,
) -> Column:
    """How a column is to be turned into numbers.

    The observed extremes bound nothing: what is missing may lie beyond. A
    column that holds one value only, but for rounding, is filled with it.

    Args:
      name: of the column, for messages.
      values: `[n]`, of any type; not read where missing.
      missing: `[n]` bool, True where a cell is a gap.
      kind: one of `KINDS`; None for `detect`.
      bounds: smallest and largest number that an imputed cell may have, or
        time or duration; None in place of one for no bound but the type's.
      levels: the levels in order, of an ordinal column.
      decimals: digits after the point of imputed numbers; None for as many as
        the observed ones need (any number of them from 8 on).
      text: whether the cells came as text and are written as such.

    Returns:
      The `Column`.

    Raises:
      DataError: naming the column and the remedy.
    """
    found = Found(kind or "ordinal", "as was said")
    if kind is None and levels is None:
        found = detect(name, values, missing)
    column = _fitted(
        name, values, missing, found, bounds, levels, decimals, text
    )
    why = found.why if column.day is None else "times of the day"
    return column._replace(why=why, other=found.other)


def _fitted(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    found: Found,
    bounds: tuple[float | None, float | None] | None,
    levels: Sequence[Any] | None,
    decimals: int | None,
    text: bool,
) -> Column:
    """See `fit_column`."""
    kind = found.kind
    if kind not in KINDS:
        raise DataError(
            f"column {name!r} cannot be {kind!r}; use one of {', '.join(KINDS)}"
        )
    if bounds is not None and not may_bound(kind, bounds):
        raise DataError(
            f"column {name!r} is {kind} and has no bounds; leave them out, or"
            " call it real or integer",
            about=("real", "integer"),
        )
    if levels is not None and kind != "ordinal":
        raise DataError(
            f"column {name!r} is {kind}, but has an order of levels; call it"
            " ordinal or leave the order out"
        )
    if kind == "id":
        return Column(name, kind)
    if kind in LEVEL_KINDS:
        known = codes.find_levels(name, values, missing, kind, levels)
        return _with_levels(Column(name, kind, levels=known), values, missing)
    if kind == "datetime":
        check_times(name, values, missing)
    numbers = to_numbers(name, values, missing)[~missing]
    if kind == "integer" and not np.all(numbers == np.round(numbers)):
        odd = numbers[numbers != np.round(numbers)][0]
        raise DataError(
            f"column {name!r} is to be integer, but holds {odd:g}; call it"
            " real",
            about=("real",),
        )
    if kind != "real":
        decimals = 0 if kind == "integer" else None
    elif decimals is None:
        decimals = digits(numbers)
    step = knots = day = None
    if kind == "datetime":
        day = day_of(numbers)
        numbers = on_day(numbers, day)
        whole = [s for s in STEPS if not np.any(np.mod(numbers, s))]
        step = whole[0] if whole else None
    low, high = find_bounds(
        name,
        values,
        missing,
        numbers,
        kind=kind,
        given=bounds,
        step=step,
        day=day,
        text=text,
    )
    if low < high and found.codes:
        knots = fit_atoms(*np.unique(numbers, return_counts=True))
    elif low < high:
        knots = fit_scores(numbers, low, high, unit_of(step, decimals))
    return Column(name, kind, None, low, high, decimals, step, knots, day=day)


def _with_levels(
    column: Column, values: pd.Series, missing: np.ndarray
) -> Column:
    """A column of levels with what makes them as frequent as observed."""
    count = len(column.levels)
    ranks, _ = read(column, values, missing)
    counts = np.bincount(ranks[~missing].astype(int), minlength=count)
    if column.coded:
        if count > codes.MAX_ONE_HOT:
            return column
        offsets = codes.fit_code_offsets(column.kind, counts)
        return column._replace(offsets=tuple(offsets.tolist()))
    if count == 1:
        return column
    # A level that was never observed has the place of half a cell.
    return column._replace(
        knots=fit_atoms(np.arange(count), np.maximum(counts, 0.5))
    )


def starts_of(columns: Sequence[Column]) -> np.ndarray:
    """Where each of c columns begins among the d numbers, and d: `[c + 1]`."""
    return np.cumsum([0] + [column.width for column in columns])


def read(
    column: Column, cells: pd.Series, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A column's cells as values.

    Args:
      column: how.
      cells: `[n]`, of any type; not read where missing.
      missing: `[n]` bool.

    Returns:
      `[n]` float64, 0 where there is none, and `[n]` bool, True where a level
      is not among those of the fit, which is 0 as well.

    Raises:
      DataError: naming the column, where a cell is no number but should be.
    """
    none = np.zeros(len(cells), bool)
    if column.kind == "id":
        return np.zeros(len(cells)), none
    if column.levels is None:
        return on_day(to_numbers(column.name, cells, missing), column.day), none
    ranks = pd.Index(column.levels, dtype=object).get_indexer(
        pd.Index(cells.astype(object), dtype=object)
    )
    ranks = np.where(missing, -1, ranks)
    return np.maximum(ranks, 0).astype(np.float64), (ranks < 0) & ~missing


def block_of(
    column: Column, values: np.ndarray, place: float | np.ndarray = 0.5
) -> np.ndarray:
    """Values as imputers see them, the inverse of `values_of`.

    Args:
      column: how.
      values: `[n]` float64: numbers, seconds, ranks of levels.
      place: in (0, 1), `[n]` or for all: where in the interval of a value that
        occurs often its score is.

    Returns:
      `[n, width]` float64.
    """
    if column.kind == "id":
        return np.zeros((len(values), 0))
    if column.coded:
        return _book(column)[values.astype(int)]
    if column.knots is not None:
        values = to_scores(column.knots, values, place)
    return values[:, None]


def values_of(column: Column, block: np.ndarray) -> np.ndarray:
    """The values `[n]` float64 that a block `[n, width]`, finite, stands for.

    Ranks of levels; numbers with their decimals, and seconds with their step,
    where one beyond a bound becomes the nearest inside: the last resort, as a
    draw should lie within `limits` before.
    """
    if column.kind == "id":
        return np.zeros(len(block))
    if column.coded:
        offsets = np.array(column.offsets or [0.0] * len(column.levels))
        found = codes.nearest_code(_book(column), offsets, block)
        return found.astype(np.float64)
    values = block[:, 0]
    if column.knots is not None:
        values = from_scores(column.knots, values)
    if column.levels is not None:
        return np.clip(np.round(values), 0, len(column.levels) - 1)
    values = np.clip(values, column.low, column.high)
    return np.clip(nearest(column, values), column.low, column.high)


def nearest(column: Column, values: np.ndarray) -> np.ndarray:
    """Of numbers, or seconds, that a column may have the nearest `[n]`."""
    if column.calendar is not None:
        return on_calendar(column.calendar, values)
    return on_grid(values, column.decimals, column.step)


def encode(
    column: Column,
    cells: pd.Series,
    missing: np.ndarray,
    place: float | np.ndarray = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """A column's cells as imputers see them.

    Args:
      column: how.
      cells: `[n]`; not read where missing.
      missing: `[n]` bool.
      place: see `block_of`.

    Returns:
      `[n, width]` float64, 0 where there is no number, and `[n]` bool, True
      where a level is not among those of the fit, which is 0 as well.

    Raises:
      DataError: naming the column, where a cell is no number but should be.
    """
    values, unseen = read(column, cells, missing)
    block = block_of(column, values, place)
    block[missing | unseen] = 0
    return block, unseen


def decode(column: Column, block: np.ndarray) -> np.ndarray:
    """What imputed numbers stand for.

    Args:
      column: as `encode` had it.
      block: `[n, width]`, finite.

    Returns:
      `[n]`: float64 of real, integer and datetime (in seconds) columns, objects
      of the others.
    """
    return cells_of(column, values_of(column, block))


def cells_of(column: Column, values: np.ndarray) -> np.ndarray:
    """What the values `[n]` of `values_of` stand for, see `decode`."""
    if column.levels is None:
        return values if column.day is None else on_day(values, CLOCK)
    levels = np.empty(len(column.levels), object)
    levels[:] = column.levels
    return levels[values.astype(int)]


def settle_column(column: Column, block: np.ndarray) -> np.ndarray:
    """The block `[n, width]` of what an imputed block `[n, width]` becomes.

    A score within the interval of its value stays, as those of observed cells
    lie anywhere in it.
    """
    values = values_of(column, block)
    first = block_of(column, values, 0.0)
    if column.knots is None:
        return first
    return np.clip(block, first, block_of(column, values, 1.0))


def average(column: Column, draws: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several imputations `[n, width]` of a column, encoded.

    Of levels without an order it is the most frequent, of other columns the
    mean of their values, which scores are not.
    """
    values = [values_of(column, block) for block in draws]
    if column.coded:
        count = np.apply_along_axis(
            np.bincount,
            0,
            np.array(values, int),
            minlength=len(column.levels),
        )
        return block_of(column, np.argmax(count, axis=0))
    if column.knots is None:
        return mean_of(draws)
    return block_of(column, mean_of(values))


def limits(columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that imputed ones should lie between, `[d]` each.

    Those of the user and of the column's type; infinite where there is none, or
    `decode` keeps it by itself. Half a unit more on both sides where numbers
    are rounded, as all that rounds to a bound is at it.
    """
    low, high = [], []
    for column in columns:
        by_itself = column.levels is not None or column.knots is not None
        if by_itself or column.low == column.high:
            least, most = -np.inf, np.inf
        else:
            half = column.unit / 2
            least, most = column.low - half, column.high + half
        low += [least] * column.width
        high += [most] * column.width
    return np.array(low), np.array(high)


def by_column(
    what: str, given: Mapping[Hashable, Any] | None, names: Sequence[Hashable]
) -> dict[Hashable, Any]:
    """A setting by column, checked for columns that do not exist.

    Raises:
      DataError: naming the setting and the column.
    """
    given = dict(given or {})
    for name in given:
        if name not in names:
            raise DataError(no_column(what, name, list(map(str, names))))
    return given


def _book(column: Column) -> np.ndarray:
    """The numbers `[levels, width]` of a column's codes."""
    if column.book is not None:
        return np.array(column.book)
    return codes.code_book(column.kind, len(column.levels))
