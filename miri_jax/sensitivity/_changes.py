"""What is to be changed of filled cells, said in Python or in text."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.exceptions import DataError
from miri_jax.settings import no_column

# How a change of each kind is written as text, see `parse_changes`.
FORMS = {
    "shift": ("NAME=NUMBER", "weight=-2"),
    "scale": ("NAME=FACTOR", "income=1.1"),
    "odds": ("NAME=LEVEL:FACTOR", "smoker=yes:1.5"),
}


class Change(NamedTuple):
    """One change of the filled cells of a column.

    Attributes:
      what: "shift", "scale" or "odds".
      amount: what is added to the cells, or what they, or the odds of `level`,
        are multiplied by.
      by: the column whose levels are groups; None for all rows.
      group: the level of `by` whose rows are meant.
      level: of a column of levels; None for True, or 1 of 0 and 1.
    """

    what: str
    amount: float
    by: Hashable | None = None
    group: Any = None
    level: Any = None


Changes = Mapping[Hashable, Sequence[Change]]
Amount = float | Mapping[Any, float]


def shift(amount: Amount, by: Hashable | None = None) -> tuple[Change, ...]:
    """Adds a number to filled cells: delta adjustment.

    Changes of one column are joined by `+`: `scale(1.1) + shift(-2)`. Whatever
    their order, a cell y becomes c y + d, with c the product of the factors
    and d the sum of the shifts that hold for its row.

    Args:
      amount: in units of the column; with `by` one for each level of it,
        `{"treated": -2, "control": 0}`, where levels that are left out stay.
      by: the column whose levels are groups. It may have been filled itself:
        then a row is in the group that its table says, before any change.

    Raises:
      DataError: on an amount that is no finite number.
    """
    return _changes("shift", amount, by)


def scale(amount: Amount, by: Hashable | None = None) -> tuple[Change, ...]:
    """Multiplies filled cells by a number.

    Args:
      amount: the factor, as `shift` has its amount.
      by: see `shift`.

    Raises:
      DataError: on an amount that is no finite number.
    """
    return _changes("scale", amount, by)


def odds(
    amount: Amount, level: Any = None, by: Hashable | None = None
) -> tuple[Change, ...]:
    """Multiplies the odds of a level: a shift of its log odds by log(amount).

    It holds for the share p of the level among the filled cells (of the group,
    in all tables together), which becomes q = f p / (1 - p + f p) in
    expectation. To get there other cells take the level, each with the chance
    (q - p) / (1 - p); or, where f < 1, cells give it up, each with the chance
    (p - q) / p, for the level of another filled cell without it, drawn at
    random. A cell's own chance is not known of a filled table, so which cells
    change does not depend on the rest of their rows.

    Args:
      amount: the factor f > 0, as `shift` has its amount.
      level: whose odds; None for True, or 1 of a column of 0 and 1.
      by: see `shift`.

    Raises:
      DataError: on an amount that is no finite number above 0.
    """
    found = _changes("odds", amount, by)
    for change in found:
        if not change.amount > 0:
            raise DataError(
                f"odds are to be multiplied by {change.amount:g}; give a number"
                " above 0",
                about=("odds",),
            )
    return tuple(change._replace(level=level) for change in found)


def parse_changes(
    names: Sequence[Hashable],
    shifts: Sequence[str] = (),
    scales: Sequence[str] = (),
    odds_of: Sequence[str] = (),
) -> dict[Hashable, tuple[Change, ...]]:
    """Changes as a command is given them.

    A name is looked for among the columns as it stands, so that it may itself
    hold brackets, colons and signs of equality.

    Args:
      names: of the table's columns.
      shifts: each "NAME=NUMBER" or "NAME[COLUMN=LEVEL]=NUMBER".
      scales: likewise, with a factor.
      odds_of: each "NAME=LEVEL:FACTOR" or "NAME[COLUMN=LEVEL]=LEVEL:FACTOR";
        "NAME:FACTOR" where the level is True or 1.

    Returns:
      By column, as `adjust` takes them.

    Raises:
      DataError: naming what cannot be read, and how it is written.
    """
    found: dict[Hashable, tuple[Change, ...]] = {}
    given = {"shift": shifts, "scale": scales, "odds": odds_of}
    for what, texts in given.items():
        for text in texts:
            name, change = _parse(what, text, names)
            found[name] = found.get(name, ()) + (change,)
    return found


def sentence(name: Hashable, change: Change) -> str:
    """What a change did, for a reader of the result."""
    where = ""
    if change.by is not None:
        where = f" where {str(change.by)!r} is {str(change.group)!r}"
    cells, amount = f"filled cells of {str(name)!r}{where}", change.amount
    if change.what == "odds":
        level = "True" if change.level is None else str(change.level)
        done = f"the odds of {level!r} among {cells} were multiplied by"
    elif change.what == "scale":
        done = f"{cells} were multiplied by"
    else:
        done = f"{cells} were shifted by"
    return f"{done} {amount:g}: an assumption, not an estimate"


def _changes(
    what: str, amount: Amount, by: Hashable | None
) -> tuple[Change, ...]:
    if isinstance(amount, Mapping) != (by is not None):
        raise DataError(
            f"{what} of groups needs both a column and amounts by its levels,"
            f" as {what}({{'treated': 2}}, by='arm')"
        )
    amounts = amount if by is not None else {None: amount}
    return tuple(
        Change(what, _number(what, x), by, group)
        for group, x in amounts.items()
    )


def _number(what: str, amount: Any) -> float:
    try:
        number = float(amount)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise DataError(
            f"{what} by {amount!r}: give a finite number", about=(what,)
        )
    return number


def _parse(
    what: str, text: str, names: Sequence[Hashable]
) -> tuple[Hashable, Change]:
    """The column and the change that a text says."""
    target, _, number = text.rpartition(":" if what == "odds" else "=")
    makers = {"shift": shift, "scale": scale, "odds": odds}
    try:
        amount = float(number)
    except ValueError:
        target = ""
    if not target:
        form, example = FORMS[what]
        name, _, rest = form.partition("=")
        raise DataError(
            f"{what} {text!r} cannot be read; write {form} or"
            f" {name}[COLUMN=LEVEL]={rest}, as {example}",
            about=(what,),
        )
    (change,) = makers[what](amount)
    readings = [(target, change)]
    if what == "odds":
        readings += [
            (name, change._replace(level=level))
            for name, level in _cuts(target, "=")
        ]
    unknown = readings[min(1, len(readings) - 1)][0]
    for name, reading in readings:
        if name in names:
            return name, reading
        for column, rest in _cuts(name, "["):
            if column not in names or not rest.endswith("]"):
                continue
            for by, group in _cuts(rest[:-1], "="):
                if by in names:
                    return column, reading._replace(by=by, group=group)
                unknown = by
    known = [str(name) for name in names]
    raise DataError(
        no_column(f"{what} {text!r}", unknown, known), about=(what,)
    )


def _cuts(text: str, sign: str) -> list[tuple[str, str]]:
    """All ways to cut a text in two at a sign."""
    places = [k for k, letter in enumerate(text) if letter == sign]
    return [(text[:k], text[k + 1 :]) for k in places]
