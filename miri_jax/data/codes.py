"""Levels as numbers: a number for each, bits, or a point that was learnt.

A level comes back by the code that is nearest, so that none is made up, after
an offset that makes levels as frequent among normal numbers as they were in the
table: without it rare ones starve.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from miri_jax.core.blocks import by_blocks
from miri_jax.data.cells import cell_text
from miri_jax.exceptions import DataError

LEVEL_KINDS = ("ordinal", "boolean", "categorical")
# Up to so many levels a category has a number for each, beyond it has learnt
# coordinates (`coordinates`), or bits (analog bits: Chen, Zhang and Hinton,
# 2022) where there is nothing to learn from.
MAX_ONE_HOT = 24
# Offsets are fitted to so many numbers in all, in so many rounds, and take at
# most this part of the way from one code to the next.
SAMPLE, ROUNDS, REACH = 2**16, 40, 0.9
# Up to so many levels with points have offsets, which may reach further: a code
# is its own level's to this part of the points' deviation.
MAX_OFFSETS, SAME = 512, 1e-4
# Deviation, in the largest one's, of the coordinate that tells apart levels
# which are alike in all else.
APART = 0.1
# Distances that are held at a time.
AT_ONCE = 2**22


def is_one_hot(kind: str, count: int) -> bool:
    """Whether each of `count` levels has a number to itself."""
    return kind == "categorical" and 2 < count <= MAX_ONE_HOT


def code_width(kind: str, count: int) -> int:
    """How many numbers the code of one of `count` levels has."""
    if is_one_hot(kind, count):
        return count
    return max((count - 1).bit_length(), 1)


def code_book(kind: str, count: int) -> np.ndarray:
    """The numbers `[count, width]` of each level."""
    if is_one_hot(kind, count):
        return np.eye(count)
    bits = np.arange(code_width(kind, count))
    return (np.arange(count)[:, None] >> bits & 1).astype(np.float64)


def nearest_code(
    book: np.ndarray, offsets: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """The level `[n]` whose code is nearest to numbers `[n, width]`.

    Args:
      book: `[count, width]`.
      offsets: `[count]`, off half of the squared distances; none at a code.
      numbers: `[n, width]`.
    """
    same = SAME * book.std(axis=0)

    def some(numbers: np.ndarray) -> np.ndarray:
        nearness = _nearness(book, numbers)
        nearest = np.argmax(nearness, axis=1)
        chosen = np.argmax(nearness + offsets, axis=1)
        exact = np.all(np.abs(numbers - book[nearest]) <= same, axis=1)
        return np.where(exact, nearest, chosen)

    return by_blocks(some, numbers, rows=max(AT_ONCE // len(book), 1))


def _nearness(book: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Minus half of the squared distances `[n, count]`, but for |numbers|^2."""
    return numbers @ book.T - np.sum(book**2, axis=1) / 2


def fit_offsets(book: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Offsets `[count]` by which drawn levels are as frequent as observed ones.

    Drawn are normal numbers with the mean and covariance that the codes of the
    observed levels have.

    Args:
      book: `[count, width]`, the codes.
      counts: `[count]`, how often each level is observed.
    """
    count = len(book)
    # A level that was never observed is drawn less often than any other.
    p = np.maximum(counts, 0.5)
    p = p / p.sum()
    if count == 1 or count > MAX_OFFSETS:
        return np.zeros(count)
    if count == 2 and book.shape[1] == 1:
        # Numbers are N(p, p (1 - p)) of codes 0 and 1.
        last = p[1]
        offset = 0.5 - last + np.sqrt(last * (1 - last)) * ndtri(last)
        return np.array([0.0, offset])
    noise = np.random.default_rng(0).standard_normal((SAMPLE // count, count))
    drawn = p @ book + (noise * np.sqrt(p)) @ (book - p @ book)
    nearness = _nearness(book, drawn)
    offsets, before = np.zeros(count), np.zeros(count)
    most = nearness[:, np.argmax(p)]
    step = np.std(nearness - most[:, None], axis=0) / 4 + 1e-3 * np.std(most)
    best, found = np.inf, offsets
    for _ in range(ROUNDS):
        chosen = np.argmax(nearness + offsets, axis=1)
        lack = p - np.bincount(chosen, minlength=count) / len(drawn)
        error = np.sum(lack**2 / p)
        if error < best:
            best, found = error, offsets
        # Longer steps as long as the sign stays (Riedmiller and Braun, 1993).
        turned = lack * before < 0
        step, before = step * np.where(turned, 0.5, 1.2), lack
        offsets = offsets + step * np.sign(lack)
    return found


def fit_code_offsets(kind: str, counts: np.ndarray) -> np.ndarray:
    """`fit_offsets` of 0/1 codes, which stay within reach of each other."""
    found = fit_offsets(code_book(kind, len(counts)), counts)
    return found * min(1.0, REACH / max(np.ptp(found), REACH))


def coordinates(
    sums: np.ndarray, squares: np.ndarray, counts: np.ndarray, often: np.ndarray
) -> np.ndarray | None:
    """Points of levels by what goes with them in other columns.

    The mean of each response over the cells of a level, shrunken by how much
    levels differ in it against cells within a level (a random effect's best
    linear prediction), in the leading directions of all levels' means; and by
    its frequency, so that no two levels are one point.

    Args:
      sums: `[count, r]`, of r responses over the cells of a level.
      squares: `[r]`, sums over all levels.
      counts: `[count, r]`, how many cells they are of.
      often: `[count]`, how often each level is observed.

    Returns:
      `[count, k]`, no wider than bits would be; None where levels differ in
      nothing.
    """
    count = len(sums)
    means, noise, between = _effects(sums, squares, counts)
    told = between > 0
    if not told.any():
        return None
    scale = np.sqrt(noise + between)[told]
    # A level may have no cell at all where others leave no noise.
    shrunk = counts[:, told] / np.maximum(
        counts[:, told] + (noise / np.maximum(between, 1e-300))[told], 1e-300
    )
    points = means[:, told] * shrunk / scale
    weight = np.sqrt(often / often.sum())[:, None]
    _, size, directions = np.linalg.svd(weight * points, full_matrices=False)
    kept = min(code_width("categorical", count) - 1, int(np.sum(size > 1e-6)))
    if not kept:
        return None
    rank = np.argsort(np.argsort(-often, kind="stable"), kind="stable")
    apart = -ndtri((rank + 0.5) / count) * APART * size[0]
    return np.column_stack([points @ directions[:kept].T, apart])


def _effects(
    sums: np.ndarray, squares: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means `[count, r]` about the grand ones, variances `[r]` in and between.

    By moments, as in an analysis of variance with unequal numbers.
    """
    total = np.maximum(counts.sum(axis=0), 1)
    grand = sums.sum(axis=0) / total
    means = np.where(counts > 0, sums / np.maximum(counts, 1) - grand, 0.0)
    outer = np.sum(counts * means**2, axis=0)
    inner = np.maximum(squares - total * grand**2 - outer, 0)
    levels = np.sum(counts > 0, axis=0)
    noise = inner / np.maximum(total - levels, 1)
    size = total - np.sum(counts**2, axis=0) / total
    between = (outer - (levels - 1) * noise) / np.maximum(size, 1)
    # Where no level has two cells nothing tells levels from noise.
    known = (total - levels > levels / 2) & (levels > 1)
    return means, noise, np.where(known, np.maximum(between, 0), 0)


def find_levels(
    name: Hashable,
    values: pd.Series,
    missing: np.ndarray,
    kind: str,
    levels: Sequence[Any] | None,
) -> tuple[Any, ...]:
    """The levels of a column, in order.

    Args:
      name: of the column, for messages.
      values: `[n]`; not read where missing.
      missing: `[n]` bool.
      kind: one of `LEVEL_KINDS`.
      levels: in the user's order; None for a categorical type's, or else
        sorted.

    Raises:
      DataError: naming the column and the remedy.
    """
    observed = values[~missing].astype(object)
    try:
        found = list(pd.unique(observed))
    except TypeError:
        what = type(observed.iloc[0]).__name__
        raise DataError(
            f"column {name!r} holds {what} objects; give numbers, text,"
            " logical values or times"
        ) from None
    if levels is None and isinstance(values.dtype, pd.CategoricalDtype):
        known = values.dtype.categories
        levels = [x for x in known if values.dtype.ordered or x in set(found)]
    if levels is None:
        levels = _sorted(found)
    else:
        levels = list(levels)
        for k, level in enumerate(levels):
            if level in levels[:k]:
                raise DataError(
                    f"column {name!r} has {cell_text(level)} twice in its order"
                    " of levels; name each once"
                )
        for level in found:
            if level not in levels:
                raise DataError(
                    f"column {name!r} holds {cell_text(level)}, which is not in"
                    " its order of levels; add it there"
                )
    if kind == "boolean" and len(levels) > 2:
        raise DataError(
            f"column {name!r} is to be boolean, but has {len(levels)} different"
            " values; call it categorical",
            about=("categorical",),
        )
    return tuple(x.item() if isinstance(x, np.generic) else x for x in levels)


def _sorted(levels: list[Any]) -> list[Any]:
    try:
        return sorted(levels)
    except TypeError:  # of several types
        return sorted(levels, key=lambda x: (type(x).__name__, str(x)))
