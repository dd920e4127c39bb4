"""Conditional draws of a normal distribution on the host, in NumPy."""

import numpy as np

from miri_jax.core.blocks import by_blocks
from miri_jax.core.threads import one_thread

# The residual that ends a solution, and its steps at most.
SMALL, STEPS = 1e-8, 60


def draw(
    mean: np.ndarray,
    cov: np.ndarray,
    noise: np.ndarray,
    x: np.ndarray,
    m: np.ndarray,
) -> np.ndarray:
    """Rows `[k, d]` whose gaps are drawn given what is observed in them.

    By Matheron's rule, see `sources.normal.conditional_draw`. What is drawn for
    a row does not depend on the others, but for rounding.

    Args:
      mean: `[d]` and
      cov: `[d, d]`, positive definite: of the distribution.
      noise: `[k, d]`, standard normal.
      x: `[k, d]`, read where observed only.
      m: `[k, d]` bool, True = observed.
    """
    root = np.linalg.cholesky(cov).T

    def some(noise: np.ndarray, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        start = mean + noise @ root
        left = np.where(m, x - start, 0)
        drawn = start + _solved(cov, m, left) @ cov
        drawn = np.where(np.isfinite(drawn), drawn, start)
        return np.where(m, x, drawn)

    with one_thread("blas"):
        return by_blocks(some, noise, x, m)


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
