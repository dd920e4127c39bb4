"""Writers of tables: the file as it came, its gaps filled."""

import csv
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from miri_jax.data import readers
from miri_jax.data.forms import write_text
from miri_jax.data.tables import Table, fill_table
from miri_jax.endings import SEPARATORS, ending_of


def write_table(path: str, table: Table, values: np.ndarray) -> None:
    """Writes `fill_table` by the name's ending, one of `endings.ENDINGS`.

    A file with types has those of the file that was read; of a text file
    numbers and times become such.

    Args:
      path: the file.
      table: as read.
      values: `[n, d]` float64, filled, encoded.
    """
    ending = ending_of(path)
    if ending == ".parquet":
        pq.write_table(_arrow_table(table, values), path)
    elif ending == ".feather":
        feather.write_feather(_arrow_table(table, values), path)
    elif table.form is not None and SEPARATORS[ending] == SEPARATORS.get(
        table.ending
    ):
        write_text(path, _parts(table, values), table.form)
    else:
        # How times are written is chosen anew for each part.
        times = table.frame.select_dtypes(["datetime", "datetimetz"]).shape[1]
        size = len(values) if times else readers.CHUNK
        for start in range(0, len(values), size):
            rows = slice(start, start + size)
            filled = fill_table(table.take(rows), values[rows])
            filled.to_csv(
                path,
                sep=SEPARATORS[ending],
                # An index with a name is a column of a typed file.
                index=any(name is not None for name in filled.index.names),
                header=not start,
                mode="a" if start else "w",
                quoting=_quoting(filled),
            )


def _parts(
    table: Table, values: np.ndarray
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Some rows after others, filled, and which of their cells are new."""
    for start in range(0, len(values), readers.CHUNK):
        rows = slice(start, start + readers.CHUNK)
        yield fill_table(table.take(rows), values[rows]), table.missing[rows]


def _quoting(frame: pd.DataFrame) -> int:
    """Python's csv before 3.13 writes a carriage return without quotes."""
    text = frame.select_dtypes(["object", "string", "category"])
    parts = [series for _, series in text.items()]
    if any(map(_has_return, [*parts, pd.Series(list(frame.columns))])):
        return csv.QUOTE_ALL
    return csv.QUOTE_MINIMAL


def _has_return(cells: pd.Series) -> bool:
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = pd.Series(cells.cat.categories)
    if isinstance(cells.dtype, pd.StringDtype):
        return cells.str.contains("\r", regex=False).any()
    return any(isinstance(x, str) and "\r" in x for x in cells)


def _arrow_table(table: Table, values: np.ndarray) -> pa.Table:
    filled, schema = fill_table(table, values), table.schema
    if schema is None:
        for name, style in zip(filled.columns, table.styles):
            if style is not None:
                filled[name] = style.read(filled[name].str.strip())
        return pa.Table.from_pandas(filled)
    for k, field in enumerate(schema):
        if pa.types.is_null(field.type):  # no cell had a value
            made = pa.array(filled[field.name])
            schema = schema.set(k, field.with_type(made.type))
    return pa.Table.from_pandas(filled, schema)
