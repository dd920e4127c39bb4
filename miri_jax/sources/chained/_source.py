"""The chains as a source, and their state as arrays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import ndtr

from miri_jax.core.hashing import mixed
from miri_jax.core.parallel import to_host
from miri_jax.sources._source import Source
from miri_jax.sources.chained._blob import pack, unpack
from miri_jax.sources.chained._chains import (
    Kept,
    Plan,
    choose,
    draw_rows,
    first_fillings,
    from_plain_all,
    order_of,
    support_of,
    sweep_all,
    to_plain_all,
)
from miri_jax.sources.chained._conditional import Growth, Table
from miri_jax.sources.chained._features import screened, strengths
from miri_jax.sources.chained._numbers import (
    seeds_of,
    seeds_of_rows,
    stratified,
    uniform,
)
from miri_jax.types import Array, Draw, Layout, Masked, PyTree

# A number in place of a column's, for what a row draws besides its cells.
OF_ROW, OF_SCORE, OF_PLACE = 2**32 - 1, 2**32 - 2, 2**32 - 3

# Columns that tell one at most.
MAX_OTHERS = 40
PLAN = Plan(
    chains=5,
    sweeps=3,
    full=1,
    growth=Growth(trees=None, leaf=5),
    early=Growth(trees=1, leaf=5),
    max_rows=8192,
    bootstrap=False,
)


class Numbers(NamedTuple):
    """The layout of a table of d numbers that nothing is known of."""

    names: tuple[int, ...]
    levels: tuple[int, ...]
    units: tuple[float, ...]

    def owners(self, width: int) -> np.ndarray:
        """See `types.Layout`."""
        return np.arange(width)

    def observed(self, m: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        return np.asarray(m)

    def unpack(self, x: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        return np.asarray(x, np.float64)

    def pack(self, values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        del place
        return values.astype(np.float32)

    def settle(self, column: int, values: np.ndarray) -> np.ndarray:
        """See `types.Layout`."""
        del column
        return values


class Chains(NamedTuple):
    """Where chains are.

    Attributes:
      sweeps: how many are done.
      filled: of each chain its table `[n, c]` float64.
      others: of each column those that tell it, see `screened`.
      ridge: `[c]` int8, see `choose`.
      kept: what draws need; its conditionals are those of the last sweep.
    """

    sweeps: int
    filled: list[np.ndarray]
    others: list[list[int]]
    ridge: np.ndarray
    kept: Kept


def layout_for(layout: Layout | None, width: int) -> Layout:
    """A layout, or that of `width` numbers where there is none."""
    return layout or Numbers(tuple(range(width)), (0,) * width, (0.0,) * width)


def table_of(data: Masked, layout: Layout | None) -> Table:
    """Rows `[n, *dims]` as a table of columns, on the host."""
    x, m = (to_host(part).reshape(len(part), -1) for part in data)
    layout = layout_for(layout, x.shape[1])
    return Table(layout.unpack(x), layout.observed(m), layout)


def words_of(key: Array) -> tuple[int, ...]:
    """The words of a PRNG key, for generators on the host."""
    return tuple(int(word) for word in np.ravel(jax.random.key_data(key)))


def begin(table: Table, plan: Plan, words: tuple[int, ...]) -> Chains:
    """The chains before their first sweep."""
    strength = strengths(table.values, table.observed, table.layout.levels)
    others = screened(strength, MAX_OTHERS)
    filled, first = first_fillings(table, others, plan, words)
    ridge = np.zeros(table.values.shape[1], np.int8)
    order = order_of(table.observed)
    kept = Kept(order, support_of(table), (), first)
    return Chains(0, filled, others, ridge, kept)


def advance(
    chains: Chains, table: Table, plan: Plan, words: tuple[int, ...]
) -> Chains:
    """The chains after one sweep more."""
    sweeps, filled, others, ridge, kept = chains
    if not sweeps:
        ridge = choose(table, filled[0], others, plan, words)
    filled, by = sweep_all(table, filled, others, ridge, plan, sweeps, words)
    kept = kept._replace(chains=by if sweeps == plan.sweeps - 1 else ())
    return Chains(sweeps + 1, filled, others, ridge, kept)


def run(table: Table, plan: Plan, words: tuple[int, ...]) -> Chains:
    """The chains after all their sweeps."""
    chains = begin(table, plan, words)
    for _ in range(plan.sweeps):
        chains = advance(chains, table, plan, words)
    return chains


def to_rows(table: Table, values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Filled columns `[k, c]` as imputers see them, `[k, d]` float32."""
    columns = range(values.shape[1])
    place = np.stack([uniform(seeds, OF_SCORE, j) for j in columns], axis=1)
    return table.layout.pack(values, np.clip(place, 1e-6, 1 - 1e-6))


def places_of(
    table: Table, seeds: np.ndarray, index: int = 0, count: int = 1
) -> np.ndarray:
    """`[k, c]` in [0, 1): the places of one of a set of draws, spread out.

    Args:
      table: the rows.
      seeds: `[k]`, the same for all draws of the set.
      index: which draw.
      count: how many there are.
    """
    columns = range(table.values.shape[1])
    found = [stratified(seeds, index, count, OF_PLACE, j) for j in columns]
    return np.stack(found, axis=1)


def drawn(
    kept: Kept,
    table: Table,
    seeds: np.ndarray,
    chain: np.ndarray,
    sweeps: int,
    place: np.ndarray,
) -> np.ndarray:
    """Rows `[k, d]` float32 drawn by kept chains, see `draw_rows`."""
    values = draw_rows(
        kept,
        table.layout,
        table.values,
        table.observed,
        seeds,
        chain,
        sweeps,
        place,
    )
    return to_rows(table, values, seeds)


def draw_of_set(
    kept: Kept,
    table: Table,
    words: Sequence[int],
    names: Masked,
    sweeps: int,
    draw: Draw | None,
) -> np.ndarray:
    """Rows `[k, d]` float32 of one of a set of draws, each by another chain.

    Args:
      kept: of the fit.
      table: the rows.
      words: of a PRNG key.
      names: the rows `[k, d]` that all that is random comes from.
      sweeps: how many.
      draw: which draw; None for no set.
    """
    index, count = 0, 1
    if draw is not None:
        index, count = int(draw.index), draw.count if draw.spread else 1
    seeds = seeds_of_rows((*words, 1 + index), *names)
    sets = seeds_of_rows((*words, 0), *names)
    place = places_of(table, sets, index if count > 1 else 0, count)
    chain = np.full(len(seeds), index % len(kept.chains))
    return drawn(kept, table, seeds, chain, sweeps, place)


def pack_chains(chains: Chains) -> np.ndarray:
    """Chains as one array of bytes."""
    kept = chains.kept._asdict() | {
        "chains": to_plain_all(chains.kept.chains),
        "first": to_plain_all(chains.kept.first),
    }
    return pack(chains._asdict() | {"kept": kept})


def unpack_chains(blob: np.ndarray) -> Chains:
    """The inverse of `pack_chains`."""
    content: dict[str, Any] = unpack(blob)
    kept = content["kept"]
    kept = Kept(
        tuple(kept["order"]),
        tuple(kept["support"]),
        from_plain_all(kept["chains"]),
        from_plain_all(kept["first"]),
    )
    return Chains(**(content | {"kept": kept}))


def chained(plan: Plan = PLAN, layout: Layout | None = None) -> Source:
    """Chained equations by trees, as a source on the host.

    Args:
      plan: how chains are run.
      layout: of the table's columns; None for numbers alone.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[PyTree, Array]:
        words, everything = words_of(key), table_of(data, layout)
        some = Masked(*(part if rows is None else part[rows] for part in data))
        table = table_of(some, layout)
        chains = run(table, plan, words)
        seeds = mixed(np.arange(len(data.x), dtype=np.uint64))
        if rows is None:
            x = to_rows(table, chains.filled[0], seeds)
        else:
            chain = np.zeros(len(seeds), np.int64)
            place = places_of(everything, seeds)
            x = drawn(chains.kept, everything, seeds, chain, plan.sweeps, place)
        start = pack_chains(chains._replace(filled=[]))
        return start, x.reshape(data.x.shape)

    def draw(
        start: PyTree, noise: Array, x: Array, m: Array
    ) -> tuple[Array, None]:
        kept = unpack_chains(start).kept
        seeds = seeds_of(noise)
        chain = uniform(seeds, OF_ROW, 0) * len(kept.chains)
        table = table_of(Masked(x, m), layout)
        # Where noise is spread out over draws, so are the donors.
        place = ndtr(table.layout.observed(noise.reshape(len(x), -1)))
        place = np.clip(place, 0, 1 - 1e-9)
        chain = chain.astype(int)
        found = drawn(kept, table, seeds, chain, plan.sweeps, place)
        return found.reshape(x.shape), None

    return Source(fit, draw, near=True, host=True, like=np.dtype(np.uint8))
