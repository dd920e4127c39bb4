"""Columns of text as numbers, times or levels, by what all of them tell."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data.cells import cell_text
from miri_jax.data.codes import LEVEL_KINDS
from miri_jax.data.dates import TimeStyle, settle_dates, time_styles
from miri_jax.data.markers import (
    SIGNS,
    WORDS,
    are_marks,
    sign_marks,
    split_marks,
)
from miri_jax.data.notations import (
    NumberStyle,
    number_styles,
    plain_numbers,
    settle_decimals,
)
from miri_jax.exceptions import DataError
from miri_jax.notes import Note

# Of a column's cells, the share that are numbers, or times, from which on the
# others are told of.
HALF = 0.5
# What an assay writes where it cannot tell.
_LIMIT = r"^[<>\u2264\u2265]=? ?[\d.,]+$"


class Read(NamedTuple):
    """What the cells of a text file are.

    Attributes:
      missing: `[n, c]` bool.
      parsed: columns of numbers, times or text, by name; None where the cells
        are that themselves.
      styles: how gaps of each are written; None as text.
      notes: what is in doubt.
    """

    missing: np.ndarray
    parsed: dict[Hashable, pd.Series] | None
    styles: dict[Hashable, NumberStyle | TimeStyle | None]
    notes: list[Note]


def read_cells(
    frame: pd.DataFrame,
    *,
    na_values: Sequence[str],
    kinds: Mapping[Hashable, str],
    as_levels: Collection[Hashable],
    decimal: str | None,
    dates: str | None,
    separator: str,
) -> Read:
    """The cells `[n, c]` of a text file as numbers, times or text.

    Args:
      frame: the cells, str.
      na_values: see `readers.read_table`.
      kinds: of columns, as the user names them.
      as_levels: columns of text, whatever their cells look like.
      decimal: see `readers.read_table`.
      dates: likewise.
      separator: of the file's cells.

    Raises:
      DataError: naming a column that holds numbers and some text.
    """
    _check(decimal, dates)
    every, single = split_marks(na_values, frame)
    numbers, times, gaps, notes = {}, {}, {}, []
    for name in frame.columns:
        cells, own = frame[name].str.strip(), single.get(name, [])
        # "NAME=" leaves a column with no marks but emptiness.
        bare = "" in own
        marks = ["", *own] if bare else [*every, *own]
        gaps[name] = are_marks(cells, marks)
        text = kinds.get(name) in (*LEVEL_KINDS, "id") or name in as_levels
        soft = np.zeros(len(cells), bool)
        if not bare:
            soft = cells.isin([*SIGNS, *WORDS]).to_numpy(bool) & ~gaps[name]
        observed = cells[~gaps[name] & ~soft]
        if len(observed) and not text:
            if found := _numbers(name, observed, kinds.get(name)):
                numbers[name] = found
            elif found := time_styles(observed):
                times[name] = found
            elif found := time_styles(observed, HALF):
                notes.append(_odd_time(name, observed, found[0]))
        if name in numbers or name in times:
            gaps[name] |= soft
        elif soft.any():
            signs = sign_marks(cells[~gaps[name]])
            if signs:
                here = cells.isin(signs).to_numpy(bool)
                gaps[name] |= here
                notes.append(_sign_note(name, signs, int(here.sum())))
    chosen, more = settle_decimals(numbers, decimal, separator)
    known = decimal or _common_mark(chosen)
    days, last = settle_dates(times, dates, known)
    styles = {**chosen, **days}
    parsed = {
        name: _values(frame[name].str.strip(), gaps[name], styles.get(name))
        for name in frame.columns
    }
    for name in frame.columns:
        if gaps[name].all():
            styles[name] = NumberStyle(".15g")
    missing = np.column_stack([gaps[name] for name in frame.columns])
    return Read(missing, parsed, styles, [*notes, *more, *last])


def _numbers(
    name: Hashable, observed: pd.Series, kind: str | None
) -> list[NumberStyle]:
    """The ways that a column may be numbers; none where it is no numbers.

    Raises:
      DataError: if it holds numbers and some text, naming the first.
    """
    if kind == "datetime":
        return []
    found = number_styles(observed, HALF)
    read = found[0].read(observed) if found else plain_numbers(observed)
    number = read.notna().to_numpy()
    if number.all():
        return found
    limits = observed.str.match(_LIMIT).to_numpy(bool)
    if limits.any() and (number | limits).all() and number.sum() > 1:
        cell = observed[limits].iloc[0]
        limit = cell.lstrip("<>=\u2264\u2265 ")
        side = "above" if cell[0] in ">\u2265" else "below"
        raise DataError(
            f"column {name!r} holds limits ({cell!r} in {int(limits.sum())}"
            f" cell(s)); name {name}={cell} among the values that mean missing,"
            f" and say that its gaps lie {side} {limit}, or call it an id to"
            " leave it as it is",
            about=("na_values", side, "id"),
        )
    leading = observed.str.match(r"^0\d").any()
    if found or (number.mean() >= HALF and not leading):
        other = observed[~number].drop_duplicates()[:3]
        shown = [f"{cell!r} in row {k + 1}" for k, cell in other.items()]
        raise DataError(
            f"column {name!r} holds text ({', '.join(shown)}); name it among"
            " the values that mean missing, or call the column categorical",
            about=("na_values", "categorical"),
        )
    return []


def _values(
    cells: pd.Series, gaps: np.ndarray, style: NumberStyle | TimeStyle | None
) -> pd.Series:
    """Numbers or times `[n]` of cells; the cells where they are neither."""
    if style is None:
        return cells
    found = style.read(cells[~gaps])
    if isinstance(style, NumberStyle):
        values = np.full(len(cells), np.nan)
        values[~gaps] = found.to_numpy(np.float64)
        return pd.Series(values, cells.index)
    every = pd.Series(pd.NaT, cells.index, dtype="datetime64[us]")
    every[~gaps] = found.astype("datetime64[us]")
    return every


def _common_mark(styles: Mapping[Hashable, NumberStyle]) -> str | None:
    """The decimal mark of a file, where its columns agree on one."""
    marks = {s.decimal for s in styles.values() if s.decimals != 0}
    return marks.pop() if len(marks) == 1 else None


def _sign_note(name: Hashable, signs: Sequence[str], count: int) -> Note:
    shown = ", ".join(map(repr, signs))
    return Note(
        f"column {name!r}: {shown} is taken for missing, in {count} cells; name"
        " no value that means missing if it is a level",
        "beware",
        name,
        na_values=f"{name}=",
    )


def _odd_time(name: Hashable, observed: pd.Series, style: TimeStyle) -> Note:
    """That a column is text because of a few cells."""
    odd = observed[style.read(observed).isna()].iloc[0]
    return Note(
        f"column {name!r} is taken for text, as {cell_text(odd)} is not a time"
        " as most others are; correct it, or name it among the values that mean"
        " missing",
        "beware",
        name,
        na_values=f"{name}={odd}",
    )


def _check(decimal: str | None, dates: str | None) -> None:
    for name, given, known in (
        ("decimal", decimal, (".", ",")),
        ("dates", dates, ("dmy", "mdy")),
    ):
        if given is not None and given not in known:
            raise DataError(
                f"{name} is {given!r}; use one of {' '.join(known)}",
                about=(name,),
            )
