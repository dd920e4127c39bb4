"""Relations as users state them, in Python or as text, and their checks."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from miri_jax.exceptions import DataError
from miri_jax.relations._grammar import Expression, names_in, parse
from miri_jax.relations._values import Kind, resolved
from miri_jax.settings import no_column

# The arguments of `state`, as people know them.
STATED = (
    "formulas",
    "rules",
    "only_if",
    "keep",
    "below",
    "above",
    "gap_bounds",
)


class Condition(NamedTuple):
    """An expression about columns.

    Attributes:
      text: as it was written.
      tree: as `parse` reads it, or as `resolved` has it.
      names: of its columns.
    """

    text: str
    tree: Expression
    names: tuple[str, ...]


class Formula(NamedTuple):
    """A column that is an expression of others."""

    target: str
    of: Condition

    @property
    def text(self) -> str:
        """As it was written, but for blanks, and as `state` takes it."""
        bare = self.target == self.target.strip() and "`" not in self.target
        target = self.target if bare else f"`{self.target}`"
        return f"{target} = {self.of.text}"


class Lookup(NamedTuple):
    """A column that is a function of another's values.

    Attributes:
      target: the column.
      source: the other.
      keys: values of the other, in order; see `data.columns` for what they are.
      to: what each leads to.
      share: of the rows, that have each.
    """

    target: str
    source: str
    keys: tuple[float, ...]
    to: tuple[float, ...]
    share: tuple[float, ...]


class Relations(NamedTuple):
    """All that was stated; columns by their names as text.

    Attributes:
      formulas: each after those that it needs.
      rules: conditions that each row meets.
      only_if: columns, and where their cells are not to stay empty.
      keep: columns that stay as they are.
      below: what gaps of a column lie below.
      above: what they lie above.
      gap_bounds: what they lie between.
      found: texts of formulas and rules that nobody stated: the cells show
        them. No draw is refused for them.
      lookups: functions of levels, likewise.
    """

    formulas: tuple[Formula, ...] = ()
    rules: tuple[Condition, ...] = ()
    only_if: tuple[tuple[str, Condition], ...] = ()
    keep: tuple[str, ...] = ()
    below: tuple[tuple[str, float], ...] = ()
    above: tuple[tuple[str, float], ...] = ()
    gap_bounds: tuple[tuple[str, tuple[float, float]], ...] = ()
    found: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()

    def named(self) -> tuple[str, ...]:
        """The columns whose values formulas, rules and conditions need."""
        found = [n for f in self.formulas for n in (f.target, *f.of.names)]
        found += [n for rule in self.rules for n in rule.names]
        found += [n for name, c in self.only_if for n in (name, *c.names)]
        found += [n for one in self.lookups for n in (one.target, one.source)]
        return tuple(dict.fromkeys(found))

    def with_gaps(self) -> set[str]:
        """The columns some of whose cells may stay empty."""
        return {*self.keep, *(name for name, _ in self.only_if)}

    def limited(self) -> tuple[str, ...]:
        """The columns whose gaps have limits."""
        parts = (self.below, self.above, self.gap_bounds)
        return tuple(dict.fromkeys(name for part in parts for name, _ in part))


def state(
    names: Sequence[Hashable],
    *,
    formulas: Sequence[str] | None = None,
    rules: Sequence[str] | None = None,
    only_if: Mapping[Hashable, str] | Sequence[str] | None = None,
    keep: Sequence[Hashable] | None = None,
    below: Mapping[Hashable, float] | Sequence[str] | None = None,
    above: Mapping[Hashable, float] | Sequence[str] | None = None,
    gap_bounds: Mapping[Hashable, Any] | Sequence[str] | None = None,
) -> Relations | None:
    """Reads relations, those by column as mappings or as text.

    Args:
      names: of the table's columns.
      formulas: "bmi = weight / (height / 100) ** 2".
      rules: "discharge >= admit".
      only_if: {"pack_years": "smoking != 'never'"}, or texts with a colon.
      keep: names of columns.
      below: {"crp": 0.25}, or texts with =.
      above: likewise.
      gap_bounds: {"age": (0, 110)}, or texts "age=0:110".

    Returns:
      What was stated; None where that is nothing.

    Raises:
      DataError: naming what cannot be read, or the column that is not there.
    """
    if not any((formulas, rules, only_if, keep, below, above, gap_bounds)):
        return None
    known = [str(name) for name in names]
    found = Relations(
        _ordered([_formula(text, known) for text in _texts(formulas)]),
        tuple(_condition("rule", text, known) for text in _texts(rules)),
        tuple(
            (name, _condition("condition", text, known))
            for name, text in _pairs("only_if", only_if, ":", known)
        ),
        tuple(_column("keep", name, known) for name in _texts(keep)),
        _limits("below", below, known),
        _limits("above", above, known),
        tuple(
            (name, _two(name, pair))
            for name, pair in _pairs("gap_bounds", gap_bounds, "=", known)
        ),
    )
    for name in dict(found.below).keys() & dict(found.above).keys():
        raise DataError(
            f"the gaps of column {name!r} are said to lie below and above"
            " limits; give one of them, or bounds of its gaps",
            about=("below", "above", "gap_bounds"),
        )
    return found


def with_found(
    stated: Relations | None,
    names: Sequence[Hashable],
    formulas: Sequence[str] = (),
    rules: Sequence[str] = (),
    lookups: Sequence[Sequence[Any]] = (),
) -> Relations | None:
    """What was stated, and formulas, rules and functions that cells show.

    Raises:
      DataError: as `state` does.
    """
    if not (formulas or rules or lookups):
        return stated
    shown = state(names, formulas=formulas, rules=rules) or Relations()
    stated = stated or Relations()
    return stated._replace(
        formulas=_ordered([*stated.formulas, *shown.formulas]),
        rules=(*stated.rules, *shown.rules),
        found=(
            *(formula.text for formula in shown.formulas),
            *(rule.text for rule in shown.rules),
        ),
        lookups=tuple(
            Lookup(target, source, *map(tuple, parts))
            for target, source, *parts in lookups
        ),
    )


def with_kinds(stated: Relations, kinds: Mapping[str, Kind]) -> Relations:
    """The same, checked for what its columns hold.

    Raises:
      DataError: naming the expression and the column at fault.
    """
    formulas = []
    for target, of in stated.formulas:
        tree, what = resolved(of.tree, kinds, of.text)
        wanted = kinds[target].what
        if wanted not in ("number", "time") or wanted != what:
            raise DataError(
                f"the formula {target + ' = ' + of.text!r} gives a {what}, and"
                f" column {target!r} holds {wanted or 'ids'}",
                about=("real", "integer", "datetime"),
            )
        formulas.append(Formula(target, of._replace(tree=tree)))
    for name in stated.limited():
        if kinds[name].what != "number":
            raise DataError(
                f"column {name!r} is no number and has no limits; leave them"
                " out, or call it real or integer",
                about=("real", "integer"),
            )
    return stated._replace(
        formulas=tuple(formulas),
        rules=tuple(_truth(rule, kinds) for rule in stated.rules),
        only_if=tuple((n, _truth(c, kinds)) for n, c in stated.only_if),
    )


def _truth(condition: Condition, kinds: Mapping[str, Kind]) -> Condition:
    tree, what = resolved(condition.tree, kinds, condition.text)
    if what != "truth":
        raise DataError(
            f"{condition.text!r} is a {what} and nothing that is met or not;"
            " compare it with something"
        )
    return condition._replace(tree=tree)


def _texts(given: Sequence[Any] | None) -> Sequence[Any]:
    if isinstance(given, str):
        return (given,)
    return given or ()


def _column(what: str, name: Hashable, known: Sequence[str]) -> str:
    if str(name) not in known:
        raise DataError(no_column(what, str(name), known), about=(what,))
    return str(name)


def _condition(what: str, text: str, known: Sequence[str]) -> Condition:
    tree = parse(text)
    names = names_in(tree)
    for name in names:
        _column(f"the {what} {text.strip()!r}", name, known)
    return Condition(text.strip(), tree, names)


def _formula(text: str, known: Sequence[str]) -> Formula:
    target, found, right = str(text).partition("=")
    target = target.strip()
    if len(target) > 1 and target[0] == target[-1] == "`":
        target = target[1:-1]
    if not found or not target or right.startswith("="):
        raise DataError(
            f"the formula {text!r} cannot be read; write NAME = EXPRESSION, as"
            " gross = net + tax",
            about=("formulas",),
        )
    _column(f"the formula {text!r}", target, known)
    return Formula(target, _condition("formula", right, known))


def _ordered(formulas: Sequence[Formula]) -> tuple[Formula, ...]:
    """Each formula after those whose columns it needs.

    Raises:
      DataError: where two give one column, or one needs itself.
    """
    by_name: dict[str, Formula] = {}
    for formula in formulas:
        if formula.target in by_name:
            raise DataError(
                f"two formulas give column {formula.target!r}; leave one out",
                about=("formulas",),
            )
        by_name[formula.target] = formula
    done: dict[str, Formula] = {}
    while rest := [f for name, f in by_name.items() if name not in done]:
        free = [
            f
            for f in rest
            if not any(n in by_name and n not in done for n in f.of.names)
        ]
        if not free:
            names = ", ".join(repr(f.target) for f in rest)
            raise DataError(
                f"the formulas of {names} are circular: each needs another's"
                " column, or its own; leave one out",
                about=("formulas",),
            )
        done |= {f.target: f for f in free}
    return tuple(done.values())


def _pairs(
    what: str, given: Any, sign: str, known: Sequence[str]
) -> list[tuple[str, Any]]:
    """What is given by column, as a mapping or as texts."""
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        pairs = [_cut(what, text, sign, known) for text in _texts(given)]
    return [(_column(what, name, known), value) for name, value in pairs]


def _cut(
    what: str, text: str, sign: str, known: Sequence[str]
) -> tuple[str, str]:
    """A text in two, at the sign that follows a column's name if any does."""
    text = str(text)
    places = [k for k, letter in enumerate(text) if letter == sign]
    if not places:
        form = {
            "only_if": "NAME: CONDITION, as pack_years: smoking != 'never'",
            "gap_bounds": "NAME=LOW:HIGH, as age=0:110",
        }.get(what, "NAME=LIMIT, as crp=0.25")
        raise DataError(
            f"{what} {text!r} cannot be read; write {form}", about=(what,)
        )
    cuts = [(text[:k].strip(" `"), text[k + 1 :]) for k in places]
    return next((cut for cut in cuts if cut[0] in known), cuts[0])


def _limits(
    what: str, given: Any, known: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    return tuple(
        (name, _number(what, name, value))
        for name, value in _pairs(what, given, "=", known)
    )


def _number(what: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise DataError(
            f"{what} gives {value!r} for column {name!r}; give a number",
            about=(what,),
        )
    return number


def _two(name: str, pair: Any) -> tuple[float, float]:
    ends = pair.split(":") if isinstance(pair, str) else pair
    ends = list(ends) if isinstance(ends, Sequence) else []
    open_ends = [None if x in (None, "", " ") else x for x in ends]
    if len(open_ends) != 2:
        raise DataError(
            f"gap_bounds gives {pair!r} for column {name!r}; give two numbers,"
            " either of which may be left out",
            about=("gap_bounds",),
        )
    low, high = (
        sign * np.inf if x is None else _number("gap_bounds", name, x)
        for x, sign in zip(open_ends, (-1, 1))
    )
    if not low <= high:
        raise DataError(
            f"gap_bounds gives {low:g} and {high:g} for column {name!r}; the"
            " first must be the smaller",
            about=("gap_bounds",),
        )
    return low, high
