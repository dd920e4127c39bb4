"""Changes of whole tables: of filled ones as they are, and of encoded draws."""

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from miri_jax.data import columns as cols
from miri_jax.data import frames
from miri_jax.data.columns import Column
from miri_jax.data.tables import Table, put_cells, split
from miri_jax.exceptions import DataError
from miri_jax.sensitivity._cells import Changed, Filled, change_cells
from miri_jax.sensitivity._changes import Change, Changes, sentence


class TableDraws(NamedTuple):
    """Encoded draws that were changed.

    Attributes:
      table: whose changed columns of numbers are encoded as themselves, as
        scores tell values apart only where some were observed.
      draws: `[n, d]` each, encoded by it.
      done: sentences on what was done, for a reader of the result.
      limits: sentences on what could not be done as it was said.
    """

    table: Table
    draws: list[np.ndarray]
    done: tuple[str, ...]
    limits: tuple[str, ...]


class Prepared(NamedTuple):
    """Filled tables that can be changed many times.

    Attributes:
      frames: m pandas frames, and
      backs: the ways back to what came.
      names: of the columns.
      filled: those that changes are about or that make groups, by name.
    """

    frames: list[pd.DataFrame]
    backs: list[frames.Back]
    names: list[Hashable]
    filled: dict[Hashable, Filled]


def adjust(
    tables: Iterable[Any],
    missing: Any,
    changes: Changes,
    *,
    kinds: Mapping[Hashable, str] | None = None,
    bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
    rounding: bool = True,
    seed: int = 0,
) -> list[Any]:
    """Changes filled cells of imputed tables; observed ones stay as they are.

        gaps = frame.isna()
        lower = adjust(tables, gaps, {"weight": shift(-2)})

    Other columns do not follow: they stay as they were filled. A cell that
    would lie beyond what is possible is set to the nearest bound, and a warning
    says how many were; a value need not be one that occurs.

    Args:
      tables: m imputed tables: pandas or polars frames, or arrays.
      missing: `[n, c]` bool, True where a cell was a gap.
      changes: by column name (by number for arrays), what `shift`, `scale` and
        `odds` return.
      kinds: of columns, see `MIRIImputer`.
      bounds: of numbers, see `MIRIImputer`.
      rounding: whether numbers have the column's decimals afterwards (whole
        ones are whole), and its type; False leaves them as they come to be, in
        float64.
      seed: of the choice of cells that take another level.

    Returns:
      m tables, each as it came.

    Raises:
      DataError: naming the column, level or argument at fault and the remedy.

    Source: Van Buuren (2018), section 3.8, for shift and scale.
    """
    tables = list(tables)
    ready = prepare(
        tables, missing, changes, kinds=kinds, bounds=bounds, rounding=rounding
    )
    found = change_all(ready.filled, changes, rounding=rounding, seed=seed)
    for name, changed in found.items():
        for line in _limits_told(ready.filled[name].column, changed):
            warnings.warn(line, stacklevel=2)
    return put_back(ready, found, rounding=rounding)


def prepare(
    tables: Sequence[Any],
    missing: Any,
    changes: Changes,
    *,
    kinds: Mapping[Hashable, str] | None = None,
    bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
    rounding: bool = True,
) -> Prepared:
    """Reads what changes are about; see `adjust`.

    Raises:
      DataError: as `adjust`, but for what only `change_all` sees.
    """
    gaps = _mask(missing, tables)
    if not rounding:
        tables = [_with_floats(x, changes) for x in tables]
    read = [
        frames.from_frame(x, gaps=gaps)
        if frames.is_frame(x)
        else frames.from_array(np.asarray(x))
        for x in tables
    ]
    names = list(read[0][0].columns)
    kinds = cols.by_column("kinds", kinds, names)
    bounds = cols.by_column("bounds", bounds, names)
    filled = {}
    for name in _needed(changes, names):
        j = names.index(name)
        cells = [frame.iloc[:, j] for frame, _ in read]
        column = _column_of(name, cells[0], gaps[:, j], kinds, bounds)
        filled[name] = _read(column, j, cells, gaps[:, j])
    return Prepared(*map(list, zip(*read)), names, filled)


def change_all(
    filled: Mapping[Hashable, Filled], changes: Changes, **how: Any
) -> dict[Hashable, Changed]:
    """`change_cells` of each column; groups are those before any change.

    Raises:
      DataError: as `change_cells`.
    """
    return {
        name: change_cells(filled[name], some, filled, **how)
        for name, some in changes.items()
    }


def put_back(
    ready: Prepared,
    found: Mapping[Hashable, Changed],
    *,
    rounding: bool = True,
) -> list[Any]:
    """The tables with changed cells, each as it came."""
    out = []
    for k, (frame, back) in enumerate(zip(ready.frames, ready.backs)):
        made = {}
        for name, changed in found.items():
            column, j, _, old = ready.filled[name]
            new, at = changed.values[k], changed.values[k] != old[k]
            if column.levels is None and not rounding:
                made[j] = pd.Series(new, frame.index)
            elif at.any():
                cells = cols.cells_of(column, new[at])
                made[j] = put_cells(frame.iloc[:, j], at, column, cells)
        series = [made.get(j, frame.iloc[:, j]) for j in range(frame.shape[1])]
        filled = pd.DataFrame(dict(enumerate(series)), index=frame.index)
        filled.columns = frame.columns
        out.append(back(filled))
    return out


def adjust_draws(
    table: Table,
    draws: Sequence[np.ndarray],
    changes: Changes,
    *,
    seed: int = 0,
) -> TableDraws:
    """`adjust` for draws that are still encoded.

    Args:
      table: with gaps.
      draws: `[n, d]` each, filled, encoded, settled.
      changes: see `adjust`.
      seed: likewise.

    Raises:
      DataError: as `adjust`.
    """
    names = [column.name for column in table.columns]
    blocks = [[b for _, b in split(table.columns, x)] for x in draws]
    filled = {}
    for name in _needed(changes, names):
        j = names.index(name)
        column, gaps = table.columns[j], table.missing[:, j]
        _check_observed(name, gaps)
        values = [cols.values_of(column, block[j]) for block in blocks]
        filled[name] = Filled(column, j, gaps, values)
    found = change_all(filled, changes, seed=seed)
    columns = list(table.columns)
    known = [block for _, block in split(table.columns, table.values)]
    for name, changed in found.items():
        column, j, gaps, _ = filled[name]
        if column.levels is None:
            values = cols.values_of(column, known[j])
            column = columns[j] = column._replace(knots=None)
            known[j] = np.where(gaps, 0.0, values)[:, None]
        for block, values in zip(blocks, changed.values):
            new = cols.block_of(column, values)
            # An observed level keeps its place within its scores.
            stays = ~gaps[:, None] & (column.levels is not None)
            block[j] = np.where(stays, block[j], new)
    done = [
        sentence(name, change)
        for name, some in changes.items()
        for change in some
        if found[name].cells
    ]
    limits = [
        line
        for name, changed in found.items()
        for line in _limits_told(filled[name].column, changed)
    ]
    table = table._replace(
        columns=tuple(columns), values=np.concatenate(known, axis=1)
    )
    draws = [np.concatenate(block, axis=1) for block in blocks]
    return TableDraws(table, draws, tuple(done), tuple(limits))


def _needed(changes: Changes, names: Sequence[Hashable]) -> list[Hashable]:
    """Columns that changes are about, or that make groups, checked."""
    changes = cols.by_column("changes", changes, names)
    for name, some in changes.items():
        if not all(isinstance(change, Change) for change in some):
            raise DataError(
                f"the changes of column {name!r} are {some!r}; give what shift,"
                " scale and odds return"
            )
    groups = [
        change.by
        for some in changes.values()
        for change in some
        if change.by is not None
    ]
    cols.by_column("by", dict.fromkeys(groups), names)
    return list(dict.fromkeys([*changes, *groups]))


def _mask(missing: Any, tables: Sequence[Any]) -> np.ndarray:
    """The gaps `[n, c]`, checked against the tables."""
    if not tables:
        raise DataError("there is no table to change; give one or more")
    gaps = np.asarray(missing)
    if gaps.dtype != bool:
        raise DataError(
            f"missing holds {gaps.dtype}; give True and False, such as"
            " frame.isna() of the table with gaps"
        )
    for k, table in enumerate(tables, 1):
        if tuple(table.shape) != gaps.shape:
            raise DataError(
                f"table {k} is {tuple(table.shape)} and missing {gaps.shape};"
                " give the gaps of these rows and columns"
            )
    return gaps


def _with_floats(table: Any, changes: Changes) -> Any:
    """A polars frame, or alike, whose columns can hold what is not rounded."""
    pandas_or_numpy = isinstance(table, pd.DataFrame | np.ndarray)
    if pandas_or_numpy or not frames.is_frame(table):
        return table
    outer = nw.from_native(table, eager_only=True)
    whole = [
        name
        for name, some in changes.items()
        if name in outer.columns
        and outer.schema[name].is_integer()
        and any(change.what != "odds" for change in some)
    ]
    return outer.with_columns(nw.col(whole).cast(nw.Float64())).to_native()


def _column_of(
    name: Hashable,
    cells: pd.Series,
    gaps: np.ndarray,
    kinds: Mapping[Hashable, str],
    bounds: Mapping[Hashable, Sequence[float | None]],
) -> Column:
    """How a column is taken, by its observed cells."""
    _check_observed(name, gaps)
    return cols.fit_column(
        name, cells, gaps, kind=kinds.get(name), bounds=bounds.get(name)
    )


def _check_observed(name: Hashable, gaps: np.ndarray) -> None:
    if len(gaps) and gaps.all():
        raise DataError(
            f"column {name!r} has no observed value: its cells are a number of"
            " your choice; choose another instead of changing it"
        )


def _read(
    column: Column, number: int, cells: Sequence[pd.Series], gaps: np.ndarray
) -> Filled:
    """The values of a column in all tables.

    Raises:
      DataError: if tables differ where nothing was missing, or have gaps.
    """
    values = []
    for k, one in enumerate(cells, 1):
        if one.isna().any():
            raise DataError(
                f"column {column.name!r} of table {k} still has gaps; give"
                " imputed tables"
            )
        found, unseen = cols.read(column, one, np.zeros(len(one), bool))
        if unseen.any():
            raise DataError(
                f"a filled cell of column {column.name!r} in table {k} is"
                f" {one[unseen].iloc[0]!r}, which no observed cell is; check"
                " that missing belongs to these tables"
            )
        if values and (found != values[0])[~gaps].any():
            raise DataError(
                f"tables 1 and {k} differ in cells of column {column.name!r}"
                " that were observed; check that missing belongs to these"
                " tables"
            )
        values.append(found)
    return Filled(column, number, gaps, values)


def _limits_told(column: Column, changed: Changed) -> list[str]:
    """What could not be done as it was said."""
    lines, name = list(changed.notes), str(column.name)
    if not changed.cells:
        lines.append(f"no cell of {name!r} that was to be changed was filled")
    sides = ("below", column.low), ("above", column.high)
    for (side, bound), count in zip(sides, changed.cut):
        if count:
            lines.append(
                f"{count} of {changed.cells} changed cells of {name!r} would"
                f" lie {side} {bound:g} and were set to it"
            )
    return lines
