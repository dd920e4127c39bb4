"""Columns that go together by chance, as any two series do.

Two columns that go on from row to row correlate whether they have to do with
each other or not (Yule, 1926). What is left of a column once rows like its own
have told of it does not; and what goes with that in one stretch of the table
and not in others does so by chance.
"""

from collections.abc import Sequence

import numpy as np

from miri_jax.types import Layout

# How far from 0, in its standard error over the stretches of the table, the
# mean product of two columns has to be.
LEAST, STRETCHES = 2.0, 12


def without_chance(
    values: np.ndarray,
    observed: np.ndarray,
    layout: Layout,
    others: Sequence[Sequence[int]],
) -> list[list[int]]:
    """The columns that tell each, without those that do so by chance.

    Only numbers that have a helper are looked at, and numbers that may tell
    them; helpers of what does not tell a column do not, either.

    Args:
      values: `[n, c]` float64, read where observed only.
      observed: `[n, c]` bool.
      layout: of the columns.
      others: of each column those that tell it.
    """
    told = _told(layout)
    left = np.where(observed, values, np.nan)
    for column, helper in told.items():
        left[:, column] -= _line(values[:, helper], left[:, column])
    seen = np.where(observed, values, np.nan)
    helpers, found = set(told.values()), []
    for column, some in enumerate(others):
        if column not in told or layout.levels[column]:
            found.append(list(some))
            continue
        kept = {told[column], told[column] + 1}
        for k in some:
            if k in helpers:
                continue
            if layout.levels[k] or any(
                _goes_with(left[:, column], part[:, k]) for part in (left, seen)
            ):
                kept |= {k, told.get(k, k)}
        found.append([k for k in some if k in kept])
    return found


def helper_of(layout: Layout, column: int) -> tuple[int, int]:
    """The helper of a column, and the one that says how well it tells.

    -1 for none.
    """
    told = _told(layout)
    helper = told.get(column, -1)
    beyond = helper + 1
    there = 0 <= helper and beyond < len(layout.names)
    there = there and beyond not in told.values()
    return helper, beyond if there else -1


def _told(layout: Layout) -> dict[int, int]:
    """Of columns with a helper of one number the helper's column."""
    owner = layout.owners(len(layout.told))
    return {
        int(owner[entry]): int(owner[helper])
        for entry, helper in enumerate(layout.told)
        if helper >= 0
    }


def _line(helper: np.ndarray, column: np.ndarray) -> np.ndarray:
    """A column by its helper, `[n]`."""
    seen = ~np.isnan(column)
    x, y = helper[seen] - helper[seen].mean(), column[seen]
    slope = np.sum(x * (y - y.mean())) / max(np.sum(x**2), 1e-300)
    return y.mean() + slope * (helper - helper[seen].mean())


def _goes_with(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two columns go together in most stretches of the table."""
    both = ~np.isnan(a * b)
    if both.sum() < STRETCHES:
        return False
    product = (a[both] - a[both].mean()) * (b[both] - b[both].mean())
    parts = np.array_split(product, STRETCHES)
    sums = np.array([part.sum() for part in parts])
    error = sums.std(ddof=1) / np.sqrt(STRETCHES)
    return bool(np.abs(sums.mean()) > LEAST * error)
