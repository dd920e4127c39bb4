"""Tables of any column types, from files or frames, and their way back.

Observed cells never change: of a text file every cell is kept as the text it
came as, of a typed file or a frame as its value, and only gaps are written,
in the style of their column. See `miri_jax.data.columns` for how a column
becomes numbers and how its kind is found.
"""

import datetime
import decimal
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from miri_jax.belonging import Stated
from miri_jax.data import cells, together
from miri_jax.data import columns as cols
from miri_jax.data.belonging import Belonging, Beside, share_constants
from miri_jax.data.columns import Column
from miri_jax.data.dates import TimeStyle
from miri_jax.data.forms import Form
from miri_jax.data.found import related_by
from miri_jax.data.levels import learn_levels
from miri_jax.data.markers import (
    answer_notes,
    sentinel_notes,
    split_marks,
)
from miri_jax.data.notations import NumberStyle
from miri_jax.data.objects import Objects
from miri_jax.data.places import hash_rows, place_of
from miri_jax.data.plain import put, to_plain
from miri_jax.data.related import Related, relate, settle_related
from miri_jax.data.related_draws import finished
from miri_jax.data.statistics_files import Labels
from miri_jax.data.taking import take_columns
from miri_jax.exceptions import DataError
from miri_jax.notes import Note
from miri_jax.relations import Relations

Style = NumberStyle | TimeStyle


class Table(NamedTuple):
    """A table with gaps.

    Attributes:
      frame: `[n, c]`, the cells as they came: str of a text file.
      missing: `[n, c]` bool, True where a cell is a gap.
      columns: c `Column`s.
      styles: c ways that a text file's numbers and times are written; None
        where a cell is written as its value.
      values: `[n, d]` float64, the columns encoded, 0 in the gaps.
      m: `[n, d]` bool, True = observed.
      notes: sentences about the table that a reader should know.
      ending: of its file, without .gz.
      schema: of its file, where that has types.
      form: of its file, where that is text.
      source: of cells that came as objects, see `Objects`.
      labels: of a file of a statistics program.
      related: what relations were stated, and what they tell.
      beside: what rows that belong together tell of each other.
    """

    frame: pd.DataFrame
    missing: np.ndarray
    columns: tuple[Column, ...]
    styles: tuple[Style | None, ...]
    values: np.ndarray
    m: np.ndarray
    notes: tuple[str, ...]
    ending: str = ".csv"
    schema: pa.Schema | None = None
    form: Form | None = None
    source: Objects | None = None
    labels: Labels | None = None
    related: Related | None = None
    beside: Beside | None = None

    def encoded_columns(self) -> tuple[str, ...]:
        """Names of the d numeric columns."""
        return encoded_names(self.columns)

    def take(self, rows: slice | np.ndarray) -> "Table":
        """Some of the rows."""
        return self._replace(
            frame=self.frame.iloc[rows],
            missing=self.missing[rows],
            values=self.values[rows],
            m=self.m[rows],
            related=self.related and self.related.take(rows),
            beside=self.beside and self.beside.take(rows),
        )


def make_table(
    frame: pd.DataFrame,
    missing: np.ndarray,
    *,
    parsed: dict[Hashable, pd.Series] | None = None,
    styles: Mapping[Hashable, Style | None] | None = None,
    kinds: Mapping[Hashable, str] | None = None,
    bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
    orders: Mapping[Hashable, Sequence[Any]] | None = None,
    empty_value: float | None = None,
    relations: Relations | None = None,
    look: bool = False,
    belong: Stated | None = None,
) -> Table:
    """A `Table` of a frame: finds the columns' kinds and encodes them.

    Args:
      frame: `[n, c]`, column names unique.
      missing: `[n, c]` bool, True where a cell is a gap.
      parsed: the columns' values, where they are not those of the frame;
        emptied on the way.
      styles: of columns of text, see `Table`.
      kinds: see `readers.read_table`, as are the others.
      bounds: likewise.
      orders: likewise.
      empty_value: likewise.
      relations: what `relations.state` read.
      look: whether relations are looked for that nobody stated.
      belong: what `belonging.state` read.

    Raises:
      DataError: naming the column or setting at fault and the remedy.
    """
    names, styles = list(frame.columns), dict(styles or {})
    if belong is not None:
        kinds = cols.by_column("kinds", kinds, names)
        kinds = together.kinds_of(belong, frame, missing, parsed, kinds)
    taken = take_columns(
        frame,
        missing,
        parsed,
        styles,
        kinds=kinds,
        bounds=bounds,
        orders=orders,
        empty_value=empty_value,
        relations=relations,
        group=belong and belong.group,
    )
    found, filled, notes = list(taken.columns), taken.filled, [*taken.notes]
    for j, value in filled.items():
        _check_fits(names[j], frame.iloc[:, j], styles.get(names[j]), value)
    empty_rows = int(missing.all(axis=1).sum())
    if empty_rows:
        text = (
            f"{empty_rows} row(s) have nothing observed; they are filled with"
            " draws that depend on no cell of theirs"
        )
        notes.append(Note(text, "repeated"))
    numbers = np.zeros(missing.shape)
    for j, (name, column) in enumerate(zip(names, found)):
        # Parsed columns are dropped as they go: a file's may be gigabytes.
        cells = frame[name] if parsed is None else parsed.pop(name)
        if j not in filled:
            numbers[:, j] = cols.read(column, cells, missing[:, j])[0]
            if column.kind in ("real", "integer"):
                notes += sentinel_notes(name, numbers[~missing[:, j], j])
            elif column.levels is not None:
                notes += answer_notes(name, column.levels)
    known = ~missing
    for j, value in filled.items():
        # Said to be observed, so that it stays at the user's choice.
        numbers[:, j], known[:, j] = value, True
    made = together.begin(belong, frame, missing, found, numbers, known)
    made, found = together.seen(made, found, relations)
    notes += together.resembling(belong, found, numbers, known)
    notes += together.fill(made, found, numbers, known)
    related, told = related_by(found, numbers, known, relations, look=look)
    notes += told
    if related and together.fill(made, found, numbers, known):
        related = relate(found, numbers, known, related.relations)[0]
    related = together.sharing(made, found, related)
    found = learn_levels(found, numbers, known)
    values, m = _encoded(found, numbers, known)
    made = together.with_signs(made, found, known, relations)
    made = together.told(made, found, numbers, known, values, fit=True)
    return Table(
        frame,
        missing,
        tuple(found),
        tuple(styles.get(name) for name in names),
        values,
        m,
        tuple(notes),
        related=related,
        beside=made,
    )


def encode_rows(
    frame: pd.DataFrame,
    missing: np.ndarray,
    columns: Sequence[Column],
    *,
    keep_unseen: bool = False,
    relations: Relations | None = None,
    belong: Belonging | None = None,
) -> Table:
    """New rows by the columns of an earlier table.

    Args:
      frame: `[n, c]`.
      missing: `[n, c]` bool, True where a cell is a gap.
      columns: c `Column`s.
      keep_unseen: whether a level that the columns lack stays as it is, and
        counts as unknown to an imputer; else it is refused.
      relations: what `relations.state` read.
      belong: what the fit knows of rows that belong together.

    Raises:
      DataError: naming the column at fault and the remedy.
    """
    numbers, known = np.zeros(missing.shape), ~missing
    parts = zip(columns, frame.items())  # in a fraction of the time of `iloc`
    for j, (column, (_, series)) in enumerate(parts):
        numbers[:, j], unseen = cols.read(column, series, missing[:, j])
        if unseen.any() and not keep_unseen:
            row = int(np.flatnonzero(unseen)[0])
            raise DataError(
                f"column {column.name!r} holds {series.iloc[row]!r} in row"
                f" {row + 1}, which was not there in fitting; correct it, or"
                " set unseen='missing'"
            )
        known[:, j] &= ~unseen
    made = together.begin(belong, frame, missing, columns, numbers, known)
    together.fill(made, columns, numbers, known)
    related, notes = related_by(columns, numbers, known, relations)
    if related and together.fill(made, columns, numbers, known):
        related = relate(columns, numbers, known, relations)[0]
    related = together.sharing(made, columns, related)
    values, m = _encoded(columns, numbers, known)
    return Table(
        frame,
        missing,
        tuple(columns),
        (None,) * len(columns),
        values,
        m,
        notes,
        related=related,
        beside=together.told(made, columns, numbers, known, values),
    )


def _encoded(
    columns: Sequence[Column], numbers: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values `[n, c]` and their mask as imputers see them, `[n, d]` each."""
    width = sum(column.width for column in columns)
    values, m = (
        np.zeros((len(known), width)),
        np.ones((len(known), width), bool),
    )
    rows = hash_rows(columns, numbers, known)
    blocks, masks = split(columns, values), split(columns, m)
    for j, ((column, block), (_, mask)) in enumerate(zip(blocks, masks)):
        gaps = ~known[:, j]
        block[:] = cols.block_of(column, numbers[:, j], place_of(rows, j))
        block[gaps], mask[gaps] = 0, False
    return values, m


def encoded_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the numeric columns of some columns."""
    return tuple(name for column in columns for name in column.encoded_names)


def split(
    columns: Sequence[Column], values: np.ndarray
) -> list[tuple[Column, np.ndarray]]:
    """Each column with its part `[n, width]` of encoded values `[n, d]`."""
    ends = np.cumsum([column.width for column in columns])[:-1]
    return list(zip(columns, np.split(values, ends, axis=1)))


def settle_table(table: Table, values: np.ndarray) -> np.ndarray:
    """The nearest table that a file can hold: what imputed cells come to.

    Args:
      table: as read.
      values: `[n, d]` float64, filled, encoded, observed entries those of
        `table`; changed in place, as tables may be gigabytes.

    Returns:
      `values`.
    """
    parts = zip(split(table.columns, values), split(table.columns, table.m))
    for (column, block), (_, m) in parts:
        gaps = ~m[:, 0] if column.width else np.zeros(len(m), bool)
        if gaps.any():
            block[gaps] = cols.settle_column(column, block[gaps])
    if table.beside is not None:
        share_constants(table.beside, table.m, table.columns, values)
    if table.related is not None:
        parts = split(table.columns, values)
        settle_related(table.related, table.m, parts)
    return values


def fill_table(table: Table, values: np.ndarray) -> pd.DataFrame:
    """The table with its gaps filled, every other cell as it came.

    Index, order and types of the columns stay; a column of whole numbers gets
    a wider type only where real values come into it.

    Args:
      table: as read.
      values: `[n, d]` float64, filled, encoded.

    Returns:
      `[n, c]` frame.
    """
    filled, blocks = {}, split(table.columns, values)
    empty, made = finished(table.related, blocks, table.missing)
    parts = zip(blocks, table.frame.items())
    for j, ((column, block), (_, series)) in enumerate(parts):
        gaps = table.missing[:, j] & ~empty[:, j]
        if gaps.any() and column.kind != "id":
            new = cols.decode(column, block[gaps])
            if str(column.name) in made:
                new = cols.cells_of(column, made[str(column.name)][gaps])
            series = put_cells(series, gaps, column, new, table.styles[j])
        filled[j] = series
    out = pd.DataFrame(filled, index=table.frame.index)
    out.columns = table.frame.columns
    return out


def put_cells(
    series: pd.Series,
    gaps: np.ndarray,
    column: Column,
    new: np.ndarray,
    style: Style | None = None,
) -> pd.Series:
    """A column with new cells in its gaps, see `fill_table`.

    Args:
      series: `[n]`, what is no gap stays.
      gaps: `[n]` bool.
      column: how it is taken.
      new: what `columns.decode` gives for the gaps.
      style: see `Table`.
    """
    if style is None and (plain := to_plain(series)).series is not series:
        inner = put_cells(plain.series, gaps, column, new)
        return put(series, gaps, plain.restore(inner[gaps]))
    if column.kind == "datetime":
        zone = getattr(getattr(series, "dt", None), "tz", None)
        new = _place_times(times(new, zone), series[~gaps], style)
    elif cells.holds(series[~gaps], decimal.Decimal):
        new = _as_decimals(new, series[~gaps])
    elif style is not None:
        new = np.array([style.write(x) for x in new], object)
    elif column.kind == "integer" or (
        column.kind == "real"
        and pd.api.types.is_integer_dtype(series.dtype)
        and column.decimals == 0
    ):
        new = cells.whole(new, series.dtype)
    return _put(series, gaps, new)


def missing_cells(
    frame: pd.DataFrame, na_values: Sequence[Any] = ()
) -> np.ndarray:
    """`[n, c]` bool: cells without a value, or with one that means missing."""
    missing = np.array(frame.isna())
    given = list(na_values)
    texts = [x for x in given if isinstance(x, str) and "=" in x]
    _, single = split_marks(texts, frame)
    for j in range(frame.shape[1] if given else 0):
        series, kind = frame.iloc[:, j], frame.dtypes.iloc[j]
        own = single.get(frame.columns[j], [])
        marks = own if "" in own else [*given, *own]
        try:
            found = series.isin(marks)
        except TypeError:  # lists and the like are no marks
            continue
        if pd.api.types.is_numeric_dtype(kind) and kind.kind in "iuf":
            # -99 of a command line means the number.
            numbers = [float(x) for x in marks if cells.is_number(x)]
            found |= series.isin([x for x in numbers if np.isfinite(x)])
        missing[:, j] |= found.to_numpy(bool)
    return missing


def _check_fits(
    name: str, series: pd.Series, style: Style | None, value: float
) -> None:
    """Refuses a number for an empty column whose type cannot hold it."""
    if style is not None:
        return
    try:
        _put(series, np.ones(len(series), bool), np.full(len(series), value))
    except (TypeError, ValueError):
        raise DataError(
            f"column {name!r} has no observed value, and {value:g} does not fit"
            f" its type {series.dtype}; remove it or give it values"
        ) from None


def times(seconds: np.ndarray, zone: Any = None) -> pd.Series:
    """Seconds since 1970 `[n]` as times, to the microsecond, in a zone."""
    # By whole microseconds, as nanoseconds end in the year 2262.
    micro = np.rint(np.asarray(seconds, np.float64) * 1e6).astype(np.int64)
    stamps = pd.Series(micro.astype("datetime64[us]"))
    if zone is None:
        return stamps
    return stamps.dt.tz_localize("UTC").dt.tz_convert(zone)


def _place_times(
    stamps: pd.Series, observed: pd.Series, style: Style | None
) -> np.ndarray:
    """Times as the cells of a column are: text, dates or times."""
    if style is not None:
        return style.write(stamps)
    if cells.holds_dates(observed):
        with_time = any(isinstance(x, datetime.datetime) for x in observed)
        made = stamps.array.to_pydatetime() if with_time else stamps.dt.date
        return np.array(list(made), object)
    return stamps.array


def _as_decimals(numbers: np.ndarray, observed: pd.Series) -> np.ndarray:
    """Numbers as decimals with as many digits as those observed have."""
    digits = cells.decimals_of(observed)
    made = [decimal.Decimal(format(x, f".{digits}f")) for x in numbers]
    return np.array(made, object)


def _put(series: pd.Series, gaps: np.ndarray, new: Any) -> pd.Series:
    """A column with new values in its gaps; its type stays if it can."""
    kind = series.dtype
    if isinstance(new, np.ndarray):
        new = cells.fitting(new, kind)
    if pd.api.types.is_object_dtype(kind):  # not to be taken for text
        array = series.to_numpy(object, copy=True)
        array[gaps] = new
        return pd.Series(array, series.index, dtype=object)
    if isinstance(kind, np.dtype) and kind.kind in "iuf":
        wider = np.issubdtype(new.dtype, np.floating) and kind.kind != "f"
        array = series.to_numpy(np.float64 if wider else kind, copy=True)
    else:
        array = cells.with_levels(series.array.copy(), new)
    array[gaps] = new
    return pd.Series(array, series.index)
