"""Columns of any pandas type as the few types that are modelled, and back.

    type                                  as
    arrow, polars                         the pandas type of its values
    sparse                                the dense type
    Period                                times: where it begins
    durations                             times: after the start of 1970
    times of the day                      times: of the first day of 1900
    Interval                              an ordered Categorical
    objects that are all of one of these  as that type

All else is taken as it is. Columns of objects that are none of these, such as
lists, can be carried through only (`is_carried`).
"""

import base64
import datetime
import decimal
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from miri_jax.data.cells import holds, with_levels

# Without these, whole numbers with gaps would become floats, and times of the
# day to the nanosecond nothing.
NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.time64("ns"): pd.ArrowDtype(pa.time64("ns")),
}
# What a cell may be for its column to be modelled.
KNOWN = (str, np.bool_, numbers.Number, datetime.date)
# Objects whose columns are times, by the name of their type.
_OBJECTS = (
    datetime.date(1970, 1, 1),
    datetime.time(),
    datetime.timedelta(),
    pd.Timedelta(0),
    pd.Timestamp(0),
    np.datetime64(0, "s"),
)
OBJECTS = {f"object:{type(one).__name__}": one for one in _OBJECTS}
DURATIONS = (datetime.timedelta, np.timedelta64)


class Plain(NamedTuple):
    """A column as it is modelled.

    Attributes:
      series: `[n]`, of a type that `columns.detect` knows.
      restore: from some cells of `series` to a list of what came.
    """

    series: pd.Series
    restore: Callable[[pd.Series], list]


def pandas_type(kind: pa.DataType) -> Any:
    """The type that a column of arrow has in pandas; None for that of pandas.

    Decimals of hundreds stay what they are, as Python's may have any digits.
    """
    if pa.types.is_decimal(kind) and kind.scale < 0:
        return pd.ArrowDtype(kind)
    return NULLABLE.get(kind)


def to_plain(series: pd.Series) -> Plain:
    """A column `[n]` of any type as it is modelled, see above."""
    kind = series.dtype
    if isinstance(kind, pd.ArrowDtype):
        return to_plain(_from_arrow(series))
    if isinstance(kind, pd.SparseDtype):
        dense = np.asarray(series.array.to_dense())
        return to_plain(pd.Series(dense, series.index))
    if isinstance(kind, pd.PeriodDtype):
        return _periods(series)
    if isinstance(kind, pd.IntervalDtype):
        known = sorted(series.dropna().unique())
        known = known or [pd.Interval(0, 1, kind.closed)]
        cells = pd.Categorical(series.astype(object), known, ordered=True)
        return Plain(pd.Series(cells, series.index), list)
    if pd.api.types.is_timedelta64_dtype(kind):
        return _durations(series)
    if pd.api.types.is_float_dtype(kind) and not isinstance(kind, np.dtype):
        # Arithmetic may leave NaN among those of pandas, beside NA.
        values = series.to_numpy(kind.numpy_dtype, na_value=np.nan)
        if np.isnan(values).sum() != series.isna().sum():
            made = pd.array(values, dtype=kind)
            return Plain(pd.Series(made, series.index), list)
    if pd.api.types.is_object_dtype(kind):
        return _objects(series)
    return Plain(series, list)


def put(series: pd.Series, gaps: np.ndarray, new: list) -> pd.Series:
    """A column of any type with cells of that type in its gaps.

    Args:
      series: `[n]`, what is no gap stays.
      gaps: `[n]` bool.
      new: as many cells as there are gaps.
    """
    kind = series.dtype
    if isinstance(kind, pd.ArrowDtype):
        return _put_arrow(series, gaps, new)
    if isinstance(kind, pd.SparseDtype):
        dense = np.array(series.array.to_dense())
        dense[gaps] = new
        made = pd.arrays.SparseArray(dense, dtype=kind)
    elif pd.api.types.is_object_dtype(kind):
        made = series.to_numpy(object, copy=True)
        for row, cell in zip(np.flatnonzero(gaps), new):
            made[row] = cell
    else:
        made = with_levels(series.array.copy(), new)
        kind = made.dtype
        made[gaps] = pd.array(new, dtype=kind)
    return pd.Series(made, series.index, dtype=kind)


def is_carried(series: pd.Series) -> bool:
    """Whether nothing can be drawn of a column's cells.

    Args:
      series: `[n]`, as `to_plain` gives it.
    """
    if pd.api.types.is_complex_dtype(series.dtype):
        return True
    if series.dtype != object:
        return False
    observed = series[~series.isna()]
    return any(
        isinstance(x, complex | np.complexfloating) or not isinstance(x, KNOWN)
        for x in observed
    )


def _periods(series: pd.Series) -> Plain:
    freq = series.dtype.freq

    def restore(cells: pd.Series) -> list:
        # The period that begins nearest.
        made = pd.PeriodIndex(pd.DatetimeIndex(cells), freq=freq)
        first, after = made.to_timestamp(), (made + 1).to_timestamp()
        stamps = pd.DatetimeIndex(cells)
        return list(made.where(stamps - first <= after - stamps, made + 1))

    return Plain(series.dt.to_timestamp(), restore)


def _durations(series: pd.Series) -> Plain:
    array = np.asarray(series)
    unit = np.datetime_data(array.dtype)[0]
    stamps = array.view(np.int64).view(f"datetime64[{unit}]")

    def restore(cells: pd.Series) -> list:
        array = np.asarray(cells.astype(f"datetime64[{unit}]"))
        return list(pd.to_timedelta(array.view(f"timedelta64[{unit}]")))

    return Plain(pd.Series(stamps, series.index), restore)


def _objects(series: pd.Series) -> Plain:
    observed = series[~series.isna()]
    gaps = series.isna().to_numpy()
    if holds(observed, datetime.time) and all(
        x.tzinfo is None for x in observed
    ):
        day = datetime.date(1900, 1, 1)
        stamps = [datetime.datetime.combine(day, x) for x in observed]
        return Plain(_times(stamps, gaps, series.index), _clocks)
    if holds(observed, *DURATIONS):
        made = np.full(len(series), "NaT", "timedelta64[us]")
        made[~gaps] = [np.timedelta64(x, "us") for x in observed]
        found = _durations(pd.Series(made, series.index))
        last = observed.iloc[0]
        if isinstance(last, pd.Timedelta):
            return found
        if isinstance(last, np.timedelta64):
            as_cell = lambda x: x.to_timedelta64()
        else:
            as_cell = lambda x: x.to_pytimedelta()
        return found._replace(
            restore=lambda cells: [as_cell(x) for x in found.restore(cells)]
        )
    if holds(observed, pd.Period) and len({x.freq for x in observed}) == 1:
        made = pd.arrays.PeriodArray._from_sequence(
            list(series.where(~series.isna(), pd.NaT)),
            dtype=pd.PeriodDtype(observed.iloc[0].freq),
        )
        return _periods(pd.Series(made, series.index))
    if holds(observed, pd.Interval):
        known = sorted(observed.unique())
        made = pd.Categorical(series, known, ordered=True)
        return Plain(pd.Series(made, series.index), list)
    if holds(observed, np.datetime64):
        stamps = [x.astype("datetime64[us]").item() for x in observed]
        restore = lambda cells: [x.to_datetime64() for x in cells]
        return Plain(_times(stamps, gaps, series.index), restore)
    if holds(observed, pd.Timestamp) or (
        holds(observed, datetime.datetime)
        and all(x.tzinfo is not None for x in observed)
    ):
        return _stamps(series, observed, gaps)
    return Plain(series, list)


def _stamps(series: pd.Series, observed: pd.Series, gaps: np.ndarray) -> Plain:
    """Objects that are times, of pandas or with a zone."""
    zones = [x.tzinfo for x in observed]
    if any(zone is None for zone in zones):
        if any(zone is not None for zone in zones):
            return Plain(series, list)
        stamps = [x.to_datetime64() for x in observed]
        return Plain(_times(stamps, gaps, series.index), list)
    utc = [x.astimezone(datetime.UTC).replace(tzinfo=None) for x in observed]
    times = _times(utc, gaps, series.index)
    times = times.dt.tz_localize("UTC").dt.tz_convert(zones[0])
    if holds(observed, pd.Timestamp):
        return Plain(times, list)
    return Plain(times, lambda cells: [x.to_pydatetime() for x in cells])


def _times(stamps: list, gaps: np.ndarray, index: pd.Index) -> pd.Series:
    made = np.full(len(gaps), "NaT", "datetime64[us]")
    made[~gaps] = np.array(stamps, "datetime64[us]")
    return pd.Series(made, index)


def _clocks(cells: pd.Series) -> list:
    """Times of the day; beyond midnight they begin again."""
    return [x.time() for x in cells]


def _chunks(series: pd.Series) -> pa.Array:
    chunked = series.array.__arrow_array__()
    if isinstance(chunked, pa.ChunkedArray):
        chunked = chunked.combine_chunks()
    if isinstance(chunked, pa.ChunkedArray):  # of no row, or of many bytes
        chunked = pa.concat_arrays(chunked.chunks)
    return chunked


def _from_arrow(series: pd.Series) -> pd.Series:
    array = _chunks(series)
    kind = array.type
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    elif pa.types.is_string_view(kind):
        array = array.cast(pa.large_string())
    elif pa.types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
    elif pa.types.is_time(kind) and kind.unit == "ns":
        array = array.cast(pa.time64("us"), safe=False)
    elif pa.types.is_decimal(kind) and kind.scale < 0:
        array = array.cast(pa.decimal256(76, 0))
    made = array.to_pandas(types_mapper=pandas_type)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        made = made.astype(pd.StringDtype())  # also where all is missing
    return pd.Series(made.array, series.index, dtype=made.dtype)


def _put_arrow(series: pd.Series, gaps: np.ndarray, new: list) -> pd.Series:
    old = _chunks(series)
    kind = inner = old.type
    if pa.types.is_null(kind):
        kind = inner = pa.array(new).type
    if pa.types.is_dictionary(kind):
        inner = kind.value_type
    elif pa.types.is_string_view(kind):
        inner = pa.large_string()
    if pa.types.is_duration(kind):
        # Of other units than nanoseconds arrow misreads those of pandas.
        unit = f"timedelta64[{kind.unit}]"
        new = np.array([pd.Timedelta(x).to_timedelta64() for x in new], unit)
    if pa.types.is_float16(kind):
        new = list(np.array(new, np.float16))
    if pa.types.is_decimal(kind) and kind.scale < 0:
        made = pa.array(new, pa.decimal256(76, 0)).cast(kind, safe=False)
    elif pa.types.is_integer(inner):
        made = pa.array([int(x) for x in new], inner)
    else:
        made = pa.array(new, inner)
    if not len(new):
        return series
    rows = np.arange(len(gaps))
    rows[gaps] = len(gaps) + np.arange(len(new))
    whole = pa.concat_arrays([old.cast(inner), made]).take(pa.array(rows))
    if pa.types.is_dictionary(kind):
        whole = whole.dictionary_encode()
    whole = whole.cast(kind) if whole.type != kind else whole
    made = pd.arrays.ArrowExtensionArray(pa.chunked_array([whole]))
    return pd.Series(made, series.index)


def kind_of(cell: Any) -> str:
    """What a cell is, for a message."""
    return type(cell).__name__


def type_name(series: pd.Series) -> str | None:
    """The type of a column as JSON can hold it, for `as_type`.

    None where `to_plain` leaves it as it is, or it cannot be told by a name.
    """
    kind = series.dtype
    if isinstance(kind, pd.ArrowDtype):
        schema = pa.schema([("x", kind.pyarrow_dtype)])
        return "arrow:" + base64.b64encode(schema.serialize()).decode()
    if isinstance(kind, pd.SparseDtype):
        return f"sparse:{kind.subtype}:{float(kind.fill_value)}"
    if isinstance(kind, pd.PeriodDtype):
        return str(kind)
    if pd.api.types.is_timedelta64_dtype(kind):
        return str(kind)
    if pd.api.types.is_object_dtype(kind):
        observed = series[~series.isna()]
        for name, one in OBJECTS.items():
            if len(observed) and {*map(type, observed)} == {type(one)}:
                return name
    return None


def as_type(cells: pd.Series, name: str | None) -> pd.Series:
    """A plain column `[n]` without gaps in a type of `type_name`."""
    if name is None:
        return cells
    if name == "object:date":
        days = [
            x.date() if isinstance(x, datetime.datetime) else x for x in cells
        ]
        return pd.Series(days, dtype=object)
    if name.startswith("object:"):
        template = pd.Series([OBJECTS[name]], dtype=object)
    elif name.startswith("arrow:"):
        schema = base64.b64decode(name.removeprefix("arrow:"))
        kind = pa.ipc.read_schema(pa.py_buffer(schema)).field(0).type
        template = pd.Series([None], dtype=pd.ArrowDtype(kind))
        if pa.types.is_time(kind):
            cells = pd.Series(_clocks(cells), dtype=object)
        elif pa.types.is_decimal(kind):
            digits = f".{max(kind.scale, 0)}f"
            made = [decimal.Decimal(format(x, digits)) for x in cells]
            cells = pd.Series(made, dtype=object)
    elif name.startswith("sparse:"):
        _, inner, fill = name.split(":")
        fill = np.array(float(fill)).astype(inner).item()
        kind = pd.SparseDtype(inner, fill)
        return pd.Series(pd.arrays.SparseArray(cells, dtype=kind))
    else:
        template = pd.Series([None], dtype=name)
    made = to_plain(template).restore(cells)
    blank = pd.Series([None] * len(cells), dtype=template.dtype)
    return put(blank, np.ones(len(cells), bool), made)
