"""Mean and median filling: the yardsticks that every method must beat."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from miri_jax.core.flow import merge
from miri_jax.core.statistics import observed_mean, observed_median
from miri_jax.imputers._form import compiled
from miri_jax.types import Array, Draw, Imputer, Info, Masked


class SimpleState(NamedTuple):
    """See `types.Imputer`; `fill` `[*dims]` holds each column's statistic."""

    iteration: Array
    x: Array
    fill: Array


class SimpleSettings(NamedTuple):
    """What a gap is filled with: `(x, m) -> [*dims]`, a column's statistic."""

    statistic: Callable[[Array, Array], Array]


def init(settings: SimpleSettings, key: Array, data: Masked) -> SimpleState:
    """Zeros in the gaps."""
    del settings, key  # Nothing here is random.
    x = merge(data.x, jnp.zeros_like(data.x), data.m)
    return SimpleState(jnp.int32(0), x, jnp.zeros_like(data.x[0]))


def step(
    settings: SimpleSettings, key: Array, state: SimpleState, data: Masked
) -> tuple[SimpleState, Info]:
    """The statistic of each column, and the table filled with it."""
    fill = settings.statistic(data.x, data.m)
    state = state._replace(iteration=state.iteration + 1, fill=fill)
    return state._replace(x=impute(settings, key, state, data)), {}


def impute(
    settings: SimpleSettings,
    key: Array,
    state: SimpleState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """The rows filled with the columns' statistics; all draws are the same."""
    del settings, key, draw
    fill = jnp.broadcast_to(state.fill, data.x.shape)
    return merge(data.x, fill, data.m)


def _make_simple(statistic: Callable[[Array, Array], Array]) -> Imputer:
    return compiled(
        SimpleSettings(statistic), 1, init=init, step=step, impute=impute
    )


def make_mean() -> Imputer:
    """Fills every gap with the mean of its column's observed entries."""
    return _make_simple(observed_mean)


def make_median() -> Imputer:
    """Fills every gap with the median of its column's observed entries."""
    return _make_simple(observed_median)
