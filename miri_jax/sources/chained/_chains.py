"""Chains of draws: each column with gaps in turn, given all others, in sweeps.

Multiple imputation by chained equations (Van Buuren and Groothuis-Oudshoorn,
2011). Every chain learns from rows drawn with replacement, so that draws of
different chains differ by what the table leaves open, too.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from miri_jax.sources.chained._conditional import (
    Aim,
    Conditional,
    Growth,
    choose_ridge,
    draw_column,
    fit_conditional,
    from_plain,
    to_plain,
)
from miri_jax.sources.chained._numbers import uniform
from miri_jax.types import Layout

# Observed values of a column that the first filling of new rows comes from.
SUPPORT = 1000


class Plan(NamedTuple):
    """How chains are run.

    Attributes:
      chains: how many.
      sweeps: of the fit; the last `full` of them with `growth`, those before
        with single trees, which find the way faster.
      full: see above.
      growth: of the trees.
      early: of the trees of earlier sweeps.
      max_rows: rows that a column is learned from at most.
      bootstrap: whether chains learn from rows drawn with replacement.
    """

    chains: int
    sweeps: int
    full: int
    growth: Growth
    early: Growth
    max_rows: int
    bootstrap: bool


class Kept(NamedTuple):
    """What draws for new rows need.

    Attributes:
      order: columns in the order that they are drawn in.
      support: of each column `[q]` observed values, evenly spaced in rank.
      chains: of each chain the conditional of each column.
    """

    order: tuple[int, ...]
    support: tuple[np.ndarray, ...]
    chains: tuple[dict[int, Conditional], ...]


class Table(NamedTuple):
    """A table with gaps.

    Attributes:
      values: `[n, c]` float64, read where observed only.
      observed: `[n, c]` bool.
      layout: of its columns.
    """

    values: np.ndarray
    observed: np.ndarray
    layout: Layout


def order_of(observed: np.ndarray) -> tuple[int, ...]:
    """Columns by their number of gaps, those without any last."""
    gaps = (~observed).sum(axis=0)
    with_gaps = sorted(np.flatnonzero(gaps).tolist(), key=lambda j: gaps[j])
    return (*with_gaps, *np.flatnonzero(gaps == 0).tolist())


def support_of(table: Table) -> tuple[np.ndarray, ...]:
    """Of each column observed values, evenly spaced in rank."""
    found = []
    for values, seen in zip(table.values.T, table.observed.T):
        ordered = np.sort(values[seen]) if seen.any() else np.zeros(1)
        some = np.linspace(0, len(ordered) - 1, min(len(ordered), SUPPORT))
        found.append(ordered[some.round().astype(int)])
    return tuple(found)


def first_fillings(
    table: Table, chains: int, words: Sequence[int]
) -> list[np.ndarray]:
    """Filled tables `[n, c]`, gaps with observed values taken at random."""
    found = []
    for k in range(chains):
        rng, filled = _generator(words, k, 0), table.values.copy()
        for values, seen in zip(filled.T, table.observed.T):
            known = values[seen] if seen.any() else np.zeros(1)
            values[~seen] = rng.choice(known, int((~seen).sum()))
        found.append(filled)
    return found


def choose(
    table: Table, filled: np.ndarray, plan: Plan, words: Sequence[int]
) -> np.ndarray:
    """Of each column `[c]` whether a ridge regression predicts it."""

    def one(column: int) -> bool:
        rng = _generator(words, column, 1)
        seen = table.observed[:, column]
        rows = np.flatnonzero(seen)
        if len(rows) > plan.max_rows:
            rows = rng.choice(rows, plan.max_rows, replace=False)
        aim = Aim(column, rows, True)
        return choose_ridge(filled, seen, table.layout, aim, plan.early, rng)

    return np.array(_at_once(one, range(table.values.shape[1])), bool)


def sweep_all(
    table: Table,
    filled: Sequence[np.ndarray],
    ridge: np.ndarray,
    plan: Plan,
    sweep: int,
    words: Sequence[int],
) -> tuple[list[np.ndarray], Kept | None]:
    """One sweep of all chains.

    Args:
      table: with gaps.
      filled: the chains' tables `[n, c]`.
      ridge: see `choose`.
      plan: how.
      sweep: its number, from 0 on.
      words: of the seed.

    Returns:
      New tables, and after the last sweep what draws for new rows need.
    """
    last = sweep == plan.sweeps - 1
    full = sweep >= plan.sweeps - plan.full
    growth = plan.growth if full else plan.early
    order = order_of(table.observed)
    n = len(table.values)

    def one(k: int) -> tuple[np.ndarray, dict[int, Conditional]]:
        rng, values = _generator(words, k, 2 + sweep), filled[k].copy()
        rows = np.arange(n)
        if plan.bootstrap:  # the same rows in every sweep
            rows = _generator(words, k, 1).integers(n, size=n)
        kept = {}
        for column in order:
            seen = table.observed[:, column]
            gaps = np.flatnonzero(~seen)
            if not last and not gaps.size:
                continue
            learn = rows[seen[rows]]
            if not learn.size:
                learn = np.flatnonzero(seen) if seen.any() else rows
            if len(learn) > plan.max_rows:
                learn = rng.permutation(learn)[: plan.max_rows]
            aim = Aim(column, learn, bool(ridge[column]))
            how = growth if gaps.size else plan.early
            fitted = fit_conditional(values, table.layout, aim, how, rng)
            if gaps.size:
                u, v = rng.random((2, len(gaps)))
                values[gaps, column] = draw_column(
                    fitted, table.layout, column, values[gaps], u, v
                )
            kept[column] = fitted
        return values, kept

    done = _at_once(one, range(plan.chains))
    tables = [values for values, _ in done]
    if not last:
        return tables, None
    chains = tuple(kept for _, kept in done)
    return tables, Kept(order, support_of(table), chains)


def draw_rows(
    kept: Kept,
    layout: Layout,
    values: np.ndarray,
    observed: np.ndarray,
    seeds: np.ndarray,
    chain: np.ndarray,
    sweeps: int,
) -> np.ndarray:
    """Rows `[k, c]` filled by a few sweeps of kept conditionals.

    Args:
      kept: of the fit.
      layout: of the columns.
      values: `[k, c]` float64, read where observed only.
      observed: `[k, c]` bool.
      seeds: `[k]` uint64: all that is random comes from it.
      chain: `[k]`, which chain draws the row.
      sweeps: how many.
    """
    filled = np.array(values)
    for column, support in enumerate(kept.support):
        gaps = np.flatnonzero(~observed[:, column])
        place = uniform(seeds[gaps], column, 0)
        filled[gaps, column] = support[(place * len(support)).astype(int)]

    def one(k: int) -> None:
        own = chain == k
        columns = [
            (column, np.flatnonzero(own & ~observed[:, column]))
            for column in kept.order
        ]
        columns = [(column, gaps) for column, gaps in columns if gaps.size]
        times = sweeps if len(columns) > 1 else 1
        for sweep in range(1, times + 1):
            for column, gaps in columns:
                here = seeds[gaps]
                filled[gaps, column] = draw_column(
                    kept.chains[k][column],
                    layout,
                    column,
                    filled[gaps],
                    uniform(here, column, 2 * sweep),
                    uniform(here, column, 2 * sweep + 1),
                )

    _at_once(one, range(len(kept.chains)))
    return filled


def kept_to_plain(kept: Kept) -> dict[str, Any]:
    """What `_blob.pack` can hold."""
    return {
        "order": list(kept.order),
        "support": list(kept.support),
        "chains": [
            [to_plain(chain[column]) for column in kept.order]
            for chain in kept.chains
        ],
    }


def kept_from_plain(content: dict[str, Any]) -> Kept:
    """The inverse of `kept_to_plain`."""
    order = tuple(content["order"])
    chains = tuple(
        {column: from_plain(one) for column, one in zip(order, chain)}
        for chain in content["chains"]
    )
    return Kept(order, tuple(content["support"]), chains)


def _generator(words: Sequence[int], *place: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([*words, *place]))


def _at_once(one: Any, which: Sequence[int]) -> list[Any]:
    """`one` of each, on all cores: what it gives must not depend on that."""
    # Sums of a library that uses several threads depend on their number.
    with threadpool_limits(1), ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(one, which))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
