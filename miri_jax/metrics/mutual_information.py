"""Mutual information of a filled table and its mask, on held-out rows.

MI(X, M) = sum_j E log p(m_j | x, m_<j) / p(m_j | m_<j): the chain rule turns it
into d binary classifications. Both probabilities are learnt on some rows and
their ratio is averaged over others, fold by fold, so that memorising earns
nothing. An imputation is good when nothing in the filled table tells which
cells were filled: MI = 0. It needs no truth.

The classifiers are logistic regressions on the host: they take a tenth of a
second, where a program for a network would take seconds to compile.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from miri_jax.metrics.logistic import log_likelihoods, ridge_path
from miri_jax.types import Array

# Penalties, the strongest first, of which the best is chosen, and how many of
# the features are looked at: those that tell most.
PENALTIES, MAX_FEATURES = (300.0, 30.0, 3.0, 0.3), 64
# The smallest eigenvalue of the correlations, and of a residual variance.
RIDGE = 1e-2
# Entries of the matrices of the rows that are regressed at a time.
CELLS = 2**22
MAX_REGRESSED = 96


class Estimate(NamedTuple):
    """An estimate of MI and its standard error over rows, in nats."""

    nats: float
    error: float


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

    def take(self, rows: np.ndarray | slice) -> "_Rows":
        """Some of the rows."""
        return _Rows(*(part[rows] for part in self))


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
      The `Estimate`; 0 where every column is fully observed or fully missing,
      or where there are fewer than 10 rows a fold.
    """
    x, m = np.asarray(x), np.asarray(m, bool)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    rows = rng.permutation(len(x))[:max_rows]
    x = x[rows].astype(np.float64).reshape(len(rows), -1)
    m = m[rows].reshape(len(rows), -1)
    size = len(rows) // num_folds
    mixed = np.flatnonzero(m.any(0) & ~m.all(0))
    if size < 10 or not len(mixed):
        return Estimate(0.0, 0.0)
    folds = np.arange(size * num_folds).reshape(num_folds, size)
    columns = np.sort(rng.permutation(len(mixed))[:max_columns])
    gains = []
    # On such small matrices threads wait for each other longer than they work.
    with threadpool_limits(1, "blas"):
        for k, fold in enumerate(folds):
            others = np.delete(folds, k, axis=0).ravel()
            every = _features(x, m, mixed, others)
            gains.append(
                _held_out_gain(every.take(others), every.take(fold), columns)
            )
    gains = np.concatenate(gains) * len(mixed) / len(columns)
    return Estimate(float(gains.mean()), float(gains.std() / gains.size**0.5))


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
    pairs = m[learn].T.astype(float) @ m[learn]
    cov = shown[learn].T @ shown[learn] / np.maximum(pairs, 1)
    # Few pairs make a noisy correlation; they also need not be consistent.
    cov *= np.where(np.eye(d, dtype=bool), 1, pairs / (pairs + d))
    values_, vectors = np.linalg.eigh(cov)
    cov = (vectors * np.maximum(values_, RIDGE)) @ vectors.T
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


def _held_out_gain(
    train: _Rows, test: _Rows, columns: np.ndarray
) -> np.ndarray:
    """Sum over `columns` of the log ratios of each row of `test`, in nats.

    The prior p(m_j | m_<j) is learnt first. The evidence of x is then learnt on
    top of it, starting from none, so that where x tells nothing the ratio stays
    1: of `PENALTIES` that is taken, for all columns, which is the best for rows
    held out to choose by, or none.
    """
    held = max(len(train.m) // 6, 1)
    valid, train = train.take(slice(held)), train.take(slice(held, None))
    parts = train, valid, test
    scores, gains = 0.0, 0.0
    for j in columns:
        y = [rows.m[:, j] for rows in parts]
        none = [np.zeros(len(rows.m)) for rows in parts]
        before = [2 * rows.m[:, :j] - 1 for rows in parts]
        prior = _learnt(before, y[0], none)
        best = np.argmax(log_likelihoods(prior[1], y[1]).sum(axis=1))
        known = [logits[best] for logits in prior]
        evidence = _learnt([_inputs(rows, j) for rows in parts], y[0], known)
        ratios = [
            log_likelihoods(logits, y_) - log_likelihoods(start, y_)
            for logits, start, y_ in zip(evidence, known, y)
        ]
        scores = scores + ratios[1].sum(axis=1)
        gains = gains + ratios[2]
    best = np.argmax(scores)
    return gains[best] if scores[best] > 0 else np.zeros(len(test.m))


def _learnt(
    x: Sequence[np.ndarray], y: np.ndarray, known: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Logits of several groups of rows, for each of `PENALTIES`.

    Args:
      x: `[n, f]` of each group; the first is learnt from.
      y: `[n]` of the first group, 0 or 1.
      known: `[n]` of each group, logits that are known before.

    Returns:
      `[p, n]` of each group.
    """
    seen = _telling(x[0], y, known[0])
    added = ridge_path(x[0][:, seen], y, known[0], PENALTIES)
    return [start + added(part[:, seen]) for part, start in zip(x, known)]


def _inputs(rows: _Rows, j: int) -> np.ndarray:
    """`[n, f]`, what may tell of column j.

    With the products of its own value and the others', the log odds of any two
    Gaussians are linear in them.
    """
    products = rows.own[:, j, None] * rows.values
    return np.hstack([rows.cells[:, j], rows.values, rows.atoms, products])


def _telling(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of x `[n, f]` go most with y `[n]` beyond known logits `[n]`.

    Returns:
      At most `MAX_FEATURES` places, ascending.
    """
    left = y - 1 / (1 + np.exp(-known))
    spread = np.maximum(x.std(axis=0), 1e-6)
    found = np.abs((left - left.mean()) @ x) / spread
    return np.sort(np.argsort(-found)[:MAX_FEATURES])
