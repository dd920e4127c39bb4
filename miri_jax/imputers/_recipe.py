"""MIRI as an expression: what Algorithm 1 leaves open is a tuple of functions.

    imputer = miri(FAST._replace(source=sources.noise()))

The steps here are written once. Of most recipes a whole step is one compiled
program; where a source works on the host, and of images on a CPU, the same
code calls programs for its parts.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from miri_jax.core import flow, pairs, train
from miri_jax.core.ode import Velocity
from miri_jax.core.parallel import split_examples, to_host
from miri_jax.core.rows import (
    GapRows,
    all_noise,
    gap_rows,
    move_rows,
    spaced,
)
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import _early_stopping
from miri_jax.models import VelocityMLP, VelocityUNet
from miri_jax.sources import Source
from miri_jax.types import (
    Array,
    Base,
    Cond,
    Draw,
    Imputer,
    Info,
    Masked,
    PyTree,
)

ALL_ROWS = sys.maxsize


class MakeNetwork(Protocol):
    """Makes the velocity's network."""

    def __call__(
        self, shape: tuple[int, ...], zero_output: bool
    ) -> VelocityMLP | VelocityUNet:
        """For a table of `shape` (n, d), or images (n, h, w, c)."""


class Solve(Protocol):
    """Solves an ODE from tau = 0 to 1 for one example, see `core.ode`."""

    def __call__(self, velocity: Velocity, z0: Array, args: PyTree) -> Array:
        """The state `[*dims]` at tau = 1."""


class SGD(NamedTuple):
    """How a network learns within an iteration.

    Attributes:
      num_steps: SGD steps N on a table of a shape (n, *dims).
      batch_size: pairs B in each.
      learning_rate: of Adam, on a cosine to 0 over the network's life.
      ema_decay: of the average of weights that draws come from; 0 for none.
      num_slices: parts that an iteration is cut into, between which a fit can
        be saved; must divide the steps.
    """

    num_steps: Callable[[tuple[int, ...]], int]
    batch_size: int
    learning_rate: float
    ema_decay: float
    num_slices: int = 1


class Memory(NamedTuple):
    """What an iteration leaves to the next.

    Attributes:
      network: whether one network lives on through all iterations, or each has
        a fresh one (Algorithm 1, line 3).
      velocities: whether the parameters of every iteration are kept, for new
        rows of a fit whose source is the previous imputation.
    """

    network: bool
    velocities: bool


class Recipe(NamedTuple):
    """A MIRI imputer, as functions.

    Attributes:
      source: where the flow starts on the missing entries.
      pairs: rows and masks of (x0, m0) and x1: `pairs.of_table` beside the
        source "previous", else `pairs.of_source` or one like it.
      reuse: how often a pair is used, at other times tau, where pairs are drawn
        ahead of an iteration; 1 draws new ones for each SGD step, and with a
        source on the host as many ahead. Of images it is not looked at.
      weight: of coordinates in the loss of eq. 6: `pairs.everywhere` or
        `pairs.where_moved`.
      network: the velocity.
      sgd: how it learns.
      memory: what lives on.
      stop: when a fit ends early; None for never.
      solve: the ODE's solver, as `partial(ode.euler, num_steps=100)`.
      max_rows: rows that one iteration learns from and moves; a larger table
        takes turns, and all its rows move after the last. `ALL_ROWS` for all.
      num_iterations: outer iterations T.
      chunk: rows of the ODE solved at a time.
    """

    source: Source
    pairs: pairs.Choose
    reuse: int
    weight: pairs.Weight
    network: MakeNetwork
    sgd: SGD
    memory: Memory
    stop: _early_stopping.Stop | None
    solve: Solve
    max_rows: int
    num_iterations: int
    chunk: int


class MIRIState(NamedTuple):
    """See `types.State`.

    Attributes:
      iteration: int32 scalar, finished outer iterations t.
      x: `[n, *dims]`, X(t).
      done: bool scalar, whether the fit is complete.
      slice: int32 scalar, finished slices of the iteration under way.
      train: the network under way, see `train.TrainState`.
      order: `[n]`, the rows in random order, for tables of more than
        `max_rows` rows; else ().
      kept: velocity parameters of every iteration, stacked `[T, ...]`, where
        they are kept; else ().
      start: of the source.
      held_out: where the fit may stop early; else ().
      mi: scalar, MI(X, M) in nats when it was last looked at; at first inf.
    """

    iteration: Array
    x: Array
    done: Array
    slice: Array
    train: train.TrainState
    order: Any
    kept: PyTree
    start: PyTree
    held_out: Any
    mi: Array


def miri(recipe: Recipe) -> Imputer:
    """The imputer of a recipe: Algorithms 1 and 2 of the MIRI paper.

    Raises:
      ConfigError: if parts of the recipe do not go together.
    """
    _check(recipe)
    host = recipe.source.host
    parts, fused = _Programs(recipe, jax.jit), _Programs(recipe, _as_is)
    whole = jax.jit(partial(_step, fused), donate_argnums=1)
    in_parts = partial(_step, parts)

    def step(
        key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, Info]:
        # XLA's CPU programs take the gradients of convolutions many times
        # slower inside a loop than outside it.
        images = data.x.ndim == 4 and jax.default_backend() == "cpu"
        return (in_parts if host or images else whole)(key, state, data)

    one = lambda f: partial(f, parts) if host else jax.jit(partial(f, fused))
    return Imputer(
        init=one(_init),
        step=step,
        impute=one(_impute),
        num_iterations=recipe.num_iterations,
        redraws=recipe.source.draw is not None,
        slowed=lambda scale: miri(_slowed(recipe, scale)),
        host=host,
    )


def _check(recipe: Recipe) -> None:
    if recipe.source.draw is not None:
        return
    if recipe.stop is not None or recipe.max_rows < ALL_ROWS:
        raise ConfigError(
            "a source that is the previous imputation moves all rows in each"
            " iteration and cannot stop early; use stop=None and"
            " max_rows=ALL_ROWS"
        )


def _slowed(recipe: Recipe, scale: float) -> Recipe:
    rate = scale * recipe.sgd.learning_rate
    return recipe._replace(sgd=recipe.sgd._replace(learning_rate=rate))


def _as_is(function: Any, **settings: Any) -> Any:
    """In the place of `jax.jit`, inside of a program that is compiled whole."""
    del settings
    return function


class _Programs:
    """The parts of a step, each compiled, or all for one program.

    Attributes:
      recipe: what they are of.
      whole: whether they are for one program.
    """

    def __init__(self, recipe: Recipe, compile_: Any) -> None:
        of = lambda f, **kw: compile_(partial(f, recipe), **kw)
        self.recipe, self.whole = recipe, compile_ is _as_is
        self.begin = of(_begin)
        self.bank = of(_bank)
        self.choose = compile_(recipe.pairs, static_argnums=2)
        self.start = of(_started)
        self.fit_batches = of(
            _fit_batches, donate_argnums=1, static_argnums=(4, 5)
        )
        self.sgd_step = of(_sgd_step, donate_argnums=1, static_argnums=(4,))
        self.keep = of(_keep)
        self.choose_held_out = compile_(_early_stopping.choose)
        self.judge = of(_judge)
        self.advance = of(_advance)
        self.rows_to_move = of(_rows_to_move)
        self.final_params = of(_final_params)
        self.solved = of(_solved)
        self.noise = compile_(all_noise, static_argnums=1)

    def started(self, choice: pairs.Choice, start: PyTree) -> pairs.Pairs:
        """Draws the source of chosen pairs, where it works."""
        if not self.recipe.source.host:
            return self.start(choice, start)
        return pairs.start_on_host(choice, self.recipe.source.base(start))

    def moved(
        self,
        key: Array,
        state: MIRIState,
        params: PyTree,
        x: Array,
        data: Masked,
        rows: GapRows,
        draw: Draw | None = None,
    ) -> Array:
        """Solves eq. 7 (Algorithm 2) for some rows, from x or the source."""
        start = state.start
        if self.recipe.source.host:
            x, start = self.restarted(key, start, x, data, rows, draw), ()
            draw = None
        return self.solved(key, start, params, x, data, rows, draw)

    def restarted(
        self,
        key: Array,
        start: PyTree,
        x: Array,
        data: Masked,
        rows: GapRows,
        draw: Draw | None,
    ) -> Array:
        """The table x with a draw of a source on the host in some rows."""
        x_obs, m = (to_host(part) for part in data)
        here = to_host(rows.order)[: int(rows.count)]
        here = here[~m[here].reshape(len(here), -1).all(axis=1)]
        if not here.size:
            return x
        noise = to_host(self.noise(key, x_obs.shape, draw))
        base = self.recipe.source.base(start)
        x = np.array(to_host(x))
        x[here], _ = base(noise[here], x_obs[here], m[here])
        return jnp.asarray(x)


def _init(programs: _Programs, key: Array, data: Masked) -> MIRIState:
    """The state before the first iteration, with X(0)."""
    recipe = programs.recipe
    key_net, key_fill, key_order, key_held = jax.random.split(key, 4)
    n = len(data.x)
    order, kept, held_out = (), (), ()
    if n > recipe.max_rows:
        every = jnp.arange(n, dtype=jnp.int32)
        order = jax.random.permutation(key_order, every)
    some = order[: recipe.max_rows] if n > recipe.max_rows else None
    start, x = recipe.source.first(key_fill, data, some)
    train_state = _fresh(recipe, key_net, start, data)
    if recipe.memory.velocities:
        kept = jax.tree.map(
            lambda p: jnp.zeros((recipe.num_iterations, *p.shape), p.dtype),
            train_state.params,
        )
    if recipe.stop is not None:
        few = _early_stopping.NUM_ROWS
        held_out = _early_stopping.hold_out(
            key_held,
            data.m,
            order[:few] if n > recipe.max_rows else spaced(n, few),
            recipe.stop.share,
            train_state.params,
        )
    state = MIRIState(
        iteration=jnp.int32(0),
        x=x,
        done=jnp.bool_(False),
        slice=jnp.int32(0),
        train=train_state,
        order=order,
        kept=kept,
        start=start,
        held_out=held_out,
        mi=jnp.float32(jnp.inf),
    )
    # The flow before its first step is the one to beat.
    return _validated(programs, state, data)


def _step(
    programs: _Programs, key: Array, state: MIRIState, data: Masked
) -> tuple[MIRIState, Info]:
    """One outer iteration, or one of its slices."""
    recipe = programs.recipe
    key_net, key_sgd, key_ode = jax.random.split(key, 3)
    state = programs.begin(key_net, state, data)
    state, losses = _descend(programs, key_sgd, state, data)
    finish = lambda s: _finish(programs, key_ode, s, data)
    last = state.slice == recipe.sgd.num_slices
    if programs.whole:
        state = jax.lax.cond(last, finish, lambda s: s, state)
    elif last:
        state = finish(state)
    info = {"loss": losses}
    if recipe.stop is not None:
        info["held_out_loss"] = state.held_out.loss
    return state, info


def _descend(
    programs: _Programs, key: Array, state: MIRIState, data: Masked
) -> tuple[MIRIState, Array]:
    """The SGD steps of one slice (lines 4-9), and their losses."""
    recipe, shape = programs.recipe, data.x.shape
    rows = programs.bank(state, data)
    num_steps = recipe.sgd.num_steps(shape) // recipe.sgd.num_slices
    key_pool, key_fit = jax.random.split(key)
    pool = None
    host, table = recipe.source.host, len(shape) == 2

    def pairs_ahead(key: Array, count: int) -> pairs.Pairs:
        return programs.started(programs.choose(key, rows, count), state.start)

    if table and (host or recipe.reuse > 1):
        key_pool = jax.random.fold_in(key_pool, state.slice)
        size = -(-num_steps * recipe.sgd.batch_size // recipe.reuse)
        pool = pairs_ahead(key_pool, size)
    if not table and not programs.whole:
        network, losses = state.train, []
        for _ in range(num_steps):
            if host:
                key_batch = jax.random.fold_in(key_pool, network.step)
                pool = pairs_ahead(key_batch, recipe.sgd.batch_size)
            network, loss = programs.sgd_step(
                key_fit, network, (rows, state.start), pool, shape
            )
            losses.append(loss)
        losses = jnp.stack(losses)
    else:
        network, losses = programs.fit_batches(
            key_fit, state.train, (rows, state.start), pool, shape, num_steps
        )
    return state._replace(train=network, slice=state.slice + 1), losses


def _finish(
    programs: _Programs, key: Array, state: MIRIState, data: Masked
) -> MIRIState:
    """Ends iteration t: solves the ODE (line 10), keeps the velocity."""
    state = programs.keep(state)
    state = _validated(programs, state, data)
    state = programs.advance(state)
    rows = programs.rows_to_move(state, data)
    params = programs.final_params(state)
    x = programs.moved(key, state, params, state.x, data, rows)
    return state._replace(x=x)


def _validated(
    programs: _Programs, state: MIRIState, data: Masked
) -> MIRIState:
    """Compares the averaged weights with the best so far, if that is wanted."""
    if programs.recipe.stop is None:
        return state
    choice, tau = programs.choose_held_out(state.held_out, state.x, data.m)
    started = programs.started(choice, state.start)
    return programs.judge(state, started, tau)


def _impute(
    programs: _Programs,
    key: Array,
    state: MIRIState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A fresh draw: by the last network, or by all kept ones in order."""
    recipe, rows = programs.recipe, gap_rows(data.m)
    if recipe.source.draw is not None:
        params = state.train.ema
        if recipe.stop is not None:
            params = state.held_out.best
        return programs.moved(key, state, params, data.x, data, rows, draw)
    if not recipe.memory.velocities:
        raise ConfigError(
            "a fit whose source is the previous imputation can impute new rows"
            " only with keep_velocities=True, and this fit kept none"
        )

    def one_iteration(x: Array, params: PyTree) -> tuple[Array, None]:
        # The source is x itself: no noise is drawn.
        return programs.moved(key, state, params, x, data, rows), None

    if draw is not None:
        key = jax.random.fold_in(key, draw.index)
    _, x = recipe.source.first(key, data, None)
    return jax.lax.scan(one_iteration, x, state.kept)[0]


def _fresh(
    recipe: Recipe, key: Array, start: PyTree, data: Masked
) -> train.TrainState:
    """A network before its first step (Algorithm 1, line 3)."""
    x, m = data.x[0], data.m[0]
    cond = Cond(x, x, m, x if _has_mean(recipe, start, data) else None)
    network = recipe.network(data.x.shape, recipe.source.near)
    params = network.init(key, x, cond, jnp.float32(0))["params"]
    return train.init_train_state(params, _optimizer(recipe, data.x.shape))


def _has_mean(recipe: Recipe, start: PyTree, data: Masked) -> bool:
    """Whether the source knows what it expects."""
    base = recipe.source.base(start)
    if base is None or recipe.source.host:
        return False
    x, m = data.x[:1], data.m[:1]
    return jax.eval_shape(base, x, x, m)[1] is not None


def _optimizer(
    recipe: Recipe, shape: tuple[int, ...]
) -> optax.GradientTransformation:
    """Adam whose cosine spans the life of the network."""
    life = recipe.sgd.num_steps(shape)
    life *= recipe.num_iterations if recipe.memory.network else 1
    return train.cosine_adam(recipe.sgd.learning_rate, life)


def _velocity(recipe: Recipe, shape: tuple[int, ...]) -> flow.ApplyFn:
    """The velocity of one example of a fit to a table of `shape`."""
    network = recipe.network(shape, recipe.source.near)

    def velocity(params: PyTree, x_tau: Array, cond: Cond, tau: Array) -> Array:
        v = network.apply({"params": params}, x_tau, cond, tau)
        if cond.mean is None:
            return v
        return v + flow.normal_velocity(x_tau, cond.mean, tau)

    return velocity


def _begin(
    recipe: Recipe, key: Array, state: MIRIState, data: Masked
) -> MIRIState:
    """A fresh network for a new iteration, where that is wanted."""
    if recipe.memory.network:
        return state
    network = jax.lax.cond(
        state.slice == 0,
        lambda: _fresh(recipe, key, state.start, data),
        lambda: state.train,
    )
    return state._replace(train=network)


def _turn(recipe: Recipe, state: MIRIState) -> Array | None:
    """The rows that this iteration learns from; None for all."""
    n = len(state.x)
    if n <= recipe.max_rows:
        return None
    first = state.iteration * recipe.max_rows
    return state.order[(first + jnp.arange(recipe.max_rows)) % n]


def _bank(recipe: Recipe, state: MIRIState, data: Masked) -> pairs.Bank:
    """What the pairs of an iteration are drawn from."""
    rows = _turn(recipe, state)
    targets = data.m if recipe.stop is None else state.held_out.targets
    take = lambda a: a if rows is None else split_examples(a[rows])
    return pairs.bank(take(state.x), take(data.m), take(targets))


def _started(
    recipe: Recipe, choice: pairs.Choice, start: PyTree
) -> pairs.Pairs:
    return pairs.start(choice, recipe.source.base(start))


# A bank, and the source's start.
_Drawn = tuple[pairs.Bank, PyTree]


def _training(
    recipe: Recipe,
    shape: tuple[int, ...],
    drawn: _Drawn,
    pool: pairs.Pairs | None = None,
) -> dict[str, Any]:
    """The arguments of `train.fit`, with pairs drawn ahead or anew."""
    velocity, (rows, start) = _velocity(recipe, shape), drawn
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
        optimizer=_optimizer(recipe, shape),
        ema_decay=recipe.sgd.ema_decay,
    )


def _fit_batches(
    recipe: Recipe,
    key: Array,
    network: train.TrainState,
    drawn: _Drawn,
    pool: pairs.Pairs | None,
    shape: tuple[int, ...],
    num_steps: int,
) -> tuple[train.TrainState, Array]:
    """SGD steps as one loop."""
    training = _training(recipe, shape, drawn, pool)
    return train.fit(key, network, num_steps=num_steps, **training)


def _sgd_step(
    recipe: Recipe,
    key: Array,
    network: train.TrainState,
    drawn: _Drawn,
    pool: pairs.Pairs | None,
    shape: tuple[int, ...],
) -> tuple[train.TrainState, Array]:
    """One SGD step, for loops outside of a program; a pool is its batch."""
    training = _training(recipe, shape, drawn, pool)
    if pool is not None:
        training["sample_batch"] = partial(
            pairs.all_of_pool, pool=pool, weight=recipe.weight
        )
    return train.sgd_step(key, network, **training)


def _keep(recipe: Recipe, state: MIRIState) -> MIRIState:
    """Keeps the velocity of iteration t, where that is wanted."""
    if not recipe.memory.velocities:
        return state
    kept = jax.tree.map(
        lambda bank, p: bank.at[state.iteration].set(p),
        state.kept,
        state.train.ema,
    )
    return state._replace(kept=kept)


def _judge(
    recipe: Recipe, state: MIRIState, started: pairs.Pairs, tau: Array
) -> MIRIState:
    velocity = _velocity(recipe, state.x.shape)
    held_out = _early_stopping.judge(
        state.held_out, state.train.ema, velocity, started, tau
    )
    return state._replace(held_out=held_out)


def _advance(recipe: Recipe, state: MIRIState) -> MIRIState:
    """Counts the iteration, and says whether it was the last."""
    state = state._replace(
        iteration=state.iteration + 1, slice=jnp.zeros_like(state.slice)
    )
    done = state.iteration >= recipe.num_iterations
    if recipe.stop is not None:
        done |= state.held_out.since >= recipe.stop.patience
    return state._replace(done=done)


def _final_params(recipe: Recipe, state: MIRIState) -> PyTree:
    """The averaged weights, at the end the best of them."""
    if recipe.stop is None:
        return state.train.ema
    return jax.tree.map(
        lambda best, last: jnp.where(state.done, best, last),
        state.held_out.best,
        state.train.ema,
    )


def _rows_to_move(recipe: Recipe, state: MIRIState, data: Masked) -> GapRows:
    """All rows with gaps; until the end only what the next iteration sees."""
    rows, some = gap_rows(data.m), _turn(recipe, state)
    if some is None:
        return rows
    rest = len(data.x) - recipe.max_rows
    return GapRows(
        jnp.where(state.done, rows.order, jnp.pad(some, (0, rest))),
        jnp.where(state.done, rows.count, recipe.max_rows),
    )


def _solved(
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
    velocity = flow.imputation_velocity(_velocity(recipe, x.shape))

    def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
        z, mean = x, None
        if base is not None:
            one = base(noise[None], x_obs[None], m[None])
            z, mean = jax.tree.map(lambda a: a[0], one)
        return recipe.solve(velocity, z, (params, x_obs, m, mean))

    return move_rows(key, x, data, rows, move, recipe.chunk, draw)
