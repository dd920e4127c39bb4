"""What the engine is told of a table's relations: see `types.Region`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data.columns import Column, block_of, starts_of, values_of
from miri_jax.data.formulas import by_name_of, env_of
from miri_jax.data.mending import Values, mended
from miri_jax.data.related import (
    Completed,
    Related,
    completed,
    held,
)
from miri_jax.data.transforms import Scaler, unscale
from miri_jax.exceptions import DataError
from miri_jax.relations import Relations, evaluate

# x [k, d], standardised, and which rows they are, [k]: `[k, d]` bool, what
# breaks a relation.
Broken = Callable[[np.ndarray, np.ndarray], np.ndarray]
Refuse = Callable[[np.ndarray, np.ndarray, float], None]


def _parts(relations: Relations) -> list[tuple[tuple[str, ...], bool]]:
    """The columns of each relation that `held` lists, in its order.

    And whether it was stated.
    """
    found = relations.found
    return [
        *(
            ((f.target, *f.of.names), f.text not in found)
            for f in relations.formulas
        ),
        *((rule.names, rule.text not in found) for rule in relations.rules),
        *((condition.names, True) for _, condition in relations.only_if),
    ]


class _Bad(NamedTuple):
    """A relation, its columns, which rows `[k]` break it, and who had it."""

    text: str
    names: tuple[str, ...]
    rows: np.ndarray
    stated: bool


def _without(made: Completed) -> Values:
    """Values, NaN where a cell stays empty."""
    return {
        name: np.where(made.empty[name], np.nan, x) if name in made.empty else x
        for name, x in made.values.items()
    }


def keeping(
    related: Related,
    columns: Sequence[Column],
    m: np.ndarray,
    scaler: Scaler,
) -> tuple[Broken, Broken, Refuse] | tuple[()]:
    """What of a draw breaks a relation, for the engine to draw it again.

    Args:
      related: of the table.
      columns: c.
      m: `[n, d]` bool, True = known.
      scaler: of the encoded numbers.

    Returns:
      Nothing where nothing can be broken; else what `types.Region` calls
      `broken` (the gaps of the columns of each relation that does not hold, but
      where what is known has broken it already), `mend` and `refuse`.
    """
    if not any(related.relations[:3]):
        return ()
    relations, by_name = related.relations, by_name_of(columns)
    starts = starts_of(columns)
    place = {str(c.name): k for k, c in enumerate(columns)}
    before = [
        holds == 0
        for _, holds in held(
            by_name, relations, env_of(by_name, related.known), related.known
        )
    ]

    def entries(name: str) -> slice:
        return slice(starts[place[name]], starts[place[name] + 1])

    def values(x: np.ndarray) -> Values:
        raw = unscale(np.asarray(x), scaler)
        return {
            name: values_of(by_name[name], raw[:, entries(name)])
            for name in related.known
        }

    parts = _parts(relations)

    @functools.cache  # Of few columns, and of none where no row is mended.
    def told(name: str) -> frozenset[int]:
        moved = _moved(relations, name)
        return frozenset(
            k for k, (names, _) in enumerate(parts) if moved & {*names}
        )

    def bad_columns(
        drawn: Values, rows: np.ndarray, about: str | None = None
    ) -> list[_Bad]:
        """Of all relations, or of those that a column has a part in."""
        which = range(len(parts)) if about is None else told(about)
        some = related.take(rows)
        made = completed(some, columns, drawn)
        env = env_of(by_name, _without(made))
        now = held(by_name, relations, env, some.known, which)
        found = []
        for k, (text, holds) in zip(sorted(which), now):
            (names, stated), was = parts[k], before[k]
            blank = [made.empty[n] for n in names if n in made.empty]
            blank = np.any([np.zeros(len(rows), bool), *blank], axis=0)
            bad = ~was[rows] & ((holds == 0) | (np.isnan(holds) & ~blank))
            whole = _with_operands(relations, names)
            found.append(_Bad(text, whole, bad, stated))
        for k, formula in enumerate(relations.formulas):
            if k not in which:
                continue
            names = (formula.target, *formula.of.names)
            bad = _outside(some, by_name, made.values, names)
            text = f"formula {formula.text!r} and its bounds"
            stated = formula.text not in relations.found
            found.append(_Bad(text, names, bad, stated))
        return found

    def broken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        found = np.zeros(x.shape, bool)
        for one in bad_columns(values(x), rows):
            for name in one.names:
                found[:, entries(name)] |= one.rows[:, None]
        return found & ~m[rows]

    def mend(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        drawn, some = values(x), related.take(rows)
        made = mended(
            by_name,
            [*(rule.tree for rule in relations.rules)]
            + [condition.tree for _, condition in relations.only_if],
            drawn,
            {name: np.isnan(seen) for name, seen in some.known.items()},
            lambda v, k: env_of(
                by_name, completed(some.take(k), columns, v).values
            ),
            lambda v, k, name: np.sum(
                [one.rows for one in bad_columns(v, rows[k], name)],
                axis=0,
                dtype=int,
            ),
        )
        x = np.array(x)
        for name, found in made.items():
            new, part = found != drawn[name], entries(name)
            block = block_of(by_name[name], found[new])
            mean, deviation = scaler.mean[part], scaler.deviation[part]
            x[new, part] = (block - mean) / deviation
        return x

    def refuse(x: np.ndarray, rows: np.ndarray, share: float) -> None:
        every = bad_columns(values(x), rows)
        every = [one for one in every if one.stated and one.rows.any()]
        if not every:
            return
        text, _, bad, _ = every[0]
        named = {f"formula {f.text!r}": f for f in relations.formulas}
        if text in named:
            target, of = named[text]
            made = completed(related.take(rows), columns, values(x))
            env = env_of(by_name, _without(made))
            if not np.isfinite(evaluate(of.tree, env)[bad]).any():
                raise DataError(
                    f"{text} gives no number in {int(bad.sum())} row(s), as row"
                    f" {rows[bad][0] + 1}, as where it divides by 0; say when"
                    f" {target!r} has a value",
                    about=("only_if",),
                )
        raise DataError(
            f"{text} is not met by the draws of {int(bad.sum())} row(s), as row"
            f" {rows[bad][0] + 1}; of all draws of rows that broke something"
            f" {share:.2%} met all that was stated; change it, or what is"
            " observed there",
            about=("formulas", "rules", "only_if"),
        )

    return broken, mend, refuse


def _outside(
    related: Related,
    by_name: Mapping[str, Column],
    values: Values,
    names: Sequence[str],
) -> np.ndarray:
    """Rows where a gap of some columns lies outside of its limits."""
    found = np.zeros(len(values[names[0]]), bool)
    for name in names:
        column = by_name[name]
        if column.levels is not None:
            continue
        low, high = _ends(related, column)
        out = (values[name] < low) | (values[name] > high)
        found |= out & np.isnan(related.known[name])
    return found


def _ends(related: Related, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The limits of a column's gaps, of its own and of what was stated."""
    name = str(column.name)
    return (
        np.maximum(related.low.get(name, -np.inf), column.low),
        np.minimum(related.high.get(name, np.inf), column.high),
    )


def _moved(relations: Relations, name: str) -> set[str]:
    """Columns whose cells may be others where those of one are."""
    found, before = {name}, set[str]()
    while found != before:
        before = found
        found = {*_with_operands(relations, sorted(found))}
        for dependent, condition in relations.only_if:
            if found & {*condition.names}:
                found.add(dependent)
    return found


def _with_operands(
    relations: Relations, names: Sequence[str]
) -> tuple[str, ...]:
    """Columns, and those that formulas compute them from, or from them."""
    found = dict.fromkeys(names)
    for _ in relations.formulas:
        for target, of in relations.formulas:
            whole = (target, *of.names)
            if found.keys() & set(whole):
                found |= dict.fromkeys(whole)
    return tuple(found)
