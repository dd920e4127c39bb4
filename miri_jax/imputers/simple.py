"""Mean and median filling: the yardsticks that every method must beat."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.flow import merge
from miri_jax.core.parallel import to_host
from miri_jax.core.statistics import observed_mean, observed_median
from miri_jax.imputers._form import compiled
from miri_jax.types import Array, Draw, Imputer, Info, Layout, Masked


class SimpleState(NamedTuple):
    """See `types.Imputer`; `fill` `[*dims]` holds each column's statistic."""

    iteration: Array
    x: Array
    fill: Array


class SimpleSettings(NamedTuple):
    """What a gap is filled with.

    Attributes:
      statistic: `(x, m) -> [*dims]`, a column's statistic.
      told: see `types.Layout`: what rows like it tell comes first.
    """

    statistic: Callable[[Array, Array], Array]
    told: tuple[int, ...] = ()


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
    del key, draw
    fill = jnp.broadcast_to(state.fill, data.x.shape)
    if settings.told:
        told = np.array(settings.told)
        known = (told >= 0)[None] & data.m[:, told]
        fill = jnp.where(known, data.x[:, told], fill)
    return merge(data.x, fill, data.m)


def _make_simple(
    statistic: Callable[[Array, Array], Array],
    of_numbers: Callable[[np.ndarray], float],
    layout: Layout | None,
) -> Imputer:
    told = () if layout is None else layout.told
    settings = SimpleSettings(
        statistic, told if max(told, default=-1) >= 0 else ()
    )
    imputer = compiled(settings, 1, init=init, step=step, impute=impute)
    if layout is None:
        return imputer
    like = partial(jax.eval_shape, partial(init, settings), None)
    own = partial(step_of_columns, imputer, of_numbers, layout)
    return imputer._replace(step=own, host=True, like=like)


def step_of_columns(
    imputer: Imputer,
    of_numbers: Callable[[np.ndarray], float],
    layout: Layout,
    key: Array,
    state: SimpleState,
    data: Masked,
) -> tuple[SimpleState, Info]:
    """As `step`, with the statistic of numbers on their own scale.

    A column may be seen by its normal scores, whose mean is not that of the
    numbers: of a skewed column it is nearer to the median.

    Args:
      imputer: whose step gives the statistic of levels.
      of_numbers: the statistic of observed numbers `[k]`.
      layout: of the table.
      key: not used.
      state: see `step`.
      data: see `step`.
    """
    state, info = imputer.step(key, state, data)
    x, m, fill = (to_host(part) for part in (*data, state.fill))
    values, seen = layout.unpack(x), layout.observed(m)
    there = np.flatnonzero((np.array(layout.levels) == 0) & seen.any(axis=0))
    own = np.zeros((1, values.shape[1]))
    for j in there:
        found = of_numbers(values[seen[:, j], j])
        own[0, j] = layout.settle(j, np.array([found]))[0]
    packed = layout.pack(own, np.full(own.shape, 0.5))[0]
    numbers = np.isin(layout.owners(len(fill)), there)
    state = state._replace(fill=jnp.asarray(np.where(numbers, packed, fill)))
    return state._replace(x=imputer.impute(key, state, data)), info


def make_mean(*, layout: Layout | None = None) -> Imputer:
    """Fills every gap with the mean of its column's observed entries.

    Where rows belong together, with what those like it tell of it.

    Args:
      layout: of the table; None for numbers alone.
    """
    return _make_simple(observed_mean, np.mean, layout)


def make_median(*, layout: Layout | None = None) -> Imputer:
    """Fills every gap with the median of its column's observed entries.

    Where rows belong together, with what those like it tell of it.

    Args:
      layout: of the table; None for numbers alone.
    """
    return _make_simple(observed_median, np.median, layout)
