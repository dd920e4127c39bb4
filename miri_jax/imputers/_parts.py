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
    recipe: Recipe, key: Array, start: PyTree, data: Masked
) -> train.TrainState:
    """A network before its first step (Algorithm 1, line 3)."""
    x, m = data.x[0], data.m[0]
    cond = Cond(x, x, m, x if has_mean(recipe, start, data) else None)
    network = recipe.network(data.x.shape, recipe.source.near)
    params = network.init(key, x, cond, jnp.float32(0))["params"]
    return train.init_train_state(params, adam(recipe, data.x.shape))


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
    recipe: Recipe, key: Array, state: MIRIState, data: Masked
) -> MIRIState:
    """A fresh network for a new iteration, where that is wanted."""
    if recipe.memory.network:
        return state
    network = jax.lax.cond(
        state.slice == 0,
        lambda: fresh(recipe, key, state.start, data),
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


def bank_of(recipe: Recipe, state: MIRIState, data: Masked) -> pairs.Bank:
    """What the pairs of an iteration are drawn from."""
    rows = turn(recipe, state)
    targets = data.m if recipe.stop is None else state.held_out.targets
    take = lambda a: a if rows is None else split_examples(a[rows])
    x, m, targets = take(state.x), take(data.m), take(targets)
    if state.propensity:
        targets = targets * inverse_weights(state.propensity, x)
    return pairs.bank(x, m, targets)


def weighed(recipe: Recipe, state: MIRIState, data: Masked) -> MIRIState:
    """The state with the propensities of its table, where they are wanted."""
    if recipe.propensity is None:
        return state
    return state._replace(propensity=recipe.propensity(state.x, data.m))


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
    recipe: Recipe, state: MIRIState, started: pairs.Pairs, tau: Array
) -> MIRIState:
    """The state after a look at the held-out entries."""
    velocity = apply_fn(recipe, state.x.shape)
    held_out = _early_stopping.judge(
        state.held_out, state.train.ema, velocity, started, tau
    )
    return state._replace(held_out=held_out)


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
