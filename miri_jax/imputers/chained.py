"""Chained equations: each column in turn given all others, by trees.

What R's mice does with its method cart, with three differences: a column of
numbers may have a ridge regression under its trees, which are several, and
chains begin with draws that are good already, so that two sweeps are enough.
Draws of any rows come from what the fit keeps. It is an imputer by itself and a
source of `miri`, see `sources.chained`.
"""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from miri_jax.core.parallel import to_host
from miri_jax.sources.chained import (
    PLAN,
    Plan,
    advance,
    begin_normal,
    draw_of_set,
    flat,
    of_set,
    pack_chains,
    seeds_of_rows,
    seeds_of_set,
    start_of,
    table_of,
    to_rows,
    unpack_chains,
    words_of,
)
from miri_jax.types import Array, Draw, Imputer, Info, Layout, Masked


class ChainedState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar, finished sweeps.
      x: `[n, *dims]` float32, the table of the first chain.
      chains: uint8, where all chains are, see `sources.chained.pack_chains`.
    """

    iteration: Array
    x: Array
    chains: Array


class ChainedSettings(NamedTuple):
    """See `make_chained`."""

    plan: Plan
    layout: Layout | None


def init(settings: ChainedSettings, key: Array, data: Masked) -> ChainedState:
    """What chains begin with: draws of a conditional normal distribution."""
    plan, layout = settings
    table, chains = begin_normal(data, layout, plan, words_of(key))
    x = to_rows(table, chains.filled[0], _seeds(key, data))
    return ChainedState(
        np.zeros((), np.int32), _merged(data, x), pack_chains(chains)
    )


def step(
    settings: ChainedSettings, key: Array, state: ChainedState, data: Masked
) -> tuple[ChainedState, Info]:
    """One sweep of all chains; `ridge` is the share of such columns."""
    plan, layout = settings
    table = table_of(data, layout)
    chains = unpack_chains(to_host(state.chains))
    chains = advance(chains, table, plan, words_of(key))
    x = to_rows(table, chains.filled[0], _seeds(key, data))
    if chains.kept.chains:  # the tables are no more needed
        chains = chains._replace(filled=[])
    state = ChainedState(
        np.asarray(state.iteration + 1, np.int32),
        _merged(data, x),
        pack_chains(chains),
    )
    return state, {"ridge": np.mean(chains.models > 0, dtype=np.float32)}


def impute(
    settings: ChainedSettings,
    key: Array,
    state: ChainedState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A fresh draw by the conditionals that the last sweep has kept.

    Each draw of a set is by another chain, as far as there are.
    """
    plan, layout = settings
    chains, words = unpack_chains(to_host(state.chains)), words_of(key)
    x, m = flat(data)
    filled, gaps = np.array(x), np.flatnonzero(~m.all(axis=1))
    if gaps.size:
        some = Masked(x[gaps], m[gaps])
        table = table_of(some, layout)
        seeds, sets = seeds_of_set(words, some, draw)
        index, count = of_set(draw)
        of = sets if count > 1 else seeds
        start = start_of(chains.normal, table, *some, of, index, count)
        filled[gaps] = draw_of_set(
            chains.kept, table, start, seeds, sets, plan.sweeps, draw
        )
    return _merged(data, filled)


def _seeds(key: Array, data: Masked) -> np.ndarray:
    return seeds_of_rows((*words_of(key), 0), *flat(data))


def _merged(data: Masked, x: np.ndarray) -> Array:
    x_obs, m = (to_host(part) for part in data)
    return jax.device_put(np.where(m, x_obs, x.reshape(x_obs.shape)))


def _like(data: Masked) -> ChainedState:
    return ChainedState(
        jax.ShapeDtypeStruct((), np.int32),
        jax.ShapeDtypeStruct(data.x.shape, np.float32),
        np.dtype(np.uint8),
    )


def make_chained(
    *,
    num_iterations: int = PLAN.sweeps,
    chains: int = PLAN.chains,
    trees: int | None = PLAN.growth.trees,
    min_leaf: int = PLAN.growth.leaf,
    max_rows: int = PLAN.max_rows,
    bootstrap: bool = PLAN.bootstrap,
    layout: Layout | None = None,
) -> Imputer:
    """Draws each column in turn given all others, by trees of scikit-learn.

    Chained equations (Van Buuren and Groothuis-Oudshoorn, 2011) with trees
    whose leaves hold donors (Burgette and Reiter, 2010): gaps get values that
    occur. Where a ridge regression, of squares and products too, fills
    held-out cells of a column of numbers better, donors are of its residuals
    instead, and values may lie beyond those observed.

    Args:
      num_iterations: sweeps of the fit, and of a draw.
      chains: how many run side by side; draw k of a set is by chain k, and
        beyond their number by the first again with other noise.
      trees: of each column in the last sweep, each grown on a bootstrap sample
        of the rows; a single one, as in earlier sweeps, on all. None: 8, of
        tables with more than 20 columns fewer.
      min_leaf: rows in a leaf of theirs.
      max_rows: rows that a column is learned from at most.
      bootstrap: whether each chain learns from rows drawn with replacement, all
        its trees from the same. Between draws, what the table leaves open then
        shows in full, as intervals need it; each draw by itself is less like
        the table.
      layout: of the table; None for numbers alone.
    """
    plan = Plan(
        chains,
        num_iterations,
        PLAN.growth._replace(trees=trees, leaf=min_leaf),
        max_rows,
        bootstrap,
    )
    return _imputer(ChainedSettings(plan, layout))


def _imputer(settings: ChainedSettings) -> Imputer:
    plan = settings.plan
    return Imputer(
        init=partial(init, settings),
        step=partial(step, settings),
        impute=partial(impute, settings),
        num_iterations=plan.sweeps,
        host=True,
        like=_like,
        several=lambda count, pooled: _imputer(
            settings._replace(plan=plan.several(count, pooled=pooled))
        ),
    )
