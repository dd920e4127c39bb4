"""What filled cells tell of their gaps beyond the observed cells of their row.

Where gaps depend on other columns (MAR) the mutual information of the filled
table and the mask is not 0 for the truth either: what drives the gaps tells of
them. A good imputation has x_{1-m} independent of m given x_m instead, and so
minimises a conditional mutual information (MIRI slides, "what about MAR
data?"). Column by column that is

    sum_j E log p(m_j | x_j, x_-j m_-j, m_-j) / p(m_j | x_-j m_-j, m_-j):

how much a cell's own value tells, once the observed cells of its row and its
other gaps are known; see `evidence` for how both are learnt. Under MCAR the
truth gives 0, and under MAR where no gap of another column depends on x_j.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy.special import ndtri

from miri_jax.metrics.evidence import Estimate, Question, estimate
from miri_jax.metrics.mutual_information import (
    CELLS,
    MAX_REGRESSED,
    RIDGE,
    covariance_of_pairs,
)
from miri_jax.types import Array

# Levels of a column that have an indicator, and the share of a column's gaps
# that one value fills which makes it an atom.
MAX_LEVELS, ATOM = 8, 0.05


class _Cells(NamedTuple):
    """What the classifiers see of n rows, e entries of c columns.

    Attributes:
      values: `[n, e]`, normal scores of numbers, indicators of levels.
      shown: `[n, e]`, the same, 0 in the gaps.
      atoms: `[n, c]`, whether a value fills many gaps of its column.
      expected: `[n, e]`, what observed cells of other columns let expect, by a
        regression, and
      left: `[n, e]`, the logarithm of the share of the variance left by it;
        both 0 of entries that nobody asks for.
      m: `[n, c]` bool, True = observed.
      owner: `[e]`, the column of each entry.
    """

    values: np.ndarray
    shown: np.ndarray
    atoms: np.ndarray
    expected: np.ndarray
    left: np.ndarray
    m: np.ndarray
    owner: np.ndarray


def estimate_conditional_mi(
    key: Array,
    x: np.ndarray,
    m: np.ndarray,
    levels: Sequence[int] | None = None,
    *,
    num_folds: int = 3,
    max_rows: int = 6000,
    max_columns: int = 64,
) -> Estimate:
    """Estimates what own values tell of gaps beyond what is observed, in nats.

    Numbers count by their ranks, so that the estimate is the same on any scale.

    Args:
      key: PRNG key.
      x: `[n, c]`, filled: numbers, and ranks of levels.
      m: `[n, c]` bool, True = observed.
      levels: how many levels each column has, 0 for numbers; None for numbers
        alone.
      num_folds: folds of rows, each held out once.
      max_rows: above this many rows, a random subset of this size is used.
      max_columns: above this many columns, the sum is estimated from this many
        random ones.

    Returns:
      The `Estimate`: near 0 where own values tell nothing, by chance below it;
      at most the entropy of the mask.
    """
    x, m = np.asarray(x, np.float64), np.asarray(m, bool)
    levels = levels or (0,) * x.shape[1]
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    rows = rng.permutation(len(x))[:max_rows]
    x, m = x[rows], m[rows]
    mixed = np.flatnonzero(m.any(0) & ~m.all(0))
    columns = np.sort(rng.permutation(mixed)[:max_columns])
    ask = lambda learn: _question(_cells(x, m, levels, learn, columns))
    return estimate(ask, len(rows), columns, len(mixed), num_folds)


def _question(seen: _Cells) -> Question:
    """Known: the others' observed cells and gaps; evidence: the own value."""

    def known(j: int, rows: np.ndarray) -> np.ndarray:
        others = seen.shown[rows][:, seen.owner != j]
        gaps = np.delete(seen.m[rows], j, axis=1)
        expected = seen.expected[rows][:, seen.owner == j]
        return np.hstack([others, others**2, gaps, expected, expected**2])

    def evidence(j: int, rows: np.ndarray) -> np.ndarray:
        own, others = seen.owner == j, seen.shown[rows][:, seen.owner != j]
        values, left = (part[rows][:, own] for part in (seen.values, seen.left))
        apart = values - seen.expected[rows][:, own]
        apart = np.clip(apart / np.exp(left / 2), -5, 5)
        cells = [values, values**2, np.abs(values), apart, apart**2]
        products = [values[:, k, None] * others for k in range(own.sum())]
        atoms = seen.atoms[rows, j, None]
        return np.hstack([*cells, np.abs(apart), atoms, *products])

    return Question(known, evidence, lambda j, rows: seen.m[rows, j])


def _cells(
    x: np.ndarray,
    m: np.ndarray,
    levels: Sequence[int],
    learn: np.ndarray,
    columns: np.ndarray,
) -> _Cells:
    """What the classifiers see of all rows, scaled by those to learn from.

    Args:
      x: `[n, c]`, filled.
      m: `[n, c]` bool.
      levels: of each column.
      learn: rows to learn from.
      columns: those that are asked for. They are regressed on others, of more
        than `MAX_REGRESSED` entries in parts.
    """
    blocks, owner, atoms = [], [], np.zeros(x.shape)
    for j, size in enumerate(levels):
        seen = x[learn[m[learn, j]], j]
        block = _entries(x[:, j], seen, size)
        blocks.append(block)
        owner += [j] * block.shape[1]
        found, often = np.unique(x[learn[~m[learn, j]], j], return_counts=True)
        often = found[often >= max(ATOM * often.sum(), 2)]
        atoms[:, j] = 0 if size else np.isin(x[:, j], often)
    values, owner = np.hstack(blocks), np.array(owner)
    shown = np.where(m[:, owner], values, 0)
    expected, left = np.zeros((2, *shown.shape))
    for some in _parts(np.isin(owner, columns)):
        found = _expected(shown[:, some], m, owner[some], learn)
        expected[:, some], left[:, some] = found
    found = values, shown, atoms, expected, left
    return _Cells(*(part.astype(np.float32) for part in found), m, owner)


def _parts(asked: np.ndarray) -> list[np.ndarray]:
    """Parts of the entries, with all that are asked for `[e]` among them.

    Each has `MAX_REGRESSED` entries at most, filled up with others.
    """
    entries = np.flatnonzero(asked)
    groups = -(-len(entries) // MAX_REGRESSED)
    room = groups * MAX_REGRESSED - len(entries)
    others = np.flatnonzero(~asked)
    if len(others) > room:
        spaced = np.linspace(0, len(others) - 1, room).astype(int)
        others = others[spaced]
    parts = np.array_split(np.append(entries, others), groups) if groups else []
    return [np.sort(part) for part in parts]


def _entries(x: np.ndarray, seen: np.ndarray, levels: int) -> np.ndarray:
    """A column `[n]` as entries `[n, e]`, by its observed values `[q]`."""
    if levels:
        counts = np.bincount(seen.astype(int), minlength=levels)
        often = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
        return (x[:, None] == often).astype(np.float64)
    ordered = np.sort(seen)
    rank = np.searchsorted(ordered, x) + np.searchsorted(ordered, x, "right")
    return ndtri((rank[:, None] + 1) / (2 * len(ordered) + 2))


def _expected(
    shown: np.ndarray, m: np.ndarray, owner: np.ndarray, learn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the observed cells of other columns let expect, by a regression.

    Args:
      shown: `[n, e]`, entries, 0 in the gaps.
      m: `[n, c]` bool, True = observed.
      owner: `[e]`, the columns of the entries.
      learn: rows to learn the covariances from, of observed pairs.

    Returns:
      `[n, e]`, and the logarithms of the shares of variance left, `[n, e]`.
    """
    m, e = m[:, owner], len(owner)
    count = np.maximum(m[learn].sum(axis=0), 1)
    centre = shown[learn].sum(axis=0) / count
    shown = np.where(m, shown - centre, 0)
    cov = covariance_of_pairs(shown[learn], m[learn])
    variance = np.diag(cov)
    expected, left = np.empty((2, *shown.shape))
    size = max(CELLS // e**2, 1)
    for start in range(0, len(shown), size):
        rows = slice(start, start + size)
        expected[rows], kept = _regressed(cov, shown[rows], m[rows], owner)
        left[rows] = np.log(np.maximum(kept / variance, RIDGE))
    return centre + expected, left


def _regressed(
    cov: np.ndarray, shown: np.ndarray, m: np.ndarray, owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Conditional means and variances `[r, e]` given other observed cells.

    One inverse of what is observed has them for all columns: those of a gap by
    the regression on it, those of an observed block by its part of it.
    """
    seen = m[:, :, None]
    known = np.where(seen & seen.swapaxes(1, 2), cov, np.eye(len(cov)))
    inverse = np.linalg.inv(known)
    solved = np.einsum("nij,nj->ni", inverse, shown)
    sides = np.where(seen, cov, 0)
    mean = np.einsum("nij,ni->nj", sides, solved)
    kept = np.diag(cov) - np.sum(sides * (inverse @ sides), axis=1)
    for j in np.unique(owner):
        own = np.flatnonzero(owner == j)
        here = np.flatnonzero(m[:, own[0]])
        block = np.linalg.inv(inverse[np.ix_(here, own, own)])
        apart = np.einsum("nij,nj->ni", block, solved[np.ix_(here, own)])
        mean[np.ix_(here, own)] = shown[np.ix_(here, own)] - apart
        kept[np.ix_(here, own)] = np.einsum("nii->ni", block)
    return mean, kept
