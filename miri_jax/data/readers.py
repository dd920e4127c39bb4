"""Readers of tables: text, JSON lines, Excel, Parquet, Feather, statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow.feather as feather
import pyarrow.parquet as pq

from miri_jax import belonging
from miri_jax.belonging import BELONG
from miri_jax.data import objects, texts
from miri_jax.data.columns import by_column
from miri_jax.data.json_lines import read_lines
from miri_jax.data.limits import refuse_too_large, within_memory
from miri_jax.data.markers import NA_VALUES
from miri_jax.data.objects import read_objects
from miri_jax.data.packing import arrow_file
from miri_jax.data.plain import pandas_type, to_plain
from miri_jax.data.sheets import read_sheet
from miri_jax.data.statistics_files import read_statistics
from miri_jax.data.tables import Table, make_table, missing_cells
from miri_jax.data.text_cells import Read, read_cells
from miri_jax.data.texts import read_text
from miri_jax.endings import (
    LINES,
    SEPARATORS,
    STATISTICS,
    check_form,
    ending_of,
    refuse_missing,
)
from miri_jax.exceptions import DataError, first_line
from miri_jax.notes import Note
from miri_jax.relations import state

# Rows of a text file that are read and written at a time.
CHUNK = 100_000


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
    sheet: str | None = None,
    decimal: str | None = None,
    dates: str | None = None,
    found: bool = True,
    **stated: Any,
) -> Table:
    """Reads a table from a file by its ending, see `endings`.

    Text has a header. Of their columns, numbers are those whose
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
      skip_rows: lines of a text file, or rows of a sheet, above the header;
        None to find them.
      sheet: of a workbook, its name or number; None for the first.
      decimal: the decimal mark of a text file's numbers, "." or ",", where
        they may be read with either; None for what the file tells.
      dates: "dmy" or "mdy", likewise.
      found: whether relations are looked for that nobody stated, see
        `data.found`.
      **stated: relations between columns, see `relations.state`, and columns
        by which rows belong together, see `belonging.state`.

    Returns:
      The `Table`.

    Raises:
      DataError: naming the column, cell or setting at fault and the remedy.
    """
    ending = ending_of(path)
    text = dict(separator=separator, encoding=encoding, skip_rows=skip_rows)
    here: dict[str, Any] = dict(decimal=decimal, dates=dates)
    check_form(path, {**text, **here, "sheet": sheet})
    refuse_missing(path)
    refuse_too_large(path, ending)
    with within_memory(path):
        together = {name: stated.pop(name, None) for name in BELONG}
        kinds, orders = dict(kinds or {}), orders or {}
        marks = [str(value).strip() for value in na_values]
        if ending in SEPARATORS:
            frame, form, notes = read_text(path, chunk=CHUNK, **text)
            frame, form, units = texts.without_units(frame, form, marks)
            notes, kept = [*notes, *units], {"form": form}
            here["separator"] = form.separator
        elif ending in (*LINES, ".xlsx"):
            source, notes = (
                read_sheet(path, sheet, skip_rows)
                if ending == ".xlsx"
                else (read_lines(path), [])
            )
            source, units = objects.without_units(source, marks)
            notes = [*notes, *units]
            frame, kept = source.cells, {"source": source}
        else:
            frame, kept, known, notes = _read_typed(path, ending)
            kinds = {k: known[k] for k in known if k not in orders} | kinds
        relations = state(frame.columns, **stated)
        belong = belonging.state(frame.columns, **together)
        here |= dict(
            na_values=na_values,
            kinds=by_column("kinds", kinds, frame.columns),
            as_levels=orders,
        )
        if "form" in kept:
            read = read_cells(frame, **here)
        elif "source" in kept:
            frame, read = read_objects(frame, **here)
        else:
            plain = {name: to_plain(frame[name]).series for name in frame}
            read = Read(missing_cells(frame, na_values), plain, {}, [])
        table = make_table(
            frame,
            read.missing,
            parsed=read.parsed,
            styles=read.styles,
            kinds=kinds,
            bounds=bounds,
            orders=orders,
            empty_value=empty_value,
            relations=relations,
            look=found,
            belong=belong,
        )
        notes = (*notes, *read.notes, *table.notes)
        return table._replace(ending=ending, notes=notes, **kept)


def _read_typed(
    path: str, ending: str
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, str], list[Note]]:
    """A file's cells, what `Table` keeps of it, kinds of columns, and notes."""
    if ending in STATISTICS:
        frame, labels, kinds, notes = read_statistics(path, ending)
        return frame, {"labels": labels}, kinds, notes
    read = pq.read_table if ending == ".parquet" else feather.read_table
    try:
        table = read(arrow_file(path))
        frame = table.to_pandas(types_mapper=pandas_type)
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
    return frame, {"schema": table.schema}, {}, []
