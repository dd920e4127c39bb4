"""Algorithms 1 and 2 of the MIRI paper, for any recipe.

The steps are written once. Of most recipes a whole step is one compiled
program; where a source works on the host, and of images on a CPU, the same code
calls programs for its parts.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core import pairs
from miri_jax.core.parallel import to_host
from miri_jax.core.rows import (
    GapRows,
    all_noise,
    gap_rows,
    spaced,
)
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import _early_stopping, _parts
from miri_jax.imputers._recipe import ALL_ROWS, MIRIState, Recipe
from miri_jax.sources import Source
from miri_jax.types import (
    Array,
    Draw,
    Imputer,
    Info,
    Masked,
    PyTree,
)


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
    begun = one(_begun)

    def init(key: Array, data: Masked) -> MIRIState:
        key, key_first = jax.random.split(key)
        return begun(key, *_first(recipe, key_first, data), data)

    on_host = host or recipe.source.eager
    return Imputer(
        init=init if on_host else jax.jit(init),
        step=step,
        impute=one(_impute),
        num_iterations=recipe.num_iterations,
        redraws=recipe.source.draw is not None,
        slowed=lambda scale: miri(_slowed(recipe, scale)),
        host=on_host,
        like=partial(_like, recipe) if on_host else None,
    )


def _like(recipe: Recipe, data: Masked) -> MIRIState:
    """What the state of a fit from a source on the host looks like."""
    # Stands in for the source, whose fit need not be run.
    shape = Source(
        lambda key, data, rows: ((), data.x),
        lambda start, noise, x, m: (noise, None),
        recipe.source.near,
    )
    state = jax.eval_shape(
        miri(recipe._replace(source=shape)).init, jax.random.key(0), data
    )
    return state._replace(start=recipe.source.like)


def _check(recipe: Recipe) -> None:
    on_host = recipe.source.host or recipe.source.eager
    if on_host and recipe.source.like is None:
        raise ConfigError(
            "a source on the host must say what its start looks like, else no"
            " fit from it can be read back: give `like`, such as"
            " np.dtype(np.float32) for one array"
        )
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
        self.begin = of(_parts.begin)
        self.bank = of(_parts.bank_of)
        self.weighed = of(_parts.weighed)
        self.choose = compile_(recipe.pairs, static_argnums=2)
        self.start = of(_parts.started)
        self.fit_batches = of(
            _parts.fit_batches, donate_argnums=1, static_argnums=(4, 5)
        )
        self.sgd_step = of(
            _parts.one_sgd_step, donate_argnums=1, static_argnums=(4,)
        )
        self.keep = of(_parts.keep)
        self.choose_held_out = compile_(_early_stopping.choose)
        self.judge = of(_parts.judged)
        self.advance = of(_parts.advance)
        self.rows_to_move = of(_parts.rows_to_move)
        self.final_params = of(_parts.final_params)
        self.solved = of(_parts.solved)
        self.noise = compile_(all_noise)

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
        gaps = ~m.reshape(len(m), -1).all(axis=1)
        here = here[gaps[here]]
        if not here.size:
            return x
        noise = to_host(self.noise(key, data, draw))
        base = self.recipe.source.base(start)
        x = np.array(to_host(x))
        x[here], _ = base(noise[here], x_obs[here], m[here])
        return jnp.asarray(x)


def _first(
    recipe: Recipe, key: Array, data: Masked
) -> tuple[Array | tuple[()], PyTree, Array]:
    """The order in which rows take turns, the fitted source, and X(0)."""
    key_fill, key_order = jax.random.split(key)
    n = len(data.x)
    order = ()
    if n > recipe.max_rows:
        every = jnp.arange(n, dtype=jnp.int32)
        order = jax.random.permutation(key_order, every)
    some = order[: recipe.max_rows] if n > recipe.max_rows else None
    return order, *recipe.source.first(key_fill, data, some)


def _begun(
    programs: _Programs,
    key: Array,
    order: Array | tuple[()],
    start: PyTree,
    x: Array,
    data: Masked,
) -> MIRIState:
    """The state before the first iteration, with X(0)."""
    recipe, n = programs.recipe, len(data.x)
    key_net, key_held = jax.random.split(key)
    kept, held_out = (), ()
    train_state = _parts.fresh(recipe, key_net, start, data)
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
            recipe.stop,
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
        propensity=(),
        held_out=held_out,
    )
    state = programs.weighed(state, data)
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
    return programs.weighed(state._replace(x=x), data)


def _validated(
    programs: _Programs, state: MIRIState, data: Masked
) -> MIRIState:
    """Compares the averaged weights with the best so far, if that is wanted."""
    if programs.recipe.stop is None:
        return state
    choice, tau = programs.choose_held_out(
        state.held_out, state.x, data.m, state.propensity
    )
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
