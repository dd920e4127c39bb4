"""A method as somebody outside the package writes it: random hot deck."""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from miri_jax.core.flow import merge
from miri_jax.settings import Range
from miri_jax.types import Array, Draw, Imputer, Masked


class HotDeckState(NamedTuple):
    """`x` and `m` `[n, d]` of the rows that give values."""

    iteration: Array
    x: Array
    m: Array


def impute(
    noise: float,
    key: Array,
    state: HotDeckState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """Each gap gets an observed value of its column, and some noise."""
    if draw is not None:
        key = jax.random.fold_in(key, draw.index)
    key_row, key_noise = jax.random.split(key)
    n, d = data.x.shape
    odds = jnp.where(state.m, jnp.float32(0), -jnp.inf).T
    row = jax.random.categorical(key_row, odds[None], shape=(n, d))
    given = state.x[row, jnp.arange(d)[None]]
    given += noise * jax.random.normal(key_noise, (n, d), data.x.dtype)
    return merge(data.x, given, data.m)


def make_hot_deck(*, noise: Annotated[float, Range(0, 1)] = 0.0) -> Imputer:
    """Random hot deck with noise of a given deviation."""
    draw_rows = jax.jit(partial(impute, noise))

    @jax.jit
    def init(key: Array, data: Masked) -> HotDeckState:
        del key
        x = jnp.where(data.m, data.x, 0)
        return HotDeckState(jnp.int32(0), x, data.m)

    def step(
        key: Array, state: HotDeckState, data: Masked
    ) -> tuple[HotDeckState, dict[str, Array]]:
        x = draw_rows(key, state, data)
        return state._replace(iteration=state.iteration + 1, x=x), {}

    return Imputer(init, step, draw_rows, 1)
