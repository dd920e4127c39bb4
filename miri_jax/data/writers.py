"""Writers of tables: the file as it came, its gaps filled."""

import contextlib
import csv
import io
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from miri_jax.data import readers
from miri_jax.data.forms import write_text
from miri_jax.data.json_lines import new_lines, write_lines
from miri_jax.data.objects import as_objects
from miri_jax.data.packing import written
from miri_jax.data.sheets import new_sheet, write_sheet
from miri_jax.data.statistics_files import write_statistics
from miri_jax.data.tables import Table, fill_table
from miri_jax.endings import LINES, SEPARATORS, STATISTICS, ending_of
from miri_jax.exceptions import DataError, MiriError, first_line

# So many cells of another kind of file are written before a fit, as a trial.
TRIAL = 2_000_000
# The column that says which draw a row of a long file is of.
DRAW = "draw"


def write_table(path: str, table: Table, values: np.ndarray) -> None:
    """Writes `fill_table` by the name's ending, one of `endings.ENDINGS`.

    A file like the one that was read is that file with its gaps filled. Of
    another kind it holds the values: of a text file numbers and times become
    such.

    Args:
      path: the file.
      table: as read.
      values: `[n, d]` float64, filled, encoded.

    Raises:
      DataError: where a file of this kind cannot hold the table.
    """
    with _held(path):
        _write_table(path, table, values)


def _write_table(path: str, table: Table, values: np.ndarray) -> None:
    ending, source = ending_of(path, written=True), table.source
    if ending in SEPARATORS:
        alike = SEPARATORS[ending] == SEPARATORS.get(table.ending)
        if table.form is not None and alike:
            write_text(path, _parts(table, values), table.form)
        else:
            _write_values(path, _filled_parts(table, values))
    elif source is not None and ending == table.ending == ".xlsx":
        write_sheet(path, source, _objects(table, values))
    elif source is not None and ending in LINES and source.lines:
        write_lines(path, source, _objects(table, values))
    elif ending in (".parquet", ".feather") and table.schema is not None:
        _write_arrow(path, _arrow_table(table, values))
    else:
        _write_typed(path, _typed(table, values), table)


def write_long(path: str, table: Table, draws: Sequence[np.ndarray]) -> None:
    """Writes all draws into one file, with their number in a first column.

    Args:
      path: the file.
      table: as read.
      draws: `[n, d]` float64 each, filled, encoded.

    Raises:
      DataError: where the table has such a column, or a file of this kind
        cannot hold it.
    """
    check_long(table)
    with _held(path):
        _write_long(path, table, draws)


def check_writable(table: Table, output: str, long: bool = False) -> None:
    """Refuses what a file of another kind cannot hold, before any fit.

    The table is written where nothing stays, with means in its gaps: its first
    `TRIAL` cells.

    Args:
      table: as read.
      output: the name of what is to be written.
      long: whether all draws go into one file.

    Raises:
      DataError: naming what cannot be written, and the remedy.
    """
    ending = ending_of(output, written=True)
    if ending in (*SEPARATORS, *LINES):
        return  # Each can hold all.
    if ending == table.ending == ".xlsx":
        return  # It is the workbook that came.
    if ending == ".xlsx":
        _refuse_beyond_sheet(output, table)
    counts = np.maximum(table.m.sum(axis=0), 1)
    mean = np.where(table.m, table.values, 0).sum(axis=0) / counts
    some = slice(max(TRIAL // max(table.frame.shape[1], 1), 1))
    part = table.take(some)
    values = np.where(part.m, part.values, mean)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, os.path.basename(output))
        try:
            if long:
                write_long(path, part, [values])
            else:
                write_table(path, part, values)
        except OSError:
            pass  # That disk is another one.
        except MiriError as error:  # Not the name of the trial.
            text = str(error).replace(path, output)
            raise DataError(text, about=error.about) from None


def _refuse_beyond_sheet(output: str, table: Table) -> None:
    rows, columns = table.frame.shape
    if rows >= 2**20 or columns > 2**14:
        raise DataError(
            f"{output} cannot hold {rows} rows and {columns} columns, as a"
            " sheet has 1048576 and 16384; choose another ending, as .csv"
        )


@contextlib.contextmanager
def _held(path: str) -> Iterator[None]:
    """What libraries say of values that a kind of file cannot hold, in a line.

    Raises:
      DataError: naming the file and the remedy.
    """
    try:
        yield
    except (MiriError, OSError, MemoryError):
        raise
    except Exception as error:  # each library has its own
        raise DataError(
            f"{path} cannot hold this table: {first_line(error)}; choose"
            " another ending, as .csv"
        ) from error


def _write_long(path: str, table: Table, draws: Sequence[np.ndarray]) -> None:
    if ending_of(path, written=True) in SEPARATORS:
        parts = (
            _numbered(part, k)
            for k, values in enumerate(draws, 1)
            for part in _filled_parts(table, values)
        )
        _write_values(path, parts)
        return
    every = [
        _numbered(_typed(table, values), k) for k, values in enumerate(draws, 1)
    ]
    _write_typed(path, pd.concat(every, ignore_index=True), table)


def check_long(table: Table) -> None:
    """Refuses a table with a column of the name that a long file gives.

    Raises:
      DataError: naming it.
    """
    if DRAW in table.frame.columns:
        raise DataError(
            f"the table has a column {DRAW!r}, as the long form would have;"
            " rename it, or take a file for each draw"
        )


def _numbered(frame: pd.DataFrame, draw: int) -> pd.DataFrame:
    frame = frame.copy(deep=False)
    frame.insert(0, DRAW, draw)
    return frame


def _parts(
    table: Table, values: np.ndarray
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Some rows after others, filled, and which of their cells are new."""
    for start in range(0, len(values), readers.CHUNK):
        rows = slice(start, start + readers.CHUNK)
        yield fill_table(table.take(rows), values[rows]), table.missing[rows]


def _filled_parts(table: Table, values: np.ndarray) -> Iterator[pd.DataFrame]:
    """Some rows after others, filled, as they go into a new text."""
    # How times are written is chosen anew for each part.
    times = table.frame.select_dtypes(["datetime", "datetimetz"]).shape[1]
    size = len(values) if times else readers.CHUNK
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        yield fill_table(table.take(rows), values[rows])


def _write_values(path: str, parts: Iterator[pd.DataFrame]) -> None:
    """Writes parts of a table as a new text, in UTF-8."""
    with written(path) as file:
        for k, part in enumerate(parts):
            # An index with a name is a column of a typed file.
            named = any(name is not None for name in part.index.names)
            text = io.StringIO(newline="")
            part.to_csv(
                text,
                sep=SEPARATORS[ending_of(path)],
                index=named,
                header=not k,
                lineterminator="\n",
                quoting=_quoting(part),
            )
            file.write(text.getvalue().encode())


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


def _objects(table: Table, values: np.ndarray) -> pd.DataFrame:
    """The filled table as objects of the types that came."""
    filled, cells = fill_table(table, values), table.source.cells
    return as_objects(filled, cells, table.missing, table.styles)


def _typed(table: Table, values: np.ndarray) -> pd.DataFrame:
    """The filled table with numbers and times as such."""
    if table.source is not None:
        return _objects(table, values).infer_objects()
    filled = fill_table(table, values)
    for name, style in zip(filled.columns, table.styles):
        if style is not None:
            filled[name] = style.read(filled[name].str.strip())
    if table.form is not None:
        filled = filled.where(~_left_empty(filled, table), None)
    return filled


def _left_empty(filled: pd.DataFrame, table: Table) -> np.ndarray:
    """`[n, c]` bool, gaps of text that stay, whatever mark stands there."""
    same = filled.to_numpy(object) == table.frame.to_numpy(object)
    return same & table.missing


def _write_typed(path: str, frame: pd.DataFrame, table: Table) -> None:
    """Writes a frame into a new file, but for text."""
    ending = ending_of(path)
    frame = _with_index(frame)
    if ending == ".xlsx":
        new_sheet(path, frame)
    elif ending in LINES:
        new_lines(path, frame)
    elif ending in STATISTICS:
        write_statistics(path, ending, frame, table.labels)
    else:
        _write_arrow(path, pa.Table.from_pandas(frame))


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose named index is a column, as files have it."""
    named = any(name is not None for name in frame.index.names)
    return frame.reset_index() if named else frame


def _write_arrow(path: str, table: pa.Table) -> None:
    if ending_of(path) == ".parquet":
        pq.write_table(table, path)
    else:
        feather.write_feather(table, path)


def _arrow_table(table: Table, values: np.ndarray) -> pa.Table:
    """The filled table with the types of the file that was read."""
    filled, schema = fill_table(table, values), table.schema
    for k, field in enumerate(schema):
        if pa.types.is_null(field.type):  # no cell had a value
            made = pa.array(filled[field.name])
            schema = schema.set(k, field.with_type(made.type))
    return pa.Table.from_pandas(filled, schema)
