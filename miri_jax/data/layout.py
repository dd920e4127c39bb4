"""The layout of a table of columns of any types, see `types.Layout`."""

import dataclasses
import functools
from collections.abc import Hashable, Sequence

import numpy as np

from miri_jax.data.belonging import (
    Belonging,
    helper_columns,
    told_by,
    with_helpers,
)
from miri_jax.data.columns import (
    Column,
    block_of,
    nearest,
    starts_of,
    values_of,
)
from miri_jax.data.scores import all_atoms, nearest_of
from miri_jax.data.transforms import Scaler, scaled, unscale


@dataclasses.dataclass(frozen=True)
class TableLayout:
    """Of the columns of a file or frame; ids are not among the c columns.

    Attributes:
      columns: how each is encoded.
      mean: `[d]` and
      deviation: `[d]`, from encoded numbers to standardised ones.
      told: see `types.Layout`; empty for none.
    """

    columns: tuple[Column, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    told: tuple[int, ...] = ()

    @functools.cached_property
    def _seen(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.width)

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return starts_of(self._seen)

    @functools.cached_property
    def _scaler(self) -> Scaler:
        return Scaler(np.array(self.mean), np.array(self.deviation))

    @property
    def names(self) -> tuple[Hashable, ...]:
        """See `types.Layout`."""
        return tuple(column.name for column in self._seen)

    @functools.cached_property
    def levels(self) -> tuple[int, ...]:
        """See `types.Layout`."""
        return tuple(
            len(column.levels) if column.coded else 0 for column in self._seen
        )

    @functools.cached_property
    def units(self) -> tuple[float, ...]:
        """See `types.Layout`."""
        return tuple(column.unit for column in self._seen)

    @functools.cached_property
    def censored(self) -> tuple[int, ...]:
        """See `types.Layout`."""
        return tuple(k for k, c in enumerate(self._seen) if c.censored)

    def owners(self, width: int) -> np.ndarray:
        """See `types.Layout`."""
        del width
        return np.repeat(np.arange(len(self._seen)), np.diff(self._starts))

    def observed(self, m: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        return np.asarray(m)[:, self._starts[:-1]]

    def unpack(self, x: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        blocks = self._blocks(unscale(np.asarray(x), self._scaler))
        found = [values_of(column, b) for column, b in zip(self._seen, blocks)]
        return np.stack(found, axis=1)

    def pack(self, values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        blocks = [
            block_of(column, values[:, j], place[:, j])
            for j, column in enumerate(self._seen)
        ]
        encoded = np.concatenate(blocks, axis=1)
        return scaled(encoded, np.ones(encoded.shape, bool), self._scaler)

    def settle(self, column: int, values: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        one = self._seen[column]
        return values_of(one, block_of(one, _nearest(one, values)))

    def take(self, columns: Sequence[int]) -> "TableLayout":
        """See `types.Layout`."""
        entries = [
            k
            for j in columns
            for k in range(self._starts[j], self._starts[j + 1])
        ]
        return TableLayout(
            tuple(self._seen[j] for j in columns),
            tuple(self.mean[k] for k in entries),
            tuple(self.deviation[k] for k in entries),
        )

    def _blocks(self, encoded: np.ndarray) -> Sequence[np.ndarray]:
        return np.split(encoded, self._starts[1:-1], axis=1)


def layout_of(
    columns: Sequence[Column], scaler: Scaler, fitted: Belonging | None = None
) -> TableLayout:
    """The layout of a table's columns on a scale, and of helpers beside them.

    Args:
      columns: c.
      scaler: of their d numbers.
      fitted: what tells of rows that belong together; None for nothing.
    """
    scaler = with_helpers(scaler, fitted, columns)
    return TableLayout(
        (*columns, *helper_columns(fitted, columns)),
        tuple(scaler.mean.tolist()),
        tuple(scaler.deviation.tolist()),
        told_by(fitted, columns),
    )


def _nearest(column: Column, values: np.ndarray) -> np.ndarray:
    """The numbers `[n]` nearest to some that a column's scores tell apart.

    What lies between two values that occur often, if by a rounding, would have
    the score of the upper one.
    """
    if column.knots is not None and all_atoms(column.knots):
        values = nearest_of(np.unique(column.knots.values), values)
    return nearest(column, values)
