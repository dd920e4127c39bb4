"""Relations that nobody stated and the observed cells show.

    relations, notes = find(columns, numbers, known, stated)

Formulas and orders become relations as if they were stated, which
docs/structure.md tells of; gaps that follow a rule, and columns that are never
seen together, are said and change nothing.
"""

from collections.abc import Sequence, Set

import numpy as np

from miri_jax.data.columns import Column
from miri_jax.data.found._blanks import blanks_of, never_together
from miri_jax.data.found._formulas import (
    Arithmetic,
    formulas_of,
    sums_lost,
)
from miri_jax.data.found._levels import lookups_of
from miri_jax.data.found._orders import Order, orders_of
from miri_jax.data.found._pool import pool_of
from miri_jax.data.related import Related, relate
from miri_jax.notes import Note
from miri_jax.relations import Lookup, Relations, with_found

# Relations of one kind that are told of one by one.
TOLD = 12


def related_by(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    stated: Relations | None,
    *,
    look: bool = False,
) -> tuple[Related | None, tuple[str, ...]]:
    """The relations of a table, see `related.relate`, and sentences on them.

    Args:
      columns: c.
      numbers: `[n, c]`, values; what is computed is put into it.
      known: `[n, c]` bool; likewise.
      stated: as `relations.state` gives it.
      look: whether also for those that nobody stated.
    """
    lines: tuple[str, ...] = ()
    if look:
        stated, lines = find(columns, numbers, known, stated)
    if stated is None:
        return None, lines
    related, notes = relate(columns, numbers, known, stated)
    return related, (*lines, *notes)


def find(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    stated: Relations | None,
) -> tuple[Relations | None, tuple[str, ...]]:
    """What was stated and what is found, and sentences on the latter.

    Args:
      columns: c.
      numbers: `[n, c]`, values.
      known: `[n, c]` bool.
      stated: as `relations.state` gives it.
    """
    names = [column.name for column in columns]
    given = stated or Relations()
    stays = given.with_gaps()
    apart = {*stays, *given.limited()}
    free = [str(column.name) not in apart for column in columns]
    pool = pool_of(columns, numbers, known & free)
    known_forms = [(f.target, f.of.names) for f in given.formulas]
    formulas = formulas_of(pool, known_forms)
    known_forms += [(f.target, f.of) for f in formulas]
    pairs = {frozenset((target, *of)) for target, of in known_forms}
    orders = orders_of(pool, pairs)
    in_forms = {name for pair in pairs for name in pair}
    lookups = lookups_of(columns, numbers, known & free, in_forms)
    kept = with_found(
        stated,
        names,
        [f.text for f in formulas],
        [order.text for order in orders],
        lookups,
    )
    gaps = {str(n) for n, whole in zip(names, known.all(axis=0)) if not whole}
    lines = [
        *_kept_told(formulas, orders, lookups, gaps),
        *_sums_told(sums_lost(pool, formulas)),
    ]
    return kept, (*lines, *_gaps_told(columns, numbers, known, sorted(stays)))


def _kept_told(
    formulas: Sequence[Arithmetic],
    orders: Sequence[Order],
    lookups: Sequence[Lookup],
    gaps: Set[str],
) -> list[str]:
    """Sentences on what is found and kept, of columns with gaps."""
    of_formulas = [
        Note(
            f"found: {f.text} in all {f.rows} rows where its columns are known;"
            " it is kept",
            formulas=f.text,
        )
        for f in formulas
        if not gaps.isdisjoint((f.target, *f.of))
    ]
    of_orders = [
        Note(
            f"found: {o.text} in all {o.rows} rows where both are known,"
            f" and close in {o.close}; it is kept",
            rules=o.text,
        )
        for o in orders
        if not gaps.isdisjoint((o.low, o.high))
    ]
    of_levels = [
        f"found: {one.target!r} is a function of {one.source!r}, whose"
        f" {len(one.keys)} values each have one of its {len(set(one.to))};"
        " it is kept"
        for one in lookups
        if not gaps.isdisjoint((one.target, one.source))
    ]
    lines = [
        *_some(of_formulas, "formulas"),
        *_some(of_orders, "orders"),
        *_some(of_levels, "functions"),
    ]
    if lines:
        lines.append(
            Note(
                "what is found and kept can be left out: found=False", found=""
            )
        )
    return lines


def _sums_told(sums: Sequence[str]) -> list[str]:
    """Sentences on sums that what is found keeps to its rounding only."""
    lines = [
        Note(
            f"{text} in all rows where its columns are known, and of filled"
            " cells to the rounding of what else is found of them; state it,"
            " and it holds to the last digit",
            "beware",
            formulas=text,
        )
        for text in sums
    ]
    return _some(lines, "sums")


def _gaps_told(
    columns: Sequence[Column],
    numbers: np.ndarray,
    known: np.ndarray,
    stays: Sequence[str],
) -> list[str]:
    """Sentences on gaps that follow a rule, and on pairs never seen."""
    lines = [
        Note(
            f"column {b.name!r} is empty in all {b.rows} rows where {b.where},"
            f" and in {b.others} of the {b.seen} others: if these cells are to"
            " stay empty, say so; they are filled",
            "beware",
            b.name,
            only_if=f"{b.name}: {b.unless}",
        )
        for b in blanks_of(columns, numbers, known, stays)
    ]
    apart = [
        Note(
            f"columns {a!r} and {b!r} are {_seldom(rows)}: how one goes with"
            " the other is not in the table, and what is filled in rests on the"
            " other columns alone",
            "beware",
        )
        for a, b, rows in never_together(columns, known)
    ]
    return [*_some(lines, "columns"), *_some(apart, "pairs of columns")]


def _seldom(rows: int) -> str:
    if not rows:
        return "never observed in the same row"
    return f"observed together in {rows} row(s) only"


def _some(lines: list[str], what: str) -> list[str]:
    """At most `TOLD` lines, and how many more there are."""
    if len(lines) <= TOLD:
        return lines
    more = len(lines) - TOLD
    return [*lines[:TOLD], f"found: {more} more {what} of this kind"]
