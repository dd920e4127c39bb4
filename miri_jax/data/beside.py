"""Helpers beside the columns of a table, as imputers and the engine see them.

Imputers see d numbers of the columns and behind them h of the helpers, see
`belonging`; what is told of the d is told of all d + h here.
"""

from collections.abc import Callable, Collection, Sequence

import jax.numpy as jnp
import numpy as np

from miri_jax.data.belonging import with_helpers
from miri_jax.data.censored import start_limited
from miri_jax.data.columns import Column, limits
from miri_jax.data.keeping import keeping
from miri_jax.data.related import row_limits
from miri_jax.data.scores import ends_of
from miri_jax.data.tables import Table
from miri_jax.data.transforms import Scaler, standardise
from miri_jax.types import Masked, Region


def with_beside(table: Table, scaler: Scaler) -> Masked:
    """A table as imputers take it, `[n, d + h]`.

    Args:
      table: encoded.
      scaler: of its d numbers.
    """
    if table.beside is None:
        return standardise(table.values, table.m, scaler)
    helpers = table.beside.values
    return standardise(
        np.concatenate([table.values, helpers], axis=1),
        np.pad(table.m, ((0, 0), (0, helpers.shape[1])), constant_values=True),
        with_helpers(scaler, table.beside.fitted, table.columns),
    )


def fitted_beside(table: Table, scaler: Scaler, data: Masked) -> Masked:
    """What a fit takes in place of `with_beside`, see `Dataset.fitted`.

    Gaps beyond a limit have a value there.
    """
    if table.related is None:
        return data
    own = Masked(*(part[:, : table.m.shape[1]] for part in data))
    region = _own_region(table, scaler)
    found = start_limited(table.related, table.columns, own, region)
    if found is own:
        return data
    behind = [part[:, table.m.shape[1] :] for part in data]
    return Masked(
        *(
            jnp.concatenate([jnp.asarray(part), more], axis=1)
            for part, more in zip(found, behind, strict=True)
        )
    )


def region_of(table: Table, scaler: Scaler) -> Region:
    """Where entries `[d + h]` are to be, on the scale that imputers see.

    `columns.limits`, and where relations were stated also these. Helpers are
    observed, so that nothing bounds them and nothing of them is broken.
    """
    own, width = _own_region(table, scaler), table.m.shape[1]
    more = 0 if table.beside is None else table.beside.values.shape[1]
    if not more:
        return own

    def padded(part: np.ndarray, value: float) -> np.ndarray:
        part = np.asarray(part)
        sides = ((0, 0),) * (part.ndim - 1) + ((0, more),)
        return np.pad(part, sides, constant_values=value)

    def broken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return padded(own.broken(x[:, :width], rows), False)

    def mend(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [own.mend(x[:, :width], rows), x[:, width:]], axis=1
        )

    def refuse(x: np.ndarray, rows: np.ndarray, share: float) -> None:
        own.refuse(x[:, :width], rows, share)

    ends = padded(own.low, -np.inf), padded(own.high, np.inf)
    told: tuple[Callable, ...] = ()
    if own.broken is not None:
        told = broken, mend, refuse
    low, high = own.tails
    tails = padded(low, -np.inf), padded(high, np.inf)
    return Region(*ends, *told, tails=tails)


def _own_region(table: Table, scaler: Scaler) -> Region:
    """Where the `[d]` entries of the columns are to be."""
    low, high = limits(table.columns)
    related = table.related
    if related is not None:
        low, high = row_limits(related, table.columns, low, high)
    limited = () if related is None else related.low
    mean, deviation = scaler
    with np.errstate(over="ignore"):
        low, high, *ends = (
            (end - mean) / deviation
            for end in (low, high, *tails_of(table.columns, limited))
        )
    own = Region(low, high, tails=tuple(ends))
    if related is None:
        return own
    told = keeping(related, table.columns, table.m, scaler)
    return Region(low, high, *told, tails=own.tails)


def tails_of(
    columns: Sequence[Column], limited: Collection[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tails of scores end, `[d]` each; infinite of other numbers.

    Args:
      columns: c, of d numbers.
      limited: names of those whose rows have limits, which may lie beyond.
    """
    none, ends = (-np.inf, np.inf), []
    for column in columns:
        scored = column.levels is None and column.knots is not None
        own = scored and str(column.name) not in limited
        ends += [ends_of(column.knots) if own else none] * column.width
    low, high = np.array(ends).reshape(-1, 2).T
    return low, high
