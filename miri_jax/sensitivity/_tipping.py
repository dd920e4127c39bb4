"""How far filled cells must be changed for a conclusion to tip."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from miri_jax.exceptions import DataError
from miri_jax.pooling import Pooled, pool
from miri_jax.sensitivity._changes import Change, shift
from miri_jax.sensitivity._tables import change_all, prepare, put_back

# Where an interval lies.
BELOW, INCLUDES, ABOVE = "below", "includes", "above"


class TippingPoint(NamedTuple):
    """A pooled estimate over a grid of changes.

    Attributes:
      axes: what the one or two columns of `deltas` are called, such as "shift
        of weight[arm=treated]".
      deltas: `[g, 1 or 2]`.
      estimate: `[g]`, pooled.
      error: `[g]`, its standard errors.
      df: `[g]`, their degrees of freedom.
      low: `[g]`, ends of confidence intervals.
      high: `[g]`, the other ends.
      p: `[g]`, two-sided, of the estimate being `null`.
      cut: `[g]`, share of the changed cells that were set to a bound.
      null: the value that the conclusion is about.
      level: of the intervals.
      term: the estimate's name, or None.
    """

    axes: tuple[str, ...]
    deltas: np.ndarray
    estimate: np.ndarray
    error: np.ndarray
    df: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    cut: np.ndarray
    null: float
    level: float
    term: Hashable | None

    @property
    def tips(self) -> np.ndarray:
        """Where the interval begins or ceases to include `null`, ascending.

        Between two deltas of the grid the end of the interval is taken to be
        linear. That is where p crosses 1 - level.

        Raises:
          DataError: of a grid of two dimensions, where it is a curve: `plot`.
        """
        if len(self.axes) > 1:
            raise DataError(
                "over two deltas the conclusion tips along a curve; plot it"
            )
        at = self.deltas[:, 0]
        ends = self.low, self.high
        found = [_crossings(at, end - self.null) for end in ends]
        return np.unique(np.concatenate(found))

    @property
    def conclusion(self) -> np.ndarray:
        """`[g]`, where each interval lies: below, above or including `null`."""
        sides = [self.low > self.null, self.high < self.null]
        return np.select(sides, [ABOVE, BELOW], INCLUDES)

    def to_frame(self) -> pd.DataFrame:
        """A row for each point of the grid."""
        names = ("estimate", "error", "df", "low", "high", "p", "cut")
        columns = {name: getattr(self, name) for name in names}
        columns["se"] = columns.pop("error")
        order = ["estimate", "se", *names[2:]]
        table = pd.DataFrame(self.deltas, columns=list(self.axes))
        table = pd.concat([table, pd.DataFrame(columns)[order]], axis=1)
        table["interval"] = self.conclusion
        return table

    def plot(self, ax: Any = None) -> Any:
        """The picture, on matplotlib's `Axes`: see `_picture.picture`.

        Args:
          ax: where to draw; None for a new figure.

        Returns:
          The `Axes`.
        """
        # Not above: matplotlib takes half a second.
        from miri_jax.sensitivity._picture import picture

        return picture(self, ax)

    def __repr__(self) -> str:
        """The table, and in a sentence where the conclusion tips."""
        return f"{self.to_frame().to_string(index=False)}\n{self.verdict()}"

    def verdict(self) -> str:
        """A sentence on where the conclusion tips."""
        what = f"the {self.level:.0%} interval"
        if self.term is not None:
            what += f" of {self.term}"
        said = {
            INCLUDES: f"includes {self.null:g}",
            ABOVE: f"lies above {self.null:g}",
            BELOW: f"lies below {self.null:g}",
        }
        ways = [said[where] for where in dict.fromkeys(self.conclusion)]
        if len(self.axes) > 1:
            return f"On this grid {what} {', or '.join(ways)}."
        name, tips = self.axes[0], self.tips
        if not len(tips):
            low, high = self.deltas.min(), self.deltas.max()
            return (
                f"From {low:g} to {high:g} nothing tips: {what} {ways[0]}"
                " throughout."
            )
        places = ", ".join(f"{x:.4g}" for x in tips)
        return f"The conclusion on {what} tips at a {name} by {places}."


def tipping_point(
    tables: Iterable[Any],
    missing: Any,
    analyse: Callable[[Any], Any],
    column: Hashable,
    deltas: Sequence[float] | Mapping[Any, Sequence[float]],
    *,
    by: Hashable | None = None,
    change: Callable[..., tuple[Change, ...]] = shift,
    term: Hashable | None = None,
    null: float = 0.0,
    level: float = 0.95,
    df_complete: float | None = None,
    kinds: Mapping[Hashable, str] | None = None,
    bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
    rounding: bool = False,
    seed: int = 0,
) -> TippingPoint:
    """Repeats a pooled analysis with filled cells changed more and more.

        found = tipping_point(
            tables, frame.isna(), analyse, "weight", np.linspace(-10, 0, 11)
        )
        print(found); found.tips; found.to_frame(); found.plot()

    Args:
      tables: m >= 2 imputed tables, see `adjust`.
      missing: see `adjust`.
      analyse: as `with_imputations` has it.
      column: whose filled cells are changed.
      deltas: amounts; or with `by` amounts by group, of one group or two, which
        are combined each with each.
      by: the column whose levels are groups.
      change: `shift` or `scale`, or `functools.partial(odds, level=...)`.
      term: name, or place, of the estimate of interest among those that
        `analyse` gives; None where there is one.
      null: the value that the conclusion is about.
      level: of the confidence intervals.
      df_complete: see `pool`.
      kinds: see `adjust`, as `bounds` and `seed`.
      bounds: likewise.
      rounding: whether cells are rounded as in a file; False by default, so
        that what is analysed moves by the delta, not by steps.
      seed: likewise.

    Returns:
      `TippingPoint`.

    Raises:
      DataError: as `adjust` and `pool`, on more than two groups, and where it
        is not clear which estimate is meant.
    """
    grid = _grid(deltas, by)
    tables = list(tables)
    how = dict(rounding=rounding)
    steps = [_changes(change, row, by, list(deltas)) for row in grid]
    every = {column: tuple(itertools.chain(*steps))}
    ready = prepare(tables, missing, every, kinds=kinds, bounds=bounds, **how)
    rows = []
    for step in steps:
        found = change_all(ready.filled, {column: step}, seed=seed, **how)
        made = put_back(ready, found, **how)
        pooled = pool([analyse(x) for x in made], None, df_complete)
        at, changed = _place(pooled, term), found[column]
        numbers = (
            *(pooled.estimate, pooled.error, pooled.df),
            *(*pooled.interval(level), pooled.p_value(null)),
        )
        shape = np.shape(pooled.estimate)
        row = [np.broadcast_to(x, shape).ravel()[at] for x in numbers]
        rows.append([*row, sum(changed.cut) / max(changed.cells, 1)])
    axes = _axes(column, by, steps[0])
    return TippingPoint(axes, grid, *np.array(rows).T, null, level, term)


def _grid(deltas: Any, by: Hashable | None) -> np.ndarray:
    """All points `[g, 1 or 2]`."""
    if isinstance(deltas, Mapping) != (by is not None):
        raise DataError(
            "deltas of groups need both a column and amounts by its levels, as"
            " deltas={'treated': [-2, -1, 0]}, by='arm'"
        )
    groups = deltas if by is not None else {None: deltas}
    if len(groups) not in (1, 2):
        raise DataError(
            f"deltas are of {len(groups)} groups; give those of one or two"
        )
    try:
        sides = [np.asarray(x, float).ravel() for x in groups.values()]
    except (TypeError, ValueError):
        sides = [np.zeros(0)]
    if not all(len(x) and np.isfinite(x).all() for x in sides):
        raise DataError(
            f"deltas are {deltas!r}; give one or more finite numbers"
        )
    return np.array([*itertools.product(*map(np.unique, sides))])


def _axes(
    column: Hashable, by: Hashable | None, step: Sequence[Change]
) -> tuple[str, ...]:
    """What is changed, of each group."""
    if by is None:
        return (f"{step[0].what} of {column}",)
    return tuple(f"{x.what} of {column}[{by}={x.group}]" for x in step)


def _changes(
    change: Callable[..., tuple[Change, ...]],
    row: np.ndarray,
    by: Hashable | None,
    groups: Sequence[Any],
) -> tuple[Change, ...]:
    if by is None:
        return change(float(row[0]))
    return change(dict(zip(groups, row.tolist())), by=by)


def _place(pooled: Pooled, term: Hashable | None) -> int:
    """Which of the estimates is meant."""
    count, names = np.size(pooled.estimate), pooled.names
    if term is None and count == 1:
        return 0
    if names is not None and term in names:
        return list(names).index(term)
    if isinstance(term, int | np.integer) and 0 <= term < count:
        return int(term)
    known = range(count) if names is None else names
    raise DataError(
        f"the analysis gives {count} estimates, and term is {term!r}; give one"
        f" of {', '.join(map(str, known))[:300]}"
    )


def _crossings(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where a line through points changes its sign."""
    one, other = values[:-1], values[1:]
    k = np.flatnonzero((one > 0) != (other > 0))
    share = one[k] / (one[k] - other[k])
    return at[k] + share * (at[k + 1] - at[k])
