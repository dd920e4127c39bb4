"""Replacing the missing entries of rows, in memory bounded in their number."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.flow import merge
from miri_jax.core.parallel import split_examples
from miri_jax.types import Array, Base, Draw, Masked


class GapRows(NamedTuple):
    """The rows of a table that miss at least one entry.

    Attributes:
      order: `[n]`, all row indices, those of rows with gaps first.
      count: scalar, how many rows have gaps.
    """

    order: Array
    count: Array


def gap_rows(m: Array) -> GapRows:
    """Finds the rows with gaps of a mask `[n, *dims]`."""
    gaps = ~jnp.all(m.reshape(m.shape[0], -1), axis=1)
    return GapRows(jnp.argsort(~gaps), jnp.sum(gaps))  # the sort is stable


def spaced(n: int, count: int) -> np.ndarray:
    """`count` of n row numbers, or all, evenly spaced: files may be sorted."""
    return np.linspace(0, n - 1, min(n, count)).astype(np.int32)


# (noise, x, x_obs, m), all [*dims], to the row's new values.
Move = Callable[[Array, Array, Array, Array], Array]
# (keys [c], x, x_obs, m), [c, *dims] each, to the rows' new values.
MoveChunk = Callable[[Array, Array, Array, Array], Array]
_EDGE = 1e-6  # keeps quantiles within 4.8 deviations, where float32 ends


def normal_noise(
    key: Array, shape: tuple[int, ...], draw: Draw | None = None
) -> Array:
    """Standard normal noise, stratified over draws where there are several.

    Latin hypercube sampling (McKay, Beckman and Conover, 1979): in each entry
    the draws 0 .. count - 1, called with the same key, fall one each into the
    count slices of equal probability, in an order that is random from entry to
    entry. Each draw by itself is independent standard normal noise, as without
    it, and all draws are exchangeable; but their mean is far closer to its
    expectation than that of independent draws.

    Args:
      key: PRNG key.
      shape: of the noise.
      draw: None for noise of no set.
    """
    if draw is None:
        return jax.random.normal(key, shape, jnp.float32)
    key_order, key_place = jax.random.split(key)
    order = jax.random.uniform(key_order, (draw.count, *shape), jnp.float32)
    rank = jnp.sum(order < order[draw.index][None], axis=0)
    place = jax.random.uniform(
        jax.random.fold_in(key_place, draw.index), shape, jnp.float32
    )
    quantile = (rank + place) / draw.count
    return jax.scipy.special.ndtri(jnp.clip(quantile, _EDGE, 1 - _EDGE))


def all_noise(
    key: Array,
    shape: tuple[int, ...],
    draw: Draw | None = None,
    chunk: int = 4096,
) -> Array:
    """`normal_noise` for rows `[n, *dims]`, as `move_rows` has it for each."""

    def of_row(row: Array) -> Array:
        return normal_noise(jax.random.fold_in(key, row), shape[1:], draw)

    each = jnp.arange(shape[0], dtype=jnp.int32)
    return jax.lax.map(of_row, each, batch_size=min(chunk, shape[0]))


def move_rows(
    key: Array,
    x: Array,
    data: Masked,
    rows: GapRows,
    move: Move,
    chunk: int,
    draw: Draw | None = None,
) -> Array:
    """Replaces the missing entries of some rows, `chunk` rows at a time.

    Args:
      key: PRNG key.
      x: `[n, *dims]`, the filled table.
      data: the table with gaps.
      rows: which rows; the others stay as they are.
      move: `(noise, x, x_obs, m) -> [*dims]`, one row's new values, with
        standard normal noise `[*dims]`.
      chunk: bounds the memory.
      draw: which of several draws the noise is for, see `normal_noise`.

    Returns:
      `[n, *dims]`; observed entries are those of `data`, bit for bit.
    """

    def move_chunk(keys: Array, x: Array, x_obs: Array, m: Array) -> Array:
        noise = lambda key: normal_noise(key, x.shape[1:], draw)
        return jax.vmap(move)(jax.vmap(noise)(keys), x, x_obs, m)

    return move_chunks(key, x, data, rows, move_chunk, chunk)


def draw_starts(
    key: Array, data: Masked, base: Base, chunk: int, draw: Draw | None = None
) -> Array:
    """Rows `[n, *dims]` filled by a flow's start, `chunk` rows at a time."""

    def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
        del x  # the old filling
        return base(noise[None], x_obs[None], m[None])[0][0]

    return move_rows(key, data.x, data, gap_rows(data.m), move, chunk, draw)


def move_chunks(
    key: Array,
    x: Array,
    data: Masked,
    rows: GapRows,
    move: MoveChunk,
    chunk: int,
) -> Array:
    """As `move_rows`, for methods that look at a whole chunk with its keys.

    Each row has its own key, so that what is drawn does not depend on the
    size of the chunks.

    Args:
      key: PRNG key.
      x: `[n, *dims]`, the filled table.
      data: the table with gaps.
      rows: which rows; the others stay as they are.
      move: `(keys, x, x_obs, m) -> [c, *dims]`, new values of c rows, with
        a key `[c]` each.
      chunk: c, or fewer for a smaller table.

    Returns:
      `[n, *dims]`; observed entries are those of `data`, bit for bit.
    """
    chex.assert_equal_shape((x, data.x, data.m))
    n = len(x)
    chunk = min(chunk, n)
    # Row n does not exist: what is written there is dropped.
    order = jnp.pad(rows.order, (0, chunk), constant_values=n)

    def one_chunk(i: Array, x: Array) -> Array:
        here = jax.lax.dynamic_slice(order, (i * chunk,), (chunk,))
        here = jnp.where(i * chunk + jnp.arange(chunk) < rows.count, here, n)
        take = lambda a: split_examples(jnp.take(a, here, axis=0, mode="clip"))
        x_obs, m = take(data.x), take(data.m)
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(here)
        new = move(keys, take(x), x_obs, m)
        return x.at[here].set(merge(x_obs, new, m), mode="drop")

    x = split_examples(merge(data.x, x, data.m))
    return jax.lax.fori_loop(0, -(-rows.count // chunk), one_chunk, x)
