"""Rows that are taken one by one, and look like a series or a panel."""

import numpy as np

from miri_jax.belonging._constants import constant_by

# Pairs of neighbours at least; how much they go together, and how far beyond
# chance, for rows to look like a series.
PAIRS, ALIKE, BEYOND = 50, 0.4, 6.0
# Steps back, as a share of all, of a column that is sorted in runs.
MOST_BACK = 0.1
# Cells of a group at least, on the average, and groups, of a panel.
EACH, GROUPS = 2, 10


def by_itself(
    values: np.ndarray,
    known: np.ndarray,
    numbers: np.ndarray,
    order: np.ndarray | None = None,
) -> np.ndarray:
    """Whether columns go on from row to row, beyond chance: `[c]` bool.

    By the correlation of what is left of a cell and its neighbour's, after a
    cubic in the order of rows, and after what columns tell that are sorted, in
    runs or as a whole: rows that were merely sorted are no series.

    Args:
      values: `[n, c]` float64, numbers and ranks of levels.
      known: `[n, c]` bool.
      numbers: `[c]` bool: which columns are asked; others are levels.
      order: `[n]`, by which rows are sorted; None for as they are.
    """
    if order is not None:
        rows = np.argsort(order, kind="stable")
        values, known = values[rows], known[rows]
    n, width = values.shape
    found = np.zeros(width, bool)
    if n <= PAIRS:
        return found
    place = np.linspace(-1, 1, n)
    trend = np.stack([place**k for k in range(4)], axis=1)
    keys = [j for j in range(width) if _is_sorted(values[:, j], known[:, j])]
    curves = [_curve(values[:, j], known[:, j]) for j in keys]
    design = np.concatenate([trend, *curves], axis=1)
    for j in np.flatnonzero(numbers):
        seen = known[:, j]
        if j in keys or seen.sum() <= PAIRS:
            continue
        y = values[:, j]
        left = np.zeros(n)
        fit = np.linalg.lstsq(
            design[seen], y[seen] - y[seen].mean(), rcond=None
        )
        left[seen] = y[seen] - y[seen].mean() - design[seen] @ fit[0]
        for k in keys:
            _, level = np.unique(values[:, k], return_inverse=True)
            cells = np.bincount(level, seen)
            mean = np.bincount(level, left * seen) / np.maximum(cells, 1)
            # Of levels that hardly repeat means would take out everything.
            if seen.sum() >= 5 * (cells > 0).sum():
                left = np.where(seen, left - mean[level], 0)
        both = seen[1:] & seen[:-1]
        a, b = left[1:][both], left[:-1][both]
        size = np.sqrt(np.sum(a**2) * np.sum(b**2))
        if both.sum() <= PAIRS or not size > 1e-12 * np.sum(y[seen] ** 2):
            continue
        alike = np.sum(a * b) / size
        found[j] = alike > ALIKE and alike * np.sqrt(both.sum()) > BEYOND
    return found


def _is_sorted(values: np.ndarray, known: np.ndarray) -> bool:
    """Whether cells rise, or fall, but for a few steps back."""
    with np.errstate(over="ignore"):  # what counts is the sign
        steps = np.diff(values[known])
    ways = np.sum(steps > 0), np.sum(steps < 0)
    return len(steps) > 0 and bool(min(ways) <= MOST_BACK * len(steps))


def _curve(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A column and its square, 0 where it is not known, `[n, 2]`."""
    mean, spread = values[known].mean(), values[known].std()
    z = np.where(known, (values - mean) / (spread or 1.0), 0.0)
    return np.stack([z, z**2], axis=1)


def panel_of(
    values: np.ndarray, known: np.ndarray, keys: np.ndarray
) -> int | None:
    """The column that looks like the id of a panel; None for none.

    It has no gaps, its values repeat, there are many of them, and one column
    with gaps, but not two of a value each, is constant within each.

    Args:
      values: `[n, c]` float64, numbers and ranks of levels.
      known: `[n, c]` bool.
      keys: `[c]` bool: which columns may be ids.
    """
    n, best = len(values), None
    gaps = np.flatnonzero(~known.all(axis=0))
    for j in np.flatnonzero(keys & known.all(axis=0)):
        _, group = np.unique(values[:, j], return_inverse=True)
        groups = group.max() + 1
        if not GROUPS <= groups <= n / EACH:
            continue
        for k in gaps[gaps != j]:
            seen = known[:, k]
            # Of finer groups columns are constant, too: the coarsest are told.
            if constant_by(group[seen], values[seen, k]):
                if best is None or groups < best[0]:
                    best = groups, int(j)
                break
    return None if best is None else best[1]
