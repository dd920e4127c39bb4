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


# Rows that are looked at, at most, where some tell as much as all.
SOME = 4096


class Extent(NamedTuple):
    """How far a table reaches that has others behind it, see `padded`.

    Attributes:
      count: int32 scalar, its rows.
      some: `[k]` int32, evenly spaced ones, `SOME` at most; of a table with
        less than k, all of them and then rows behind.
      columns: int32 scalar, its columns.
    """

    count: Array
    some: Array
    columns: Array

    @property
    def real(self) -> Array:
        """`[k]` bool, which of `some` are the table's."""
        return jnp.arange(len(self.some)) < self.count


def extent(shape: tuple[int, ...], rows: int | None = None) -> Extent:
    """That of a table of `shape` (n, *dims) with others behind its rows.

    Args:
      shape: without what is behind it.
      rows: all together; None where none are behind.
    """
    n, columns = shape[:2]
    size = min(n if rows is None else rows, SOME)
    behind = np.arange(n, size, dtype=np.int32)
    some = np.concatenate([spaced(n, size), behind])
    return Extent(np.int32(n), some, np.int32(columns))


# (noise, x, x_obs, m), all [*dims], to the row's new values.
Move = Callable[[Array, Array, Array, Array], Array]
# (keys [c], x, x_obs, m), [c, *dims] each, to the rows' new values.
MoveChunk = Callable[[Array, Array, Array, Array], Array]
# Rows are drawn in these numbers at least, so that few shapes are compiled.
LEAST_ROWS, MOST_PADDING = 128, 8192
# Columns likewise, and the numbers up to which they are in fours and eights.
LEAST_COLUMNS, FOURS, EIGHTS = 8, 16, 64
_EDGE = 1e-6  # keeps quantiles within 4.8 deviations, where float32 ends
# The bits of a NaN, which no observed value has, and where places start.
_MISSING, _SALT = np.uint32(0x7FC00001), np.uint32(0x9E3779B9)


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
      draw: None for noise of no set, as for a set that is not spread out.
    """
    if draw is None or not draw.spread:
        return jax.random.normal(key, shape, jnp.float32)
    key_order, key_place = jax.random.split(key)
    order = jax.random.uniform(key_order, (*shape, draw.count), jnp.float32)
    rank = jnp.sum(order < order[..., draw.index][..., None], axis=-1)
    place = jax.random.uniform(
        jax.random.fold_in(key_place, draw.index), shape, jnp.float32
    )
    quantile = (rank + place) / draw.count
    return jax.scipy.special.ndtri(jnp.clip(quantile, _EDGE, 1 - _EDGE))


# Draws numbers, as `jax.random.normal` and `jax.random.uniform`.
Random = Callable[[Array, tuple[int, ...], jnp.dtype], Array]


def for_columns(random: Random, key: Array, shape: tuple[int, ...]) -> Array:
    """Random numbers of `shape` [n, *dims], float32.

    Those of a table `[n, d]` are the same with columns behind it and without.
    """
    if len(shape) != 2:
        return random(key, shape, jnp.float32)
    return random(key, shape[::-1], jnp.float32).T


def row_names(data: Masked) -> Array:
    """Names `[n, 3]` uint32 of rows, by what is observed in them alone.

    The first two numbers are a hash of a row's mask and of the bits of its
    observed values as float32 (-0.0 is taken for 0.0); the third counts the
    rows before it of the same hash. So a row has the same name wherever it
    stands, and alone, as long as no equal one stands before it, and no two
    rows of a table share one. Observed zeros count nothing, so that columns of
    them behind a table leave the names as they are.
    """
    rows = lambda a: a.reshape(len(a), -1)
    x, m = rows(data.x).astype(jnp.float32), rows(data.m)
    # Some machines take what is below the least normal number for 0.
    x = jnp.where(jnp.abs(x) < jnp.finfo(jnp.float32).tiny, 0, x)
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    bits = jnp.where(m, bits, _MISSING)
    place = jnp.arange(2 * x.shape[1], dtype=jnp.uint32)
    place = place.reshape(-1, 2).T[:, None]
    words = [
        jnp.sum(_mixed(bits ^ p) - _mixed(p), axis=1, dtype=jnp.uint32)
        for p in _mixed(place + _SALT)
    ]
    return jnp.stack([*words, _count_before(*words)], axis=1)


def _mixed(word: Array) -> Array:
    """The finaliser of MurmurHash3 (Appleby, 2011), a bijection of uint32."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def _count_before(high: Array, low: Array) -> Array:
    """Of each row, how many rows before it have the same two words, `[n]`."""
    each = jnp.arange(len(high), dtype=jnp.int32)
    high, low, order = jax.lax.sort((high, low, each), num_keys=3)
    same = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    # The first of a run of equals is found by steps of 1, 2, 4 ... back, which
    # compiles in a third of the time of a cumulative maximum.
    back = each - jnp.pad(same, (1, 0))
    first = jax.lax.fori_loop(
        0, len(each).bit_length(), lambda _, back: back[back], back
    )
    count = (each - first).astype(jnp.uint32)
    return jnp.zeros_like(count).at[order].set(count)


def row_key(key: Array, name: Array) -> Array:
    """The key of a row, by its name `[3]`, see `row_names`."""
    for i in range(3):
        key = jax.random.fold_in(key, name[i])
    return key


def all_noise(
    key: Array, data: Masked, draw: Draw | None = None, chunk: int = 4096
) -> Array:
    """`normal_noise` for rows `[n, *dims]`, as `move_rows` has it for each."""
    n, *dims = data.x.shape

    def of_row(name: Array) -> Array:
        return normal_noise(row_key(key, name), tuple(dims), draw)

    return jax.lax.map(of_row, row_names(data), batch_size=min(chunk, n))


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

    Each row has its own key, by what is observed in it (`row_names`): what is
    drawn for it depends neither on the rows beside it and its place among
    them, nor on the size of the chunks.

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
    n, names = len(x), row_names(data)
    chunk = min(chunk, n)
    # Row n does not exist: what is written there is dropped.
    order = jnp.pad(rows.order, (0, chunk), constant_values=n)

    def one_chunk(i: Array, x: Array) -> Array:
        here = jax.lax.dynamic_slice(order, (i * chunk,), (chunk,))
        here = jnp.where(i * chunk + jnp.arange(chunk) < rows.count, here, n)
        take = lambda a: split_examples(jnp.take(a, here, axis=0, mode="clip"))
        x_obs, m = take(data.x), take(data.m)
        keys = jax.vmap(lambda name: row_key(key, name))(take(names))
        new = move(keys, take(x), x_obs, m)
        return x.at[here].set(merge(x_obs, new, m), mode="drop")

    x = split_examples(merge(data.x, x, data.m))
    return jax.lax.fori_loop(0, -(-rows.count // chunk), one_chunk, x)


def padded(data: Masked, columns: int | None = None) -> Masked:
    """Rows without gaps behind those of a table, up to one of few numbers.

    So tables of about the same length have the same programs. What is drawn for
    a row does not depend on how many there are. On several
    devices the rows stay as they are spread over them.

    Args:
      data: the rows.
      columns: all together, with some of observed zeros behind those of the
        table; None for its own.
    """
    n, *dims = data.x.shape
    traced = isinstance(data.x, jax.core.Tracer)
    rows = n if traced or not is_padded(data.x.shape) else padded_rows(n)
    shape = (rows, *dims) if columns is None else (rows, columns)
    return reaching(data, shape)


def reaching(data: Masked, shape: tuple[int, ...]) -> Masked:
    """A table with observed zeros behind it, up to a `shape`."""
    return Masked(grown(data.x, shape), grown(data.m, shape, True))


def grown(a: Array, shape: tuple[int, ...], value: float | bool = 0) -> Array:
    """An array with a value behind its rows and columns, up to a `shape`."""
    if a.shape == shape:
        return a
    behind = [(0, all - own) for own, all in zip(a.shape, shape)]
    if not _is_here(a):
        return jnp.pad(a, behind, constant_values=value)
    a = np.pad(np.asarray(a), behind, constant_values=value)
    return jax.device_put(a)


def shrunk(a: Array, shape: tuple[int, ...]) -> Array:
    """The first rows and columns of an array, those of a `shape`."""
    if a.shape == shape:
        return a
    first = tuple(map(slice, shape))
    if not _is_here(a):
        return a[first]
    return jax.device_put(np.asarray(a)[first])


def _is_here(a: Array) -> bool:
    """Whether an array can be cut on the host, where nothing is compiled."""
    if isinstance(a, jax.core.Tracer):
        return False
    return not isinstance(a, jax.Array) or len(a.devices()) == 1


def is_padded(shape: tuple[int, ...]) -> bool:
    """Whether data of a shape get rows behind them, see `padded`."""
    return len(shape) == 2 and jax.device_count() == 1


def padded_rows(n: int) -> int:
    """The least of few numbers of rows that n rows fit into.

    A power of two or 5/4, 3/2 or 7/4 of it; a multiple of `MOST_PADDING` above
    that.
    """
    unit = _unit(n)
    return max(-(-n // unit) * unit, LEAST_ROWS)


def padded_columns(d: int) -> int:
    """The least of few numbers of columns that d columns fit into.

    A multiple of four, from `FOURS` on of eight, from `EIGHTS` on as
    `padded_rows` has them.
    """
    unit = 4 if d <= FOURS else 8 if d <= EIGHTS else _eighth(d)
    return max(-(-d // unit) * unit, LEAST_COLUMNS)


def least_rows(n: int) -> int:
    """The least number that `padded_rows` takes to the same as n."""
    rows = padded_rows(n)
    return 1 if rows == LEAST_ROWS else rows - _unit(rows) + 1


def _unit(n: int) -> int:
    if n > MOST_PADDING:
        return MOST_PADDING
    return max(_eighth(n), LEAST_ROWS // 4)


def _eighth(n: int) -> int:
    """An eighth of the least power of two that n fits into."""
    return 1 << max((n - 1).bit_length() - 3, 0)
