"""Which other column goes with a column most, and which with its gaps.

Numbers count by their ranks and levels as indicators, so that one measure, a
correlation, compares columns of all kinds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from miri_jax.report.facts import View, sample_rows

# Rows looked at, levels of a column that count, and rows that a pair and a
# level need.
ROWS, LEVELS, ENOUGH = 4000, 8, 30
# Chance that a column without any relation is told to have one.
CHANCE = 0.01
# Correlations below are not told of, even where they are sure.
SLIGHT = 0.05


class Partner(NamedTuple):
    """The column that another goes with most.

    Attributes:
      view: the column.
      correlation: from -1 to 1; where levels are compared, without a sign.
    """

    view: View
    correlation: float


class Partners(NamedTuple):
    """Of each column, by its number; None where chance explains all."""

    of_values: dict[int, Partner | None]
    of_gaps: dict[int, Partner | None]
    gaps_with: dict[int, Partner | None]


def partners_of(views: Sequence[View]) -> Partners:
    """The partners of each column of a table.

    Args:
      views: all its columns.
    """
    n = len(views[0].missing)
    rows = sample_rows(np.arange(n), ROWS)
    used = [v for v in views if v.kind != "id" and len(v.observed) >= ENOUGH]
    of_values: dict[int, Partner | None] = {v.number: None for v in views}
    of_gaps, gaps_with = dict(of_values), dict(of_values)
    blocks = [_features(view, rows) for view in used]
    kept = [k for k, block in enumerate(blocks) if block.shape[1]]
    used, blocks = [used[k] for k in kept], [blocks[k] for k in kept]
    missing = np.stack([v.missing[rows] for v in views], 1).astype(np.float32)
    _fill(gaps_with, views, views, *_gap_pairs(missing))
    if used:
        z = np.hstack(blocks)
        starts = np.cumsum([0, *(b.shape[1] for b in blocks)])[:-1]
        owner = np.repeat(np.arange(len(used)), [b.shape[1] for b in blocks])
        seen = 1 - np.stack([v.missing[rows] for v in used], 1)
        seen = seen.astype(np.float32)
        both = (seen.T @ seen)[np.ix_(owner, owner)]
        r = (z.T @ z) / np.maximum(both, 1)
        _fill(of_values, used, used, *_strongest(r, both, starts, starts))
        p = missing.mean(axis=0)
        deviation = np.sqrt(np.maximum(p * (1 - p), 1e-12))
        number = np.broadcast_to(
            seen.sum(axis=0)[owner], (len(views), z.shape[1])
        )
        r = (missing.T @ z) / np.maximum(number, 1) / deviation[:, None]
        each = np.arange(len(views))
        _fill(of_gaps, views, used, *_strongest(r, number, each, starts))
    return Partners(of_values, of_gaps, gaps_with)


def cells(view: View) -> np.ndarray:
    """A column `[n]`, observed and as in the first draw; NaN: no cell."""
    x = np.full(len(view.missing), np.nan)
    if view.kind == "id":
        return x
    x[~view.missing] = view.observed
    x[view.missing] = np.where(view.empty[0], np.nan, view.imputed[0])
    return x


def _features(view: View, rows: np.ndarray) -> np.ndarray:
    """What counts of a column `[rows, f]`: mean 0, variance 1, 0 in gaps."""
    x = np.full(len(view.missing), np.nan)
    x[~view.missing] = view.observed
    x = x[rows]
    seen = ~np.isnan(x)
    if view.levels is None:
        part = np.zeros((len(x), 1))
        part[seen, 0] = rankdata(x[seen])
    else:
        found, counts = np.unique(x[seen], return_counts=True)
        # Chance moves a rare one by more than a normal distribution says.
        often = np.argsort(-counts, kind="stable")[:LEVELS]
        most = found[[k for k in often if counts[k] >= ENOUGH]]
        part = (x[:, None] == most).astype(float)
        # Of two levels one tells what the other does.
        part = part[:, :1] if len(most) == 2 == len(found) else part
    if not seen.any():
        return part[:, :0].astype(np.float32)
    part = np.where(seen[:, None], part - part[seen].mean(axis=0), 0)
    deviation = np.sqrt((part**2).sum(axis=0) / seen.sum())
    varied = deviation > 1e-9
    return (part[:, varied] / deviation[varied]).astype(np.float32)


def _gap_pairs(missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_strongest` of gaps `[n, c]` among each other."""
    n, c = missing.shape
    z = missing - missing.mean(axis=0)
    deviation = z.std(axis=0)
    z = z / np.where(deviation > 0, deviation, np.inf)
    each = np.arange(c)
    return _strongest(z.T @ z / n, np.full((c, c), n), each, each)


def _strongest(
    r: np.ndarray, number: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations `[a, b]` of columns from those `[f, g]` of their features.

    Args:
      r: correlations.
      number: `[f, g]`, rows that each rests on.
      rows: where the features of each of a columns begin.
      columns: likewise, of b.

    Returns:
      The largest without a sign, 0 where chance explains it, and with it.
    """
    sure = ndtri(1 - CHANCE / (2 * max(r.shape[1], 1)))
    chance = np.maximum(sure / np.sqrt(np.maximum(number, 1)), SLIGHT)
    size = np.where(
        (np.abs(r) > chance) & (number >= ENOUGH), np.minimum(np.abs(r), 1), 0
    )
    size = np.maximum.reduceat(size, rows, axis=0)
    size = np.maximum.reduceat(size, columns, axis=1)
    return size, r[np.ix_(rows, columns)]


def _fill(
    partners: dict[int, Partner | None],
    views: Sequence[View],
    others: Sequence[View],
    size: np.ndarray,
    signed: np.ndarray,
) -> None:
    for j, view in enumerate(views):
        line = np.array(
            [
                0 if o.number == view.number else s
                for o, s in zip(others, size[j])
            ]
        )
        k = int(np.argmax(line))
        if line[k] > 0:
            sign = np.sign(signed[j, k])
            partners[view.number] = Partner(others[k], float(sign * line[k]))
