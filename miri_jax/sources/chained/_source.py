"""The chains as a source, and their state as arrays."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import ndtr, ndtri

from miri_jax.core.blocks import by_blocks
from miri_jax.core.hashing import mixed
from miri_jax.core.parallel import to_host
from miri_jax.sources import _by_gradients
from miri_jax.sources._source import Source
from miri_jax.sources.chained._apart import without_chance
from miri_jax.sources.chained._blob import pack, unpack
from miri_jax.sources.chained._chains import (
    Kept,
    Plan,
    choose,
    draw_rows,
    from_plain_all,
    order_of,
    sweep_all,
    to_plain_all,
)
from miri_jax.sources.chained._conditional import (
    Aim,
    Growth,
    Table,
    reaches_beyond,
)
from miri_jax.sources.chained._features import screened, strengths
from miri_jax.sources.chained._numbers import (
    seeds_of,
    seeds_of_rows,
    stratified,
    uniform,
)
from miri_jax.sources.likely import SHRINKAGE, Normal, most_likely
from miri_jax.types import Array, Draw, Layout, Masked, PyTree

# A number in place of a column's, for what a row draws besides its cells.
OF_ROW, OF_SCORE, OF_PLACE, OF_START = (2**32 - k for k in range(1, 5))

# Of the normal distribution's fit: trees mend what is left.
STEPS = 10
# Columns that tell one at most.
MAX_OTHERS = 40
PLAN = Plan(
    chains=5,
    sweeps=2,
    growth=Growth(trees=None, leaf=5),
    max_rows=8192,
    bootstrap=False,
)


class Numbers(NamedTuple):
    """The layout of a table of d numbers that nothing is known of."""

    names: tuple[int, ...]
    levels: tuple[int, ...]
    units: tuple[float, ...]
    told = censored = ()

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

    def take(self, columns: Sequence[int]) -> "Numbers":
        """See `types.Layout`."""
        return Numbers(*(tuple(part[j] for j in columns) for part in self))


class Chains(NamedTuple):
    """Where chains are.

    Attributes:
      sweeps: how many are done.
      filled: of each chain its table `[n, c]` float64.
      others: of each column those that tell it, see `screened`.
      models: `[c]` int8, see `choose`.
      kept: what draws need; its conditionals are those of the last sweep.
      normal: what chains begin with; None where that comes from elsewhere.
    """

    sweeps: int
    filled: list[np.ndarray]
    others: list[list[int]]
    models: np.ndarray
    kept: Kept
    normal: Normal | None


def layout_for(layout: Layout | None, width: int) -> Layout:
    """A layout, or that of `width` numbers where there is none."""
    return layout or Numbers(tuple(range(width)), (0,) * width, (0.0,) * width)


def table_of(data: Masked, layout: Layout | None) -> Table:
    """Rows `[n, *dims]` as a table of columns, on the host."""
    x, m = flat(data)
    layout = layout_for(layout, x.shape[1])
    return Table(layout.unpack(x), layout.observed(m), layout)


def words_of(key: Array) -> tuple[int, ...]:
    """The words of a PRNG key, for generators on the host."""
    return tuple(int(word) for word in np.ravel(jax.random.key_data(key)))


def begin(
    table: Table,
    starts: Sequence[np.ndarray],
    plan: Plan,
    words: tuple[int, ...],
    normal: Normal | None = None,
) -> Chains:
    """The chains before their first sweep.

    Args:
      table: with gaps.
      starts: of each chain the table `[n, c]` that it begins with, read in the
        gaps only.
      plan: how.
      words: of the seed.
      normal: what the starts were drawn from, if from that.
    """
    strength = strengths(table.values, table.observed, table.layout.levels)
    others = screened(strength, MAX_OTHERS)
    if table.layout.told:
        others = without_chance(
            table.values, table.observed, table.layout, others
        )
    filled = [np.where(table.observed, table.values, one) for one in starts]
    models = choose(table, filled[0], others, plan, words)
    kept = Kept(order_of(table.observed), ())
    return Chains(0, filled, others, models, kept, normal)


def advance(
    chains: Chains, table: Table, plan: Plan, words: tuple[int, ...]
) -> Chains:
    """The chains after one sweep more."""
    sweeps, filled, others, models, kept, normal = chains
    filled, by = sweep_all(table, filled, others, models, plan, sweeps, words)
    kept = kept._replace(chains=by if sweeps == plan.sweeps - 1 else ())
    return Chains(sweeps + 1, filled, others, models, kept, normal)


def run(
    chains: Chains, table: Table, plan: Plan, words: tuple[int, ...]
) -> Chains:
    """Chains that have begun, after all their sweeps."""
    for _ in range(plan.sweeps):
        chains = advance(chains, table, plan, words)
    return chains


def reaches_out(
    column: int,
    chains: Chains,
    table: Table,
    plan: Plan,
    words: tuple[int, ...],
) -> bool:
    """Whether the gaps of a column lie beyond what is observed of it."""
    rng = np.random.Generator(np.random.SFC64([*words, column, 1]))
    seen = table.observed[:, column]
    rows = rng.permutation(np.flatnonzero(seen))[: plan.max_rows]
    aim = Aim(column, chains.others[column], rows)
    return reaches_beyond(chains.filled[0], seen, table.layout, aim, rng)


def begin_normal(
    data: Masked, layout: Layout | None, plan: Plan, words: tuple[int, ...]
) -> tuple[Table, Chains]:
    """A table `[n, *dims]`, and chains that begin with conditional draws."""
    x, m = flat(data)
    normal = most_likely(x, m, shrinkage=SHRINKAGE, rounds=STEPS)
    table = table_of(data, layout)
    starts = [
        start_of(normal, table, x, m, seeds_of_rows((*words, k), x, m))
        for k in range(plan.chains)
    ]
    return table, begin(table, starts, plan, words, normal)


def start_of(
    normal: Normal,
    table: Table,
    x: np.ndarray,
    m: np.ndarray,
    seeds: np.ndarray,
    index: int = 0,
    count: int = 1,
) -> np.ndarray:
    """Columns `[k, c]` drawn from what is observed, to begin with.

    Args:
      normal: over the rows as imputers see them.
      table: of those rows.
      x: `[k, d]` and
      m: `[k, d]` bool, the rows.
      seeds: `[k]`, the same for all draws of a set.
      index: which draw of it.
      count: how many there are.
    """

    def some(seeds: np.ndarray, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        places = places_of(seeds, m.shape[1], index, count, OF_START)
        noise = ndtri(np.clip(places, 1e-9, 1 - 1e-9))
        drawn = _by_gradients.draw(*normal, noise, x, m).astype(np.float32)
        return table.layout.unpack(drawn)

    return by_blocks(some, seeds, x, m)


def flat(data: Masked) -> tuple[np.ndarray, np.ndarray]:
    """Rows and masks `[n, d]` on the host."""
    x, m = (to_host(part) for part in data)
    return x.reshape(len(x), -1), m.reshape(len(m), -1)


def to_rows(table: Table, values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Filled columns `[k, c]` as imputers see them, `[k, d]` float32."""

    def some(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        columns = range(values.shape[1])
        place = np.stack([uniform(seeds, OF_SCORE, j) for j in columns], axis=1)
        return table.layout.pack(values, np.clip(place, 1e-6, 1 - 1e-6))

    return by_blocks(some, values, seeds)


def places_of(
    seeds: np.ndarray,
    width: int,
    index: int = 0,
    count: int = 1,
    what: int = OF_PLACE,
) -> np.ndarray:
    """`[k, width]` in [0, 1): places of one of a set of draws, spread out.

    Args:
      seeds: `[k]`, the same for all draws of the set.
      width: how many a row has.
      index: which draw.
      count: how many there are.
      what: they are for.
    """
    found = [stratified(seeds, index, count, what, j) for j in range(width)]
    return np.stack(found, axis=1)


def draw_of_set(
    kept: Kept,
    table: Table,
    start: np.ndarray,
    seeds: np.ndarray,
    sets: np.ndarray,
    sweeps: int,
    draw: Draw | None,
) -> np.ndarray:
    """Rows `[k, d]` float32 of one of a set of draws, each by another chain.

    Args:
      kept: of the fit.
      table: the rows.
      start: `[k, c]`, what the chain begins with.
      seeds: `[k]`, of this draw, and
      sets: `[k]`, of all draws of the set, see `seeds_of_set`.
      sweeps: how many.
      draw: which draw; None for no set.
    """
    place = places_of(sets, table.values.shape[1], *of_set(draw))
    chain = np.full(len(seeds), number_of(draw) % len(kept.chains))
    values = draw_rows(
        kept,
        table.layout,
        start,
        table.observed,
        seeds,
        chain,
        sweeps,
        place,
    )
    return to_rows(table, values, seeds)


def seeds_of_set(
    words: Sequence[int], names: Masked, draw: Draw | None
) -> tuple[np.ndarray, np.ndarray]:
    """Seeds `[k]` of a draw of rows, and those that all of its set have.

    Args:
      words: of a PRNG key.
      names: the rows `[k, d]` that all that is random comes from.
      draw: which draw; None for no set.
    """
    own = seeds_of_rows((*words, 1 + number_of(draw)), *names)
    return own, seeds_of_rows((*words, 0), *names)


def number_of(draw: Draw | None) -> int:
    """The number of a draw in its set."""
    return 0 if draw is None else int(draw.index)


def of_set(draw: Draw | None) -> tuple[int, int]:
    """Which of how many draws that are spread out over each other."""
    if draw is None or not draw.spread:
        return 0, 1
    return int(draw.index), draw.count


def pack_chains(chains: Chains) -> np.ndarray:
    """Chains as one array of bytes."""
    kept = {
        "order": chains.kept.order,
        "chains": to_plain_all(chains.kept.chains),
    }
    normal = chains.normal and chains.normal._asdict()
    return pack(chains._asdict() | {"kept": kept, "normal": normal})


def unpack_chains(blob: np.ndarray) -> Chains:
    """The inverse of `pack_chains`; what it gives cannot be written to."""
    return _unpacked(np.asarray(blob).tobytes())


@functools.lru_cache(maxsize=2)  # rows may come one by one
def _unpacked(blob: bytes) -> Chains:
    blob = np.frombuffer(blob, np.uint8)
    content: dict[str, Any] = unpack(blob)
    kept, normal = content["kept"], content["normal"]
    kept = Kept(tuple(kept["order"]), from_plain_all(kept["chains"]))
    normal = normal and Normal(**normal)
    return Chains(**(content | {"kept": kept, "normal": normal}))


def chained(plan: Plan = PLAN, layout: Layout | None = None) -> Source:
    """Chained equations by trees, as a source on the host.

    Args:
      plan: how chains are run.
      layout: of the table's columns; None for numbers alone.
    """

    def fit(
        key: Array, data: Masked, rows: Array | None
    ) -> tuple[PyTree, Array]:
        words = words_of(key)
        some = Masked(*(part if rows is None else part[rows] for part in data))
        table, chains = begin_normal(some, layout, plan, words)
        chains = run(chains, table, plan, words)
        start = pack_chains(chains._replace(filled=[]))
        if rows is None:
            seeds = mixed(np.arange(len(table.values), dtype=np.uint64))
            x = to_rows(table, chains.filled[0], seeds)
            return start, x.reshape(data.x.shape)
        noise = seeds_of_rows(words, *flat(data))
        return start, _drawn(chains, data, noise).reshape(data.x.shape)

    def draw(
        start: PyTree, noise: Array, x: Array, m: Array
    ) -> tuple[Array, None]:
        data, seeds = Masked(x, m), seeds_of(noise)
        # Where noise is spread out over draws, so are the donors.
        place = ndtr(noise.reshape(len(x), -1))
        found = _drawn(unpack_chains(start), data, seeds, place)
        return found.reshape(x.shape), None

    def _drawn(
        chains: Chains,
        data: Masked,
        seeds: np.ndarray,
        place: np.ndarray | None = None,
    ) -> np.ndarray:
        table, kept = table_of(data, layout), chains.kept
        values = start_of(chains.normal, table, *flat(data), seeds)
        if place is None:
            place = places_of(seeds, table.values.shape[1])
        else:
            place = np.clip(table.layout.observed(place), 0, 1 - 1e-9)
        chain = (uniform(seeds, OF_ROW, 0) * len(kept.chains)).astype(int)
        values = draw_rows(
            kept,
            table.layout,
            values,
            table.observed,
            seeds,
            chain,
            plan.sweeps,
            place,
        )
        return to_rows(table, values, seeds)

    return Source(fit, draw, near=True, host=True, like=np.dtype(np.uint8))
