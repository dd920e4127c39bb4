"""Columns of text in frames that are numbers or times, as those of files are.

They are modelled as such, and what fills their gaps is text in their notation.
"""

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.data.cells import cell_text, is_text
from miri_jax.data.codes import LEVEL_KINDS
from miri_jax.data.dates import TimeStyle, settle_dates, time_styles
from miri_jax.data.frames import of_columns
from miri_jax.data.markers import NA_VALUES, SIGNS, WORDS
from miri_jax.data.notations import (
    NumberStyle,
    number_styles,
    settle_decimals,
)
from miri_jax.data.plain import put
from miri_jax.exceptions import DataError
from miri_jax.notes import Note

Style = NumberStyle | TimeStyle
# Cells that are looked at before all are.
AT_FIRST = 100
# What is no number among numbers and no time among times.
MARKS = (*NA_VALUES, *SIGNS, *WORDS)


def find_styles(
    frame: pd.DataFrame,
    missing: np.ndarray,
    kinds: Mapping[Hashable, str] | None,
    as_levels: Collection[Hashable],
) -> tuple[dict[Hashable, Style], list[str]]:
    """The columns of text all of whose cells are numbers, or times, and how.

    Args:
      frame: `[n, c]`, see `frames.from_frame`.
      missing: `[n, c]` bool.
      kinds: of columns, as the user names them; levels and ids stay text.
      as_levels: columns that stay text, too.

    Returns:
      By column a style, and notes on what is in doubt.
    """
    numbers, times = {}, {}
    for j, name in enumerate(frame.columns):
        kind = (kinds or {}).get(name)
        observed = frame.iloc[:, j][~missing[:, j]]
        text = kind in (*LEVEL_KINDS, "id") or name in as_levels
        if text or not len(observed) or not is_text(observed):
            continue
        # The first cell rules most columns out.
        if _first_is_word(observed[:AT_FIRST]):
            continue
        observed = observed.astype(object).str.strip()
        observed = observed[~observed.isin(MARKS)]
        if not len(observed):
            continue
        found = number_styles(observed) if kind != "datetime" else []
        if found and found[0].read(observed).notna().all():
            numbers[name] = found
        elif found := time_styles(observed):
            times[name] = found
    chosen, notes = settle_decimals(numbers, None, ",")
    days, more = settle_dates(times, None, None)
    days = {name: _thinned(style) for name, style in days.items()}
    # What to do about a file is not to be done about a frame.
    remedy = "; give the column as numbers or times if it is another"
    told = [
        Note(
            note.partition("; ")[0].replace("the file", "the table") + remedy,
            note.weight,
            note.column,
        )
        for note in (*notes, *more)
    ]
    return {**chosen, **days}, told


def parse(
    frame: pd.DataFrame,
    styles: Mapping[Hashable, Style],
    missing: np.ndarray,
) -> pd.DataFrame:
    """A frame with columns of text as the numbers and times that they are.

    Args:
      frame: `[n, c]`, see `frames.from_frame`.
      styles: of columns, as `find_styles` gives them.
      missing: `[n, c]` bool.

    Raises:
      DataError: naming a column and its cell that is in another notation.
    """
    if not styles:
        return frame
    parts = []
    for j, name in enumerate(frame.columns):
        series, style = frame.iloc[:, j], styles.get(name)
        if style is not None and (
            series.isna().all() or is_text(series[series.notna()])
        ):
            series = _parsed(name, series, missing[:, j], style)
        parts.append(series)
    return of_columns(parts, frame)


def write(
    frame: pd.DataFrame,
    filled: pd.DataFrame,
    gaps: np.ndarray,
    styles: Mapping[Hashable, Style],
) -> pd.DataFrame:
    """A filled frame with its columns of text as they came.

    Args:
      frame: `[n, c]`, as `parse` took it.
      filled: `[n, c]`, filled.
      gaps: `[n, c]` bool, the cells that were.
      styles: of columns.
    """
    if not styles:
        return filled
    parts = []
    for j, name in enumerate(frame.columns):
        came, done = frame.iloc[:, j], filled.iloc[:, j]
        here = gaps[:, j] & done.notna().to_numpy()
        if name in styles and came.dtype != done.dtype:
            new = texts(styles[name], done[here]) if here.any() else []
            done = put(came, here, new)
        parts.append(done)
    return of_columns(parts, frame)


def to_json(style: Style) -> list[Any]:
    """A style as JSON can hold it."""
    content = style._asdict()
    if content.get("zones") is not None:
        content["zones"] = [part.tolist() for part in style.zones]
    return [type(style) is TimeStyle, content]


def from_json(content: list[Any]) -> Style:
    """The style of `to_json`."""
    is_time, found = content
    if not is_time:
        return NumberStyle(**found)
    if found["zones"] is not None:
        seconds, texts = found["zones"]
        found["zones"] = np.array(seconds), np.array(texts, object)
    return TimeStyle(**found)


def _parsed(
    name: Hashable, series: pd.Series, missing: np.ndarray, style: Style
) -> pd.Series:
    text = series.astype(object).where(~missing, "").str.strip()
    known = ~text.isin(MARKS).to_numpy()
    values = style.read(text[known])
    odd = values.isna().to_numpy()
    if odd.any():
        row = np.flatnonzero(known)[np.flatnonzero(odd)[0]]
        raise DataError(
            f"column {name!r} holds text ({cell_text(series.iloc[row])} in row"
            f" {row + 1}) that is in another notation than those of the fit;"
            " name it among the values that mean missing, or call the column"
            " categorical",
            about=("na_values", "categorical"),
        )
    none: Any = np.full(len(series), np.nan)
    if isinstance(style, TimeStyle):
        none = np.full(len(series), "NaT", "datetime64[us]")
    none[known] = values.to_numpy(none.dtype)
    return pd.Series(none, series.index)


def _first_is_word(observed: pd.Series) -> bool:
    """Whether the first cell that is no mark of missing is without a digit."""
    for cell in observed:
        if cell.strip() not in MARKS:
            return not any(c.isdigit() for c in cell)
    return False


def texts(style: Style, values: pd.Series) -> list[str]:
    """Numbers or times `[n]` as text."""
    if isinstance(style, TimeStyle):
        return list(style.write(values.reset_index(drop=True)))
    return [style.write(float(x)) for x in values]


def _thinned(style: TimeStyle) -> TimeStyle:
    """A style that keeps only times beside which the offset changes."""
    if style.zones is None:
        return style
    seconds, texts = style.zones
    changes = texts[1:] != texts[:-1]
    kept = np.append(True, changes) | np.append(changes, True)
    return style._replace(zones=(seconds[kept], texts[kept]))
