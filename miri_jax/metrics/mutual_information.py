"""Mutual information of a filled table and its mask, on held-out rows.

MI(X, M) = sum_j E log p(m_j | x, m_<j) / p(m_j | m_<j): the chain rule turns it
into d binary classifications, see `evidence`. Where cells are lost completely
at random (MCAR) an imputation is good when nothing in the filled table tells
which cells were filled: MI = 0. It needs no truth. Of tables whose gaps depend
on other columns (MAR), see `conditional_mi`.
"""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from miri_jax.metrics.evidence import Estimate, Question, estimate
from miri_jax.types import Array

# The smallest eigenvalue of the correlations, and of a residual variance.
RIDGE = 1e-2
# Entries of the matrices of the rows that are regressed at a time.
CELLS = 2**22
MAX_REGRESSED = 96


class _Rows(NamedTuple):
    """What the classifiers see of n rows.

    Attributes:
      values: `[n, d]`, standardised and clipped.
      atoms: `[n, d]`, whether a value is an atom.
      own: `[n, c]`, the values in the c columns of the mask.
      cells: `[n, c, 5]`, features of each cell by itself.
      m: `[n, c]`, the mask, 1 = observed.
    """

    values: np.ndarray
    atoms: np.ndarray
    own: np.ndarray
    cells: np.ndarray
    m: np.ndarray


def mutual_information(
    key: Array, x: ArrayLike, m: ArrayLike, **settings: int
) -> float:
    """`estimate_mutual_information` without its standard error."""
    return estimate_mutual_information(key, x, m, **settings).nats


def estimate_mutual_information(
    key: Array,
    x: ArrayLike,
    m: ArrayLike,
    *,
    num_folds: int = 3,
    max_rows: int = 6000,
    max_columns: int = 64,
) -> Estimate:
    """Estimates MI(X, M) in nats.

    It is a lower bound in expectation where the mask's columns are independent
    (MCAR), as classifiers learnt from finite data fall short. Filling with the
    mean gives the entropy of the mask, d * h(rate); the true table under MCAR
    gives 0, within the sampling error, which may take it slightly below 0.

    Args:
      key: PRNG key.
      x: `[n, *dims]`, filled, any scale.
      m: `[n, *dims]` bool, True = observed.
      num_folds: folds of rows, each held out once.
      max_rows: above this many rows, a random subset of this size is used.
      max_columns: above this many columns, the sum over j is estimated from
        this many random ones.

    Returns:
      The `Estimate`; 0 where every column is fully observed or fully missing.
    """
    x, m = np.asarray(x), np.asarray(m, bool)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    rows = rng.permutation(len(x))[:max_rows]
    x = x[rows].astype(np.float64).reshape(len(rows), -1)
    m = m[rows].reshape(len(rows), -1)
    mixed = np.flatnonzero(m.any(0) & ~m.all(0))
    columns = np.sort(rng.permutation(len(mixed))[:max_columns])
    ask = lambda learn: _question(_features(x, m, mixed, learn))
    return estimate(ask, len(rows), columns, len(mixed), num_folds)


def _question(seen: _Rows) -> Question:
    """What the table tells beyond the columns of the mask before.

    With the products of a cell's own value and the others', the log odds of any
    two Gaussians are linear in the evidence.
    """

    def evidence(j: int, rows: np.ndarray) -> np.ndarray:
        values = seen.values[rows]
        products = seen.own[rows, j, None] * values
        return np.hstack(
            [seen.cells[rows, j], values, seen.atoms[rows], products]
        )

    return Question(
        lambda j, rows: 2 * seen.m[rows, :j] - 1,
        evidence,
        lambda j, rows: seen.m[rows, j],
    )


def _features(
    x: np.ndarray, m: np.ndarray, mixed: np.ndarray, learn: np.ndarray
) -> _Rows:
    """What the classifiers see of all rows, scaled by those to learn from.

    Filling with a constant puts an atom into a continuous column, which nothing
    smooth can see: an atom is a value that fills 5 % or more of the gaps of its
    column in the rows to learn from.

    For each cell: how far it is from its column's mean and from what the row's
    observed cells in the columns before it (of more than `MAX_REGRESSED`, in
    the same group of neighbours) let expect, see `_residuals`.
    Filling at random makes these residuals large, a regression makes them
    small. The log odds of two Gaussians are linear in these features.
    """
    seen = m[learn]
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, x[learn], 0).sum(axis=0) / count
    square = np.where(seen, x[learn] - centre, 0) ** 2
    scale = np.sqrt(square.sum(axis=0) / count)
    values = (x - centre) / np.where(scale > 0, scale, 1.0)
    values = np.clip(values, -5, 5)
    # A regression on d columns takes d^3: of wide tables, in groups of columns.
    groups = -(-x.shape[1] // MAX_REGRESSED)
    parts = [
        _residuals(values[:, some], m[:, some], learn)
        for some in np.array_split(np.arange(x.shape[1]), groups)
    ]
    residuals, log_variance = (np.hstack(part) for part in zip(*parts))
    residuals = np.clip(residuals, -5, 5)
    atoms = np.zeros(x.shape)
    for j in range(x.shape[1]):
        filled = x[learn, j][~m[learn, j]]
        found, often = np.unique(filled, return_counts=True)
        often = often >= max(0.05 * len(filled), 2)
        atoms[:, j] = np.isin(x[:, j], found[often])
    sizes = [np.abs(residuals), residuals**2, np.abs(values), values**2]
    cells = np.stack([*sizes, log_variance], axis=-1)
    found = values, atoms, values[:, mixed], cells[:, mixed], m[:, mixed]
    return _Rows(*(part.astype(np.float32) for part in found))


def covariance_of_pairs(shown: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The covariance `[d, d]` of centred columns by rows where both are seen.

    Args:
      shown: `[n, d]`, 0 where missing.
      m: `[n, d]` bool, True = observed.
    """
    d = shown.shape[1]
    pairs = m.T.astype(float) @ m
    cov = shown.T @ shown / np.maximum(pairs, 1)
    # Few pairs make a noisy covariance; they also need not be consistent.
    cov *= np.where(np.eye(d, dtype=bool), 1, pairs / (pairs + d))
    found, vectors = np.linalg.eigh(cov)
    return (vectors * np.maximum(found, RIDGE)) @ vectors.T


def _residuals(
    values: np.ndarray, m: np.ndarray, learn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of linear regressions on observed cells of earlier columns.

    Args:
      values: `[n, d]`, standardised by observed mean and deviation.
      m: `[n, d]` bool, True = observed.
      learn: the rows to learn the correlations from, of observed pairs.

    Returns:
      `[n, d]` residuals in their own deviations, and `[n, d]` the logarithm of
      the share of the variance that they have left.
    """
    d = values.shape[1]
    shown = np.where(m, values, 0)
    cov = covariance_of_pairs(shown[learn], m[learn])
    variance = np.diag(cov)
    residuals, log_variance = np.empty((2, *values.shape))
    size = max(CELLS // d**2, 1)
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        seen = m[rows, :, None]
        known = np.where(seen & seen.swapaxes(1, 2), cov, np.eye(d))
        root = np.linalg.cholesky(known)
        sides = np.concatenate(
            [np.where(seen, cov, 0), shown[rows, :, None]], axis=2
        )
        solved = np.linalg.solve(root, sides)
        # Column j of the first d, up to row j: the weights on what is earlier.
        weights = np.triu(solved[:, :, :d], 1)
        left = variance - np.sum(weights**2, axis=1)
        left = np.maximum(left, RIDGE * variance)
        mean = np.einsum("nkj,nk->nj", weights, solved[:, :, d])
        residuals[rows] = (values[rows] - mean) / np.sqrt(left)
        log_variance[rows] = np.log(left / variance)
    return residuals, log_variance
