"""Maximum mean discrepancy, in chunks so that memory grows with n only."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from miri_jax.types import Array

CHUNK = 512


def mmd(a: ArrayLike, b: ArrayLike, bandwidth: float) -> float:
    """Square root of the biased (V-statistic) MMD^2 of two samples.

    The kernel is exp(-||x - y||^2 / (2 s^2)) (Gretton et al., 2012, eq. 5).
    Squared distances are good to 1e-7 of the largest squared norm (float32),
    which a bandwidth far below the norms makes visible.

    Args:
      a: `[n, d]`.
      b: `[k, d]`.
      bandwidth: s, on the scale of the samples.

    Returns:
      The distance, 0 for equal samples, below sqrt(2).

    Raises:
      ValueError: on an empty sample, or a bandwidth that is not positive.
    """
    a, b = (np.asarray(z, np.float32) for z in (a, b))
    if not len(a) or not len(b):
        raise ValueError("mmd needs at least one row in each sample")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth is {bandwidth}; it must be positive")
    within = _mean_kernel(a, a, bandwidth) + _mean_kernel(b, b, bandwidth)
    squared = within - 2 * _mean_kernel(a, b, bandwidth)
    return float(np.sqrt(max(squared, 0.0)))


def median_distance(
    x: ArrayLike, *, max_rows: int = 2000, seed: int = 0
) -> float:
    """Median distance between two different rows: the usual bandwidth.

    Args:
      x: `[n, d]`.
      max_rows: above this many rows, a random subset of this size is used.
      seed: of that subset.

    Returns:
      The median, or 1 where it is 0 (most rows equal, or a single row).
    """
    x = np.asarray(x, np.float32)
    if len(x) > max_rows:
        rows = np.random.default_rng(seed).choice(len(x), max_rows, False)
        x = x[rows]
    squared = np.asarray(_squared_distances(x, x))
    distances = np.sqrt(squared[np.triu_indices(len(x), 1)])
    median = float(np.median(distances)) if distances.size else 0.0
    return median if median > 0 else 1.0


@jax.jit
def _squared_distances(a: Array, b: Array) -> Array:
    """`[n, k]`, from the expanded square; never negative."""
    norms = jnp.sum(a * a, 1)[:, None] + jnp.sum(b * b, 1)[None, :]
    # GPUs and TPUs would round factors to some bits, and digits cancel here.
    products = jnp.matmul(a, b.T, precision="highest")
    return jnp.maximum(norms - 2 * products, 0)


@partial(jax.jit, static_argnames="chunk")
def _kernel_row_means(a: Array, b: Array, gamma: Array, chunk: int) -> Array:
    """Mean over b of the kernel, for every row of a: `[n]`."""

    def one_row(row: Array) -> Array:
        squared = _squared_distances(row[None], b)[0]
        return jnp.mean(jnp.exp(-gamma * squared))

    return jax.lax.map(one_row, a, batch_size=chunk)


def _mean_kernel(a: np.ndarray, b: np.ndarray, bandwidth: float) -> float:
    # Centred, so that the expanded square cancels no digits; the row means are
    # averaged in float64, as MMD^2 is a small difference of such averages.
    centre = a.mean(axis=0)
    gamma = jnp.float32(0.5 / bandwidth**2)
    chunk = min(CHUNK, len(a))
    means = _kernel_row_means(a - centre, b - centre, gamma, chunk)
    return float(np.mean(np.asarray(means, np.float64)))
