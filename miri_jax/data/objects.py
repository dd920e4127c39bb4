"""Cells that are objects, as of spreadsheets and JSON: read, and put back.

Columns of numbers, or of times, are taken as such. All others are text, and
read as that of a text file: numbers and times in any notation, marks of
missing.
"""

import datetime
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.codes import LEVEL_KINDS
from miri_jax.data.dates import TimeStyle, time_styles
from miri_jax.data.heads import LOOKED_AT, find_units
from miri_jax.data.markers import (
    SIGNS,
    WORDS,
    are_marks,
    split_marks,
)
from miri_jax.data.notations import NumberStyle, plain_style
from miri_jax.data.plain import to_plain
from miri_jax.data.text_cells import Read, read_cells
from miri_jax.exceptions import DataError
from miri_jax.notes import Note


class Objects(NamedTuple):
    """Where cells came from, for those that are filled to be put there.

    Attributes:
      cells: `[n, c]` as they came, None where there is none.
      sheet: the sheet of a workbook; "" of other files.
      path: of the workbook.
      rows: the sheet's rows `[n]`, from 1 on, or of JSON the lines.
      places: the sheet's columns `[c]`, from 1 on; of JSON nothing.
      lines: of JSON the objects, in their order.
    """

    cells: pd.DataFrame
    sheet: str = ""
    path: str = ""
    rows: Sequence[int] = ()
    places: Sequence[int] = ()
    lines: Sequence[dict[str, Any]] = ()


def read_objects(
    cells: pd.DataFrame,
    *,
    na_values: Sequence[str],
    kinds: Mapping[Any, str],
    as_levels: Collection[Any],
    decimal: str | None,
    dates: str | None,
) -> tuple[pd.DataFrame, Read]:
    """Objects `[n, c]` as text, and what this text is; see `read_cells`.

    Raises:
      DataError: naming a column that holds numbers and some text.
    """
    frame = cells.map(text_of)
    every, single = split_marks(na_values, frame)
    typed: dict[Any, tuple[np.ndarray, pd.Series, Any]] = {}
    for name in cells.columns:
        own = single.get(name, [])
        marks = ["", *own] if "" in own else [*every, *own]
        text = frame[name].str.strip()
        gaps = are_marks(text, marks)
        if "" not in own:
            gaps |= text.isin([*SIGNS, *WORDS]).to_numpy(bool)
        kind = kinds.get(name)
        if kind in (*LEVEL_KINDS, "id") or name in as_levels or gaps.all():
            continue
        observed = cells[name][~gaps]
        if all(map(_is_number, observed)):
            values = np.full(len(cells), np.nan)
            values[~gaps] = _numbers(name, observed)
            style = plain_style(text[~gaps])
            typed[name] = gaps, pd.Series(values, cells.index), style
        elif all(isinstance(x, datetime.datetime) for x in observed):
            stamps = pd.Series(pd.NaT, cells.index, dtype="datetime64[us]")
            stamps[~gaps] = pd.to_datetime(observed).astype("datetime64[us]")
            day = (stamps[~gaps] == stamps[~gaps].dt.normalize()).all()
            style = TimeStyle("%Y-%m-%d", " ", "%H:%M:%S")
            if day:
                style = TimeStyle("%Y-%m-%d")
                frame[name] = frame[name].str.removesuffix(" 00:00:00")
            typed[name] = gaps, stamps, style
        elif all(isinstance(x, datetime.time) for x in observed):
            stamps = to_plain(cells[name].mask(gaps, None)).series
            typed[name] = gaps, stamps, time_styles(text[~gaps])[0]
    rest = frame.drop(columns=list(typed))
    read = Read(np.zeros((len(frame), 0), bool), {}, {}, [])
    if rest.shape[1]:
        read = read_cells(
            rest,
            na_values=na_values,
            kinds=kinds,
            as_levels=as_levels,
            decimal=decimal,
            dates=dates,
            separator=",",
        )
    missing = dict(zip(rest.columns, read.missing.T))
    parsed, styles = dict(read.parsed), dict(read.styles)
    for name, found in typed.items():
        missing[name], parsed[name], styles[name] = found
    every_gap = np.column_stack([missing[name] for name in cells.columns])
    return frame, Read(every_gap, parsed, styles, read.notes)


def without_units(
    source: Objects, marks: Collection[str]
) -> tuple[Objects, list[Note]]:
    """A sheet's table without first rows of units, see `heads.find_units`."""
    if not source.sheet:
        return source, []
    first = source.cells.iloc[:LOOKED_AT].map(text_of)
    count, notes = find_units(first, marks)
    cells = source.cells.iloc[count:].reset_index(drop=True)
    return source._replace(cells=cells, rows=source.rows[count:]), notes


def as_objects(
    filled: pd.DataFrame,
    cells: pd.DataFrame,
    missing: np.ndarray,
    styles: Sequence[NumberStyle | TimeStyle | None],
) -> pd.DataFrame:
    """A filled table of text as objects, those that came as they were.

    What is filled is of the type of the column's other cells.

    Args:
      filled: `[n, c]` text.
      cells: `[n, c]` as they came.
      missing: `[n, c]` bool, what is filled, or stays empty.
      styles: of the c columns.
    """
    made = {}
    for j, name in enumerate(cells.columns):
        came, gaps = cells[name].to_numpy(object, copy=True), missing[:, j]
        observed = came[~gaps]
        known = dict(zip(map(text_of, observed), observed))
        rows, convert = np.flatnonzero(gaps), _converter(observed)
        texts = filled[name].iloc[rows]
        read = texts
        if convert and styles[j] is not None:
            read = styles[j].read(texts)
        for k, text, value in zip(rows, texts, read):
            if text == text_of(came[k]):  # it stays empty
                continue
            if text in known:
                came[k] = known[text]
            else:
                came[k] = text if read is texts else convert(value)
        made[name] = came
    return pd.DataFrame(made, index=filled.index, dtype=object)


def _converter(observed: np.ndarray) -> Callable[[Any], Any] | None:
    """From a number or time to an object as those observed; None of text."""
    if all(map(_is_number, observed)):
        return int if all(isinstance(x, int) for x in observed) else float
    if all(isinstance(x, datetime.datetime) for x in observed):
        return pd.Timestamp.to_pydatetime
    if all(isinstance(x, datetime.time) for x in observed):
        return pd.Timestamp.time
    return None


def _numbers(name: Any, observed: pd.Series) -> np.ndarray:
    try:
        return observed.to_numpy(np.float64)
    except OverflowError:
        long = max(observed, key=lambda x: abs(x))
        raise DataError(
            f"column {name!r} holds a number of {len(str(long))} digits; call"
            " it an id, which is kept as it is, or write a smaller one",
            about=("id",),
        ) from None


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def text_of(cell: Any) -> str:
    """An object as a text file would have it."""
    if cell is None or cell is pd.NaT:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return "" if np.isnan(cell) else repr(cell).removesuffix(".0")
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False)
    return str(cell)
