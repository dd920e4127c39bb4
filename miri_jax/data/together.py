"""What rows that belong together make of a table as it is read.

In three steps: which rows do, what is constant in a group, and, once columns
are encoded, what others tell of each cell. See `belonging`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from miri_jax.belonging import Rows, Stated, by_itself, panel_of
from miri_jax.data.belonging import (
    Belonging,
    Beside,
    beside,
    constants_of,
    fill_constants,
    fit_helpers,
)
from miri_jax.data.columns import Column, read
from miri_jax.data.detecting import detect
from miri_jax.data.related import Related
from miri_jax.exceptions import DataError
from miri_jax.notes import Note
from miri_jax.relations import Relations

# Different times, as a share of the rows, from which on models do not see them.
MOST_REPEATED = 0.5
# Rows that tell whether they look like a series or a panel.
LOOKED_AT = 20_000


def kinds_of(
    stated: Stated,
    frame: pd.DataFrame,
    missing: np.ndarray,
    parsed: Mapping[Any, pd.Series] | None,
    kinds: Mapping[Any, str],
) -> dict[Any, str]:
    """Kinds of columns, with those that group, time and weights have.

    Groups are told by helpers, and so are no levels; times and weights that
    count the rows are no ids.

    Raises:
      DataError: where such a column has gaps.
    """
    found = dict(kinds)
    for what, wanted in stated._asdict().items():
        if wanted is None:
            continue
        j = [str(name) for name in frame.columns].index(wanted)
        name, gaps = frame.columns[j], missing[:, j]
        _refuse_gaps(what, wanted, gaps)
        if what == "group":
            found[name] = "id"
        elif name not in found:
            values = frame[name] if parsed is None else parsed[name]
            kind = detect(name, values, gaps).kind
            text = not pd.api.types.is_numeric_dtype(values.dtype)
            if kind == "id" and not text:
                found[name] = "integer"
    return found


_DOES = {
    "group": "says which rows belong together",
    "time": "says how rows follow each other",
    "weights": "says how much each row counts",
}


def _refuse_gaps(what: str, name: str, gaps: np.ndarray) -> None:
    if gaps.any():
        raise DataError(
            f"column {name!r} {_DOES[what]}, and {int(gaps.sum())} of its cells"
            f" are missing, as in row {int(np.argmax(gaps)) + 1}; complete it,"
            " or leave these rows out",
            about=(what,),
        )


def rows_of(
    stated: Stated,
    frame: pd.DataFrame,
    missing: np.ndarray,
    columns: Sequence[Column],
    numbers: np.ndarray,
    *,
    weighted: bool,
) -> tuple[Rows, np.ndarray | None]:
    """Which rows belong together, and their weights.

    Args:
      stated: by which columns.
      frame: `[n, c]`.
      missing: `[n, c]` bool.
      columns: c.
      numbers: `[n, c]`, values.
      weighted: whether weights are asked for; else there are none.

    Raises:
      DataError: where a column cannot be what it was said to be.
    """
    place = {str(column.name): j for j, column in enumerate(columns)}
    for what, name in stated._asdict().items():
        if name is not None and (weighted or what != "weights"):
            _refuse_gaps(what, name, missing[:, place[name]])
    group, time, weights = np.zeros(len(frame), int), None, None
    if stated.group is not None:
        cells = frame.iloc[:, place[stated.group]].astype(object)
        group = pd.factorize(cells)[0]
    if stated.time is not None:
        j = place[stated.time]
        if columns[j].kind not in ("real", "integer", "datetime"):
            raise DataError(
                f"column {stated.time!r} is {columns[j].kind} and no time; give"
                " one of numbers or times, or say what its cells are",
                about=("time", "real", "integer", "datetime"),
            )
        time = numbers[:, j]
    if stated.weights is not None and weighted:
        j = place[stated.weights]
        if columns[j].kind not in ("real", "integer"):
            raise DataError(
                f"column {stated.weights!r} is {columns[j].kind} and holds no"
                " weights; give one of numbers from 0 on",
                about=("weights", "real"),
            )
        weights = numbers[:, j]
        if (weights < 0).any() or not weights.any():
            row = int(np.argmin(weights))
            raise DataError(
                f"column {stated.weights!r} holds {weights[row]:g} in row"
                f" {row + 1}; weights are 0 or more, and some more",
                about=("weights",),
            )
        if np.ptp(weights) == 0:
            weights = None
    return Rows(group, time), weights


def begin(
    together: Stated | Belonging | None,
    frame: pd.DataFrame,
    missing: np.ndarray,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
) -> Beside | None:
    """Which rows belong together; without helpers yet.

    Args:
      together: what was stated for a fit, or what a fit knows; None: nothing.
      frame: `[n, c]`.
      missing: `[n, c]` bool.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.

    Raises:
      DataError: where a column cannot be what it was said to be.
    """
    if together is None:
        return None
    fitted = together
    if isinstance(together, Stated):
        fitted = Belonging(together)
    elif fitted.time is not None:
        j = [column.name for column in columns].index(fitted.time.name)
        columns = [*columns[:j], fitted.time, *columns[j + 1 :]]
        numbers = numbers.copy()
        numbers[:, j] = read(fitted.time, frame.iloc[:, j], missing[:, j])[0]
    rows, weights = rows_of(
        fitted.stated,
        frame,
        missing,
        columns,
        numbers,
        weighted=isinstance(together, Stated),
    )
    if isinstance(together, Stated):
        constants = constants_of(fitted.stated, rows, columns, numbers, known)
        fitted = fitted._replace(constants=constants)
    return Beside(fitted, rows, weights, (), np.zeros((len(frame), 0)))


def seen(
    made: Beside | None,
    columns: Sequence[Column],
    relations: Relations | None,
) -> tuple[Beside | None, list[Column]]:
    """The columns as models see them.

    Times that hardly repeat would tell them where a row is among others, which
    is another thing for a cell among observed ones than for a gap among gaps:
    they are an id.

    Args:
      made: of `begin`.
      columns: c.
      relations: what was stated; columns that it needs stay.
    """
    if made is None or made.rows.time is None:
        return made, list(columns)
    time = made.rows.time
    own = made.fitted.stated.time
    needed = relations is not None and own in relations.named()
    if needed or len(np.unique(time)) < MOST_REPEATED * len(time):
        return made, list(columns)
    found = list(columns)
    j = [str(column.name) for column in columns].index(own)
    found[j] = Column(columns[j].name, "id")
    hidden = Column(columns[j].name, columns[j].kind)
    return made._replace(fitted=made.fitted._replace(time=hidden)), found


def fill(
    made: Beside | None,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
) -> tuple[str, ...]:
    """Puts what is constant in a group into its gaps; in place.

    Returns:
      Sentences on that; none where there was nothing to do.
    """
    if made is None:
        return ()
    constants = made.fitted.constants
    return fill_constants(made.rows, constants, columns, numbers, known)


def sharing(
    made: Beside | None, columns: Sequence[Column], related: Related | None
) -> Related | None:
    """Relations that know which columns have one value in each group."""
    if made is None or related is None:
        return related
    names = tuple(str(columns[j].name) for j in made.fitted.constants)
    return related._replace(shared=names)


def told(
    made: Beside | None,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    values: np.ndarray,
    *,
    fit: bool = False,
) -> Beside | None:
    """With what others tell of each cell.

    Args:
      made: of `begin`.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      values: `[n, d]`, encoded.
      fit: whether helpers are to be fitted, not those of an earlier table.
    """
    if made is None:
        return None
    fitted, rows = made.fitted, made.rows
    given = columns, numbers, known, values
    if fit:
        helpers = fit_helpers(fitted.stated, rows, *given)
        fitted = fitted._replace(helpers=helpers)
    return beside(fitted, rows, made.weights, *given)


def with_signs(
    made: Beside | None,
    columns: Sequence[Column],
    known: np.ndarray,
    relations: Relations | None,
) -> Beside | None:
    """With the columns whose being empty tells of a condition, for a fit.

    They are those with a condition on a column with gaps, as pack-years on
    whether one smokes. A sign that is alike in all rows would tell nothing.

    Args:
      made: of `begin`.
      columns: c.
      known: `[n, c]` bool.
      relations: what was stated; None for nothing.
    """
    place = {str(column.name): j for j, column in enumerate(columns)}
    signs = {
        place[name]
        for name, condition in (relations.only_if if relations else ())
        if not all(known[:, place[part]].all() for part in condition.names)
        and np.ptp(known[:, place[name]].astype(int))
    }
    if not signs:
        return made
    if made is None:
        rows = Rows(np.zeros(len(known), int))
        made = Beside(
            Belonging(Stated()), rows, None, (), np.zeros((len(known), 0))
        )
    fitted = made.fitted._replace(signs=tuple(sorted(signs)))
    return made._replace(fitted=fitted)


def resembling(
    stated: Stated | None,
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
) -> tuple[str, ...]:
    """A sentence where rows look like a panel or a series, and none said so.

    Args:
      stated: by which columns rows belong together; None for none.
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
    """
    said = stated is not None and (stated.group or stated.time)
    if said or known.all():
        return ()
    numbers, known = numbers[:LOOKED_AT], known[:LOOKED_AT]
    keys = np.array([_may_be_key(column) for column in columns])
    panel = panel_of(numbers, known, keys)
    if panel is not None:
        name = str(columns[panel].name)
        return (
            Note(
                f"rows with the same {name!r} seem to belong together, and are"
                " taken one by one; say so if they do",
                group=name,
            ),
        )
    when = [
        j
        for j, column in enumerate(columns)
        if column.kind == "datetime" and known[:, j].all()
    ]
    order = numbers[:, when[0]] if when else None
    asked = np.array([column.kind in ("real", "integer") for column in columns])
    asked &= np.array([column.knots is not None for column in columns])
    found = np.flatnonzero(by_itself(numbers, known, asked, order))
    if not found.size:
        return ()
    name = str(columns[found[0]].name)
    text = (
        f"rows seem to be a series, as column {name!r} goes on from row to row,"
        " and are taken one by one; if they are"
    )
    if when:
        when_name = str(columns[when[0]].name)
        return (Note(f"{text}, say by which times", time=when_name),)
    text = f"{text}, say by which column of times or numbers"
    return (Note(text, time="NAME"),)


def _may_be_key(column: Column) -> bool:
    """Whether equal cells of a column could make a group."""
    return column.kind in ("categorical", "integer", "ordinal")
