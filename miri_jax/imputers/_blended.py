"""A flow where it helps, chained equations elsewhere: `miri` on tables.

The flow is fitted first, from the conditional Gaussian. Then a trial on the
observed cells that it has not seen says which columns it draws better than
chained equations, see `_blend`. A draw is one of the flow, of which the other
columns are drawn again by the chains, given its own.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core.parallel import to_host
from miri_jax.core.rows import padded, spaced
from miri_jax.imputers._blend import Trial, compare
from miri_jax.sources.chained import (
    Plan,
    draw_of_set,
    drawn,
    layout_for,
    pack_chains,
    places_of,
    run,
    seeds_of_rows,
    table_of,
    unpack_chains,
    words_of,
)
from miri_jax.types import Array, Draw, Imputer, Info, Layout, Masked

# Rows that a trial draws, and how often.
TRIAL_ROWS, TRIES = 4096, 8
# Sweeps of a trial's single chain.
TRIAL_SWEEPS = 3


class BlendedState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar, iterations of the flow.
      x: `[n, *dims]`, the filled table.
      done: bool scalar, whether the fit is complete.
      flow: state of the flow's imputer, without its table, which is `x`.
      chains: uint8, see `sources.chained.pack_chains`; one byte where the
        flow draws all columns, and before the end.
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
    """The imputer that draws each column by the better of two.

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
    )


def _chosen(state: BlendedState) -> list[dict[str, Any]]:
    """Who draws each column, and what the flow gains over the chains there."""
    return [
        {"by": "flow" if flow else "chained", "gain": round(float(gain), 3)}
        for flow, gain in zip(np.asarray(state.by_flow), state.gain)
    ]


def _init(blend: Blend, key: Array, data: Masked) -> BlendedState:
    flow = blend.flow.init(key, data)
    width = _width(blend, data)
    return BlendedState(
        jnp.int32(0),
        flow.x,
        jnp.bool_(False),
        _without_table(flow),
        jnp.zeros(1, jnp.uint8),  # what is empty cannot be saved
        jnp.zeros(width, jnp.float32),
        jnp.ones(width, bool),
    )


def _without_table(flow: Any) -> Any:
    return flow._replace(x=())


def _like(blend: Blend, data: Masked) -> BlendedState:
    shape = jax.eval_shape(partial(_init, blend), jax.random.key(0), data)
    return shape._replace(chains=np.dtype(np.uint8))


def _width(blend: Blend, data: Masked) -> int:
    flat = int(np.prod(data.x.shape[1:]))
    return len(layout_for(blend.layout, flat).levels)


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
    share = np.mean(to_host(state.by_flow), dtype=np.float32)
    return state, {**info, "by_flow": share}


def _ended(
    blend: Blend, key: Array, state: BlendedState, data: Masked
) -> BlendedState:
    """The end of a fit: who draws which column, and a draw of all."""
    key_trial, key_chains, key_draw = jax.random.split(key, 3)
    trial = _trial(blend, key_trial, state.flow, data)
    state = state._replace(
        done=jnp.bool_(True),
        gain=jnp.asarray(trial.gain, jnp.float32),
        by_flow=jnp.asarray(trial.by_flow),
    )
    if not trial.by_flow.all():
        table, words = table_of(data, blend.layout), words_of(key_chains)
        chains = run(table, blend.plan, words)
        packed = pack_chains(chains._replace(filled=[]))
        state = state._replace(chains=jnp.asarray(packed))
    x = _impute(blend, key_draw, state, data)
    return state._replace(x=jnp.asarray(x))


def _trial(blend: Blend, key: Array, flow: Any, data: Masked) -> Trial:
    """Fills observed cells that the flow has not seen, both ways."""
    x, m = (to_host(part).reshape(len(data.x), -1) for part in data)
    targets = to_host(flow.held_out.targets).reshape(m.shape)
    layout = layout_for(blend.layout, m.shape[1])
    held = layout.observed(m) & ~layout.observed(targets)
    rest = Masked(np.where(targets, x, 0), targets)
    some = np.flatnonzero(held.any(axis=1))
    some = some[spaced(len(some), TRIAL_ROWS)] if some.size else some
    if not some.size:
        return Trial(np.zeros(held.shape[1]), np.ones(held.shape[1], bool))
    asked = Masked(*(part[some] for part in rest))
    shape = (len(some), *data.x.shape[1:])
    shown = padded(Masked(*(jnp.asarray(p.reshape(shape)) for p in asked)))
    keys = jax.random.split(key, TRIES)
    by_flow = [
        to_host(blend.flow.impute(one, flow, shown))[: len(some)]
        for one in keys
    ]
    sweeps = min(TRIAL_SWEEPS, blend.plan.sweeps)
    plan = blend.plan._replace(chains=1, sweeps=sweeps, full=1)
    chains = run(table_of(rest, blend.layout), plan, words_of(key))
    part = table_of(asked, blend.layout)
    by_chain = [
        drawn(
            chains.kept,
            part,
            seeds,
            np.zeros(len(seeds), int),
            sweeps,
            places_of(part, seeds),
        )
        for seeds in (seeds_of_rows(words_of(one), *asked) for one in keys)
    ]
    unpack = lambda draws: np.stack(
        [layout.unpack(one.reshape(len(some), -1)) for one in draws]
    )
    whole = table_of(Masked(x, m), blend.layout)
    return compare(whole, held, some, unpack(by_chain), unpack(by_flow))


def _impute(
    blend: Blend,
    key: Array,
    state: BlendedState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A draw of the flow, and of the chains given its columns."""
    by_flow = to_host(state.by_flow)
    if by_flow.all():
        return blend.flow.impute(key, state.flow, data, draw)
    x_obs, m = (to_host(part).reshape(len(data.x), -1) for part in data)
    rows = np.flatnonzero(~m.all(axis=1))
    x = np.array(x_obs)
    if not rows.size:
        return jnp.asarray(x.reshape(data.x.shape))
    known = m
    if by_flow.any():
        filled = blend.flow.impute(key, state.flow, data, draw)
        x = np.array(to_host(filled)).reshape(x.shape)
        owners = layout_for(blend.layout, m.shape[1]).owners(m.shape[1])
        known = m | by_flow[owners]
    chains = unpack_chains(to_host(state.chains))
    table = table_of(Masked(x[rows], known[rows]), blend.layout)
    found = draw_of_set(
        chains.kept,
        table,
        words_of(key),
        Masked(x_obs[rows], m[rows]),
        blend.plan.sweeps,
        draw,
    )
    x[rows] = np.where(known[rows], x[rows], found)
    return jnp.asarray(x.reshape(data.x.shape))
