"""MIRI: mutual information reducing iterations with rectified flows.

One imputer, two presets. `make_miri_paper` is Algorithm 1 as printed.
`make_miri` changes three things, each a field of its own, that Proposition 2
permits because any imputer that samples q(x_mis | x_obs) meets it:

- `warm_start`: one network lives on through many short iterations, and draws
  come from an exponential moving average of its weights;
- `source`: where the flow starts on the missing entries;
- `imputed_weight`: weight in the loss of targets that are themselves imputed.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from miri_jax.core import flow, ode, train
from miri_jax.core.pairs import Pairs, draw_batch, draw_from_pool, draw_pair
from miri_jax.core.parallel import split_examples
from miri_jax.core.rows import (
    GapRows,
    draw_starts,
    gap_rows,
    move_rows,
    spaced,
)
from miri_jax.core.statistics import observed_mean, observed_median
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import _early_stopping
from miri_jax.metrics.mutual_information import estimate_mutual_information
from miri_jax.models import VelocityMLP, VelocityUNet, velocity_network
from miri_jax.settings import Range
from miri_jax.sources.gaussian import (
    Gaussian,
    conditional_base,
    draw_rows,
    fit_gaussian,
)
from miri_jax.sources.harmonic import fit_errors, harmonic_draw
from miri_jax.types import Array, Base, Cond, Draw, Imputer, Masked, PyTree

SourceName = Literal["previous", "noise", "gaussian", "harmonic"]
InitialName = Literal["normal", "uniform", "mean", "median"]
SolverName = Literal["euler", "heun"]
MAX_ITERATIONS = 20
# Iterations between two looks at MI with `num_iterations="auto"`.
MI_EVERY = 4


class MIRIState(NamedTuple):
    """See `types.Imputer`.

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
      start: what the source needs: the `Gaussian` where `source="gaussian"`,
        `harmonic.Errors` where it is "harmonic"; else ().
      held_out: where the fit stops early; else ().
      mi: scalar, MI(X, M) in nats when it was last looked at; at first inf.
    """

    iteration: Array
    x: Array
    done: Array
    slice: Array
    train: train.TrainState
    order: Any
    kept: PyTree
    start: Any
    held_out: Any
    mi: Array


class _Bank(NamedTuple):
    """What the pairs of an iteration are drawn from.

    Attributes:
      x: `[r, *dims]`, filled rows.
      m: `[r, *dims]` bool, True = observed.
      targets: `[r, *dims]` bool, the observed entries that a loss may see.
      start: see `MIRIState`.
    """

    x: Array
    m: Array
    targets: Array
    start: Any


def initial_fill(key: Array, data: Masked, initial: str) -> Array:
    """X(0): a filled table to start from (section 3.3).

    Args:
      key: PRNG key.
      data: rows `[n, *dims]`, standardised.
      initial: "normal" N(0, 1) or "uniform" U(0, 1) draws (the paper's choice),
        or the columns' "mean" or "median".

    Returns:
      `[n, *dims]`.
    """
    if initial == "normal":
        fill = jax.random.normal(key, data.x.shape, data.x.dtype)
    elif initial == "uniform":
        fill = jax.random.uniform(key, data.x.shape, data.x.dtype)
    else:
        column = {"mean": observed_mean, "median": observed_median}[initial]
        fill = jnp.broadcast_to(column(data.x, data.m), data.x.shape)
    return flow.merge(data.x, fill, data.m)


@dataclasses.dataclass(frozen=True)
class _MIRI:
    """The functions of one MIRI imputer; fields as `make_miri` takes them."""

    num_iterations: int
    num_steps: int | None
    num_slices: int
    batch_size: int
    pair_reuse: int
    learning_rate: float
    warm_start: bool
    source: str
    imputed_weight: float | None
    ema_decay: float
    initial: str
    solver: str
    ode_steps: int
    keep_velocities: bool
    held_out: float
    patience: int
    max_rows: int
    gaussian_rounds: int
    shrinkage: float
    chunk: int
    thin: bool
    model: Mapping[str, Any]

    def network(self, shape: tuple[int, ...]) -> VelocityMLP | VelocityUNet:
        """The network for a table of `shape` (n, d), or images (n, h, w, c)."""
        defaults = dict(zero_output=self.zero_output)
        if len(shape) == 2:
            defaults |= dict(depth=1, residual=True, width=auto_width(shape))
        return velocity_network(shape, {**defaults, **self.model})

    @property
    def zero_output(self) -> bool:
        """Whether the source is near enough for a flow that starts at rest."""
        return self.source in ("gaussian", "harmonic")

    def steps(self, shape: tuple[int, ...]) -> int:
        """SGD steps of an iteration on a table of `shape` (n, *dims)."""
        if self.num_steps is not None:
            return self.num_steps
        return self.num_slices * -(-auto_steps(shape) // self.num_slices)

    def optimizer(self, shape: tuple[int, ...]) -> optax.GradientTransformation:
        """Adam whose cosine spans the life of the network."""
        life = self.steps(shape)
        life *= self.num_iterations if self.warm_start else 1
        return train.cosine_adam(self.learning_rate, life)

    def apply_fn(self, shape: tuple[int, ...]) -> flow.ApplyFn:
        """The velocity of one example of a fit to a table of `shape`."""
        network = self.network(shape)

        def velocity(
            params: PyTree, x_tau: Array, cond: Cond, tau: Array
        ) -> Array:
            v = network.apply({"params": params}, x_tau, cond, tau)
            if cond.mean is None:
                return v
            return v + flow.normal_velocity(x_tau, cond.mean, tau)

        return velocity

    def fresh(self, key: Array, data: Masked) -> train.TrainState:
        """A network before its first step (Algorithm 1, line 3)."""
        x, m = data.x[0], data.m[0]
        cond = Cond(x, x, m, x if self.zero_output else None)
        network = self.network(data.x.shape)
        params = network.init(key, x, cond, jnp.float32(0))["params"]
        return train.init_train_state(params, self.optimizer(data.x.shape))

    def base(self, start: Any) -> Base | None:
        """The start of the flow; None where it is the previous imputation."""
        if self.source == "previous":
            return None
        if self.source == "noise":
            return lambda noise, x, m: (flow.merge(x, noise, m), None)
        if self.source == "harmonic":
            return lambda noise, x, m: harmonic_draw(noise, x, m, start)
        return conditional_base(start)

    def init(self, key: Array, data: Masked) -> MIRIState:
        """The state before the first iteration, with X(0)."""
        if self.source == "harmonic" and data.x.ndim != 4:
            raise ConfigError(
                "source='harmonic' is for images; use 'gaussian' or 'noise'"
            )
        key_net, key_fill, key_order, key_held = jax.random.split(key, 4)
        train_state = self.fresh(key_net, data)
        n = len(data.x)
        start, kept, order, held_out = (), (), (), ()
        if n > self.max_rows:
            every = jnp.arange(n, dtype=jnp.int32)
            order = jax.random.permutation(key_order, every)
        if self.source == "gaussian":
            start, x = self.fit_gaussian(key_fill, data, order)
        elif self.source == "harmonic":
            key_fill, key_errors = jax.random.split(key_fill)
            start = fit_errors(key_errors, data)
            x = draw_starts(key_fill, data, self.base(start), self.chunk)
        else:
            x = initial_fill(key_fill, data, self.initial)
        if self.keep_velocities:
            kept = jax.tree.map(
                lambda p: jnp.zeros((self.num_iterations, *p.shape), p.dtype),
                train_state.params,
            )
        if self.held_out:
            few = _early_stopping.NUM_ROWS
            rows = order[:few] if n > self.max_rows else spaced(n, few)
            held_out = _early_stopping.hold_out(
                key_held,
                data.m,
                rows,
                self.held_out,
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
        if self.held_out:
            # The flow before its first step is the one to beat.
            state = state._replace(held_out=self.validate(state, data))
        return state

    def fit_gaussian(
        self, key: Array, data: Masked, order: Any
    ) -> tuple[Gaussian, Array]:
        """The Gaussian of at most `max_rows` rows, and all rows' draws."""
        fit = partial(
            fit_gaussian,
            num_rounds=self.gaussian_rounds,
            shrinkage=self.shrinkage,
            chunk=self.chunk,
        )
        if len(data.x) <= self.max_rows:
            return fit(key, data)
        key_fit, key_draw = jax.random.split(key)
        rows = order[: self.max_rows]
        gaussian, _ = fit(key_fit, Masked(data.x[rows], data.m[rows]))
        return gaussian, draw_rows(key_draw, data, gaussian, self.chunk)

    def step(
        self, key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, dict[str, Array]]:
        """One outer iteration, or one of its slices."""
        key_net, key_sgd, key_ode = jax.random.split(key, 3)
        state = self.begin(key_net, state, data)
        state, losses = self.descend(key_sgd, state, data)
        state = self.end(key_ode, state, data)
        return state, self.info(state, losses)

    def info(self, state: MIRIState, losses: Array) -> dict[str, Array]:
        """What is logged of a step."""
        info = {"loss": losses}
        if self.held_out:
            info["held_out_loss"] = state.held_out.loss
        return info

    def begin(self, key: Array, state: MIRIState, data: Masked) -> MIRIState:
        """A fresh network for a new iteration, where that is wanted."""
        if self.warm_start:
            return state
        network = jax.lax.cond(
            state.slice == 0,
            lambda: self.fresh(key, data),
            lambda: state.train,
        )
        return state._replace(train=network)

    def end(self, key: Array, state: MIRIState, data: Masked) -> MIRIState:
        """After a slice: ends the iteration if it was the last."""
        return jax.lax.cond(
            state.slice == self.num_slices,
            lambda s: self.finish(key, s, data),
            lambda s: s,
            state,
        )

    def rows(self, state: MIRIState, data: Masked) -> Array | None:
        """The rows that this iteration learns from; None for all."""
        n = len(data.x)
        if n <= self.max_rows:
            return None
        first = state.iteration * self.max_rows
        return state.order[(first + jnp.arange(self.max_rows)) % n]

    def descend(
        self, key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, Array]:
        """The SGD steps of one slice (lines 4-9), and their losses."""
        shape, bank = data.x.shape, self.bank(state, data)
        num_steps = self.steps(shape) // self.num_slices
        key_pool, key_fit = jax.random.split(key)
        pool = None
        if self.pair_reuse > 1 and len(shape) == 2:
            key_pool = jax.random.fold_in(key_pool, state.slice)
            size = -(-num_steps * self.batch_size // self.pair_reuse)
            share = 1 if self.thin else auto_share(shape)
            size = share * -(-size // share)
            pool = draw_pair(
                key_pool, batch_size=size, share=share, **self.pairs(bank)
            )
        sgd = self.sgd(shape, bank, pool)
        network, losses = train.fit(
            key_fit, state.train, num_steps=num_steps, **sgd
        )
        return state._replace(train=network, slice=state.slice + 1), losses

    def bank(self, state: MIRIState, data: Masked) -> _Bank:
        """What the pairs of an iteration are drawn from."""
        rows = self.rows(state, data)
        targets = state.held_out.targets if self.held_out else data.m
        take = lambda a: a if rows is None else split_examples(a[rows])
        return _Bank(take(state.x), take(data.m), take(targets), state.start)

    def pairs(self, bank: _Bank) -> dict[str, Any]:
        """The arguments of `pairs.draw_pair`."""
        return dict(
            x=bank.x,
            m=bank.m,
            targets=bank.targets,
            base=self.base(bank.start),
            gaps=gap_rows(bank.m),
            thin=self.thin,
        )

    def sgd(
        self,
        shape: tuple[int, ...],
        bank: _Bank,
        pool: Pairs | None = None,
    ) -> dict[str, Any]:
        """The arguments of `train.fit`, with pairs drawn ahead or anew."""
        apply_fn = self.apply_fn(shape)
        if pool is None:
            draw = partial(draw_batch, **self.pairs(bank))
        else:
            draw = partial(draw_from_pool, pool=pool)
        return dict(
            sample_batch=partial(
                draw,
                batch_size=self.batch_size,
                imputed_weight=self.imputed_weight,
            ),
            loss_fn=lambda p, batch: flow.flow_loss(p, apply_fn, batch),
            optimizer=self.optimizer(shape),
            ema_decay=self.ema_decay,
        )

    def finish(self, key: Array, state: MIRIState, data: Masked) -> MIRIState:
        """Ends iteration t: solves the ODE (line 10), keeps the velocity."""
        if self.keep_velocities:
            kept = jax.tree.map(
                lambda bank, p: bank.at[state.iteration].set(p),
                state.kept,
                state.train.ema,
            )
            state = state._replace(kept=kept)
        if self.held_out:
            state = state._replace(held_out=self.validate(state, data))
        state = state._replace(
            iteration=state.iteration + 1, slice=jnp.zeros_like(state.slice)
        )
        done = state.iteration >= self.num_iterations
        params = state.train.ema
        if self.held_out:
            done |= state.held_out.since >= self.patience
            params = jax.tree.map(
                lambda best, last: jnp.where(done, best, last),
                state.held_out.best,
                params,
            )
        rows, some = gap_rows(data.m), self.rows(state, data)
        if some is not None:
            # Until the end only what the next iteration learns from moves.
            rest = len(data.x) - self.max_rows
            rows = GapRows(
                jnp.where(done, rows.order, jnp.pad(some, (0, rest))),
                jnp.where(done, rows.count, self.max_rows),
            )
        x = self.moved(key, state, params, state.x, data, rows)
        return state._replace(x=x, done=done)

    def validate(
        self, state: MIRIState, data: Masked
    ) -> _early_stopping.HeldOut:
        """The held-out loss of the averaged weights, and the best so far."""
        return _early_stopping.validate(
            state.held_out,
            state.train.ema,
            self.apply_fn(state.x.shape),
            state.x,
            data.m,
            self.base(state.start),
        )

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
        base = self.base(state.start)
        velocity = flow.imputation_velocity(self.apply_fn(state.x.shape))
        solve = ode.SOLVERS[self.solver]

        def move(noise: Array, x: Array, x_obs: Array, m: Array) -> Array:
            z, mean = x, None
            if base is not None:
                one = base(noise[None], x_obs[None], m)
                z, mean = jax.tree.map(lambda a: a[0], one)
            args = (params, x_obs, m, mean)
            return solve(velocity, z, args, num_steps=self.ode_steps)

        return move_rows(key, x, data, rows, move, self.chunk, draw)

    def impute(
        self,
        key: Array,
        state: MIRIState,
        data: Masked,
        draw: Draw | None = None,
    ) -> Array:
        """A fresh draw: by the last network, or by all kept ones in order."""
        rows = gap_rows(data.m)
        if self.source != "previous":
            params = state.held_out.best if self.held_out else state.train.ema
            return self.moved(key, state, params, data.x, data, rows, draw)
        if not self.keep_velocities:
            raise ConfigError(
                "source='previous' can draw again or impute new rows only with"
                " keep_velocities=True, and this fit kept none"
            )

        def one_iteration(x: Array, params: PyTree) -> tuple[Array, None]:
            # The source is x itself: no noise is drawn.
            return self.moved(key, state, params, x, data, rows), None

        if draw is not None:
            key = jax.random.fold_in(key, draw.index)
        x = initial_fill(key, data, self.initial)
        return jax.lax.scan(one_iteration, x, state.kept)[0]


def auto_width(shape: tuple[int, ...]) -> int:
    """Units of a hidden layer for a table of `shape` (n, *dims)."""
    return 64 if math.prod(shape) < 2**15 else 128


def auto_steps(shape: tuple[int, ...]) -> int:
    """SGD steps of an iteration on a table of `shape` (n, *dims)."""
    return 100 * min(max(round(math.sqrt(math.prod(shape) / 2**15)), 1), 4)


def auto_share(shape: tuple[int, ...]) -> int:
    """Pairs drawn ahead that share a mask, for a table of `shape` (n, *dims).

    One up to 63 columns; then so many that the cost of a pair's start, d^3
    operations a mask, grows as d.
    """
    return max(math.prod(shape[1:]) // 32, 1) ** 2


def make_miri(
    *,
    num_iterations: int | Literal["auto"] = MAX_ITERATIONS,
    num_steps: int | None = None,
    num_slices: int = 1,
    batch_size: int = 512,
    pair_reuse: int = 4,
    learning_rate: Annotated[float, Range(1e-12)] = 4e-3,
    warm_start: bool = True,
    source: SourceName = "gaussian",
    imputed_weight: Annotated[float, Range(0, 1)] | None = 0.0,
    ema_decay: Annotated[float, Range(0, 1)] = 0.995,
    initial: InitialName = "normal",
    solver: SolverName = "heun",
    ode_steps: int = 10,
    keep_velocities: bool | None = None,
    held_out: Annotated[float, Range(0, 0.9)] = 0.05,
    patience: int = 8,
    max_rows: int = 32768,
    gaussian_rounds: int = 60,
    shrinkage: float = 0.3,
    chunk: int = 4096,
    thin: bool = False,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """The fast preset: many short iterations of one network.

    Args:
      num_iterations: outer iterations T; "auto" for `MAX_ITERATIONS` or fewer,
        ending when the mutual information of filled table and mask, looked at
        every `MI_EVERY` iterations, is within its standard error of 0 or has
        not fallen by as much.
      num_steps: SGD steps N in each; None for `auto_steps` of the table.
      num_slices: parts that an iteration is cut into, between which a run can
        be saved; must divide `num_steps`.
      batch_size: pairs B in each SGD step.
      pair_reuse: how often a pair is used, at other times tau, where pairs are
        drawn ahead of an iteration; 1 draws new ones for each step, as is
        always done of images.
      learning_rate: of Adam, on a cosine to 0 over the life of the network.
      warm_start: keep one network through all iterations, or a fresh one each.
      source: the flow's start on the missing entries. "previous": the previous
        imputation (Algorithm 1); "noise": N(0, 1); "gaussian": a draw of the
        conditional Gaussian fitted to the incomplete table, so that the flow
        carries only what is not Gaussian; "harmonic": of images, a smooth
        filling with noise as large as its errors, see `harmonic`.
      imputed_weight: weight in [0, 1] in the loss of targets that are
        themselves imputed, the loss then being over the coordinates the ODE
        moves; None for the paper's loss over all coordinates.
      ema_decay: of the average of weights that draws come from; 0 for none.
      initial: X(0), see `initial_fill`; the Gaussian source has its own.
      solver: "euler" (Algorithm 2) or "heun".
      ode_steps: solver steps.
      keep_velocities: keep the parameters of every iteration; only then can
        `source="previous"` impute new rows or draw again. None: where it is the
        source.
      held_out: share of the observed entries (of at most
        `_early_stopping.NUM_ROWS` rows) that no loss sees; draws come from the
        weights with the smallest loss on them, and the fit stops when that has
        not fallen for `patience` iterations. 0 for no early stopping, and
        none with `source="previous"`, where no network stands for itself, nor
        with `thin`.
      patience: see `held_out`.
      max_rows: rows that one iteration learns from and moves; a larger table
        takes turns, and all its rows move after the last iteration.
      gaussian_rounds: rounds of the Gaussian's fit.
      shrinkage: strength of the Gaussian's shrinkage.
      chunk: rows of the ODE solved at a time.
      thin: let a flow that does not start from the previous imputation rest on
        what was really observed alone, see `pairs.draw_pair`; for images.
      model: overrides of the fields of `VelocityMLP`, whose width is else
        `auto_width` of the table, or of images of `VelocityUNet`.

    Returns:
      The imputer, see `types.Imputer`.

    Raises:
      ConfigError: on a setting outside its range.
    """
    if num_steps is not None and num_steps % num_slices:
        raise ConfigError(
            f"num_slices={num_slices} does not divide num_steps={num_steps}"
        )
    auto = num_iterations == "auto"
    if auto:
        num_iterations = MAX_ITERATIONS
    elif isinstance(num_iterations, str):
        raise ConfigError(
            f"num_iterations is {num_iterations!r}; use a whole number from 1"
            " on, or 'auto'"
        )
    miri = _MIRI(
        num_iterations=num_iterations,
        num_steps=num_steps,
        num_slices=num_slices,
        batch_size=batch_size,
        pair_reuse=pair_reuse,
        learning_rate=learning_rate,
        warm_start=warm_start,
        source=source,
        imputed_weight=imputed_weight,
        ema_decay=ema_decay,
        initial=initial,
        solver=solver,
        ode_steps=ode_steps,
        keep_velocities=(
            source == "previous" if keep_velocities is None else keep_velocities
        ),
        held_out=0.0 if source == "previous" or thin else held_out,
        patience=patience,
        max_rows=sys.maxsize if source == "previous" else max_rows,
        gaussian_rounds=gaussian_rounds,
        shrinkage=shrinkage,
        chunk=chunk,
        thin=thin,
        model=model or {},
    )
    step = _make_step(miri)
    impute = jax.jit(miri.impute)
    return Imputer(
        init=jax.jit(miri.init),
        step=partial(_step_and_look, step, impute) if auto else step,
        impute=impute,
        num_iterations=num_iterations,
    )


def _make_step(miri: _MIRI) -> Any:
    """`miri.step` as one program, or of images on a CPU as one of each part.

    XLA's CPU programs take the gradients of convolutions many times slower
    inside a loop than outside it.
    """
    whole = jax.jit(miri.step, donate_argnums=1)
    begin, bank = jax.jit(miri.begin), jax.jit(miri.bank)
    end = jax.jit(miri.end, donate_argnums=1)

    @partial(jax.jit, donate_argnums=1, static_argnums=3)
    def sgd_step(
        key: Array,
        network: train.TrainState,
        bank: _Bank,
        shape: tuple[int, ...],
    ) -> tuple[train.TrainState, Array]:
        return train.sgd_step(key, network, **miri.sgd(shape, bank))

    def parts(
        key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, dict[str, Array]]:
        key_net, key_sgd, key_ode = jax.random.split(key, 3)
        state = begin(key_net, state, data)
        drawn, shape = bank(state, data), data.x.shape
        _, key_fit = jax.random.split(key_sgd)
        network, losses = state.train, []
        for _ in range(miri.steps(shape) // miri.num_slices):
            network, loss = sgd_step(key_fit, network, drawn, shape)
            losses.append(loss)
        state = state._replace(train=network, slice=state.slice + 1)
        state = end(key_ode, state, data)
        return state, miri.info(state, jnp.stack(losses))

    def step(
        key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, dict[str, Array]]:
        in_parts = data.x.ndim == 4 and jax.default_backend() == "cpu"
        return (parts if in_parts else whole)(key, state, data)

    return step


def _step_and_look(
    step: Any, impute: Any, key: Array, state: MIRIState, data: Masked
) -> tuple[MIRIState, dict[str, Array]]:
    """A step that ends the fit when mutual information stops falling."""
    key_step, key_mi, key_draw = jax.random.split(key, 3)
    before = float(state.mi)
    state, info = step(key_step, state, data)
    if state.slice or state.iteration % MI_EVERY:
        return state, info
    found = estimate_mutual_information(key_mi, state.x, data.m)
    if not state.done and (
        found.nats <= found.error or found.nats > before - found.error
    ):
        # Some rows may not have moved yet, and none by the best weights.
        x = impute(key_draw, state, data)
        state = state._replace(x=x, done=jnp.bool_(True))
    state = state._replace(mi=jnp.float32(found.nats))
    return state, {**info, "mi": jnp.float32(found.nats)}


def make_miri_paper(
    *,
    num_iterations: int = 10,
    num_steps: int = 1000,
    num_slices: int = 1,
    batch_size: int = 512,
    learning_rate: Annotated[float, Range(1e-12)] = 2e-3,
    initial: InitialName = "normal",
    solver: SolverName = "euler",
    ode_steps: int = 100,
    keep_velocities: bool = True,
    chunk: int = 4096,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """Algorithm 1 as printed, with the ODE of Algorithm 2.

    A fresh network each iteration, started from the previous imputation, loss
    over all coordinates, 100 Euler steps, the last weights and no average. The
    paper's text leaves the network, T, N, B and the optimiser to its
    supplement, which is not to be had. Here they are an MLP of 3 x 256 and
    Adam, chosen on masks of the toy other than those that are reported.

    The fit's own X(T) is its imputation. `impute` runs the kept velocities in
    order from a new X(0): each was learned on the one table that went before,
    so on few rows what it has not seen drives it off (768 rows: MMD 0.026 of
    X(T), 0.54 of a fresh draw; 6000 rows of the toy: no difference).

    Args: see `make_miri`.
    """
    defaults = dict(
        width=256,
        depth=3,
        residual=False,
        zero_output=False,
        num_frequencies=2,
        activation="relu",
    )
    return make_miri(
        num_iterations=num_iterations,
        num_steps=num_steps,
        num_slices=num_slices,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warm_start=False,
        source="previous",
        imputed_weight=None,
        ema_decay=0.0,
        initial=initial,
        solver=solver,
        ode_steps=ode_steps,
        keep_velocities=keep_velocities,
        pair_reuse=1,
        held_out=0.0,
        max_rows=sys.maxsize,
        chunk=chunk,
        model={**defaults, **(model or {})},
    )
