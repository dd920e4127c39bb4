"""Reading and writing tables as text, so that observed cells never change.

Every cell is kept as the text it came as; only gaps are written anew, in the
style of their column. Numbers stay numbers, and columns named as categorical
become one column of 0 and 1 for each of their levels and come back as levels.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.exceptions import DataError

NA_VALUES = ("", "NA", "NaN", "nan", "NULL", "null")
SEPARATORS = {".csv": ",", ".tsv": "\t"}


class Column(NamedTuple):
    """One column of a file.

    Attributes:
      name: as in the header.
      levels: the observed levels, sorted, of a categorical column; else None.
      decimals: digits after the point that its numbers are written with; None
        where they use an exponent.
      low: smallest and
      high: largest observed number; infinite for levels.
    """

    name: str
    levels: tuple[str, ...] | None = None
    decimals: int | None = None
    low: float = -np.inf
    high: float = np.inf

    @property
    def width(self) -> int:
        """How many numeric columns imputers see for it."""
        return 1 if self.levels is None else len(self.levels)


class Table(NamedTuple):
    """A file with gaps.

    Attributes:
      text: `[n, c]` frame of str, the cells as they came.
      missing: `[n, c]` bool, True where a cell is a gap.
      columns: c `Column`s.
      values: `[n, d]` float64, numbers and 0/1 levels, 0 in the gaps.
      m: `[n, d]` bool, True = observed.
      notes: sentences about the file that a reader should know.
    """

    text: pd.DataFrame
    missing: np.ndarray
    columns: tuple[Column, ...]
    values: np.ndarray
    m: np.ndarray
    notes: tuple[str, ...]

    def encoded_columns(self) -> tuple[str, ...]:
        """Names of the d numeric columns."""
        names: list[str] = []
        for column in self.columns:
            levels = column.levels
            names += (
                [column.name]
                if levels is None
                else [f"{column.name}={level}" for level in levels]
            )
        return tuple(names)


def read_table(
    path: str,
    *,
    na_values: Sequence[str] = NA_VALUES,
    categorical: Sequence[str] = (),
    empty_value: float | None = None,
) -> Table:
    """Reads a CSV or TSV file (plain or .gz) with a header.

    Args:
      path: the file.
      na_values: cells that mean "missing", after stripping blanks.
      categorical: names of the columns that hold categories.
      empty_value: what a numeric column without any observed value is filled
        with; None refuses such a table, naming the column.

    Returns:
      The `Table`.

    Raises:
      DataError: naming the column, cell or setting at fault and the remedy.
    """
    text = _read_text(path)
    na = [value.strip() for value in na_values]
    stripped = text.apply(lambda cells: cells.str.strip())
    missing = stripped.isin(na).to_numpy()
    unknown = [name for name in categorical if name not in text.columns]
    if unknown:
        raise DataError(
            f"data.categorical names {unknown[0]!r}, which is not a column of"
            f" {path}; it has {', '.join(text.columns)}"
        )
    columns, blocks, masks, notes = [], [], [], []
    for j, name in enumerate(text.columns):
        cells, gaps = stripped[name].to_numpy(str), missing[:, j]
        if gaps.all() and (name in categorical or empty_value is None):
            raise DataError(
                f"column {name!r} has no observed value; remove it, or fill it"
                " with a number of your choice: --config.data.empty_value=0"
            )
        if name in categorical:
            column, block = _encode_levels(name, cells, gaps)
        else:
            column, block = _encode_numbers(name, cells, gaps)
        observed = ~gaps
        if gaps.all():
            # Said to be observed, so that it stays at the user's choice.
            notes.append(f"column {name!r} is filled with {empty_value}")
            block, observed = block + empty_value, ~observed
            column = column._replace(low=empty_value, high=empty_value)
        elif column.width == 1 and column.low == column.high:
            notes.append(f"column {name!r} is constant")
        columns.append(column)
        blocks.append(block)
        masks.append(np.repeat(observed[:, None], column.width, axis=1))
    empty_rows = int(missing.all(axis=1).sum())
    if empty_rows:
        notes.append(
            f"{empty_rows} row(s) have nothing observed; they are filled with"
            " draws that depend on no cell of theirs"
        )
    values, m = np.concatenate(blocks, 1), np.concatenate(masks, 1)
    return Table(text, missing, tuple(columns), values, m, tuple(notes))


def settle(table: Table, values: np.ndarray) -> np.ndarray:
    """The nearest table that a file can hold: what imputed cells come to.

    Numbers are kept within the observed range of their column and rounded to
    the decimals that its observed numbers have; of a category's columns the
    largest becomes 1 and the others 0.

    Args:
      table: as read.
      values: `[n, d]` float64, filled, raw scale.

    Returns:
      `[n, d]` float64; observed entries are those of `table`.
    """
    blocks, start = [], 0
    for column in table.columns:
        block = values[:, start : start + column.width]
        start += column.width
        if column.levels is not None:
            block = np.eye(column.width)[np.argmax(block, axis=1)]
        else:
            block = np.clip(block, column.low, column.high)
            if column.decimals is not None:
                # Adding 0 turns -0.0, which would be written "-0", into 0.0.
                block = np.round(block, column.decimals) + 0.0
        blocks.append(block)
    return np.where(table.m, table.values, np.concatenate(blocks, axis=1))


def fill_table(table: Table, values: np.ndarray) -> pd.DataFrame:
    """The file with its gaps filled, every other cell the text it came as.

    Args:
      table: as read.
      values: `[n, d]` float64, filled, raw scale; see `settle`.

    Returns:
      `[n, c]` frame of str.
    """
    filled, start = {}, 0
    for j, column in enumerate(table.columns):
        cells = table.text[column.name].to_numpy(object).copy()
        block = values[:, start : start + column.width]
        start += column.width
        gaps = table.missing[:, j]
        if column.levels is None:
            cells[gaps] = _format_numbers(block[gaps, 0], column)
        else:
            levels = np.asarray(column.levels, object)
            cells[gaps] = levels[np.argmax(block[gaps], axis=1)]
        filled[column.name] = cells
    return pd.DataFrame(filled, columns=table.text.columns)


def write_table(path: str, frame: pd.DataFrame) -> None:
    """Writes a frame of str as CSV, or TSV where the name ends so."""
    separator = SEPARATORS[_ending(path)]
    frame.to_csv(path, sep=separator, index=False)


def _ending(path: str) -> str:
    suffixes = [s.lower() for s in pathlib.Path(path).suffixes if s != ".gz"]
    ending = suffixes[-1] if suffixes else ""
    if ending not in SEPARATORS:
        raise DataError(
            f"{path} does not end in .csv, .tsv, .csv.gz or .tsv.gz"
        )
    return ending


def _read_text(path: str) -> pd.DataFrame:
    """All cells as str; a table without a header or data is refused."""
    separator = _ending(path)
    if not pathlib.Path(path).is_file():
        raise DataError(f"no such file: {path}")
    options = dict(
        sep=SEPARATORS[separator],
        header=None,
        dtype=str,
        na_filter=False,
        encoding="utf-8-sig",
    )
    try:
        frame = pd.read_csv(path, **options)
        if frame.shape[1] == 1:  # then a blank line is a gap
            frame = pd.read_csv(path, **options, skip_blank_lines=False)
    except pd.errors.EmptyDataError:
        raise DataError(
            f"{path} is empty; it needs a header and rows"
        ) from None
    except (pd.errors.ParserError, UnicodeDecodeError, EOFError, OSError) as e:
        first = str(e).strip().splitlines()[0]
        raise DataError(f"{path} cannot be read as a table: {first}") from None
    names = [str(name).strip() for name in frame.iloc[0]]
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{path} has no header: its first line is {','.join(names)[:60]!r};"
            " put a line with the columns' names above it"
        )
    for k, name in enumerate(names):
        if not name:
            raise DataError(f"column {k + 1} of {path} has no name; name it")
        if name in names[:k]:
            raise DataError(
                f"{path} has two columns named {name!r}; rename one"
            )
    frame = frame.iloc[1:].reset_index(drop=True).set_axis(names, axis=1)
    frame = frame.fillna("")  # rows shorter than the header
    if not len(frame):
        raise DataError(f"{path} has a header but no rows")
    return frame


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _encode_numbers(
    name: str, cells: np.ndarray, gaps: np.ndarray
) -> tuple[Column, np.ndarray]:
    numbers = np.zeros(len(cells))
    observed = cells[~gaps]
    parsed = pd.to_numeric(pd.Series(observed, dtype=object), errors="coerce")
    parsed = parsed.to_numpy(np.float64)
    rows = np.flatnonzero(~gaps)
    for k in np.flatnonzero(~np.isfinite(parsed))[:1]:
        where = f"({str(observed[k])!r} in row {rows[k] + 1})"
        if _is_number(observed[k]):
            raise DataError(
                f"column {name!r} holds an infinite value {where}; correct it,"
                " or name it under data.na_values to treat it as missing"
            )
        raise DataError(
            f"column {name!r} holds text {where}; name it under"
            " data.na_values or data.categorical"
        )
    numbers[~gaps] = parsed
    if not len(parsed):
        return Column(name, decimals=0), numbers[:, None]
    column = Column(
        name,
        decimals=_decimals(observed),
        low=float(parsed.min()),
        high=float(parsed.max()),
    )
    return column, numbers[:, None]


def _encode_levels(
    name: str, cells: np.ndarray, gaps: np.ndarray
) -> tuple[Column, np.ndarray]:
    levels = tuple(sorted(set(cells[~gaps])))
    onehot = (cells[:, None] == np.asarray(levels)[None, :]) & ~gaps[:, None]
    return Column(name, levels=levels), onehot.astype(np.float64)


def _decimals(cells: np.ndarray) -> int | None:
    """The most digits after the point; None if an exponent is used."""
    if any("e" in cell.lower() for cell in cells):
        return None
    return max(len(cell.partition(".")[2]) for cell in cells)


def _format_numbers(numbers: np.ndarray, column: Column) -> list[str]:
    if column.decimals is None:
        return [format(number, ".7g") for number in numbers]
    return [format(number, f".{column.decimals}f") for number in numbers]
