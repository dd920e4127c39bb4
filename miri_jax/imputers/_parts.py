"""The parts of a MIRI step, which can be traced, for any recipe."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from miri_jax.core import flow, pairs, train
from miri_jax.core.parallel import split_examples
from miri_jax.core.propensity import inverse_weights
from miri_jax.core.rows import (
    SOME,
    Extent,
    GapRows,
    gap_rows,
    move_rows,
)
from miri_jax.imputers import _early_stopping
from miri_jax.imputers._recipe import MIRIState, Recipe
from miri_jax.types import (
    Array,
    Base,
    Cond,
    Draw,
    Masked,
    PyTree,
)


def fresh(
    recipe: Recipe,
    key: Array,
    start: PyTree,
    data: Masked,
    shape: tuple[int, ...],
) -> train.TrainState:
    """A network before its first step (Algorithm 1, line 3).

    Args:
      recipe: the recipe.
      key: PRNG key.
      start: of the source.
      data: the table, or one whose rows are like it.
      shape: what the network and its steps are for.
    """
    x, m = data.x[0], data.m[0]
    cond = Cond(x, x, m, x if has_mean(recipe, start, data) else None)
    network = recipe.network(shape, recipe.source.near)
    params = network.init(key, x, cond, jnp.float32(0))["params"]
    return train.init_train_state(params, adam(recipe, shape))


def begun(
    recipe: Recipe,
    key: Array,
    order: Array | tuple[()],
    start: PyTree,
    x: Array,
    data: Masked,
    reach: Extent,
    shape: tuple[int, ...],
    owners: Array | None,
) -> MIRIState:
    """The state before the first iteration, but for what is measured of it."""
    key_net, key_held = jax.random.split(key)
    kept, held_out = (), ()
    network = fresh(recipe, key_net, start, data, shape)
    if recipe.memory.velocities:
        kept = jax.tree.map(
            lambda p: jnp.zeros((recipe.num_iterations, *p.shape), p.dtype),
            network.params,
        )
    if recipe.stop is not None:
        held_out = _early_stopping.hold_out(
            key_held,
            data.m,
            reach.some if isinstance(order, tuple) else order[:SOME],
            recipe.stop,
            network.params,
            reach,
            owners,
        )
    return MIRIState(
        iteration=jnp.int32(0),
        x=x,
        done=jnp.bool_(False),
        slice=jnp.int32(0),
        train=network,
        order=order,
        kept=kept,
        start=start,
        propensity=(),
        held_out=held_out,
    )


def has_mean(recipe: Recipe, start: PyTree, data: Masked) -> bool:
    """Whether the source knows what it expects."""
    if recipe.source.host or recipe.source.draw is None:
        return False
    base = recipe.source.base(start)
    x, m = data.x[:1], data.m[:1]
    return jax.eval_shape(base, x, x, m)[1] is not None


def adam(
    recipe: Recipe, shape: tuple[int, ...]
) -> optax.GradientTransformation:
    """Adam whose cosine spans the life of the network."""
    life = recipe.sgd.num_steps(shape)
    life *= recipe.num_iterations if recipe.memory.network else 1
    return train.cosine_adam(recipe.sgd.learning_rate, life)


def apply_fn(recipe: Recipe, shape: tuple[int, ...]) -> flow.ApplyFn:
    """The velocity of one example of a table of `shape`."""

    def velocity(params: PyTree, x_tau: Array, cond: Cond, tau: Array) -> Array:
        network = recipe.network(shape, recipe.source.near, params)
        v = network.apply({"params": params}, x_tau, cond, tau)
        if cond.mean is None:
            return v
        return v + flow.normal_velocity(x_tau, cond.mean, tau)

    return velocity


def begin(
    recipe: Recipe,
    key: Array,
    state: MIRIState,
    data: Masked,
    shape: tuple[int, ...],
) -> MIRIState:
    """A fresh network for a new iteration, where that is wanted."""
    if recipe.memory.network:
        return state
    network = jax.lax.cond(
        state.slice == 0,
        lambda: fresh(recipe, key, state.start, data, shape),
        lambda: state.train,
    )
    return state._replace(train=network)


def turn(recipe: Recipe, state: MIRIState) -> Array | None:
    """The rows that this iteration learns from; None for all."""
    n = len(state.x)
    if n <= recipe.max_rows:
        return None
    first = state.iteration * recipe.max_rows
    return state.order[(first + jnp.arange(recipe.max_rows)) % n]


def bank_of(
    recipe: Recipe, state: MIRIState, data: Masked, reach: Extent
) -> pairs.Bank:
    """What the pairs of an iteration are drawn from."""
    rows = turn(recipe, state)
    targets = data.m if recipe.stop is None else state.held_out.targets
    take = lambda a: a if rows is None else split_examples(a[rows])
    x, m, targets = take(state.x), take(data.m), take(targets)
    if state.propensity:
        targets = targets * inverse_weights(state.propensity, x)
    count = reach.count if rows is None else recipe.max_rows
    return pairs.bank(x, m, targets, count)


def pooled(
    recipe: Recipe,
    key: Array,
    state: MIRIState,
    data: Masked,
    reach: Extent,
    count: int,
) -> tuple[pairs.Bank, pairs.Choice | None]:
    """The bank of an iteration, and `count` pairs drawn ahead, if any."""
    rows = bank_of(recipe, state, data, reach)
    return rows, recipe.pairs(key, rows, count) if count else None


def started(recipe: Recipe, choice: pairs.Choice, start: PyTree) -> pairs.Pairs:
    """Chosen pairs with their source drawn, see `pairs.start`."""
    return pairs.start(choice, recipe.source.base(start))


# A bank, and the source's start.
Drawn = tuple[pairs.Bank, PyTree]


def fit_arguments(
    recipe: Recipe,
    shape: tuple[int, ...],
    drawn: Drawn,
    pool: pairs.Pairs | None = None,
) -> dict[str, Any]:
    """The arguments of `train.sgd`, with pairs drawn ahead or anew."""
    velocity, (rows, start) = apply_fn(recipe, shape), drawn
    if pool is None:
        draw = partial(
            pairs.draw_batch,
            rows=rows,
            choose=recipe.pairs,
            base=recipe.source.base(start),
        )
    else:
        draw = partial(pairs.draw_from_pool, pool=pool)
    return dict(
        sample_batch=partial(
            draw, batch_size=recipe.sgd.batch_size, weight=recipe.weight
        ),
        loss_fn=lambda p, batch: flow.flow_loss(p, velocity, batch),
        optimizer=adam(recipe, shape),
        ema_decay=recipe.sgd.ema_decay,
    )


def fit_batches(
    recipe: Recipe,
    key: Array,
    network: train.TrainState,
    drawn: Drawn,
    pool: pairs.Pairs | None,
    shape: tuple[int, ...],
    num_steps: int,
) -> tuple[train.TrainState, Array]:
    """SGD steps as one loop."""
    training = fit_arguments(recipe, shape, drawn, pool)
    return train.sgd(key, network, num_steps=num_steps, **training)


def one_sgd_step(
    recipe: Recipe,
    key: Array,
    network: train.TrainState,
    drawn: Drawn,
    pool: pairs.Pairs | None,
    shape: tuple[int, ...],
) -> tuple[train.TrainState, Array]:
    """One SGD step, for loops outside of a program; a pool is its batch."""
    training = fit_arguments(recipe, shape, drawn, pool)
    if pool is not None:
        training["sample_batch"] = partial(
            pairs.all_of_pool, pool=pool, weight=recipe.weight
        )
    return train.sgd_step(key, network, **training)


def descended(
    recipe: Recipe,
    key: Array,
    network: train.TrainState,
    state: MIRIState,
    data: Masked,
    reach: Extent,
    shape: tuple[int, ...],
    ahead: int,
) -> tuple[train.TrainState, Array, Array]:
    """The SGD steps of one slice, from a source that can be traced.

    Args:
      recipe: the recipe.
      key: PRNG key.
      network: at the start of the slice.
      state: likewise, without the network.
      data: the table.
      reach: how far it reaches.
      shape: what network and steps are for.
      ahead: pairs that are drawn ahead; 0 for none.

    Returns:
      The network, how many slices are done, and the losses.
    """
    num_steps = recipe.sgd.num_steps(shape) // recipe.sgd.num_slices
    key_pool, key_fit = jax.random.split(key)
    key_pool = jax.random.fold_in(key_pool, state.slice)
    rows, choice = pooled(recipe, key_pool, state, data, reach, ahead)
    pool = started(recipe, choice, state.start) if ahead else None
    drawn = rows, state.start
    network, losses = fit_batches(
        recipe, key_fit, network, drawn, pool, shape, num_steps
    )
    return network, state.slice + 1, losses


def keep(recipe: Recipe, state: MIRIState) -> MIRIState:
    """Keeps the velocity of iteration t, where that is wanted."""
    if not recipe.memory.velocities:
        return state
    kept = jax.tree.map(
        lambda bank, p: bank.at[state.iteration].set(p),
        state.kept,
        state.train.ema,
    )
    return state._replace(kept=kept)


def judged(
    recipe: Recipe,
    held_out: _early_stopping.HeldOut,
    params: PyTree,
    started: pairs.Pairs,
    tau: Array,
) -> _early_stopping.HeldOut:
    """What is known after a look at the held-out entries."""
    velocity = apply_fn(recipe, held_out.targets.shape)
    return _early_stopping.judge(held_out, params, velocity, started, tau)


def judged_drawn(
    recipe: Recipe, about: tuple, params: PyTree, start: PyTree
) -> _early_stopping.HeldOut:
    """`judged`, of pairs from a source that can be traced.

    Args:
      recipe: the recipe.
      about: the arguments of `_early_stopping.choose`.
      params: to compare.
      start: of the source.
    """
    choice, tau = _early_stopping.choose(*about)
    drawn = started(recipe, choice, start)
    return judged(recipe, about[0], params, drawn, tau)


def ended(
    recipe: Recipe, state: MIRIState, data: Masked
) -> tuple[MIRIState, GapRows, PyTree]:
    """Ends an iteration; the rows that move then, and by which weights."""
    state = advance(recipe, keep(recipe, state))
    rows = rows_to_move(recipe, state, data)
    return state, rows, final_params(recipe, state)


def advance(recipe: Recipe, state: MIRIState) -> MIRIState:
    """Counts the iteration, and says whether it was the last."""
    state = state._replace(
        iteration=state.iteration + 1, slice=jnp.zeros_like(state.slice)
    )
    done = state.iteration >= recipe.num_iterations
    if recipe.stop is not None:
        done |= state.held_out.since >= recipe.stop.patience
    return state._replace(done=done)


def final_params(recipe: Recipe, state: MIRIState) -> PyTree:
    """The averaged weights, at the end the best of them."""
    if recipe.stop is None:
        return state.train.ema
    return jax.tree.map(
        lambda best, last: jnp.where(state.done, best, last),
        state.held_out.best,
        state.train.ema,
    )


def rows_to_move(recipe: Recipe, state: MIRIState, data: Masked) -> GapRows:
    """All rows with gaps; until the end only what the next iteration sees."""
    rows, some = gap_rows(data.m), turn(recipe, state)
    if some is None:
        return rows
    rest = len(data.x) - recipe.max_rows
    return GapRows(
        jnp.where(state.done, rows.order, jnp.pad(some, (0, rest))),
        jnp.where(state.done, rows.count, recipe.max_rows),
    )


def solved(
    recipe: Recipe,
    key: Array,
    start: PyTree,
    params: PyTree,
    x: Array,
    data: Masked,
    rows: GapRows,
    draw: Draw | None,
) -> Array:
    """The ODE of some rows, from x or from a source that is drawn with it."""
    base: Base | None = None
    if not recipe.source.host:
        base = recipe.source.base(start)
    velocity = flow.imputation_velocity(apply_fn(recipe, x.shape))

    def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
        z, mean = x, None
        if base is not None:
            one = base(noise[None], x_obs[None], m[None])
            z, mean = jax.tree.map(lambda a: a[0], one)
        return recipe.solve(velocity, z, (params, x_obs, m, mean))

    return move_rows(key, x, data, rows, move, recipe.chunk, draw)


def replayed(
    recipe: Recipe,
    key: Array,
    kept: PyTree,
    data: Masked,
    draw: Draw | None,
) -> Array:
    """New rows by the velocities of all iterations, from a new X(0)."""
    rows = gap_rows(data.m)

    def one_iteration(x: Array, params: PyTree) -> tuple[Array, None]:
        # The source is x itself: no noise is drawn.
        return solved(recipe, key, (), params, x, data, rows, None), None

    if draw is not None:
        key = jax.random.fold_in(key, draw.index)
    _, x = recipe.source.first(key, data, None)
    return jax.lax.scan(one_iteration, x, kept)[0]
