"""Mean and median filling: the yardsticks that every method must beat."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from miri_jax.core.flow import merge
from miri_jax.core.statistics import observed_mean, observed_median
from miri_jax.types import Array, Imputer, Masked


class SimpleState(NamedTuple):
    """See `types.Imputer`; `fill` `[*dims]` holds each column's statistic."""

    iteration: Array
    x: Array
    fill: Array


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
