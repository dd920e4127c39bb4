"""What a loader hands over: gaps, truth where it is known, the way back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.core.masks import amputate
from miri_jax.data.columns import Column, limits
from miri_jax.data.tables import Table, settle
from miri_jax.data.transforms import Scaler, fit_scaler, restore, standardise
from miri_jax.exceptions import DataError
from miri_jax.metrics import errors, median_distance, mmd
from miri_jax.metrics.errors import column_scale
from miri_jax.types import Bounds, Masked


class Dataset(NamedTuple):
    """A table with gaps.

    Attributes:
      columns: names of the d numeric columns that imputers see.
      values: `[n, d]` float64, raw scale; undefined where missing.
      m: `[n, d]` bool, True = observed.
      scaler: from raw to standardised.
      truth: `[n, d]` float64, the complete table, where it is known.
      mmd_scale: `[d]` and
      mmd_bandwidth: the kernel's scale, where the truth is known.
      table: the file as it came, where there is one.
    """

    columns: tuple[str, ...]
    values: np.ndarray
    m: np.ndarray
    scaler: Scaler
    truth: np.ndarray | None = None
    mmd_scale: np.ndarray | None = None
    mmd_bandwidth: float | None = None
    table: Table | None = None

    def take(self, rows: slice | np.ndarray) -> "Dataset":
        """Some of the rows, on the same scale."""
        return self._replace(
            values=self.values[rows],
            m=self.m[rows],
            truth=None if self.truth is None else self.truth[rows],
            table=None if self.table is None else self.table.take(rows),
        )

    def masked(self) -> Masked:
        """The table as imputers take it."""
        return standardise(self.values, self.m, self.scaler)

    def gaps(self) -> np.ndarray:
        """The gaps `[n, c]` of the file's own columns, or of the table's."""
        return ~self.m if self.table is None else self.table.missing

    def bounds(self) -> Bounds | None:
        """What imputed entries, standardised, have to lie between, if any."""
        if self.table is None:
            return None
        return standardised_limits(self.table.columns, self.scaler)

    def restore(self, x: np.ndarray) -> np.ndarray:
        """A filled, standardised table `[n, d]` back on the raw scale.

        Where there is a file, imputed cells are as they will be written, see
        `tables.settle`: decimals that no observed cell has would give them
        away.
        """
        raw = restore(x, self.values, self.m, self.scaler)
        return raw if self.table is None else settle(self.table, raw)

    def compare(self, filled: np.ndarray) -> dict[str, float]:
        """Errors and MMD of a filled table on the raw scale, given the truth.

        Returns an empty dict where the truth is unknown.
        """
        if self.truth is None:
            return {}
        distance = mmd(
            self.truth / self.mmd_scale,
            filled / self.mmd_scale,
            self.mmd_bandwidth,
        )
        return {"mmd": distance, **errors(self.truth, filled, self.m)}


def standardised_limits(columns: Sequence[Column], scaler: Scaler) -> Bounds:
    """`columns.limits` on the scale that imputers see, `[d]` each."""
    low, high = limits(columns)
    mean, deviation = scaler
    with np.errstate(over="ignore"):
        return Bounds((low - mean) / deviation, (high - mean) / deviation)


def from_table(table: Table) -> Dataset:
    """A `Dataset` of a file with gaps of its own."""
    return Dataset(
        table.encoded_columns(),
        table.values,
        table.m,
        fit_scaler(table.values, table.m),
        table=table,
    )


def amputated(
    key,
    truth: np.ndarray,
    columns: tuple[str, ...],
    *,
    mechanism: str,
    rate: float,
    allow_empty_rows: bool,
    bandwidth: float | None = None,
) -> Dataset:
    """A complete table with gaps made by `masks.amputate`.

    Args:
      key: PRNG key of the mask.
      truth: `[n, d]`, complete, raw scale.
      columns: d names.
      mechanism: a name in `masks.MECHANISMS`.
      rate: share of missing entries asked for.
      allow_empty_rows: whether a row may lose all its entries.
      bandwidth: of the MMD's kernel on the raw scale; None for the median
        distance on columns standardised with the complete data.

    Raises:
      DataError: if the truth has gaps itself, or a column loses all entries.
    """
    truth = np.asarray(truth, np.float64)
    if not np.isfinite(truth).all():
        raise DataError("amputation needs a complete table of finite numbers")
    scale = np.ones(truth.shape[1])
    if bandwidth is None:
        scale = column_scale(truth)
        bandwidth = median_distance(truth / scale)
    m = np.asarray(
        amputate(
            key,
            (truth / column_scale(truth)).astype(np.float32),
            mechanism=mechanism,
            rate=rate,
            allow_empty_rows=allow_empty_rows,
        ).m
    )
    for j in np.flatnonzero(~m.any(axis=0))[:1]:
        raise DataError(
            f"column {columns[j]!r} lost all its {len(truth)} entries at rate"
            f" {rate}; lower data.rate or change data.mask_seed"
        )
    scaler = fit_scaler(truth, m)
    return Dataset(columns, truth, m, scaler, truth, scale, bandwidth)
