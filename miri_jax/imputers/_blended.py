"""A flow, after which chained equations have the last word: `miri` on tables.

The flow is fitted first, from the conditional Gaussian. Its draws are what
chains begin with, for one sweep: each column is drawn once more given all
others, by trees that learn from what the flow has filled. The flow knows how
columns go together and the trees what occurs in each, heaps, codes and bounds;
either by itself is worse. Where a trial on observed cells that neither has seen
shows that a column is drawn better without, the flow keeps it.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.parallel import to_host
from miri_jax.core.programs import split
from miri_jax.core.rows import padded, spaced
from miri_jax.imputers._blend import Trial, compare, no_trial
from miri_jax.sources.chained import (
    Chains,
    Plan,
    Table,
    begin,
    draw_of_set,
    flat,
    layout_for,
    pack_chains,
    reaches_out,
    run,
    seeds_of_rows,
    seeds_of_set,
    table_of,
    unpack_chains,
    words_of,
)
from miri_jax.types import Array, Draw, Imputer, Info, Layout, Masked

# Rows that chains learn from and a trial looks at, and how often it draws.
ROWS, TRIES = 16384, 4


class BlendedState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar, iterations of the flow.
      x: `[n, *dims]`, the filled table.
      done: bool scalar, whether the fit is complete.
      flow: state of the flow's imputer, without its table, which is `x`.
      chains: uint8, see `sources.chained.pack_chains`; one byte where the
        flow keeps all columns, and before the end.
      gain: `[c]` float32 and
      by_flow: `[c]` bool, see `_blend.Trial`.
    """

    iteration: Array
    x: Array
    done: Array
    flow: Any
    chains: Array
    gain: Array
    by_flow: Array


class Blend(NamedTuple):
    """What is blended.

    Attributes:
      flow: the imputer of a flow, whose state has `held_out`.
      plan: of the chains.
      layout: of the table.
    """

    flow: Imputer
    plan: Plan
    layout: Layout | None


def blended(flow: Imputer, plan: Plan, layout: Layout | None = None) -> Imputer:
    """The imputer that draws by a flow, and most columns once more.

    Args:
      flow: the imputer of a flow, whose state has `held_out`.
      plan: of the chains.
      layout: of the table; None for numbers alone.
    """
    blend = Blend(flow, plan, layout)
    slowed = None
    if flow.slowed is not None:
        slowed = lambda scale: blended(flow.slowed(scale), plan, layout)
    return Imputer(
        init=partial(_init, blend),
        step=partial(_step, blend),
        impute=partial(_impute, blend),
        num_iterations=flow.num_iterations,
        slowed=slowed,
        host=True,
        like=partial(_like, blend),
        chosen=_chosen,
        several=lambda count, pooled: blended(
            flow, plan.several(count, pooled=pooled), layout
        ),
        at_end="chained equations",
    )


def _chosen(state: BlendedState) -> list[dict[str, Any]]:
    """Who draws each column last, and what the flow alone would gain there."""
    found = []
    for flow, gain in zip(to_host(state.by_flow), to_host(state.gain)):
        found.append({"by": "flow" if flow else "flow, chained"})
        if np.isfinite(gain):  # else nobody tried
            found[-1]["gain_of_flow_alone"] = round(float(gain), 3)
    return found


def _init(blend: Blend, key: Array, data: Masked) -> BlendedState:
    flow = blend.flow.init(key, data)
    width = _width(blend, data)
    begun = BlendedState(
        np.int32(0),
        flow.x,
        np.bool_(False),
        _without_table(flow),
        np.zeros(1, np.uint8),  # what is empty cannot be saved
        np.zeros(width, np.float32),
        np.ones(width, bool),
    )
    return jax.device_put(begun)


def _without_table(flow: Any) -> Any:
    return flow._replace(x=())


def _like(blend: Blend, data: Masked) -> BlendedState:
    flow = blend.flow.like and blend.flow.like(data)
    if flow is None:
        flow = jax.eval_shape(blend.flow.init, jax.random.key(0), data)
    of, width = jax.ShapeDtypeStruct, _width(blend, data)
    return BlendedState(
        of((), jnp.int32),
        flow.x,
        of((), bool),
        _without_table(flow),
        np.dtype(np.uint8),
        of((width,), jnp.float32),
        of((width,), bool),
    )


def _width(blend: Blend, data: Masked) -> int:
    entries = int(np.prod(data.x.shape[1:]))
    return len(layout_for(blend.layout, entries).levels)


def _step(
    blend: Blend, key: Array, state: BlendedState, data: Masked
) -> tuple[BlendedState, Info]:
    """A step of the flow; after its last the trial and the chains."""
    key_end = jax.random.fold_in(key, 1)  # the flow has the key itself
    flow, info = blend.flow.step(key, state.flow._replace(x=state.x), data)
    # A step may give buffers away: none is in both states.
    state = state._replace(
        iteration=jnp.array(flow.iteration), x=flow.x, flow=_without_table(flow)
    )
    if not (flow.done or flow.iteration >= blend.flow.num_iterations):
        return state, info
    state = _ended(blend, key_end, state, data)
    if np.isnan(to_host(state.gain)).all():
        return state, info  # nobody tried, so that nothing was measured
    share = np.mean(to_host(state.by_flow), dtype=np.float32)
    return state, {**info, "by_flow": share}


def _ended(
    blend: Blend, key: Array, state: BlendedState, data: Masked
) -> BlendedState:
    """The end of a fit: the chains, who draws which column, a draw of all."""
    key_trial, key_chains, key_draw = split(key, 3)
    rows = spaced(len(data.x), ROWS)
    some = Masked(*(to_host(part)[rows] for part in data))
    targets = to_host(state.flow.held_out.targets)
    targets = targets[rows][:, : data.x.shape[1]]
    if blend.plan.bootstrap:  # draws of one flow alone may not be pooled
        trial = no_trial(len(state.gain))
    else:
        trial = _trial(blend, key_trial, state.flow, some, targets)
    state = state._replace(
        done=jnp.bool_(True),
        gain=jax.device_put(trial.gain.astype(np.float32)),
        by_flow=jax.device_put(trial.by_flow),
    )
    if not trial.by_flow.all():
        chains = _chains(blend, key_chains, state.flow, some)
        state = state._replace(chains=jax.device_put(pack_chains(chains)))
    x = _impute(blend, key_draw, state, data)
    return state._replace(x=jax.device_put(x))


def _chains(blend: Blend, key: Array, flow: Any, data: Masked) -> Chains:
    """Chains, each after a draw of the flow."""
    table = table_of(data, blend.layout)
    starts = [
        _columns(table, _of_flow(blend, one, flow, data))
        for one in split(key, blend.plan.chains)
    ]
    plan, words = blend.plan, words_of(key)
    chains = run(begin(table, starts, plan, words), table, plan, words)
    return chains._replace(filled=[])


def _of_flow(blend: Blend, key: Array, flow: Any, data: Masked) -> np.ndarray:
    """A draw of the flow `[n, *dims]`, on the host."""
    found = blend.flow.impute(key, flow, padded(data))
    return to_host(found)[: len(data.x)]


def _columns(table: Table, x: np.ndarray) -> np.ndarray:
    """Rows `[n, *dims]` as columns `[n, c]`; observed ones are the table's."""
    found = table.layout.unpack(x.reshape(len(x), -1))
    return np.where(table.observed, table.values, found)


def _trial(
    blend: Blend, key: Array, flow: Any, data: Masked, targets: Array
) -> Trial:
    """Fills observed cells that the flow has not seen, with sweeps and without.

    Args:
      blend: what is blended.
      key: PRNG key.
      flow: state of the flow.
      data: the rows that chains learn from.
      targets: their observed entries but those that are held out.
    """
    whole = table_of(data, blend.layout)
    rest = Masked(np.where(targets, data.x, 0), targets)
    table = table_of(rest, blend.layout)
    held = whole.observed & ~table.observed
    if not held.any():
        return no_trial(held.shape[1])
    keys = split(key, TRIES)
    by_flow = [
        _columns(table, _of_flow(blend, one, flow, rest)) for one in keys
    ]
    plan, words = blend.plan._replace(chains=1), words_of(key)
    begun = begin(table, by_flow[:1], plan, words)
    kept = run(begun, table, plan, words).kept
    rows = np.flatnonzero(held.any(axis=1))
    names = Masked(*(part[rows] for part in flat(rest)))
    part = Table(table.values[rows], table.observed[rows], table.layout)
    swept = []
    for one, start in zip(keys, by_flow):
        seeds = seeds_of_rows(words_of(one), *names)
        drawn = draw_of_set(
            kept, part, start[rows], seeds, seeds, plan.sweeps, None
        )
        swept.append(_columns(part, drawn))
    alone = np.stack([one[rows] for one in by_flow])
    trial = compare(whole, held, rows, np.stack(swept), alone)
    for column in np.flatnonzero(trial.by_flow):
        # Held-out cells are observed, and say nothing of such gaps.
        if reaches_out(column, begun, table, plan, words):
            trial.by_flow[column] = False
    return trial


def _impute(
    blend: Blend,
    key: Array,
    state: BlendedState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A draw of the flow, whose other columns are drawn once more."""
    by_flow = to_host(state.by_flow)
    if by_flow.all():
        return blend.flow.impute(key, state.flow, data, draw)
    x_obs, m = flat(data)
    rows = np.flatnonzero(~m.all(axis=1))
    if not rows.size:
        return jax.device_put(data.x)
    found = blend.flow.impute(key, state.flow, data, draw)
    x = np.array(to_host(found)).reshape(x_obs.shape)
    owners = layout_for(blend.layout, m.shape[1]).owners(m.shape[1])
    known = (m | by_flow[owners])[rows]
    table = table_of(Masked(x[rows], known), blend.layout)
    start = table.layout.unpack(x[rows])
    names = Masked(x_obs[rows], m[rows])
    seeds, sets = seeds_of_set(words_of(key), names, draw)
    chains = unpack_chains(to_host(state.chains))
    swept = draw_of_set(
        chains.kept, table, start, seeds, sets, blend.plan.sweeps, draw
    )
    x[rows] = np.where(known, x[rows], swept)
    return jax.device_put(x.reshape(data.x.shape))
