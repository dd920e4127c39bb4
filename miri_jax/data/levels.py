"""Categories of many levels as points, by what goes with their levels."""

from collections.abc import Sequence

import numpy as np

from miri_jax.data import codes
from miri_jax.data.columns import Column, block_of


def learn_levels(
    columns: Sequence[Column], numbers: np.ndarray, known: np.ndarray
) -> list[Column]:
    """Columns with learnt points for levels too many for a number each.

    Points are learnt from all columns but those of that kind, see
    `codes.coordinates`; where these tell nothing, a column keeps its bits.

    Args:
      columns: c.
      numbers: `[n, c]`, their values.
      known: `[n, c]` bool.
    """
    many = [_has_many(column) for column in columns]
    found = list(columns)
    for j in np.flatnonzero(many):
        rows = np.flatnonzero(known[:, j])
        ranks = numbers[rows, j].astype(int)
        often = np.bincount(ranks, minlength=len(columns[j].levels))
        parts = [
            _responses(
                other, numbers[rows, k], known[rows, k], ranks, len(often)
            )
            for k, other in enumerate(columns)
            if not many[k] and other.width
        ]
        if not parts:
            continue
        sums, squares, counts = (
            np.concatenate(part, axis=-1) for part in zip(*parts)
        )
        points = codes.coordinates(sums, squares, counts, often)
        if points is not None:
            book = tuple(map(tuple, points.tolist()))
            offsets = tuple(codes.fit_offsets(points, often).tolist())
            found[j] = columns[j]._replace(book=book, offsets=offsets)
    return found


def _has_many(column: Column) -> bool:
    return column.coded and len(column.levels) > codes.MAX_ONE_HOT


def _responses(
    column: Column,
    values: np.ndarray,
    known: np.ndarray,
    ranks: np.ndarray,
    count: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of a column's numbers by level, of squares, and how many there are.

    Args:
      column: the other column.
      values: `[n]`.
      known: `[n]` bool.
      ranks: `[n]`, of the levels.
      count: of levels.

    Returns:
      `[count, width]`, `[width]`, `[count, width]`, of standardised numbers.
    """
    block, ranks = block_of(column, values[known]), ranks[known]
    if len(block):
        size = np.max(np.abs(block), axis=0)
        block = block / np.where(size > 0, size, 1)
        block -= block.mean(axis=0)
        spread = block.std(axis=0)
        block /= np.where(spread > 1e-12, spread, 1)
    sums = [np.bincount(ranks, weights, count) for weights in block.T]
    cells = np.bincount(ranks, minlength=count)
    counts = np.repeat(cells[:, None], block.shape[1], axis=1)
    return np.stack(sums, axis=1), np.sum(block**2, axis=0), counts
