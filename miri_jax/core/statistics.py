"""Statistics of the observed entries of each column."""

import jax.numpy as jnp

from miri_jax.types import Array, Bounds


def observed_mean(x: Array, m: Array) -> Array:
    """Mean over rows of the observed entries, 0 for a column without any.

    Args:
      x: `[n, *dims]`.
      m: `[n, *dims]` bool, True = observed.

    Returns:
      `[*dims]`.
    """
    count = jnp.maximum(jnp.sum(m, axis=0), 1)
    return jnp.sum(jnp.where(m, x, 0), axis=0) / count


def observed_median(x: Array, m: Array) -> Array:
    """Median over rows of the observed entries; shapes as `observed_mean`."""
    median = jnp.nanmedian(jnp.where(m, x, jnp.nan), axis=0)
    return jnp.where(jnp.any(m, axis=0), median, 0)


def observed_bounds(x: Array, m: Array) -> Bounds:
    """The observed range of each column, 0 for a column without any.

    Args:
      x: `[n, *dims]`.
      m: `[n, *dims]` bool, True = observed.
    """
    seen = jnp.any(m, axis=0)
    low = jnp.min(jnp.where(m, x, jnp.inf), axis=0)
    high = jnp.max(jnp.where(m, x, -jnp.inf), axis=0)
    return Bounds(jnp.where(seen, low, 0), jnp.where(seen, high, 0))
