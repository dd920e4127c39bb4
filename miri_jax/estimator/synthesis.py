"""Whole synthetic rows from a fitted imputer, and tables without gaps."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from miri_jax.data import columns as cols
from miri_jax.data import frames, tables, written
from miri_jax.data.columns import Column
from miri_jax.data.plain import as_type
from miri_jax.types import Array, Imputer, Masked

# Share of the cells that a fit to a table without gaps hides from itself, so
# that there is something to learn.
HIDDEN = 0.2
SWEEPS = 10


def hide(key: Array, data: Masked, columns: Sequence[Column]) -> Masked:
    """Hides a fifth of the cells, at least one left in each column.

    What stands behind the numbers of the columns stays.
    """
    u = jax.random.uniform(key, (len(data.x), len(columns)), jnp.float32)
    m = (u > HIDDEN) | (u == u.max(axis=0, keepdims=True))
    m = m[:, owners(columns)]
    behind = ((0, 0), (0, data.x.shape[1] - m.shape[1]))
    m = jnp.pad(m, behind, constant_values=True)
    return Masked(jnp.where(m, data.x, 0), m)


def gibbs(
    key: Array,
    imputer: Imputer,
    state: Any,
    columns: Sequence[Column],
    rates: np.ndarray,
    n: int,
) -> Array:
    """Rows by an imputer that draws conditional distributions.

    A row starts as one in which nothing is observed, and is drawn again part by
    part: ten times, entries hidden as often as they were in the fit (but 0.2 to
    0.8 of the time) are drawn given the others, which leaves the distribution
    that fits all conditional ones.

    Args:
      key: PRNG key.
      imputer: one that draws again.
      state: its fit.
      columns: the table's.
      rates: `[d]`, share of gaps in each encoded column.
      n: rows.

    Returns:
      `[n, d]`, standardised.
    """
    key, key_start = jax.random.split(key)
    x = jnp.zeros((n, len(rates)), jnp.float32)
    nothing = Masked(x, jnp.zeros(x.shape, bool))
    x = imputer.impute(key_start, state, nothing)
    owner, hidden = owners(columns), jnp.asarray(np.clip(rates, 0.2, 0.8))
    for k in range(SWEEPS):
        key_mask, key_draw = jax.random.split(jax.random.fold_in(key, k))
        u = jax.random.uniform(key_mask, (n, len(columns)), jnp.float32)
        m = u[:, owner] > hidden[None]
        x = imputer.impute(key_draw, state, Masked(jnp.where(m, x, 0), m))
    return x


def owners(columns: Sequence[Column]) -> np.ndarray:
    """`[d]`: which column each number is of, as all of a cell hide together."""
    return np.repeat(np.arange(len(columns)), [c.width for c in columns])


def to_frame(
    columns: Sequence[Column],
    dtypes: Sequence[str],
    came: Sequence[str | None],
    styles: Mapping[Hashable, written.Style],
    values: np.ndarray,
) -> pd.DataFrame:
    """Rows `[n, d]`, encoded, as a frame of the columns' types.

    Args:
      columns: how each column was encoded; ids are numbered.
      dtypes: the type of each, as it is modelled, by its name.
      came: what each came as, see `plain.type_name`.
      styles: of those that came as text.
      values: raw scale.
    """
    made = {}
    for j, (column, block) in enumerate(tables.split(columns, values)):
        series = _series(column, dtypes[j], block)
        if column.name in styles:
            texts = written.texts(styles[column.name], series)
            series = pd.Series(texts, dtype=object).infer_objects()
        made[j] = as_type(series, came[j] if column.kind != "id" else None)
    frame = pd.DataFrame(made)
    frame.columns = [column.name for column in columns]
    return frame


def _series(column: Column, dtype: str, block: np.ndarray) -> pd.Series:
    if column.kind == "id":
        return pd.Series(np.arange(1, len(block) + 1))
    cells = cols.decode(column, block)
    if column.kind == "datetime":
        zone = getattr(pd.api.types.pandas_dtype(dtype), "tz", None)
        cells = tables.times(cells, zone)
    elif dtype == "category":
        cells = pd.Categorical(
            cells, column.levels, ordered=column.kind == "ordinal"
        )
    series = pd.Series(cells)
    if dtype in ("category", "object"):
        return series
    return frames.cast(series, dtype)
