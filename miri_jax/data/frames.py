"""Frames of pandas, polars and others, and NumPy arrays, in and out.

Each comes as a pandas frame with its way back: a function from the filled frame
to what came, with its gaps filled and all else as it was. Columns are of the
types that `miri_jax.data.plain` tells.
"""

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from miri_jax.data.plain import (
    OBJECTS,
    Plain,
    as_type,
    is_carried,
    put,
    to_plain,
    type_name,
)
from miri_jax.data.tables import missing_cells

# Of a filled frame and, where others than those that are missing change, of
# `[n, c]` bool where cells do.
Back = Callable[..., Any]
# Types without one of pandas or arrow, or none that it takes for ours.
AS_OBJECTS = (nw.Int128, nw.UInt128, nw.Object)
AS_PANDAS = (nw.Enum, nw.Categorical)


def is_frame(table: Any) -> bool:
    """Whether a table is a frame of pandas, or of what narwhals knows.

    Lazy frames are, and arrays with named fields or a mask.
    """
    if isinstance(table, pd.DataFrame) or _is_special(table):
        return True
    found = nw.from_native(table, pass_through=True)
    return isinstance(found, nw.DataFrame | nw.LazyFrame)


def _is_special(table: Any) -> bool:
    named = isinstance(table, np.ndarray) and table.dtype.names is not None
    return named or (np.ma.isMA(table) and table.ndim == 2)


def from_frame(
    table: Any,
    missing_values: Sequence[Any] = (),
    gaps: np.ndarray | None = None,
) -> tuple[pd.DataFrame, Back]:
    """A frame in pandas, and the way back.

    Args:
      table: `[n, c]`, see `is_frame`. A lazy frame is collected, and comes back
        collected.
      missing_values: see `tables.missing_cells`.
      gaps: `[n, c]` bool, the cells that will change; None for the missing.
    """
    if _is_special(table):
        return _from_special(table, missing_values, gaps)
    if isinstance(table, pd.DataFrame):
        return _from_pandas(table, missing_values, gaps)
    if isinstance(table, pa.Table):
        return _from_arrow(table, missing_values, gaps)
    outer = nw.from_native(table)
    if isinstance(outer, nw.LazyFrame):
        outer = outer.collect()
    plain = [_plain_column(outer[name]) for name in outer.columns]
    frame = pd.DataFrame({k: part.series for k, part in enumerate(plain)})
    frame.columns = outer.columns
    if gaps is None:
        gaps = missing_cells(frame, missing_values)
    return frame, lambda filled, gaps=gaps: _to_native(
        filled, gaps, outer, plain
    )


def from_array(array: np.ndarray) -> tuple[pd.DataFrame, Back]:
    """An array `[n, c]` of any type as a frame, and the way back.

    Floats come back in their precision, text as text, others in the type that
    holds all columns.
    """
    frame = pd.DataFrame(array)
    kind = {"f": array.dtype, "U": np.str_}.get(array.dtype.kind)
    frame, inner = _from_pandas(frame)

    def back(
        filled: pd.DataFrame, gaps: np.ndarray | None = None
    ) -> np.ndarray:
        out = inner(filled).to_numpy()
        return out.astype(kind) if kind is not None else out

    return frame, back


def type_names(table: Any, count: int) -> list[str | None]:
    """See `plain.type_name`; of the columns of pandas' frames only."""
    if not isinstance(table, pd.DataFrame):
        return [None] * count
    return [type_name(table.iloc[:, j]) for j in range(table.shape[1])]


def typed_as(
    names: Sequence[str | None], came: pd.DataFrame, filled: pd.DataFrame
) -> pd.DataFrame:
    """A filled frame whose columns of objects are as those of the fit were.

    Of columns without any cell nothing else tells what their objects are.

    Args:
      names: of types, see `type_names`.
      came: `[n, c]`, before it was filled.
      filled: `[n, c]`.
    """
    told = [
        name in OBJECTS
        and pd.api.types.is_object_dtype(came.dtypes.iloc[j])
        and bool(came.iloc[:, j].isna().all())
        for j, name in enumerate(names)
    ]
    if not any(told):
        return filled
    parts = [filled.iloc[:, j] for j in range(filled.shape[1])]
    for j in np.flatnonzero(told):
        if parts[j].notna().all():
            parts[j] = as_type(parts[j].reset_index(drop=True), names[j])
    return of_columns(parts, filled)


def carried(
    frame: pd.DataFrame, kinds: Mapping[Hashable, str] | None
) -> dict[Hashable, str]:
    """Columns of which nothing can be drawn, such as of lists, as ids.

    Args:
      frame: `[n, c]`, as `from_frame` gives it.
      kinds: of columns, as the user names them.
    """
    return {
        name: "id"
        for j, name in enumerate(frame.columns)
        if name not in (kinds or {}) and is_carried(frame.iloc[:, j])
    }


def cast(series: pd.Series, dtype: str) -> pd.Series:
    """To a type by its name, where the values fit it."""
    try:
        return series.astype(dtype)
    except (TypeError, ValueError, NotImplementedError):
        return series


def fill_empty(frame: pd.DataFrame, names: Sequence[Hashable]) -> pd.DataFrame:
    """A frame with the gaps of some columns filled with 0 of their type.

    That is False among logical values, the first level of a category, the start
    of 1970 among times, and "missing_value" as text.
    """
    if not names:
        return frame
    parts = [frame.iloc[:, j] for j in range(frame.shape[1])]
    told = [name in names for name in frame.columns]
    parts = [_zeros(x) if here else x for x, here in zip(parts, told)]
    return of_columns(parts, frame)


def _zeros(series: pd.Series) -> pd.Series:
    kind, gaps = series.dtype, series.isna().to_numpy()
    cell: Any = 0
    if isinstance(kind, pd.CategoricalDtype):
        cell = [*kind.categories, "missing_value"][0]
    elif pd.api.types.is_datetime64_any_dtype(kind):
        cell = pd.Timestamp(0, tz=getattr(kind, "tz", None))
    elif pd.api.types.is_bool_dtype(kind):
        cell = False
    elif isinstance(kind, pd.StringDtype):
        cell = "missing_value"
    return put(series, gaps, [cell] * int(gaps.sum())) if gaps.any() else series


def _from_pandas(
    table: pd.DataFrame,
    missing_values: Sequence[Any] = (),
    gaps: np.ndarray | None = None,
) -> tuple[pd.DataFrame, Back]:
    came = [series for _, series in table.items()]
    plain = [to_plain(series) for series in came]
    new = [x.series is not series for x, series in zip(plain, came)]
    if not any(new):
        return table, lambda filled, gaps=None: filled
    frame = of_columns([part.series for part in plain], table)
    if gaps is None:
        gaps = missing_cells(frame, missing_values)

    def back(filled: pd.DataFrame, gaps: np.ndarray = gaps) -> pd.DataFrame:
        parts = [filled.iloc[:, j] for j in range(len(came))]
        for j in np.flatnonzero(new):
            here = gaps[:, j] & parts[j].notna().to_numpy()
            cells = plain[j].restore(parts[j][here]) if here.any() else []
            parts[j] = put(came[j], here, cells) if cells else came[j]
        return of_columns(parts, table)

    return frame, back


def of_columns(parts: Sequence[pd.Series], like: pd.DataFrame) -> pd.DataFrame:
    """Columns with the index and names of a frame."""
    made = {k: part.set_axis(like.index) for k, part in enumerate(parts)}
    frame = pd.DataFrame(made, index=like.index)
    frame.columns = like.columns
    return frame


def _from_special(
    table: np.ndarray, missing_values: Sequence[Any], gaps: np.ndarray | None
) -> tuple[pd.DataFrame, Back]:
    """An array `[n]` with named fields, or with a mask: of gaps."""
    names = table.dtype.names
    where = names or [(slice(None), j) for j in range(table.shape[1])]
    data, mask = np.ma.getdata(table), np.ma.getmaskarray(table)
    parts = [_masked(data[place], mask[place]) for place in where]
    frame = pd.DataFrame(dict(enumerate(parts)))
    frame.columns = names or frame.columns
    plain, inner = _from_pandas(frame, missing_values, gaps)
    if gaps is None:
        gaps = missing_cells(plain, missing_values)

    def back(filled: pd.DataFrame, gaps: np.ndarray = gaps) -> np.ndarray:
        out, done = data.copy(), inner(filled, gaps)
        for j, place in enumerate(where):
            here = gaps[:, j] & done.iloc[:, j].notna().to_numpy()
            out[place][here] = done.iloc[:, j].to_numpy()[here]
        if not np.ma.isMA(table):
            return out
        # What a rule leaves empty stays masked.
        left = mask.copy()
        for j, place in enumerate(where):
            left[place] &= done.iloc[:, j].isna().to_numpy()
        return np.ma.array(out, mask=left)

    return plain, back


def _masked(cells: np.ndarray, mask: np.ndarray) -> pd.Series:
    """A column `[n]` of an array; whole numbers stay such beside gaps."""
    series = pd.Series(cells)
    if not mask.any():
        return series
    return series.convert_dtypes(
        convert_string=False, convert_floating=False
    ).mask(mask)


def _from_arrow(
    table: pa.Table, missing_values: Sequence[Any], gaps: np.ndarray | None
) -> tuple[pd.DataFrame, Back]:
    """A table of arrow, whose schema stays."""
    columns = map(pd.arrays.ArrowExtensionArray, table.columns)
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame.columns = table.column_names
    plain, inner = _from_pandas(frame, missing_values, gaps)
    if gaps is None:
        gaps = missing_cells(plain, missing_values)

    def back(filled: pd.DataFrame, gaps: np.ndarray = gaps) -> pa.Table:
        out, done = table, inner(filled, gaps)
        for j in np.flatnonzero(gaps.any(axis=0)):
            made = pa.chunked_array(done.iloc[:, j].array.__arrow_array__())
            field = table.schema.field(int(j)).with_type(made.type)
            out = out.set_column(int(j), field, made)
        return out

    return plain, back


def _plain_column(series: Any) -> Plain:
    """A column of narwhals as it is modelled."""
    kind = series.dtype
    if isinstance(kind, AS_OBJECTS):
        return to_plain(pd.Series(series.to_list(), dtype=object))
    if isinstance(kind, AS_PANDAS):
        return Plain(series.to_pandas(), list)
    array = series.to_arrow()
    made = pd.arrays.ArrowExtensionArray(array)
    return to_plain(pd.Series(made))


def _to_native(
    filled: pd.DataFrame,
    missing: np.ndarray,
    outer: Any,
    plain: Sequence[Plain],
) -> Any:
    """The frame that came with its gaps filled, all else as it is."""
    series = functools.partial(nw.new_series, backend=outer.implementation)
    made = []
    for j, (name, kind) in enumerate(outer.schema.items()):
        done = filled.iloc[:, j]
        gaps = missing[:, j] & done.notna().to_numpy()
        if not gaps.any():
            continue
        cells = np.full(len(gaps), None, object)
        for row, cell in zip(
            np.flatnonzero(gaps), plain[j].restore(done[gaps])
        ):
            cells[row] = int(cell) if kind.is_integer() else cell
        old, kind = _with_levels(outer[name], kind, cells[gaps])
        here = series(name, gaps.tolist(), nw.Boolean())
        # One that nothing is known of, not even its type, gets one.
        kind = None if isinstance(kind, nw.Unknown) else kind
        new = series(name, cells.tolist(), kind)
        if kind is not None and new.dtype != kind:  # dates come as times
            new = new.cast(kind)
        made.append(new if gaps.all() else new.zip_with(here, old))
    return outer.with_columns(*made).to_native()


def _with_levels(old: Any, kind: Any, cells: np.ndarray) -> tuple[Any, Any]:
    """A column whose type has all the levels of some cells, and that type."""
    if not isinstance(kind, nw.Enum):
        return old, kind
    more = [x for x in dict.fromkeys(cells) if x not in kind.categories]
    if not more:
        return old, kind
    kind = nw.Enum([*kind.categories, *more])
    return old.cast(kind), kind
