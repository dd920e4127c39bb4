"""Readers of tables: CSV and TSV, plain or packed, Parquet and Feather."""

import contextlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from miri_jax import belonging
from miri_jax.belonging import BELONG
from miri_jax.data.columns import by_column
from miri_jax.data.markers import NA_VALUES
from miri_jax.data.tables import Table, make_table, missing_cells
from miri_jax.data.text_cells import read_cells
from miri_jax.data.texts import read_text, without_units
from miri_jax.endings import SEPARATORS, ending_of
from miri_jax.exceptions import DataError, first_line
from miri_jax.relations import state

# Rows of a text file that are read and written at a time.
CHUNK = 100_000
# What a table takes at the highest (experiments/large_file.py: 6.3 bytes for
# each byte of a CSV of numbers of 5 decimals, which are 7.5 bytes each).
BYTES_A_BYTE, BYTES_A_CELL = 7.3, 48
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
    decimal: str | None = None,
    dates: str | None = None,
    **stated: Any,
) -> Table:
    """Reads a table from a file by its ending, see `endings`.

    CSV and TSV have a header. Of their columns, numbers are those whose
    observed cells all are, in one notation, but text where one has a leading
    zero; times likewise; all others are text. See `text_cells`.

    Args:
      path: the file.
      na_values: cells of text that mean "missing", after stripping blanks, in
        all columns, or as "NAME=CELL" in one; "NAME=" for empty cells only.
      kinds: kinds of columns by name, see `columns.KINDS`.
      bounds: smallest and largest number of imputed cells, by column.
      orders: levels in their order, of ordinal columns by name.
      empty_value: what a column without any observed value is filled with;
        None refuses such a table, naming the column.
      separator: between two cells of a text file; None to find it.
      encoding: of a text file, a codec's name; None to find it.
      skip_rows: lines of a text file above its header; None to find them.
      decimal: the decimal mark of a text file's numbers, "." or ",", where
        they may be read with either; None for what the file tells.
      dates: "dmy" or "mdy", likewise.
      **stated: relations between columns, see `relations.state`, and columns
        by which rows belong together, see `belonging.state`.

    Returns:
      The `Table`.

    Raises:
      DataError: naming the column, cell or setting at fault and the remedy.
    """
    ending = ending_of(path)
    text = dict(separator=separator, encoding=encoding, skip_rows=skip_rows)
    for name, value in {**text, "decimal": decimal, "dates": dates}.items():
        if value is not None and ending not in SEPARATORS:
            raise DataError(
                f"{name} is a setting of text files, and {path} is none; leave"
                " it out",
                about=(name,),
            )
    if not pathlib.Path(path).is_file():
        raise DataError(f"no such file: {path}")
    _refuse_too_large(path, ending)
    settings = dict(kinds=kinds, bounds=bounds, orders=orders)
    together = {name: stated.pop(name, None) for name in BELONG}
    if ending not in SEPARATORS:
        frame, schema = _read_typed(path, ending)
        missing = missing_cells(frame, na_values)
        settings["relations"] = state(frame.columns, **stated)
        settings["belong"] = belonging.state(frame.columns, **together)
        table = make_table(frame, missing, empty_value=empty_value, **settings)
        return table._replace(ending=ending, schema=schema)
    frame, form, notes = read_text(path, chunk=CHUNK, **text)
    marks = [str(value).strip() for value in na_values]
    frame, form, units = without_units(frame, form, marks)
    settings["relations"] = state(frame.columns, **stated)
    settings["belong"] = belonging.state(frame.columns, **together)
    read = read_cells(
        frame,
        na_values=na_values,
        kinds=by_column("kinds", kinds, frame.columns),
        as_levels=orders or (),
        decimal=decimal,
        dates=dates,
        separator=form.separator,
    )
    table = make_table(
        frame,
        read.missing,
        parsed=read.parsed,
        styles=read.styles,
        empty_value=empty_value,
        **settings,
    )
    notes = (*notes, *units, *read.notes, *table.notes)
    return table._replace(ending=ending, form=form, notes=notes)


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
