"""Methods as scores ask for them that refit some columns of a table."""

from collections.abc import Callable

import jax
import numpy as np

from miri_jax.engine.fitting import RETRIES
from miri_jax.engine.overimputing import filled_rows, without
from miri_jax.metrics.energy_i_score import ImputeColumns
from miri_jax.types import Array, Imputer, Layout, Masked


def column_imputer(
    make: Callable[[Layout | None], Imputer], layout: Layout | None = None
) -> ImputeColumns:
    """A method as `metrics.energy_i_score` asks for it.

    Args:
      make: the imputer for some columns of the table, whose layout it is given.
      layout: of the whole table; None for numbers alone.
    """
    from miri_jax.sources.chained import layout_for

    def impute(
        key: Array,
        x: np.ndarray,
        m: np.ndarray,
        columns: tuple[int, ...],
        count: int,
    ) -> np.ndarray:
        part = layout and layout.take(columns)
        own = layout_for(part, len(columns))
        words = np.asarray(jax.random.key_data(jax.random.fold_in(key, 0)))
        place = np.random.default_rng(words).random(x.shape)
        packed = own.pack(x, place).astype(np.float32)
        data = Masked(packed, m[:, own.owners(packed.shape[1])])
        keys = [jax.random.fold_in(key, k) for k in (1, 2)]
        missing = np.flatnonzero(~m.all(axis=1))
        drawn = np.repeat(x[None], count, axis=0)
        several = filled_rows(
            keys,
            make(part),
            without(data, ~data.m),
            missing,
            count,
            bounds=None,
            retries=RETRIES,
        )
        for one, draw in zip(drawn, several):
            one[missing] = own.unpack(draw)
        return drawn

    return impute
