"""What the other columns tell about one, as numbers for trees and regressions.

Numbers are as they are. A category of few levels has an indicator for each
level; of one with more each level has its shrunken mean response, so that what
it tells is not lost among indicators.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.core.threads import one_thread

MAX_INDICATORS = 8
# Weight of the overall mean in a level's mean response, in rows.
PRIOR = 3.0
# Rows learn the means of levels from rows of other folds, so that no row finds
# its own response there.
FOLDS = 5
# Directions of a level target that the means of levels are taken of.
DIRECTIONS = 2
# Rows that a screening looks at, and coordinates of very many levels.
SCREENED, COORDINATES = 2000, 4


class Feature(NamedTuple):
    """A column as a tree sees it.

    Attributes:
      column: its number.
      table: `[levels, k]`, the numbers of each level; None for a number.
    """

    column: int
    table: np.ndarray | None


def fit_features(
    values: np.ndarray,
    levels: tuple[int, ...],
    target: int,
    others: Sequence[int],
    rows: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[Feature], np.ndarray]:
    """The features of a target column, and those of the rows to learn from.

    Args:
      values: `[n, c]` float64, complete in the columns used; ranks of levels.
      levels: how many levels each column has; 0 for a column of numbers.
      target: the column to tell.
      others: the columns that tell it.
      rows: `[r]`, numbers of rows that it is observed in.
      rng: chooses the folds.

    Returns:
      The features, and `[r, p]` float32.
    """
    features, parts, response, fold = [], [], None, None
    for column in others:
        size, table = levels[column], None
        if not size:
            parts.append(values[rows, column, None])
        elif size <= MAX_INDICATORS:
            table = np.eye(size) if size > 2 else np.arange(size)[:, None]
            table = table.astype(np.float64)
            parts.append(table[values[rows, column].astype(int)])
        else:
            codes = values[rows, column].astype(int)
            if fold is None:
                fold = rng.integers(FOLDS, size=len(rows))
                response = _response(values[rows, target], levels[target])
            seen = response
            if levels[target]:
                seen = response @ _directions(response, codes, size)
            table, part = _means(seen, codes, size, fold)
            parts.append(part)
        features.append(Feature(column, table))
    return features, _joined(parts, len(rows))


def apply_features(features: list[Feature], values: np.ndarray) -> np.ndarray:
    """The features `[k, p]` float32 of rows `[k, c]`."""
    parts = [
        values[:, column, None]
        if table is None
        else table[values[:, column].astype(int)]
        for column, table in features
    ]
    return _joined(parts, len(values))


def strengths(
    values: np.ndarray, observed: np.ndarray, levels: tuple[int, ...]
) -> np.ndarray:
    """How strongly columns correlate `[c, c]` where both are observed.

    Of numbers the ranks count, of levels the indicators of the most frequent.

    Args:
      values: `[n, c]` float64, read where observed only.
      observed: `[n, c]` bool.
      levels: see `fit_features`.
    """
    n, count = values.shape
    some = np.linspace(0, n - 1, min(n, SCREENED)).astype(int)
    parts, owner = [], []
    for j in range(count):
        seen, own = observed[some, j], values[some, j]
        if levels[j]:
            code = own[seen].astype(int)
            often = np.argsort(-np.bincount(code, minlength=levels[j]))
            columns = [own == k for k in often[:MAX_INDICATORS]]
        else:
            columns = [np.searchsorted(np.sort(own[seen]), own)]
        for column in columns:
            z = np.where(seen, column, 0).astype(np.float32)
            z = np.where(seen, z - z.sum() / max(seen.sum(), 1), 0)
            parts.append(z / (np.sqrt(np.sum(z * z)) or 1))
            owner.append(j)
    z, owner = np.stack(parts), np.array(owner)
    seen = observed[some].T[owner].astype(np.float32)
    # Sums of a library that uses several threads depend on their number.
    with one_thread():
        size = np.sqrt((np.square(z) @ seen.T) * (seen @ np.square(z).T))
        strength = np.abs(z @ z.T) / np.maximum(size, 1e-12)
    starts = np.searchsorted(owner, np.arange(count))
    strength = np.maximum.reduceat(strength, starts, axis=0)
    strength = np.maximum.reduceat(strength, starts, axis=1)
    np.fill_diagonal(strength, -1)
    return strength


def screened(strength: np.ndarray, limit: int) -> list[list[int]]:
    """Of each column the other columns that tell it, the strongest first.

    All of them up to a limit.

    Args:
      strength: `[c, c]`, see `strengths`.
      limit: the most columns that tell one.
    """
    best = np.argsort(-strength, axis=1, kind="stable")
    best = best[:, : min(limit, len(best) - 1)]
    return best.tolist()


def coordinates(x: np.ndarray, codes: np.ndarray, size: int) -> np.ndarray:
    """Of each row `[r, q]` where its level lies, by what tells levels apart.

    The leading directions of the levels' shrunken mean features, for trees
    that split a category of very many levels.
    """
    scale = x.std(axis=0, dtype=np.float64)
    z = (x - x.mean(axis=0, dtype=np.float64)) / np.where(scale > 0, scale, 1)
    count = np.bincount(codes, minlength=size)
    total = np.stack(
        [np.bincount(codes, weights=part, minlength=size) for part in z.T]
    )
    means = (total / (count + PRIOR)).T
    gram = (means * count[:, None]).T @ means
    _, axes = np.linalg.eigh(gram)
    return (means @ axes[:, ::-1][:, :COORDINATES])[codes]


def _joined(parts: list[np.ndarray], rows: int) -> np.ndarray:
    if not parts:  # nothing else is known
        return np.zeros((rows, 1), np.float32)
    large = np.finfo(np.float32).max
    joined = np.concatenate(parts, axis=1)
    return np.clip(joined, -large, large).astype(np.float32)


def _response(y: np.ndarray, size: int) -> np.ndarray:
    """What the means of levels are taken of, `[r, q]`, centred."""
    if size:
        found = np.eye(size)[y.astype(int)]
        return found - found.mean(axis=0)
    ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return (ranks / len(y) - 0.5)[:, None]


def _directions(
    response: np.ndarray, codes: np.ndarray, size: int
) -> np.ndarray:
    """The directions `[q, 2]` of a table of counts that tell most."""
    total = np.stack(
        [np.bincount(codes, weights=r, minlength=size) for r in response.T]
    )
    count = np.bincount(codes, minlength=size)
    u = np.linalg.svd(total / np.sqrt(count + PRIOR), full_matrices=False)[0]
    u = u[:, :DIRECTIONS]
    # The sign of a singular vector is the library's choice.
    return u * np.sign(u[np.argmax(np.abs(u), axis=0), np.arange(u.shape[1])])


def _means(
    response: np.ndarray, codes: np.ndarray, size: int, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shrunken means of levels `[size, q]`, and of each row without its fold.

    The overall mean is 0.
    """
    cell = fold * size + codes
    count = np.bincount(cell, minlength=FOLDS * size).reshape(FOLDS, size, 1)
    total = np.stack(
        [
            np.bincount(cell, weights=r, minlength=FOLDS * size)
            for r in response.T
        ],
        axis=-1,
    ).reshape(FOLDS, size, -1)
    table = total.sum(axis=0) / (count.sum(axis=0) + PRIOR)
    without = (total.sum(axis=0) - total) / (count.sum(axis=0) - count + PRIOR)
    return table, without[fold, codes]
