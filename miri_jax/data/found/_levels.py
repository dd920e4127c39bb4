"""Columns that are a function of another's levels: of a ZIP code the city."""

from collections.abc import Collection, Sequence

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.found._pool import LARGEST, MIN_ROWS, sample_rows
from miri_jax.relations import Lookup

# Evidence beyond what counts the pairs there are, in nats; rows that a level
# has on average, at least, and levels at most.
SURE, ROWS_A_LEVEL, LEVELS = 20.0, 3.0, 20_000


def lookups_of(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    skip: Collection[str] = (),
) -> list[Lookup]:
    """The functions from one column to another, one of which has levels.

    Args:
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      skip: names of columns that are not asked of.
    """
    names = [str(column.name) for column in columns]
    rows = sample_rows(len(known))
    used = [
        j
        for j, column in enumerate(columns)
        if names[j] not in skip
        and names.count(names[j]) == 1
        and _repeats(column, numbers[rows, j][known[rows, j]])
    ]
    found = []
    for source in used:
        likely = _likely(
            numbers[np.ix_(rows, used)], known[np.ix_(rows, used)], source, used
        )
        for target in likely:
            levels = columns[source].levels, columns[target].levels
            if target == source or levels == (None, None):
                continue
            one = _lookup(numbers, known, source, target, len(used))
            if one is not None:
                found.append(Lookup(names[target], names[source], *one))
    return found


def _repeats(column: Column, observed: np.ndarray) -> bool:
    """Whether a column has few values, each in several rows."""
    if column.kind == "id" or len(observed) < MIN_ROWS:
        return False
    if column.levels is None and (
        column.kind == "datetime"
        or np.abs(observed).max() > LARGEST
        or np.any(observed != np.round(observed))
    ):
        return False
    return 1 < len(np.unique(observed)) <= len(observed) / ROWS_A_LEVEL


def _likely(
    x: np.ndarray, known: np.ndarray, source: int, used: Sequence[int]
) -> list[int]:
    """The columns that are a function of one in a sample `[s, k]`."""
    own = used.index(source)
    x, known = x[known[:, own]], known[known[:, own]]
    order = np.argsort(x[:, own], kind="stable")
    x, known = x[order], known[order]
    starts = np.flatnonzero(np.diff(x[:, own], prepend=np.nan) != 0)
    most = np.maximum.reduceat(np.where(known, x, -np.inf), starts)
    least = np.minimum.reduceat(np.where(known, x, np.inf), starts)
    return [used[k] for k in np.flatnonzero((most <= least).all(axis=0))]


def _lookup(
    numbers: np.ndarray, known: np.ndarray, source: int, target: int, p: int
) -> tuple[tuple[float, ...], ...] | None:
    """Values of a source, what each leads to, and its share."""
    rows = known[:, source] & known[:, target]
    s, t = numbers[rows, source], numbers[rows, target]
    if not len(s):
        return None
    keys, first, code = np.unique(s, return_index=True, return_inverse=True)
    to, counts = t[first], np.bincount(code)
    if len(keys) > LEVELS or np.any(to[code] != t):
        return None
    shares = np.unique(t, return_counts=True)[1] / len(t)
    # Cells that had to agree with the first of their level.
    evidence = (len(s) - len(keys)) * -np.log((shares**2).sum())
    if len(shares) < 2 or evidence < 2 * np.log(p) + SURE:
        return None
    if len(s) < ROWS_A_LEVEL * len(keys):
        return None
    share = counts / len(s)
    return tuple(keys.tolist()), tuple(to.tolist()), tuple(share.tolist())
