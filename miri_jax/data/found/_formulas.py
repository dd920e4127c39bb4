"""Columns that others give by arithmetic: sums, multiples, products, powers.

A form that a search proposes gets the simplest numbers that its coefficients
can be, and is found where it holds in every row, to the rounding of the cells,
where each of its columns matters, and where chance makes no such form of the
columns there are.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from miri_jax.data.formulas import ROUNDING
from miri_jax.data.found._pool import Pool
from miri_jax.data.found._search import MOST, Form, form_of, scaled
from miri_jax.data.found._simple import (
    Factor,
    linear_text,
    product_text,
    simplest,
)
from miri_jax.data.found._simple import quoted as name_text

# What a computed cell may be off, in deviations of its column.
PRECISE = 0.1
# Evidence beyond what counts the forms that there are, in nats, and what a
# coefficient takes.
SURE, COEFFICIENT = 12.0, 6.0
# Rows that evidence is taken from.
ROWS = 2000
# What a power is a multiple of, and the largest.
POWER, LARGEST_POWER = 0.5, 4


class Arithmetic(NamedTuple):
    """A formula that was found.

    Attributes:
      target: the name of its column.
      of: the names of the others.
      text: as `relations.state` takes it.
      rows: in how many it was seen to hold.
    """

    target: str
    of: tuple[str, ...]
    text: str
    rows: int


class _Cells(NamedTuple):
    """Known cells of a column, and of those that may give it.

    Attributes:
      target: the column's place in the pool.
      others: places `[k]` of the others.
      y: `[r]`, cells of the column.
      x: `[r, k]`, of the others.
    """

    target: int
    others: list[int]
    y: np.ndarray
    x: np.ndarray


class _Shape(NamedTuple):
    """A form with numbers.

    Attributes:
      text: of its right side.
      value: of `[r, k]` cells of the others, `[r]`.
      slope: likewise, how steep it is in each, `[r, k]`.
      exact: whether whole numbers come out whole.
      cost: how many digits and signs it has.
    """

    text: str
    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    exact: bool
    cost: int


def formulas_of(
    pool: Pool, stated: Sequence[tuple[str, tuple[str, ...]]] = ()
) -> list[Arithmetic]:
    """The formulas of some columns.

    No two of them, nor with others, lead from a column back to it: whatever
    cells a row lacks, one after the other can then be computed.

    Args:
      pool: the columns.
      stated: formulas that there are, each a column and the others.
    """
    found: list[Arithmetic] = []
    groups = np.arange(len(pool.names))
    taken = {target for target, _ in stated}
    for target, of in stated:
        _join(pool, groups, (target, *of))
    for space in (_Linear(pool), _Products(pool)):
        if space.columns.sum() < 2:
            continue
        s = scaled(space.x, space.slack, space.whole)
        # Of two that say the same, that of fewer columns.
        for most, target in itertools.product(
            (1, 2, MOST), reversed(range(len(pool.names)))
        ):
            if pool.names[target] in taken or not space.columns[target]:
                continue
            form = form_of(s, target, space.columns, groups, most)
            one = form and _best(space, form, taken)
            if one is not None:
                taken.add(one.target)
                _join(pool, groups, (one.target, *one.of))
                found.append(one)
    return found


def sums_lost(pool: Pool, formulas: Sequence[Arithmetic]) -> list[str]:
    """Sums of two columns that hold to the last digit and are no formula.

    Columns that multiples of each other give, as a net price, its tax and both
    together, are computed to the rounding of these.

    Args:
      pool: the columns.
      formulas: those that were found.

    Returns:
      Formulas, as texts.
    """
    kept = {frozenset((f.target, *f.of)) for f in formulas}
    groups = np.arange(len(pool.names))
    for f in formulas:
        _join(pool, groups, (f.target, *f.of))
    lost = []
    for group in np.unique(groups):
        members = (groups == group) & (pool.unit > 0) & ~pool.time
        which = np.flatnonzero(members)
        for a, b in itertools.combinations(which, 2):
            fine = np.minimum(pool.unit[[a, b]].min(), pool.unit[which]) / 100
            # Of a sample first; what is unknown speaks against no sum.
            off = np.abs(pool.x[:, which] - pool.x[:, [a]] - pool.x[:, [b]])
            for target in which[np.all(~(off >= fine), axis=0)]:
                names = [pool.names[k] for k in (target, a, b)]
                cells = pool.together([target, a, b])
                off = np.abs(cells[:, 0] - cells[:, 1:].sum(axis=1))
                if (
                    len({target, a, b}) == 3
                    and frozenset(names) not in kept
                    and _distinct_enough(cells)
                    and np.all(off < fine[which == target])
                ):
                    y, *of = map(name_text, names)
                    lost.append(f"{y} = {of[0]} + {of[1]}")
    return lost


def _join(pool: Pool, groups: np.ndarray, names: Sequence[str]) -> None:
    """Makes the groups of some columns one, in place."""
    which = [k for k, name in enumerate(pool.names) if name in names]
    if which:
        groups[np.isin(groups, groups[which])] = groups[which[0]]


def _best(
    space: "_Linear | _Products", form: Form, taken: set[str]
) -> Arithmetic | None:
    """The simplest way to write a form that was proposed; None for none."""
    pool, which = space.pool, [form.target, *form.of]
    cells, ways = pool.together(which), []
    if not _distinct_enough(cells):
        return None
    for k, target in enumerate(which):
        if pool.names[target] in taken:
            continue
        others = [j for j in which if j != target]
        # Of several that a row lacks the first is computed: of those that are
        # rounded least what is left open is least.
        grid = (
            pool.unit[others]
            / cells.std(axis=0)[[which.index(j) for j in others]]
        )
        others = [others[i] for i in np.argsort(grid, kind="stable")]
        x = cells[:, [which.index(j) for j in others]]
        way = _Cells(target, others, cells[:, k], x)
        shape = space.shape(way)
        if shape is not None and _holds(pool, shape, way):
            later = len(pool.names) - target
            key = (bool(pool.time[target]), shape.cost, later)
            ways.append((key, shape, way))
    for _, shape, way in sorted(ways, key=lambda w: w[0]):
        if _is_no_chance(pool, shape, way):
            name = pool.names[way.target]
            return Arithmetic(
                name,
                tuple(pool.names[j] for j in way.others),
                f"{name_text(name)} = {shape.text}",
                len(way.y),
            )
    return None


def _distinct_enough(cells: np.ndarray) -> bool:
    """Whether there are many more kinds of rows than coefficients."""
    kinds = len(np.unique(cells[:ROWS], axis=0))
    return kinds >= 2 * (cells.shape[1] + 1) + 2


def _slack(pool: Pool, shape: _Shape, cells: _Cells) -> np.ndarray:
    """What rounding makes a form miss by at most, `[r]`."""
    target, others, y, x = cells
    half = pool.unit[target] / 2
    if pool.whole[[target, *others]].all() and shape.exact:
        half = 0.0
    slack = half + np.abs(shape.slope(x)) @ pool.half[others]
    loose = ROUNDING * np.abs(y) if not pool.unit[target] else 0.0
    return slack * (1 + 1e-6) + loose + 1e-9 * np.abs(y)


def _holds(pool: Pool, shape: _Shape, cells: _Cells) -> bool:
    """Whether a form holds in all rows, and computes cells well enough."""
    target, others, y, x = cells
    with np.errstate(all="ignore"):
        off = np.abs(shape.value(x) - y)
        slack = _slack(pool, shape, cells)
        steep = np.median(np.abs(shape.slope(x)), axis=0)
        # Of the others, what the rounding of the column leaves open.
        open_ = pool.unit[target] / 2 / steep
    if not np.all(off <= slack):
        return False
    fine = np.median(slack) <= PRECISE * y.std()
    enough = np.maximum(PRECISE * x.std(axis=0), pool.unit[others] / 2)
    return bool(fine and np.all(open_ <= enough * (1 + 1e-6)))


def _is_no_chance(pool: Pool, shape: _Shape, cells: _Cells) -> bool:
    """Whether a form that holds says more than that there are many forms.

    Each column in turn is put into other rows: as often as the form holds even
    so, it holds by chance.
    """
    target, others, y, x = cells
    rng = np.random.default_rng(0)
    some = rng.permutation(len(y))[:ROWS]
    y, x = y[some], x[some]
    kinds = len(np.unique(np.column_stack([y, x]), axis=0))
    free = 2 * (x.shape[1] + 2)
    rows = min(len(y), 10 * kinds) - free
    cost = len(others) * np.log(len(pool.names)) + COEFFICIENT * (
        len(others) + 1
    )
    # Of few rows in several others, so that a small chance is seen to be one.
    times = max(1, ROWS // len(y))
    y, x = np.tile(y, times), np.tile(x, (times, 1))
    for k in range(x.shape[1]):
        other = x.copy()
        other[:, k] = x[rng.permutation(len(x)), k]
        with np.errstate(all="ignore"):
            off = np.abs(shape.value(other) - y)
            slack = _slack(pool, shape, _Cells(target, others, y, other))
        hits = (np.sum(off <= slack) + 1) / (len(y) + 1)
        if rows * -np.log(hits) < cost + SURE:
            return False
    return True


def _intervals(a: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of `[r, k]` with a constant: slopes and their errors."""
    centre, scale = a.mean(axis=0), a.std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    z = (a - centre) / scale
    slopes = np.linalg.lstsq(z, y - y.mean(), rcond=None)[0]
    left = y - y.mean() - z @ slopes
    spread = np.linalg.pinv(z.T @ z)
    noise = max(left.var(), (1e-9 * np.abs(y).max()) ** 2)
    error = np.sqrt(noise * np.diag(spread))
    return slopes / scale, error / scale


class _Linear:
    """Forms of numbers and times as they are."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.x, self.whole = pool, pool.x, pool.whole
        loose = ROUNDING * np.abs(pool.x) * (pool.unit == 0)
        self.slack = pool.half + loose
        self.columns = np.ones(len(pool.names), bool)

    def shape(self, cells: _Cells) -> _Shape | None:
        """The form with the simplest coefficients that rounding allows."""
        target, others, y, x = cells
        slopes, errors = _intervals(x, y)
        if self.pool.time[[target, *others]].any():
            return self._of_times(target, others, slopes)
        for width in (6.0, 2.0, 0.5, 0.05):
            reach = width * errors + 1e-10 * np.abs(slopes)
            factors = [simplest(s - r, s + r) for s, r in zip(slopes, reach)]
            if None in factors:
                continue
            made = self._with_constant(cells, factors)
            if made is not None:
                return made
        return None

    def _of_times(
        self, target: int, others: list[int], slopes: np.ndarray
    ) -> _Shape | None:
        """A time and days, or the days, weeks or years between two times."""
        pool, names = self.pool, [self.pool.names[j] for j in others]
        whole = np.round(slopes)
        times = pool.time[others]
        wanted = 1 if pool.time[target] else 0
        plain = np.all(np.abs(slopes - whole) < 1e-3) and np.all(whole != 0)
        if not plain or whole[times].sum() != wanted:
            return None
        if np.any(np.abs(whole[times]) != 1) or times.sum() > 2:
            return None
        factors = [_factor(s) for s in whole]
        return _linear_shape(names, factors, None)

    def _with_constant(
        self, cells: _Cells, factors: list[Factor]
    ) -> _Shape | None:
        names = [self.pool.names[j] for j in cells.others]
        shape = _linear_shape(names, factors, None)
        rest = cells.y - shape.value(cells.x)
        slack = _slack(self.pool, shape, cells)
        # Whole numbers, and a constant that is one.
        near = np.round(np.median(rest)) if shape.exact else np.nan
        low, high = (rest - slack).max(), (rest + slack).min()
        if low <= 0 <= high:
            return shape
        if low > high:
            return None
        if np.all(np.abs(rest - near) <= slack):
            constant = _factor(near)
        else:
            constant = simplest(low, high)
        if constant is None:
            return None
        return _linear_shape(names, factors, constant)


def _factor(value: float) -> Factor:
    text = f"{abs(value):.12g}"
    return Factor(float(value), text, False, len(text.rstrip("0")) or 1)


def _linear_shape(
    names: Sequence[str],
    factors: Sequence[Factor],
    constant: Factor | None,
) -> _Shape:
    slopes = np.array([factor.value for factor in factors])
    shift = 0.0 if constant is None else constant.value
    cost = sum(
        f.digits - (f.text == "1") + (f.value < 0) + f.divides for f in factors
    )
    cost += 0 if constant is None else constant.digits + 1
    numbers = np.array([*slopes, shift])
    return _Shape(
        linear_text(names, factors, constant),
        lambda x: x @ slopes + shift,
        lambda x: np.broadcast_to(slopes, (len(x), len(names))),
        bool(np.all(numbers == np.round(numbers))),
        cost,
    )


class _Products:
    """Forms of logarithms: products of powers and a number."""

    def __init__(self, pool: Pool) -> None:
        with np.errstate(all="ignore"):
            self.pool, self.x = pool, np.log(pool.x)
            positive = np.isfinite(self.x)
            self.x = np.where(positive, self.x, np.nan)
            loose = np.where(pool.unit == 0, ROUNDING, 0)
            self.slack = pool.half / np.abs(pool.x) + loose
        known = np.maximum((~np.isnan(pool.x)).sum(axis=0), 1)
        self.columns = ~pool.time & (positive.sum(axis=0) > 0.5 * known)
        with np.errstate(invalid="ignore"):
            self.columns &= ~(pool.x < 0).any(axis=0)
        # Their logarithms are not.
        self.whole = np.zeros(len(pool.names), bool)
        self.slack = self.slack + np.where(
            pool.whole, 0.5 / np.maximum(np.abs(pool.x), 1), 0
        )

    def shape(self, cells: _Cells) -> _Shape | None:
        """The product of simple powers with the simplest factor."""
        target, others, y, x = cells
        used = (y > 0) & np.all(x > 0, axis=1)
        if used.sum() < 2 * (len(others) + 2):
            return None
        y, x = y[used], x[used]
        slopes, _ = _intervals(np.log(x), np.log(y))
        powers = np.round(slopes / POWER) * POWER
        off = np.abs(slopes - powers)
        if np.any(off > 0.1) or np.any(powers == 0):
            return None
        if np.abs(powers).max() > LARGEST_POWER:
            return None
        one = Factor(1.0, "1", False, 1)
        names = [self.pool.names[j] for j in others]
        shape = _product_shape(names, powers, one)
        with np.errstate(all="ignore"):
            made = shape.value(x)
            slack = _slack(self.pool, shape, _Cells(target, others, y, x))
            low = ((y - slack) / made).max()
            high = ((y + slack) / made).min()
        if low <= 1 <= high:
            return shape
        factor = simplest(low, high) if low <= high else None
        return factor and _product_shape(names, powers, factor)


def _product_shape(
    names: Sequence[str], powers: np.ndarray, factor: Factor
) -> _Shape:
    def value(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return factor.value * np.prod(x**powers, axis=1)

    def slope(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return value(x)[:, None] * powers / x

    whole = np.all(powers == np.round(powers)) and np.all(powers > 0)
    cost = factor.digits - (factor.text == "1") + factor.divides
    cost += int(np.sum(powers < 0) + 4 * np.sum(powers != np.round(powers)))
    return _Shape(
        product_text(names, powers, factor),
        value,
        slope,
        bool(whole and factor.value == round(factor.value)),
        cost,
    )
