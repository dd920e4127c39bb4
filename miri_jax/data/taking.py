"""What each column of a table is taken for, by the user's word or by itself."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.data import columns as cols
from miri_jax.data.calendars import fit_calendar
from miri_jax.data.cells import to_numbers
from miri_jax.data.censored import censor
from miri_jax.data.columns import Column
from miri_jax.data.dates import TimeStyle
from miri_jax.data.detecting import detect
from miri_jax.data.notations import NumberStyle
from miri_jax.exceptions import DataError
from miri_jax.notes import Note
from miri_jax.relations import Relations

Style = NumberStyle | TimeStyle


class Taken(NamedTuple):
    """A table's columns.

    Attributes:
      columns: c.
      filled: what columns without any value are filled with, by place.
      notes: sentences on what is in doubt.
    """

    columns: tuple[Column, ...]
    filled: dict[int, float]
    notes: tuple[str, ...]


def take_columns(
    frame: pd.DataFrame,
    missing: np.ndarray,
    parsed: Mapping[Hashable, pd.Series] | None,
    styles: Mapping[Hashable, Style | None],
    *,
    kinds: Mapping[Hashable, str] | None,
    bounds: Mapping[Hashable, Sequence[float | None]] | None,
    orders: Mapping[Hashable, Sequence[Any]] | None,
    empty_value: float | None,
    relations: Relations | None,
    group: str | None = None,
) -> Taken:
    """What the columns of a table are taken for; args: see `make_table`.

    The column of a `group` is used, though its levels are not.

    Raises:
      DataError: naming the column or setting at fault and the remedy.
    """
    names = list(frame.columns)
    kinds = cols.by_column("kinds", kinds, names)
    bounds = cols.by_column("bounds", bounds, names)
    orders = cols.by_column("orders", orders, names)
    kept, beyond = _stated(relations)
    named = relations.named() if relations is not None else ()
    found, notes = [], []
    filled: dict[int, float] = {}
    for j, name in enumerate(names):
        values = frame[name] if parsed is None else parsed[name]
        gaps, style = missing[:, j], styles.get(name)
        told = str(name) in kept or kinds.get(name) == "id"
        if told and (gaps.all() or kinds.get(name) == "id"):
            found.append(Column(name, "id", why="as was said"))
        elif gaps.all() and len(gaps):
            column, filled[j] = _empty_column(
                name, empty_value, kinds.get(name)
            )
            text = f"column {name!r} is filled with {empty_value}"
            notes.append(Note(text, "repeated", name))
            found.append(column)
            continue
        else:
            kind = kinds.get(name)
            if kind is None and name not in orders and str(name) in named:
                # Relations are of values, which an id has none of.
                alone = detect(name, values, gaps)
                kind = (alone.kind == "id" and alone.other) or None
            column = cols.fit_column(
                name,
                values,
                gaps,
                kind=kind,
                bounds=bounds.get(name),
                levels=orders.get(name),
                decimals=getattr(style, "decimals", None),
                text=style is not None,
            )
            if column.kind == "datetime":
                column = _with_calendar(column, values, gaps, style)
            if isinstance(style, NumberStyle) and style.decimals is None:
                column = column._replace(decimals=None)
            if str(name) in beyond:
                column = censor(column, values, gaps, *beyond[str(name)])
            found.append(column)
        if str(name) not in kept:
            notes += _doubts(found[-1], int(gaps.sum()))
    ids = [
        repr(c.name)
        for c, gaps in zip(found, missing.T)
        if c.kind == "id" and not gaps.any() and str(c.name) != group
    ]
    if ids:
        notes.append(
            f"{', '.join(ids)}: taken for ids, carried through and not used"
        )
    if all(column.kind == "id" for column in found):
        every = ", ".join(repr(column.name) for column in found)
        raise DataError(
            f"all columns ({every}) are taken for ids, so there is"
            " nothing to fill; give the kind of those that are not"
        )
    return Taken(tuple(found), filled, tuple(notes))


def _with_calendar(
    column: Column, values: pd.Series, gaps: np.ndarray, style: Style | None
) -> Column:
    """A column of times with the grid that they lie on."""
    zone = getattr(getattr(values, "dt", None), "tz", None)
    offsets = style.offsets() if isinstance(style, TimeStyle) else None
    found = fit_calendar(
        to_numbers(column.name, values, gaps)[~gaps],
        "" if zone is None else str(zone),
        offsets,
    )
    return column._replace(calendar=found)


def _doubts(column: Column, gaps: int) -> list[str]:
    """Sentences on a column that may be another, and on gaps that stay."""
    name, about = column.name, {}
    constant = (
        column.low == column.high
        if column.levels is None
        else len(column.levels) == 1
    )
    if column.kind == "id":
        if not gaps:
            return []
        text = f"column {name!r} is kept as it is, its {gaps} gap(s) too"
        if column.other:
            text += f" ({column.why}); call it {column.other} to have it filled"
            about = {column.other: str(name)}
        return [Note(text, column=name, **about)]
    if constant and not gaps:
        return [Note(f"column {name!r} is constant", "repeated", name)]
    if constant:
        # Often a mark, such as a cross, whose gaps mean that it was not made.
        return [
            Note(
                f"column {name!r} is constant: its {gaps} gap(s) get its one"
                " value; if an empty cell means something else, keep the gaps",
                "repeated",
                name,
                keep=str(name),
            )
        ]
    if column.other and gaps:
        return [
            Note(
                f"column {name!r} is taken for codes: its {gaps} gap(s) get"
                f" values that occur; call it {column.other} if their order"
                " means nothing",
                column=name,
                **{column.other: str(name)},
            )
        ]
    return []


def _stated(
    relations: Relations | None,
) -> tuple[Sequence[str], dict[str, tuple[float | None, float | None]]]:
    """Columns to keep, and below and above what the gaps of others lie."""
    if relations is None:
        return (), {}
    beyond = {name: (limit, None) for name, limit in relations.below}
    return relations.keep, beyond | {
        name: (None, limit) for name, limit in relations.above
    }


def _empty_column(
    name: Hashable, value: float | None, kind: str | None
) -> tuple[Column, float]:
    if value is None:
        raise DataError(
            f"column {name!r} has no observed value; remove it, or fill it"
            " with a number of your choice, such as empty_value=0",
            about=("empty_value",),
        )
    number = float(value)
    if not np.isfinite(number):
        raise DataError(f"empty_value is {value}; give a finite number")
    whole = number == round(number)
    if kind == "datetime" or (kind == "integer" and not whole):
        raise DataError(
            f"column {name!r} has no observed value and is to be {kind}, which"
            f" the empty_value {value:g} is not; leave out what kind it is, or"
            " remove the column",
            about=("empty_value", kind),
        )
    decimals = 0 if whole else None
    column = Column(name, "real", None, number, number, decimals)
    return column._replace(why="no cell has a value"), number
