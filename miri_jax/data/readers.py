"""Readers of tables: CSV and TSV, plain or packed, Parquet and Feather."""

import contextlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from miri_jax.data.cells import is_number
from miri_jax.data.codes import LEVEL_KINDS
from miri_jax.data.columns import by_column
from miri_jax.data.tables import Table, make_table, missing_cells
from miri_jax.data.texts import read_text
from miri_jax.endings import SEPARATORS, ending_of
from miri_jax.exceptions import DataError, first_line

NA_VALUES = ("", "NA", "NaN", "nan", "NULL", "null")
# Rows of a text file that are read and written at a time.
CHUNK = 100_000
# What a table takes at the highest (experiments/large_file.py: 6.3 bytes for
# each byte of a CSV of numbers of 5 decimals, which are 7.5 bytes each).
BYTES_A_BYTE, BYTES_A_CELL = 7.3, 48
# A text column is a time where one of these reads and writes all its cells.
TIME_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
)


# Without these, whole numbers of a file with gaps would become floats.
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
}


def physical_memory() -> int:
    """Bytes of memory that this machine has; 0 where that is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _refuse_too_large(path: str, ending: str) -> None:
    """Refuses a table that would not fit into this machine's memory."""
    needed, memory = BYTES_A_BYTE * os.path.getsize(path), physical_memory()
    if ending == ".parquet":
        with contextlib.suppress(OSError, pa.ArrowInvalid):
            shape = pq.read_metadata(path)
            needed = BYTES_A_CELL * shape.num_rows * shape.num_columns
    if memory and needed > memory:
        raise DataError(
            f"{path} takes about {needed / 1e9:.3g} GB of memory, and this"
            f" machine has {memory / 1e9:.3g}; save it as Parquet and fill it"
            " by parts, from a fit to some of its rows",
            about=("parts",),
        )


def read_table(
    path: str,
    *,
    na_values: Sequence[str] = NA_VALUES,
    kinds: Mapping[str, str] | None = None,
    bounds: Mapping[str, Sequence[float | None]] | None = None,
    orders: Mapping[str, Sequence[Any]] | None = None,
    empty_value: float | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    skip_rows: int | None = None,
) -> Table:
    """Reads a table from a file by its ending, see `endings`.

    CSV and TSV have a header. Of their columns, numbers are those whose
    observed cells all are, but text where one has a leading zero; times those
    that one of `TIME_FORMATS` reads and writes; all others are text.

    Args:
      path: the file.
      na_values: cells of text that mean "missing", after stripping blanks.
      kinds: kinds of columns by name, see `columns.KINDS`.
      bounds: smallest and largest number of imputed cells, by column.
      orders: levels in their order, of ordinal columns by name.
      empty_value: what a column without any observed value is filled with;
        None refuses such a table, naming the column.
      separator: between two cells of a text file; None to find it.
      encoding: of a text file, a codec's name; None to find it.
      skip_rows: lines of a text file above its header; None to find them.

    Returns:
      The `Table`.

    Raises:
      DataError: naming the column, cell or setting at fault and the remedy.
    """
    ending = ending_of(path)
    if not pathlib.Path(path).is_file():
        raise DataError(f"no such file: {path}")
    _refuse_too_large(path, ending)
    text = dict(separator=separator, encoding=encoding, skip_rows=skip_rows)
    for name, value in text.items():
        if value is not None and ending not in SEPARATORS:
            raise DataError(
                f"{name} is a setting of text files, and {path} is none; leave"
                " it out",
                about=(name,),
            )
    settings = dict(kinds=kinds, bounds=bounds, orders=orders)
    if ending not in SEPARATORS:
        frame, schema = _read_typed(path, ending)
        missing = missing_cells(frame, na_values)
        table = make_table(frame, missing, empty_value=empty_value, **settings)
        return table._replace(ending=ending, schema=schema)
    frame, form, notes = read_text(path, chunk=CHUNK, **text)
    kinds = by_column("kinds", kinds, frame.columns)
    na = [value.strip() for value in na_values]
    missing, parsed, styles = {}, {}, {}
    for name in frame.columns:
        cells = frame[name].str.strip()
        gaps = cells.isin(na).to_numpy()
        as_text = kinds.get(name) in (*LEVEL_KINDS, "id") or name in (
            orders or {}
        )
        parsed[name], styles[name] = _parse(name, cells, gaps, as_text)
        missing[name] = gaps
    table = make_table(
        frame,
        np.column_stack(list(missing.values())),
        parsed=parsed,
        styles=styles,
        empty_value=empty_value,
        **settings,
    )
    notes = (*notes, *table.notes)
    return table._replace(ending=ending, form=form, notes=notes)


def _parse(
    name: str, cells: pd.Series, gaps: np.ndarray, as_text: bool
) -> tuple[pd.Series, str | None]:
    """The values of a text column, and the format of new ones.

    Raises:
      DataError: if it holds numbers and some text, naming the first.
    """
    observed = cells[~gaps]
    if not len(observed):
        return cells, ".15g"
    if as_text:
        return cells, None
    parsed = pd.to_numeric(observed.astype(object), errors="coerce")
    # Before pandas 3 what is beyond float64, such as 1e999, was no number.
    for k in np.flatnonzero(parsed.isna())[:1]:
        if is_number(observed.iloc[k]) and "_" not in observed.iloc[k]:
            parsed.iloc[k] = float(observed.iloc[k])
    number = parsed.notna().to_numpy()
    if number.mean() >= 0.5 and not observed.str.match(r"^0\d").any():
        for k in np.flatnonzero(~number)[:1]:
            row = np.flatnonzero(~gaps)[k] + 1
            raise DataError(
                f"column {name!r} holds text ({observed.iloc[k]!r} in row"
                f" {row}); name it among the values that mean missing, or call"
                " the column categorical",
                about=("na_values", "categorical"),
            )
        values = np.full(len(cells), np.nan)
        values[~gaps] = parsed.to_numpy(np.float64)
        return pd.Series(values, cells.index), _number_style(observed)
    for style in TIME_FORMATS if observed.iloc[0][:4].isdigit() else ():
        times = pd.to_datetime(observed, format=style, errors="coerce")
        if times.notna().all() and (times.dt.strftime(style) == observed).all():
            every = pd.Series(pd.NaT, cells.index, dtype="datetime64[us]")
            every[~gaps] = times.astype("datetime64[us]")
            return every, style
    return cells, None


def _number_style(observed: pd.Series) -> str:
    """As many digits after the point as the longest; .7g with exponents."""
    if observed.str.contains("[eE]").any():
        return ".7g"
    decimals = observed.str.partition(".")[2].str.len().max()
    return f".{decimals}f"


def _read_typed(path: str, ending: str) -> tuple[pd.DataFrame, pa.Schema]:
    read = pq.read_table if ending == ".parquet" else feather.read_table
    try:
        table = read(path)
        frame = table.to_pandas(types_mapper=NULLABLE.get)
    # A damaged file makes the reader raise any kind of error.
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as {ending[1:]}: {first_line(error)}"
        ) from None
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{path} has two columns named {twice!r}; rename one")
    if not frame.size:
        raise DataError(f"{path} has no rows")
    return frame, table.schema
