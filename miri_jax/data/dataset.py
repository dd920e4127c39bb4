"""What a loader hands over: gaps, truth where it is known, the way back.

`Dataset` is the one face that runs, reports and scripts see. Behind it are
`AmputatedTable`, `FileTable` and `images.ImageSet`.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol, Self

import jax
import numpy as np
from scipy.special import entr

from miri_jax.core.masks import amputate
from miri_jax.data.beside import fitted_beside, region_of, with_beside
from miri_jax.data.columns import values_of
from miri_jax.data.layout import layout_of
from miri_jax.data.tables import Table, settle_table, split
from miri_jax.data.transforms import Scaler, fit_scaler, restore, standardise
from miri_jax.data.writers import write_long, write_table
from miri_jax.endings import results_of
from miri_jax.exceptions import DataError
from miri_jax.metrics import (
    errors,
    estimate_conditional_mi,
    estimate_mutual_information,
    median_distance,
    mmd,
)
from miri_jax.metrics.errors import column_scale
from miri_jax.metrics.evidence import Estimate
from miri_jax.notes import percent
from miri_jax.types import Layout, Masked, Region

# (path, fill): lets `fill` write a file, whose name it is given, that becomes
# `path` once it is whole.
Write = Callable[[pathlib.Path, Callable[[str], None]], None]


class Dataset(Protocol):
    """Rows with gaps, and all that differs between kinds of data.

    Attributes:
      values: `[n, *dims]`, raw scale; undefined where missing.
      m: `[n, *dims]` bool, True = observed.
      scaler: from raw to standardised.
      truth: `[n, *dims]`, the complete rows, where they are known.
      notes: sentences about the data that a reader should know.
    """

    values: np.ndarray
    m: np.ndarray
    scaler: Scaler
    truth: np.ndarray | None
    notes: tuple[str, ...]

    def masked(self) -> Masked:
        """The rows as imputers take them."""

    def fitted(self, data: Masked) -> Masked:
        """What a fit takes in place of `masked`: itself, if no more is known.

        Of some gaps a fit may know more than a draw.
        """

    def weights(self) -> np.ndarray | None:
        """How much each row counts in a fit, `[n]`; None for alike."""

    def layout(self) -> Layout | None:
        """What stands behind the numbers of `masked`; None for themselves."""

    def gaps(self) -> np.ndarray:
        """The gaps, True where a cell is missing, as the user counts them."""

    def bounds(self) -> Region | None:
        """Where imputed entries, standardised, have to be, if it matters."""

    def extent(self) -> str:
        """How many rows and columns there are, and the share of gaps."""

    def restore(self, x: np.ndarray) -> np.ndarray:
        """Filled, standardised rows `[n, *dims]` back on the raw scale.

        Observed entries are as they came, imputed ones as they will be written.
        """

    def take(self, rows: np.ndarray) -> Self:
        """Some of the rows, on the same scale."""

    def compare(self, filled: np.ndarray) -> dict[str, float]:
        """How far filled rows, raw scale, are from the truth.

        Returns:
          Metrics by name; none where the truth is unknown.
        """

    def trace(self, key: jax.Array, x: np.ndarray) -> dict[str, float]:
        """The metrics that are followed over the iterations.

        Args:
          key: PRNG key.
          x: `[n, *dims]`, filled, standardised.
        """

    def score(
        self, key: jax.Array, draws: Sequence[np.ndarray]
    ) -> dict[str, float]:
        """The metrics of the first draw, and errors of the mean of all draws.

        Args:
          key: PRNG key.
          draws: `[n, *dims]` each, filled, raw scale.
        """

    def save(
        self,
        draws: Sequence[np.ndarray],
        folder: pathlib.Path,
        output: str | None,
        write: Write,
        long: bool = False,
    ) -> list[pathlib.Path]:
        """Writes filled rows: as they came, or as imputed.npz.

        Args:
          draws: `[n, *dims]` each, filled, raw scale.
          folder: where to.
          output: the name of a table's file; None for one in `folder`.
          write: writes one file; see `Write`.
          long: whether a table's draws go into one file, see `write_long`.

        Returns:
          The files.
        """

    def digest(self) -> str:
        """Changes with any observed value, so that a changed file is noticed.

        Returns:
          A SHA-256 in hexadecimal.
        """


class _AnyTable:
    """What both kinds of tables do alike."""

    def masked(self) -> Masked:
        """See `Dataset`."""
        return standardise(self.values, self.m, self.scaler)

    def fitted(self, data: Masked) -> Masked:
        """See `Dataset`."""
        return data

    def weights(self) -> np.ndarray | None:
        """See `Dataset`."""
        return None

    def extent(self) -> str:
        """See `Dataset`."""
        (n, columns), share = self.gaps().shape, self.gaps().mean()
        return f"{n} rows, {columns} columns, {percent(share)} of the cells"

    def trace(self, key: jax.Array, x: np.ndarray) -> dict[str, float]:
        """Information on the mask; errors and MMD given the truth."""
        filled = self.restore(x)
        found = self.information(key, filled)
        told = {k: v for k, v in found.items() if not k.endswith("_error")}
        return {**self.compare(filled), **told}

    def score(
        self, key: jax.Array, draws: Sequence[np.ndarray]
    ) -> dict[str, float]:
        """See `Dataset`.

        `mi_entropy` is the sum of the entropies of the mask's columns, which no
        information on the mask exceeds.
        """
        key_first, key_more = (jax.random.fold_in(key, k) for k in range(2))
        found = {
            **self.compare(draws[0]),
            **self.information(key_first, draws[0]),
            **self.more_information(key_more, draws[0]),
        }
        if any(name.endswith("mi") for name in found):
            rate = self.gaps().mean(axis=0)
            entropy = np.sum(entr(rate) + entr(1 - rate))
            found["mi_entropy"] = float(entropy)
        if self.truth is not None and len(draws) > 1:
            of_mean = errors(self.truth, np.mean(draws, axis=0), self.m)
            found |= {f"{k}_of_mean": of_mean[k] for k in ("rmse", "mae")}
        return found

    def digest(self) -> str:
        """See `Dataset`."""
        return digest_of(self.values, self.m)


@dataclasses.dataclass(frozen=True)
class AmputatedTable(_AnyTable):
    """A complete table with gaps made, so that the truth is known.

    Attributes:
      columns: names of the d numeric columns.
      truth: `[n, d]` float64, raw scale, complete.
      m: `[n, d]` bool, True = observed.
      scaler: from raw to standardised, by the observed entries.
      mmd_scale: `[d]` and
      mmd_bandwidth: the scale of the MMD's kernel.
      notes: none.
    """

    columns: tuple[str, ...]
    truth: np.ndarray
    m: np.ndarray
    scaler: Scaler
    mmd_scale: np.ndarray
    mmd_bandwidth: float
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> np.ndarray:
        """The truth, which nobody reads in the gaps."""
        return self.truth

    def take(self, rows: slice | np.ndarray) -> Self:
        """See `Dataset`."""
        return dataclasses.replace(self, truth=self.truth[rows], m=self.m[rows])

    def layout(self) -> Layout | None:
        """None: the numbers stand for themselves."""
        return None

    def gaps(self) -> np.ndarray:
        """The gaps `[n, d]`."""
        return ~self.m

    def bounds(self) -> Region | None:
        """None: the values have no types."""
        return None

    def restore(self, x: np.ndarray) -> np.ndarray:
        """See `Dataset`; `[n, d]` float64."""
        return restore(x, self.truth, self.m, self.scaler)

    def compare(self, filled: np.ndarray) -> dict[str, float]:
        """Errors and MMD of a filled table on the raw scale."""
        distance = mmd(
            self.truth / self.mmd_scale,
            filled / self.mmd_scale,
            self.mmd_bandwidth,
        )
        return {"mmd": distance, **errors(self.truth, filled, self.m)}

    def information(
        self, key: jax.Array, filled: np.ndarray
    ) -> dict[str, float]:
        """That of the table and the mask, `mi`, and its standard error."""
        if self.m.all():
            return {}
        return _named("mi", estimate_mutual_information(key, filled, self.m))

    def more_information(
        self, key: jax.Array, filled: np.ndarray
    ) -> dict[str, float]:
        """`conditional_mi`, and its standard error."""
        if self.m.all():
            return {}
        found = estimate_conditional_mi(key, filled, self.m)
        return _named("conditional_mi", found)

    def save(
        self,
        draws: Sequence[np.ndarray],
        folder: pathlib.Path,
        output: str | None,
        write: Write,
        long: bool = False,
    ) -> list[pathlib.Path]:
        """Writes all draws, the mask and the truth as imputed.npz."""
        del output, long
        arrays = dict(x=np.stack(draws), m=self.m, truth=self.truth)
        path = folder / "imputed.npz"
        write(path, lambda name: np.savez_compressed(name, **arrays))
        return [path]


@dataclasses.dataclass(frozen=True)
class FileTable(_AnyTable):
    """A file or frame with gaps, of columns of any types.

    Attributes:
      table: as it came, and encoded.
      scaler: from the encoded numbers to standardised ones.
      truth: None, as nobody knows it.
    """

    table: Table
    scaler: Scaler
    truth: None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d numeric columns that imputers see."""
        return self.table.encoded_columns()

    @property
    def values(self) -> np.ndarray:
        """`[n, d]` float64, the columns encoded."""
        return self.table.values

    @property
    def m(self) -> np.ndarray:
        """`[n, d]` bool, True = observed."""
        return self.table.m

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed when the table was read."""
        return self.table.notes

    def take(self, rows: slice | np.ndarray) -> Self:
        """See `Dataset`."""
        return dataclasses.replace(self, table=self.table.take(rows))

    def masked(self) -> Masked:
        """See `Dataset`; helpers stand behind the columns."""
        return with_beside(self.table, self.scaler)

    def weights(self) -> np.ndarray | None:
        """See `Dataset`."""
        return self.table.beside and self.table.beside.weights

    def layout(self) -> Layout | None:
        """See `Dataset`."""
        beside = self.table.beside
        fitted = beside and beside.fitted
        return layout_of(self.table.columns, self.scaler, fitted)

    def gaps(self) -> np.ndarray:
        """The gaps `[n, c]` of the file's own columns."""
        return self.table.missing

    def fitted(self, data: Masked) -> Masked:
        """See `Dataset`; gaps beyond a limit have a value there."""
        return fitted_beside(self.table, self.scaler, data)

    def bounds(self) -> Region:
        """See `Dataset`."""
        return region_of(self.table, self.scaler)

    def restore(self, x: np.ndarray) -> np.ndarray:
        """See `Dataset`; `[n, d]` float64, encoded.

        Imputed cells are as they will be written, see `settle_table`: decimals
        that no observed cell has would give them away.
        """
        x = x[:, : self.m.shape[1]]
        filled = restore(x, self.values, self.m, self.scaler)
        return settle_table(self.table, filled)

    def compare(self, filled: np.ndarray) -> dict[str, float]:
        """Nothing, as the truth is unknown."""
        del filled
        return {}

    def information(
        self, key: jax.Array, filled: np.ndarray
    ) -> dict[str, float]:
        """`conditional_mi`, and its standard error.

        Of the file's columns, so that their encoding does not matter. Gaps of
        files are seldom completely at random, so that there is no `mi`.
        """
        if self.m.all():
            return {}
        layout = layout_of(self.table.columns, self.scaler)
        columns = [
            values_of(column, block)
            for column, block in split(self.table.columns, filled)
            if column.width
        ]
        found = estimate_conditional_mi(
            key,
            np.stack(columns, axis=1),
            layout.observed(self.m),
            layout.levels,
        )
        return _named("conditional_mi", found)

    def more_information(
        self, key: jax.Array, filled: np.ndarray
    ) -> dict[str, float]:
        """None."""
        del key, filled
        return {}

    def save(
        self,
        draws: Sequence[np.ndarray],
        folder: pathlib.Path,
        output: str | None,
        write: Write,
        long: bool = False,
    ) -> list[pathlib.Path]:
        """Writes each draw as a file like the one that came."""
        source, count = f"table{self.table.ending}", len(draws)
        names = results_of(source, str(folder), output, count, long)
        paths = [*map(pathlib.Path, names)]
        if long:
            write(paths[0], lambda name: write_long(name, self.table, draws))
            return paths
        for path, draw in zip(paths, draws, strict=True):
            write(path, lambda name: write_table(name, self.table, draw))
        return paths


def _named(name: str, found: Estimate) -> dict[str, float]:
    """An estimate and its standard error by name; nothing where it is none."""
    if not np.isfinite(found.nats):
        return {}
    return {name: found.nats, f"{name}_error": found.error}


def digest_of(values: np.ndarray, m: np.ndarray) -> str:
    """SHA-256 of a mask and of the values `[n, *dims]` where it is True."""
    sha = hashlib.sha256(np.packbits(m).tobytes())
    size = max(2**24 // max(m[:1].size, 1), 1)
    zero = values.dtype.type(0)
    for part in range(0, len(m), size):
        rows = slice(part, part + size)
        sha.update(np.where(m[rows], values[rows], zero).tobytes())
    return sha.hexdigest()


def from_table(table: Table) -> FileTable:
    """A table with gaps, and the scale that imputers see it on."""
    return FileTable(table, fit_scaler(table.values, table.m))


def amputated(
    key,
    truth: np.ndarray,
    columns: tuple[str, ...],
    *,
    mechanism: str,
    rate: float,
    allow_empty_rows: bool,
    bandwidth: float | None = None,
) -> AmputatedTable:
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
    return AmputatedTable(columns, truth, m, scaler, scale, bandwidth)
