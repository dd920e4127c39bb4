"""Mean and median filling: the yardsticks that every method must beat."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from miri_jax.flow import merge
from miri_jax.types import Array, Bounds, Imputer, Masked


class SimpleState(NamedTuple):
    """See `types.Imputer`; `fill` `[*dims]` holds each column's statistic."""

    iteration: Array
    x: Array
    fill: Array


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


def _make_simple(statistic: Callable[[Array, Array], Array]) -> Imputer:
    def fill_gaps(fill: Array, data: Masked) -> Array:
        return merge(data.x, jnp.broadcast_to(fill, data.x.shape), data.m)

    @jax.jit
    def init(key, data):
        del key  # Nothing here is random.
        x = merge(data.x, jnp.zeros_like(data.x), data.m)
        return SimpleState(jnp.int32(0), x, jnp.zeros_like(data.x[0]))

    @jax.jit
    def step(key, state, data):
        del key
        fill = statistic(data.x, data.m)
        x = fill_gaps(fill, data)
        return SimpleState(state.iteration + 1, x, fill), {}

    @jax.jit
    def impute(key, state, data, draw=None):
        del key
        return fill_gaps(state.fill, data)

    return Imputer(init, step, impute, 1)


def make_mean() -> Imputer:
    """Fills every gap with the mean of its column's observed entries."""
    return _make_simple(observed_mean)


def make_median() -> Imputer:
    """Fills every gap with the median of its column's observed entries."""
    return _make_simple(observed_median)
