"""Columns of which one is never above the other: admission, discharge.

Two columns far from each other are in order as well. An order is found where
cells come close to it from one side, and none is on the other; where, were
cells put into other rows, many would be on the other.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from miri_jax.data.found._pool import Pool
from miri_jax.data.found._simple import quoted

# What is close, in median differences; rows that are, at least, and their
# share.
CLOSE, ROWS, SHARE = 0.1, 20, 0.02
# Share of the rows that are on the other side where columns are independent.
MIXED = 0.02
# Rows for the latter.
SHUFFLED = 5000


class Order(NamedTuple):
    """Two columns, the first never above the second.

    Attributes:
      low: the name of the first.
      high: of the second.
      rows: in how many both are known.
      close: in how many they are close.
    """

    low: str
    high: str
    rows: int
    close: int

    @property
    def text(self) -> str:
        """As `relations.state` takes it."""
        return f"{quoted(self.low)} <= {quoted(self.high)}"


def orders_of(
    pool: Pool, given: Collection[frozenset[str]] = ()
) -> list[Order]:
    """The orders of some columns, without those that follow from others.

    Args:
      pool: the columns.
      given: pairs that need no order, as one gives the other.
    """
    found: dict[tuple[int, int], Order] = {}
    for a, b in _candidates(pool):
        names = pool.names[a], pool.names[b]
        if frozenset(names) not in given:
            order = _order(pool, a, b)
            if order is not None:
                found[a, b] = order
    return [
        order
        for (a, b), order in found.items()
        if not any(
            (a, c) in found and (c, b) in found for c in range(len(pool.names))
        )
    ]


def _candidates(pool: Pool) -> list[tuple[int, int]]:
    """Pairs in order in the sample, and close in some of its rows."""
    found, x = [], pool.x
    with np.errstate(invalid="ignore"):
        for a in range(len(pool.names)):
            apart = x - x[:, a : a + 1]
            wrong = (apart < 0).any(axis=0) | (pool.time != pool.time[a])
            for b in np.flatnonzero(~wrong):
                one = apart[:, b]
                one = one[~np.isnan(one)]
                if b != a and len(one) >= ROWS and (one > 0).any():
                    close = one <= CLOSE * np.median(one[one > 0])
                    if close.mean() >= SHARE / 2:
                        found.append((a, int(b)))
    return found


def _order(pool: Pool, a: int, b: int) -> Order | None:
    low, high = pool.together((a, b)).T
    apart = high - low
    above = apart > 0
    if (apart < 0).any() or above.sum() < ROWS:
        return None
    # Two that are 0 say nothing: both may count what is seldom there.
    some = (low != 0) | (high != 0)
    close = int(np.sum(some & (apart <= CLOSE * np.median(apart[above]))))
    pairs = 2 * np.log2(len(pool.names))
    if min(close, above.sum()) < ROWS + pairs or close < SHARE * some.sum():
        return None
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(low))[:SHUFFLED]
    mixed = np.mean(high[rows] < low[rng.permutation(rows)])
    if mixed < MIXED:
        return None
    return Order(pool.names[a], pool.names[b], len(low), close)
