"""Relations that were stated of a table, as its cells: see `relations`.

What observed cells determine is known before a fit. What draws determine is
computed from them; what they must not be is told to the engine, which draws it
again. Cells that stay empty are drawn and not written.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from miri_jax.data.columns import Column, block_of, starts_of, values_of
from miri_jax.data.formulas import (
    by_name_of,
    cells_of,
    complete,
    derived,
    env_of,
    formula_holds,
    kind_of,
)
from miri_jax.data.looking_up import looked_up
from miri_jax.data.mending import Values
from miri_jax.data.numbers import on_grid
from miri_jax.exceptions import DataError
from miri_jax.notes import Note
from miri_jax.relations import (
    Expression,
    Relations,
    evaluate,
    with_kinds,
)


class Related(NamedTuple):
    """Relations of a table's cells.

    Attributes:
      relations: what was stated.
      known: of each column that formulas, rules and conditions name, its values
        `[n]` (see `data.columns`), observed or computed, NaN where unknown.
      low: `[n]` by column, what gaps lie above, -inf for nothing.
      high: likewise, what they lie below.
      shared: names of columns that have one value in each group of rows, which
        is drawn for all of them.
    """

    relations: Relations
    known: Values
    low: Values
    high: Values
    shared: tuple[str, ...] = ()

    def take(self, rows: slice | np.ndarray) -> "Related":
        """Of some of the rows."""
        parts = (
            {name: x[rows] for name, x in part.items()} for part in self[1:4]
        )
        return Related(self.relations, *parts, self.shared)


def relate(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    relations: Relations,
) -> tuple[Related, tuple[str, ...]]:
    """Relations of a table, with what formulas tell of its gaps.

    Args:
      columns: c.
      numbers: `[n, c]`, values; what is computed is put into it.
      known: `[n, c]` bool; likewise.
      relations: as `state` gives them.

    Returns:
      `Related`, and sentences on observed cells that contradict each other.

    Raises:
      DataError: where a relation does not fit what columns hold.
    """
    by_name = by_name_of(columns)
    relations = with_kinds(
        relations, {name: kind_of(c) for name, c in by_name.items()}
    )
    place = {str(c.name): j for j, c in enumerate(columns)}
    values = {
        name: np.where(known[:, place[name]], numbers[:, place[name]], np.nan)
        for name in relations.named()
    }
    gaps = {name: ~known[:, place[name]] for name in relations.limited()}
    notes = _contradictions(by_name, relations, values)
    seen = {name: ~np.isnan(x) for name, x in values.items()}
    while True:
        before = sum(np.isnan(x).sum() for x in values.values())
        values = complete(by_name, relations.formulas, values)
        known_now = {name: ~np.isnan(x) for name, x in values.items()}
        values = looked_up(relations.lookups, values, known_now)
        if sum(np.isnan(x).sum() for x in values.values()) == before:
            break
    for name, found in values.items():
        new = ~known[:, place[name]] & ~np.isnan(found)
        numbers[new, place[name]] = found[new]
        known[new, place[name]] = True
    related = Related(relations, values, *_limits(by_name, relations, gaps))
    given = [(name, known[:, place[name]] & ~seen[name]) for name in values]
    return related, (*notes, *_told(related, columns, known, given))


def _told(
    related: Related,
    columns: Sequence[Column],
    known: np.ndarray,
    given: Sequence[tuple[str, np.ndarray]],
) -> tuple[str, ...]:
    """Sentences on gaps that are known, and on those that stay."""
    computed = {
        name
        for formula in related.relations.formulas
        for name in (formula.target, *formula.of.names)
    }
    notes = [
        f"{int(rows.sum())} gap(s) of column {name!r} are given by"
        f" {'formulas' if name in computed else 'other columns'}"
        for name, rows in given
        if rows.any()
    ]
    for j, column in enumerate(columns):
        left = int((~known[:, j]).sum())
        if str(column.name) in related.relations.keep and left:
            notes.append(
                f"column {column.name!r} is kept: its {left} gap(s) stay empty"
            )
    by_name = by_name_of(columns)
    env = env_of(by_name, related.known)
    for name, condition in related.relations.only_if:
        rows = np.isnan(related.known[name])
        rows = rows & (evaluate(condition.tree, env) == 0)
        notes.append(
            f"{int(rows.sum())} gap(s) of column {name!r} stay empty, where it"
            f" is known that {condition.text!r} is not met"
        )
    return tuple(notes)


def _limits(
    by_name: Mapping[str, Column], relations: Relations, gaps: Values
) -> tuple[Values, Values]:
    """What gaps lie between, `[n]` by column; beyond a limit is not at it."""
    low = {name: np.full(len(x), -np.inf) for name, x in gaps.items()}
    high = {name: np.full(len(x), np.inf) for name, x in gaps.items()}
    for name, (least, most) in relations.gap_bounds:
        low[name][gaps[name]], high[name][gaps[name]] = least, most
    for (name, limit), sign, ends in (
        *((pair, -1, high) for pair in relations.below),
        *((pair, 1, low) for pair in relations.above),
    ):
        unit = by_name[name].unit
        # Any other goes to the nearest number of the column by `_to_grid`.
        at = unit and abs(limit / unit - round(limit / unit)) <= 1e-6
        beyond = limit + sign * unit if at else limit
        nearer = np.minimum if sign < 0 else np.maximum
        rows = gaps[name]
        ends[name][rows] = nearer(ends[name][rows], beyond)
    for name in relations.limited():
        _to_grid(by_name[name], gaps[name], low[name], high[name])
    return low, high


def _to_grid(
    column: Column, gaps: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Moves limits of gaps `[n]` inwards to numbers that a column can have.

    Raises:
      DataError: naming the column, where none lies between them.
    """
    unit = 0.0 if column.kind == "datetime" else column.unit
    least, most = low[gaps], high[gaps]
    if unit:
        snap = lambda x: on_grid(x * unit, column.decimals, column.step)
        least = snap(np.ceil(least / unit - 1e-6))
        most = snap(np.floor(most / unit + 1e-6))
    if np.any(least > most):
        k = np.flatnonzero(least > most)[0]
        what = "whole number" if unit == 1 else f"multiple of {unit:g}"
        raise DataError(
            f"no {what if unit else 'number'} lies between"
            f" {low[gaps][k]:g} and {high[gaps][k]:g}, where the gaps of column"
            f" {column.name!r} are to lie; widen that",
            about=("gap_bounds",),
        )
    low[gaps], high[gaps] = least, most


def _contradictions(
    by_name: Mapping[str, Column], relations: Relations, values: Values
) -> tuple[str, ...]:
    """A sentence on each relation that some observed cells break."""
    env, notes = env_of(by_name, values), []
    for text, holds in held(by_name, relations, env, observed=values):
        rows = np.flatnonzero(holds == 0)
        if len(rows):
            said = (
                f"{text} does not hold of what is observed in {len(rows)}"
                f" row(s), as in row {rows[0] + 1}; these cells stay as they"
                " are"
            )
            notes.append(Note(said, "beware"))
    return tuple(notes)


def held(
    by_name: Mapping[str, Column],
    relations: Relations,
    env: Values,
    observed: Values,
    which: Collection[int] | None = None,
) -> list[tuple[str, np.ndarray]]:
    """Each relation in words, and where it holds: 1, 0, or NaN, unknown.

    Formulas, rules, conditions; or of these some, by their numbers.
    """

    def if_filled(name: str, tree: Expression) -> np.ndarray:
        return np.where(np.isnan(observed[name]), 1.0, evaluate(tree, env))

    every: list[tuple[str, Callable[[], np.ndarray]]] = [
        *(
            (f"formula {f.text!r}", partial(formula_holds, by_name, f, env))
            for f in relations.formulas
        ),
        *(
            (f"rule {rule.text!r}", partial(evaluate, rule.tree, env))
            for rule in relations.rules
        ),
        *(
            (
                f"column {name!r} only if {condition.text!r}",
                partial(if_filled, name, condition.tree),
            )
            for name, condition in relations.only_if
        ),
    ]
    rows = next(iter(env.values())).shape if env else (0,)
    return [
        (text, np.broadcast_to(holds(), rows))
        for k, (text, holds) in enumerate(every)
        if which is None or k in which
    ]


class Completed(NamedTuple):
    """What relations make of a draw.

    Attributes:
      values: `[n]` of each column that they name, all gaps filled.
      empty: `[n]` bool of columns with cells that stay empty.
    """

    values: Values
    empty: Values


def completed(
    related: Related, columns: Sequence[Column], drawn: Values
) -> Completed:
    """A draw's values with those that formulas give, and what stays empty.

    Args:
      related: of the table.
      columns: c.
      drawn: `[n]` of each column that relations name; read in gaps only.
    """
    by_name, known = by_name_of(columns), related.known
    fixed = {name: ~np.isnan(x) for name, x in known.items()}
    formulas, shared = related.relations.formulas, related.shared
    values = derived(by_name, formulas, known, drawn, shared)
    for name, found in values.items():
        # What has no number stays as it was drawn, and breaks its formula.
        values[name] = np.where(np.isnan(found), drawn[name], found)
    values = looked_up(related.relations.lookups, values, fixed)
    for formula in related.relations.formulas:
        if formula.text in related.relations.found:
            # What nobody stated gives way to what was said of a column.
            for name in (formula.target, *formula.of.names):
                low, high = by_name[name].low, by_name[name].high
                out = (values[name] < low) | (values[name] > high)
                rows = out & ~fixed[name]
                values[name] = np.where(rows, drawn[name], values[name])
    empty: Values = {}
    env = env_of(by_name, values)
    kept = set(related.relations.keep)
    for name in kept & known.keys():
        empty[name] = ~fixed[name]
        env[name] = cells_of(
            by_name[name], np.where(fixed[name], values[name], np.nan)
        )
    # As often as conditions may hang on each other.
    for _ in related.relations.only_if:
        for name, condition in related.relations.only_if:
            rows = np.broadcast_to(
                evaluate(condition.tree, env) != 1, fixed[name].shape
            )
            empty[name] = rows & ~fixed[name]
            env[name] = cells_of(
                by_name[name], np.where(empty[name], np.nan, values[name])
            )
    return Completed(values, empty)


def row_limits(
    related: Related,
    columns: Sequence[Column],
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What encoded gaps lie between, `[n, d]`, or `[d]` where all have one.

    Args:
      related: of the table.
      columns: c.
      low: `[d]` and
      high: `[d]`, by the columns alone.
    """
    if not related.low:
        return low, high
    n = len(next(iter(related.low.values())))
    ends = [np.tile(end, (n, 1)) for end in (low, high)]
    starts = starts_of(columns)
    for k, column in enumerate(columns):
        if str(column.name) not in related.low:
            continue
        for end, part, sign in zip(ends, (related.low, related.high), (-1, 1)):
            limit = part[str(column.name)]
            rows = np.flatnonzero(np.isfinite(limit))
            if column.low == column.high:
                continue
            if column.knots is None:
                found = limit[rows] + sign * column.unit / 2
            else:
                place = float(sign > 0)
                found = block_of(column, limit[rows], place)[:, 0]
            tighter = np.maximum if sign < 0 else np.minimum
            end[rows, starts[k]] = tighter(end[rows, starts[k]], found)
    return ends[0], np.maximum(*ends)


def settle_related(
    related: Related,
    m: np.ndarray,
    parts: Sequence[tuple[Column, np.ndarray]],
) -> None:
    """Brings encoded gaps within limits, and to what formulas give; in place.

    Args:
      related: of the table.
      m: `[n, d]` bool, True = known.
      parts: each column and its part of encoded, filled values.
    """
    columns, start, gaps = [column for column, _ in parts], 0, {}
    drawn = {}
    for column, block in parts:
        name = str(column.name)
        if column.width:
            gaps[name] = ~m[:, start]
        start += column.width
        if name in related.low:
            values = values_of(column, block)
            inside = np.clip(values, related.low[name], related.high[name])
            rows = gaps[name] & (inside != values)
            block[rows] = block_of(column, inside[rows])
        if name in related.known:
            drawn[name] = values_of(column, block)
    if not (related.relations.formulas or related.relations.lookups):
        return
    found = completed(related, columns, drawn).values
    for column, block in parts:
        name = str(column.name)
        if name in found:
            rows = gaps[name] & (found[name] != drawn[name])
            block[rows] = block_of(column, found[name][rows])
