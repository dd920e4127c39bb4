"""Draws of a conditional normal distribution that chains begin with.

On the scale of imputers, where numbers are normal scores. All columns are drawn
at once given what is observed, which no order of columns can be. Learnt and
drawn as in `sources.normal`, in NumPy, as compiling takes longer than this.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from miri_jax.core.rows import spaced

# Rows that are learnt from at most, rounds, and the columns above which there
# are fewer, so that the work grows no faster than the width.
ROWS, ROUNDS, WIDE = 4096, 20, 100
# Strength of the shrinkage, the ridge, and the residual that ends a solution.
SHRINKAGE, RIDGE, SMALL = 0.3, 1e-4, 1e-8
STEPS = 60


class Normal(NamedTuple):
    """A normal distribution over rows of d entries.

    Attributes:
      mean: `[d]` float64.
      cov: `[d, d]` float64, positive definite.
    """

    mean: np.ndarray
    cov: np.ndarray


def fit_normal(
    x: np.ndarray, m: np.ndarray, rng: np.random.Generator
) -> Normal:
    """Learns from rows with gaps, by stochastic approximation EM.

    Begins with the moments of pairs that are observed together.

    Args:
      x: `[n, d]`, read where observed only.
      m: `[n, d]` bool, True = observed.
      rng: draws.
    """
    some = spaced(len(x), ROWS)
    x, m = np.where(m[some], x[some], 0).astype(np.float64), m[some]
    n, d = x.shape
    rows = m.sum() / d
    seen = m.astype(np.float64)
    rounds = max(round(ROUNDS * min(WIDE / d, 1) ** 2), 2)
    with threadpool_limits(1, "blas"):
        mean = x.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        away = (x - mean) * seen
        pairs = seen.T @ seen
        # Of few pairs the covariance is next to nothing.
        second = away.T @ away / np.maximum(pairs, 1)
        second *= np.where(np.eye(d) > 0, 1, pairs / (pairs + d))
        second += np.outer(mean, mean)
        found = _from_moments(mean, second, rows)
        for k in range(rounds):
            filled = _drawn(found, rng.standard_normal((n, d)), x, m)
            gain = 1 / max(k - rounds // 2 + 1, 1)
            mean = mean + gain * (filled.mean(axis=0) - mean)
            second = second + gain * (filled.T @ filled / n - second)
            found = _from_moments(mean, second, rows)
    return found


def _from_moments(mean: np.ndarray, second: np.ndarray, rows: float) -> Normal:
    """See `sources.normal.from_moments`."""
    cov = second - np.outer(mean, mean)
    variance = np.maximum(np.diag(cov), 0)
    scale = np.sqrt(variance + 1e-6)
    other = 1 - np.eye(len(mean))
    square = other * np.square(np.clip(cov / np.outer(scale, scale), -1, 1))
    error = np.sum(other * np.square(1 - square)) / max(rows, 1)
    share = np.clip(SHRINKAGE * error / (square.sum() + 1e-6), 0, 1)
    cov = (1 - share) * cov + np.diag(share * variance)
    # The moments of different pairs need not be consistent.
    cov = cov / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(0.5 * (cov + cov.T))
    cov = (vectors * np.maximum(values, RIDGE)) @ vectors.T
    return Normal(mean, cov * np.outer(scale, scale))


def draw_normal(
    normal: Normal, noise: np.ndarray, x: np.ndarray, m: np.ndarray
) -> np.ndarray:
    """Rows `[k, d]` whose gaps are drawn given what is observed in them.

    By Matheron's rule, see `sources.normal.conditional_draw`. What is drawn for
    a row does not depend on the others, but for rounding.

    Args:
      normal: the distribution.
      noise: `[k, d]`, standard normal.
      x: `[k, d]`, read where observed only.
      m: `[k, d]` bool, True = observed.
    """
    # Sums of a library that uses several threads depend on their number.
    with threadpool_limits(1, "blas"):
        return _drawn(normal, noise, x, m)


def _drawn(
    normal: Normal, noise: np.ndarray, x: np.ndarray, m: np.ndarray
) -> np.ndarray:
    mean, cov = normal
    start = mean + noise @ np.linalg.cholesky(cov).T
    left = np.where(m, x - start, 0)
    drawn = start + _solved(cov, m, left) @ cov
    drawn = np.where(np.isfinite(drawn), drawn, start)
    return np.where(m, x, drawn)


def _solved(cov: np.ndarray, m: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves (M S M + 1 - M) y = `right` row by row, by conjugate gradients."""
    diagonal = np.where(m, np.diag(cov), 1.0)
    y, r = np.zeros_like(right), right.copy()
    step = z = r / diagonal
    size = np.sum(r * z, axis=1)
    small = SMALL**2 * np.maximum(size, 1e-300)
    for _ in range(min(2 * len(cov) + 10, STEPS)):
        going = np.flatnonzero(size > small)
        if not going.size:
            break
        p = step[going]
        turned = np.where(m[going], p @ cov, 0)
        rate = size[going] / np.sum(p * turned, axis=1)
        y[going] += rate[:, None] * p
        r[going] = r[going] - rate[:, None] * turned
        z = r[going] / diagonal[going]
        now = np.sum(r[going] * z, axis=1)
        step[going] = z + (now / size[going])[:, None] * p
        size[going] = now
    return y
