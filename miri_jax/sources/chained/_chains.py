"""Chains of draws: each column with gaps in turn, given all others, in sweeps.

Multiple imputation by chained equations (Van Buuren and Groothuis-Oudshoorn,
2011). Every chain grows trees of its own, so that draws of different chains
differ by some of what the table leaves open, too; by all of it with
`Plan.bootstrap`.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from miri_jax.core.threads import one_thread
from miri_jax.sources.chained._conditional import (
    LINE,
    TREES_ALONE,
    Aim,
    Conditional,
    Growth,
    Table,
    choose_model,
    draw_column,
    fit_conditional,
    from_plain,
    is_line,
    to_plain,
)
from miri_jax.sources.chained._numbers import uniform
from miri_jax.types import Layout

# How trees are grown of columns without gaps, and before the last sweep.
SINGLE = Growth(trees=1, leaf=5)
# Trees of a column, up to so many columns; of wider tables fewer, so that the
# work grows no faster than the width.
TREES, WIDE = 8, 20
# Rows that the choice of a model looks at, at most: where a column is observed,
# and where it is not.
CHOICE_ROWS = 2048
# Rows, and their share, that tell whether a column is a line.
KNOWN_ROWS, KNOWN_SHARE = 60, 0.1


class Plan(NamedTuple):
    """How chains are run.

    Attributes:
      chains: how many.
      sweeps: of the fit, and of a draw; those before the last with single
        trees.
      growth: of the trees.
      max_rows: rows that a column is learned from at most.
      bootstrap: whether chains learn from rows drawn with replacement.
    """

    chains: int
    sweeps: int
    growth: Growth
    max_rows: int
    bootstrap: bool

    def several(self, count: int, *, pooled: bool) -> "Plan":
        """Chains for so many draws; to be pooled, each with rows of its own."""
        if pooled:
            return self._replace(chains=count, bootstrap=True)
        return self._replace(chains=min(self.chains, count))


class Kept(NamedTuple):
    """What draws for new rows need.

    Attributes:
      order: columns in the order that they are drawn in.
      chains: of each chain the conditional of each column given all others.
    """

    order: tuple[int, ...]
    chains: tuple[dict[int, Conditional], ...]


def order_of(observed: np.ndarray) -> tuple[int, ...]:
    """Columns by their number of gaps, those without any last.

    So every column is told by what is best known.
    """
    gaps = (~observed).sum(axis=0)
    with_gaps = sorted(np.flatnonzero(gaps).tolist(), key=lambda j: gaps[j])
    return (*with_gaps, *np.flatnonzero(gaps == 0).tolist())


def choose(
    table: Table,
    filled: np.ndarray,
    others: Sequence[Sequence[int]],
    plan: Plan,
    words: Sequence[int],
) -> np.ndarray:
    """Of each column `[c]` int8 what predicts it: see `TREES_ALONE`."""
    growth = _last(plan, table.values.shape[1])

    def one(column: int) -> int:
        rng = _generator(words, column, 1)
        seen = table.observed[:, column]
        rows = np.flatnonzero(seen)
        limit = min(plan.max_rows, CHOICE_ROWS)
        if len(rows) > limit:
            rows = rng.choice(rows, limit, replace=False)
        aim = Aim(column, others[column], rows)
        known = aim._replace(rows=_well_known(table.observed, aim))
        if is_line(filled, table.layout, known, rng):
            return LINE
        if seen.all():  # it is only ever drawn for new rows, or beyond a limit
            return TREES_ALONE
        gaps = np.flatnonzero(~seen)
        if len(gaps) > limit:
            gaps = rng.choice(gaps, limit, replace=False)
        some = np.sort(np.concatenate([rows, gaps]))
        aim = aim._replace(rows=np.searchsorted(some, rows))
        here = filled[some], seen[some]
        return choose_model(*here, table.layout, aim, growth, rng)

    return np.array(_at_once(one, range(table.values.shape[1])), np.int8)


def _well_known(observed: np.ndarray, aim: Aim) -> np.ndarray:
    """Rows of an aim in which what tells it most is observed, too.

    As many columns of that as leave enough rows for a relation that is exact,
    which what draws have filled would blur.
    """
    rows = aim.rows
    enough = max(KNOWN_SHARE * len(rows), KNOWN_ROWS, 3 * len(aim.others))
    for other in aim.others:
        some = rows[observed[rows, other]]
        if len(some) < enough:
            break
        rows = some
    return rows


def sweep_all(
    table: Table,
    filled: Sequence[np.ndarray],
    others: Sequence[Sequence[int]],
    models: np.ndarray,
    plan: Plan,
    sweep: int,
    words: Sequence[int],
) -> tuple[list[np.ndarray], tuple[dict[int, Conditional], ...]]:
    """One sweep of all chains.

    Args:
      table: with gaps.
      filled: the chains' tables `[n, c]`.
      others: of each column those that tell it, see `screened`.
      models: `[c]`, see `choose`.
      plan: how.
      sweep: its number, from 0 on.
      words: of the seed.

    Returns:
      New tables, and what drew them; after the last sweep also conditionals of
      the columns without gaps.
    """
    last = sweep == plan.sweeps - 1
    several = _last(plan, table.values.shape[1])

    def one(k: int) -> tuple[np.ndarray, dict[int, Conditional]]:
        rng, values = _generator(words, k, 2 + sweep), filled[k].copy()
        rows, kept = _rows_of(table, plan, words, k), {}
        for column in order_of(table.observed):
            complete = table.observed[:, column].all()
            if complete and not last:
                continue
            drawn = not complete or column in table.layout.censored
            growth = several if last and drawn else SINGLE
            model = int(models[column])
            growth = growth.for_model(model)
            aim = Aim(column, others[column], rows, model != TREES_ALONE)
            line = model == LINE
            kept[column] = _draw_gaps(
                values, table, plan, growth, aim, rng, well_known=line
            )
        return values, kept

    done = _at_once(one, range(plan.chains))
    return [values for values, _ in done], tuple(kept for _, kept in done)


def _last(plan: Plan, width: int) -> Growth:
    """How the trees of the last sweep are grown."""
    many = plan.growth.trees or max(TREES * WIDE // max(width, WIDE), 1)
    return plan.growth._replace(trees=many)


def _rows_of(
    table: Table, plan: Plan, words: Sequence[int], chain: int
) -> np.ndarray:
    """The rows that a chain learns from, the same in every sweep."""
    n = len(table.values)
    if not plan.bootstrap:
        return np.arange(n)
    return _generator(words, chain, 1).integers(n, size=n)


def _draw_gaps(
    values: np.ndarray,
    table: Table,
    plan: Plan,
    growth: Growth,
    aim: Aim,
    rng: np.random.Generator,
    *,
    well_known: bool,
) -> Conditional:
    """Learns a column from a filled table, and draws its gaps there.

    Args:
      values: `[n, c]`, changed in place.
      table: with gaps.
      plan: how.
      growth: of the trees.
      aim: the column; its rows are those to learn from, observed or not.
      rng: chooses.
      well_known: whether only from rows that `_well_known` gives.
    """
    column, rows = aim.column, aim.rows
    seen = table.observed[:, column]
    learn, gaps = rows[seen[rows]], np.flatnonzero(~seen)
    if not learn.size:
        learn = np.flatnonzero(seen) if seen.any() else rows
    if well_known:
        learn = _well_known(table.observed, aim._replace(rows=learn))
    if len(learn) > plan.max_rows:
        learn = rng.permutation(learn)[: plan.max_rows]
    aim = aim._replace(rows=learn)
    fitted = fit_conditional(values, table.layout, aim, growth, rng)
    if gaps.size:
        u, v = rng.random((2, len(gaps)))
        values[gaps, column] = draw_column(
            fitted, table.layout, column, values[gaps], u, v
        )
    return fitted


def draw_rows(
    kept: Kept,
    layout: Layout,
    values: np.ndarray,
    observed: np.ndarray,
    seeds: np.ndarray,
    chain: np.ndarray,
    sweeps: int,
    place: np.ndarray,
) -> np.ndarray:
    """Rows `[k, c]` filled by a few sweeps of kept conditionals.

    Args:
      kept: of the fit.
      layout: of the columns.
      values: `[k, c]` float64, filled: what chains begin with.
      observed: `[k, c]` bool.
      seeds: `[k]` uint64: all that is random comes from it.
      chain: `[k]`, which chain draws the row.
      sweeps: how many.
      place: `[k, c]` in (0, 1), which of the donors in a leaf, in their order,
        each cell has in the last sweep.
    """
    filled = np.array(values)
    # A row with one gap is complete after one sweep, the last.
    several = (~observed).sum(axis=1) > 1

    def one(k: int) -> None:
        own = chain == k
        columns = [
            (column, np.flatnonzero(own & ~observed[:, column]))
            for column in kept.order
        ]
        for sweep in range(sweeps):
            last = sweep == sweeps - 1
            for column, gaps in columns:
                if not last:
                    gaps = gaps[several[gaps]]
                if not gaps.size:
                    continue
                here = seeds[gaps]
                where = uniform(here, column, 1, 2 * sweep + 1)
                if last:
                    where = place[gaps, column]
                filled[gaps, column] = draw_column(
                    kept.chains[k][column],
                    layout,
                    column,
                    filled[gaps],
                    uniform(here, column, 1, 2 * sweep),
                    where,
                    pooled=last,
                )

    _at_once(one, [int(k) for k in np.unique(chain)])
    return filled


def to_plain_all(chains: Sequence[dict[int, Conditional]]) -> list[Any]:
    """What `_blob.pack` can hold."""
    return [
        [[column, to_plain(one)] for column, one in chain.items()]
        for chain in chains
    ]


def from_plain_all(content: list[Any]) -> tuple[dict[int, Conditional], ...]:
    """The inverse of `to_plain_all`."""
    return tuple(
        {column: from_plain(one) for column, one in chain} for chain in content
    )


def _generator(words: Sequence[int], *place: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([*words, *place]))


def _at_once(one: Any, which: Sequence[int]) -> list[Any]:
    """`one` of each, on all cores: what it gives must not depend on that."""
    with one_thread():
        if len(which) == 1:
            return [one(which[0])]
        with ThreadPoolExecutor(_cores()) as pool:
            return list(pool.map(one, which))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
