"""Algorithms 1 and 2 of the MIRI paper, for any recipe.

A step calls a program for each of its parts. What starts a fit, draws from it
and measures it is made of the same parts, so that each is compiled once; and
tables have rows behind them, and columns of observed zeros, up to one of few
numbers of each, so that another table of about the same shape finds them
compiled. Random numbers, and what a row gets, are the same with such rows and
columns and without; sums over them are but for rounding.
"""

import functools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from miri_jax.core import pairs
from miri_jax.core.parallel import to_host
from miri_jax.core.programs import compiled, split
from miri_jax.core.rows import (
    Extent,
    GapRows,
    all_noise,
    extent,
    gap_rows,
    grown,
    is_padded,
    least_rows,
    padded,
    padded_columns,
    padded_rows,
    reaching,
    shrunk,
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
    Layout,
    Masked,
    PyTree,
)


def miri(recipe: Recipe, layout: Layout | None = None) -> Imputer:
    """The imputer of a recipe: Algorithms 1 and 2 of the MIRI paper.

    Args:
      recipe: the recipe; imputers of one recipe share their programs.
      layout: of the table; None for numbers alone, or where parts of the recipe
        have it.

    Raises:
      ConfigError: if parts of the recipe do not go together.
    """
    _check(recipe)
    try:
        programs = _shared(recipe)
    except TypeError:  # a part that cannot be hashed
        programs = _Programs(recipe)
    on_host = recipe.source.host or recipe.source.eager
    return Imputer(
        init=partial(_init, programs, layout),
        step=partial(_step, programs, layout),
        impute=partial(_impute, programs),
        num_iterations=recipe.num_iterations,
        redraws=recipe.source.draw is not None,
        slowed=lambda scale: miri(_slowed(recipe, scale), layout),
        host=on_host,
        like=partial(_like, recipe),
    )


class _Wide(NamedTuple):
    """A table with rows and columns behind it, where it has any.

    Attributes:
      data: all of them.
      reach: how far the table reaches in them.
      shape: by which settings go that follow the size of a table: that of one
        for which they are alike, and which many tables share.
      owners: for each entry, or column behind, the first of its column; None
        where nothing is known.
    """

    data: Masked
    reach: Extent
    shape: tuple[int, ...]
    owners: np.ndarray | None = None


def _widened(recipe: Recipe, layout: Layout | None, data: Masked) -> _Wide:
    own, owners = data.x.shape, None
    rows, *dims = _wide_shape(recipe, own)
    if layout is not None and len(dims) == 1:
        owners = _early_stopping.first_of(layout.owners(own[1]))
        owners = np.append(owners, np.arange(own[1], *dims, dtype=np.int32))
    if isinstance(data.x, jax.core.Tracer):
        rows, like = own[0], (own[0], *dims)
    else:
        like = _shape_like(recipe, own)
    data = reaching(data, (rows, *dims))
    return _Wide(data, extent(own, rows), like, owners)


def _wide_shape(recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, ...]:
    """That of a table with what is behind it.

    There are no rows behind a long one, and no columns where a part of the
    recipe would see them.
    """
    n, *dims = shape
    rows = padded_rows(n)
    if not is_padded(shape) or rows > recipe.max_rows:
        rows = n
    unseen = recipe.source.widened and recipe.weight is not pairs.everywhere
    if len(dims) == 1 and unseen:
        dims = [padded_columns(*dims)]
    return rows, *dims


def _shape_like(recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The longest or shortest table that is fitted as one of a shape."""
    n = shape[0]
    rows, *dims = _wide_shape(recipe, shape)
    shape = (n, *dims)
    if rows != padded_rows(n):
        return shape
    settings = lambda shape: (
        recipe.sgd.num_steps(shape),
        recipe.network(shape, recipe.source.near),
    )
    for rows in (padded_rows(n), least_rows(n)):
        if settings((rows, *dims)) == settings(shape):
            return rows, *dims
    return shape


def _like(recipe: Recipe, data: Masked) -> MIRIState:
    """What the state of a fit looks like, without fitting a source."""
    shape, of = data.x.shape, jax.ShapeDtypeStruct
    n, everything = len(data.x), _wide_shape(recipe, shape)
    key = jax.eval_shape(jax.random.key, 0)
    source, start, order = recipe.source, recipe.source.like, ()
    if not (source.host or source.eager):
        order, start, _ = jax.eval_shape(partial(_first, recipe), key, data)
    else:
        # Stands in for the source, whose fit need not be run.
        source = Source(
            lambda key, data, rows: ((), data.x),
            lambda start, noise, x, m: (noise, None),
            source.near,
        )
        if n > recipe.max_rows:
            order = of((n,), jnp.int32)
    wide = _Wide(
        Masked(of(everything, jnp.float32), of(everything, bool)),
        extent(shape, everything[0]),
        _shape_like(recipe, shape),
    )
    programs = _Programs(recipe._replace(source=source))
    inner = () if source is not recipe.source else start
    state = jax.eval_shape(
        lambda key, order, start, data: _begun(
            programs, key, order, start, data.x, wide._replace(data=data)
        ),
        *(key, order, inner, wide.data),
    )
    return state._replace(start=start, x=of(shape, jnp.float32))


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


class _Programs:
    """The parts of a step, each a program.

    Attributes:
      recipe: what they are of.
    """

    def __init__(self, recipe: Recipe) -> None:
        of = lambda f, **kw: compiled(partial(f, recipe), **kw)
        self.recipe = recipe
        self.first = partial(_first, recipe)
        if not (recipe.source.host or recipe.source.eager):
            self.first = compiled(self.first)
        self.begun = of(_parts.begun, static_argnums=6)
        self.begin = of(_parts.begin, static_argnums=3)
        self.pooled = of(_parts.pooled, static_argnums=4)
        self.weights = recipe.propensity and compiled(recipe.propensity)
        self.descended = of(
            _parts.descended, donate_argnums=1, static_argnums=(5, 6)
        )
        self.fit_batches = of(
            _parts.fit_batches, donate_argnums=1, static_argnums=(4, 5)
        )
        self.sgd_step = of(
            _parts.one_sgd_step, donate_argnums=1, static_argnums=(4,)
        )
        self.choose_held_out = compiled(_early_stopping.choose)
        self.judge = of(_parts.judged)
        self.judge_drawn = of(_parts.judged_drawn)
        self.ended = of(_parts.ended)
        self.gap_rows = compiled(gap_rows)
        self.solved = of(_parts.solved)
        self.replayed = of(_parts.replayed)
        self.noise = compiled(all_noise)

    def on_host(self, choice: pairs.Choice, start: PyTree) -> pairs.Pairs:
        """Draws a source that works on the host for chosen pairs."""
        return pairs.start_on_host(choice, self.recipe.source.base(start))

    def moved(
        self,
        key: Array,
        start: PyTree,
        params: PyTree,
        x: Array,
        data: Masked,
        rows: GapRows,
        draw: Draw | None = None,
    ) -> Array:
        """Solves eq. 7 (Algorithm 2) for some rows, from x or the source."""
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
    key_fill, key_order = split(key, 2)
    n = len(data.x)
    order = ()
    if n > recipe.max_rows:
        every = jnp.arange(n, dtype=jnp.int32)
        order = jax.random.permutation(key_order, every)
    some = order[: recipe.max_rows] if n > recipe.max_rows else None
    return order, *recipe.source.first(key_fill, data, some)


@functools.lru_cache(maxsize=16)
def _shared(recipe: Recipe) -> _Programs:
    return _Programs(recipe)


def _init(
    programs: _Programs, layout: Layout | None, key: Array, data: Masked
) -> MIRIState:
    """The state before the first iteration."""
    key, key_first = split(key, 2)
    order, start, x = programs.first(key_first, data)
    wide = _widened(programs.recipe, layout, data)
    if wide.data.x.ndim == 2 and programs.recipe.source.widened:
        columns = wide.data.x.shape[1]
        start = programs.recipe.source.widened(start, columns)
    x = grown(x, wide.data.x.shape)
    state = _begun(programs, key, order, start, x, wide)
    return state._replace(x=shrunk(state.x, data.x.shape))


def _begun(
    programs: _Programs,
    key: Array,
    order: Array | tuple[()],
    start: PyTree,
    x: Array,
    wide: _Wide,
) -> MIRIState:
    """The state before the first iteration, with X(0)."""
    state = programs.begun(key, order, start, x, *wide)
    state = _weighed(programs, state, wide)
    # The flow before its first step is the one to beat.
    return _validated(programs, state, wide)


def _step(
    programs: _Programs,
    layout: Layout | None,
    key: Array,
    state: MIRIState,
    data: Masked,
) -> tuple[MIRIState, Info]:
    """One outer iteration, or one of its slices."""
    recipe = programs.recipe
    key_net, key_sgd, key_ode = split(key, 3)
    wide = _widened(recipe, layout, data)
    state = state._replace(x=grown(state.x, wide.data.x.shape))
    if not recipe.memory.network:
        state = programs.begin(key_net, state, wide.data, wide.shape)
    state, losses = _descend(programs, key_sgd, state, wide)
    finish = lambda s: _finish(programs, key_ode, s, wide)
    if isinstance(state.slice, jax.core.Tracer):
        last = state.slice == recipe.sgd.num_slices
        state = jax.lax.cond(last, finish, lambda s: s, state)
    elif int(state.slice) == recipe.sgd.num_slices:
        state = finish(state)
    info = {"loss": losses}
    if recipe.stop is not None:
        info["held_out_loss"] = state.held_out.loss
    return state._replace(x=shrunk(state.x, data.x.shape)), info


def _descend(
    programs: _Programs, key: Array, state: MIRIState, wide: _Wide
) -> tuple[MIRIState, Array]:
    """The SGD steps of one slice (lines 4-9), and their losses."""
    recipe, shape = programs.recipe, wide.shape
    num_steps = recipe.sgd.num_steps(shape) // recipe.sgd.num_slices
    host, table = recipe.source.host, len(shape) == 2
    ahead = 0
    if table and (host or recipe.reuse > 1):
        ahead = -(-num_steps * recipe.sgd.batch_size // recipe.reuse)
    # XLA's CPU programs take the gradients of convolutions many times slower
    # inside a loop than outside it.
    loop = not table and (host or jax.default_backend() == "cpu")
    if not (host or loop):
        rest = state._replace(train=())
        network, done, losses = programs.descended(
            key, state.train, rest, *wide[:2], shape, ahead
        )
        return state._replace(train=network, slice=done), losses
    key_pool, key_fit = split(key, 2)
    ahead_key = jax.random.fold_in(key_pool, state.slice)
    rows, choice = programs.pooled(ahead_key, state, *wide[:2], ahead)
    pool = programs.on_host(choice, state.start) if ahead else None
    drawn = rows, state.start
    if not loop:
        network, losses = programs.fit_batches(
            key_fit, state.train, drawn, pool, shape, num_steps
        )
    else:
        network, losses = state.train, []
        for _ in range(num_steps):
            if host:
                key_batch = jax.random.fold_in(key_pool, network.step)
                _, choice = programs.pooled(
                    key_batch, state, *wide[:2], recipe.sgd.batch_size
                )
                pool = programs.on_host(choice, state.start)
            network, loss = programs.sgd_step(
                key_fit, network, drawn, pool, shape
            )
            losses.append(loss)
        losses = jnp.stack(losses)
    return state._replace(train=network, slice=state.slice + 1), losses


def _finish(
    programs: _Programs, key: Array, state: MIRIState, wide: _Wide
) -> MIRIState:
    """Ends iteration t: solves the ODE (line 10), keeps the velocity."""
    state = _validated(programs, state, wide)
    state, rows, params = programs.ended(state, wide.data)
    x = programs.moved(key, state.start, params, state.x, wide.data, rows)
    return _weighed(programs, state._replace(x=x), wide)


def _weighed(programs: _Programs, state: MIRIState, wide: _Wide) -> MIRIState:
    """The state with the propensities of its table, where they are wanted."""
    if programs.weights is None:
        return state
    found = programs.weights(state.x, wide.data.m, wide.reach, wide.owners)
    return state._replace(propensity=found)


def _validated(programs: _Programs, state: MIRIState, wide: _Wide) -> MIRIState:
    """Compares the averaged weights with the best so far, if that is wanted."""
    if programs.recipe.stop is None:
        return state
    about = (state.held_out, state.x, wide.data.m)
    about += (state.propensity, wide.reach.count)
    if programs.recipe.source.host:
        choice, tau = programs.choose_held_out(*about)
        started = programs.on_host(choice, state.start)
        found = programs.judge(state.held_out, state.train.ema, started, tau)
    else:
        found = programs.judge_drawn(about, state.train.ema, state.start)
    return state._replace(held_out=found)


def _impute(
    programs: _Programs,
    key: Array,
    state: MIRIState,
    data: Masked,
    draw: Draw | None = None,
) -> Array:
    """A fresh draw: by the last network, or by all kept ones in order."""
    recipe = programs.recipe
    if recipe.source.draw is not None:
        params, shape = state.train.ema, data.x.shape
        columns = _wide_shape(recipe, shape)[1] if len(shape) == 2 else None
        wide = padded(data, columns)
        if recipe.stop is not None:
            params = state.held_out.best
        rows = programs.gap_rows(wide.m)
        x = programs.moved(key, state.start, params, wide.x, wide, rows, draw)
        return shrunk(x, shape)
    if not recipe.memory.velocities:
        raise ConfigError(
            "a fit whose source is the previous imputation can impute new rows"
            " only with keep_velocities=True, and this fit kept none"
        )
    return programs.replayed(key, state.kept, data, draw)
