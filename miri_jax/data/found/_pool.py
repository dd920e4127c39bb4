"""Columns of numbers and times among which relations are looked for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.relations import DAY

# Observed cells below which a column shows no relation, and rows that a search
# looks at before it verifies on all.
MIN_ROWS, SAMPLE = 20, 2000
# Beyond it squares, and products, overflow.
LARGEST = 1e50


class Pool(NamedTuple):
    """Columns as expressions take them.

    Attributes:
      names: p.
      x: `[s, p]`, numbers, times in days, of a sample of the rows; NaN where
        unknown.
      half: `[p]`, what a cell is rounded by at most; 0 of whole numbers, which
        are taken to be exact, and of numbers of any decimals.
      unit: `[p]`, what cells are multiples of, 0 for nothing.
      whole: `[p]` bool, of whole numbers and times.
      time: `[p]` bool.
      numbers: `[n, c]`, values of the table, and
      known: `[n, c]` bool, and
      places: `[p]`, which of its columns these are.
    """

    names: tuple[str, ...]
    x: np.ndarray
    half: np.ndarray
    unit: np.ndarray
    whole: np.ndarray
    time: np.ndarray
    numbers: np.ndarray
    known: np.ndarray
    places: np.ndarray

    def values(self, k: int) -> np.ndarray:
        """All `[n]` of a column; NaN where unknown."""
        return _column(self.numbers, self.known, self.places[k], self.time[k])

    def together(self, which: Sequence[int]) -> np.ndarray:
        """`[r, k]`, the rows in which some columns are all known."""
        places = self.places[list(which)]
        rows = np.flatnonzero(self.known[:, places].all(axis=1))
        scale = np.where(self.time[list(which)], DAY, 1.0)
        return self.numbers[np.ix_(rows, places)] / scale


def _column(
    numbers: np.ndarray, known: np.ndarray, place: int, time: bool
) -> np.ndarray:
    x = np.where(known[:, place], numbers[:, place], np.nan)
    return x / DAY if time else x


def usable_name(name: str) -> bool:
    """Whether an expression can name a column."""
    return bool(name.strip()) and not set("`=:\n") & set(name)


def pool_of(
    columns: Sequence[Column], numbers: np.ndarray, known: np.ndarray
) -> Pool:
    """The columns of a table that arithmetic and order can be about.

    Args:
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
    """
    names = [str(column.name) for column in columns]
    used = [
        j
        for j, column in enumerate(columns)
        if column.levels is None
        and column.kind != "id"
        and column.low < column.high
        and known[:, j].sum() >= MIN_ROWS
        and np.abs(numbers[known[:, j], j]).max() < LARGEST
        and usable_name(names[j])
        and names.count(names[j]) == 1
    ]
    rows = sample_rows(len(known))
    time = np.array([columns[j].kind == "datetime" for j in used], bool)
    unit = np.array([columns[j].unit for j in used]) / np.where(time, DAY, 1.0)
    x = np.stack(
        [_column(numbers[rows], known[rows], j, t) for j, t in zip(used, time)]
        or [np.zeros(len(rows))],
        axis=1,
    )
    whole = np.array(
        [t or _whole(numbers[known[:, j], j]) for j, t in zip(used, time)], bool
    )
    return Pool(
        tuple(names[j] for j in used),
        x[:, : len(used)],
        np.where(whole, 0.0, unit / 2),
        unit,
        whole,
        time,
        numbers,
        known,
        np.array(used, int),
    )


def _whole(observed: np.ndarray) -> bool:
    some = observed[:100]
    return bool(
        np.array_equal(some, np.round(some))
        and np.array_equal(observed, np.round(observed))
    )


def sample_rows(n: int, size: int = SAMPLE) -> np.ndarray:
    """At most some of n rows, at random, the same every time."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, size, replace=False))
