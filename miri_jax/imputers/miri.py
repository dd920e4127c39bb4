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
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from miri_jax import flow, ode, train
from miri_jax.exceptions import ConfigError
from miri_jax.imputers.gaussian import (
    conditional_draw,
    fit_gaussian,
    map_rows,
)
from miri_jax.imputers.simple import observed_mean, observed_median
from miri_jax.models import VelocityMLP
from miri_jax.types import Array, Cond, FlowBatch, Imputer, Masked, PyTree

SOURCES = ("previous", "noise", "gaussian")
INITIALS = ("normal", "uniform", "mean", "median")


class MIRIState(NamedTuple):
    """See `types.Imputer`.

    Attributes:
      iteration: int32 scalar, finished outer iterations t.
      x: `[n, *dims]`, X(t).
      slice: int32 scalar, finished slices of the iteration under way.
      train: the network under way, see `train.TrainState`.
      kept: velocity parameters of every iteration, stacked `[T, ...]`, where
        they are kept; else ().
      gaussian: the start of the flow where `source="gaussian"`; else ().
    """

    iteration: Array
    x: Array
    slice: Array
    train: train.TrainState
    kept: PyTree
    gaussian: Any


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


def transport(
    apply_fn: flow.ApplyFn,
    params: PyTree,
    z0: Array,
    data: Masked,
    *,
    solver: str,
    ode_steps: int,
    chunk: int,
) -> Array:
    """Moves the missing entries along the imputation ODE (eq. 7, Algorithm 2).

    Args:
      apply_fn: velocity of one example.
      params: its parameters.
      z0: `[n, *dims]`, the start; only its missing entries are read.
      data: the rows.
      solver: a name in `ode.SOLVERS`.
      ode_steps: solver steps from tau = 0 to 1.
      chunk: rows at a time, which bounds the memory.

    Returns:
      `[n, *dims]`; observed entries are those of `data`, bit for bit.
    """
    velocity = flow.imputation_velocity(apply_fn)
    solve = ode.SOLVERS[solver]

    def one_row(row: tuple[Array, Array, Array]) -> Array:
        z, x, m = row
        return solve(velocity, z, (params, x, m), num_steps=ode_steps)

    z1 = map_rows(one_row, (z0, data.x, data.m), chunk)
    return flow.merge(data.x, z1, data.m)


@dataclasses.dataclass(frozen=True)
class _MIRI:
    """The functions of one MIRI imputer; fields as `make_miri` takes them."""

    network: VelocityMLP
    optimizer: optax.GradientTransformation
    num_iterations: int
    num_steps: int
    num_slices: int
    batch_size: int
    warm_start: bool
    source: str
    imputed_weight: float | None
    ema_decay: float
    initial: str
    solver: str
    ode_steps: int
    keep_velocities: bool
    gaussian_rounds: int
    shrinkage: float
    chunk: int

    def velocity(
        self, params: PyTree, x_tau: Array, cond: Cond, tau: Array
    ) -> Array:
        """The network as an `ApplyFn`."""
        return self.network.apply({"params": params}, x_tau, cond, tau)

    def fresh(self, key: Array, data: Masked) -> train.TrainState:
        """A network before its first step (Algorithm 1, line 3)."""
        x, m = data.x[0], data.m[0]
        cond = Cond(x, x, m)
        params = self.network.init(key, x, cond, jnp.float32(0))["params"]
        return train.init_train_state(params, self.optimizer)

    def base(self, state: MIRIState) -> flow.Base | None:
        """The start of the flow; None where it is the previous imputation."""
        if self.source == "previous":
            return None
        if self.source == "noise":
            return lambda noise, x, m: flow.merge(x, noise, m)
        max_steps = 20 + 2 * state.x[0].size
        return lambda noise, x, m: conditional_draw(
            noise, x, m, state.gaussian, max_steps
        )

    def init(self, key: Array, data: Masked) -> MIRIState:
        """The state before the first iteration, with X(0)."""
        key_net, key_fill = jax.random.split(key)
        train_state = self.fresh(key_net, data)
        gaussian, kept = (), ()
        if self.source == "gaussian":
            gaussian, x = fit_gaussian(
                key_fill,
                data,
                num_rounds=self.gaussian_rounds,
                shrinkage=self.shrinkage,
                chunk=self.chunk,
            )
        else:
            x = initial_fill(key_fill, data, self.initial)
        if self.keep_velocities:
            kept = jax.tree.map(
                lambda p: jnp.zeros((self.num_iterations, *p.shape), p.dtype),
                train_state.params,
            )
        zero = jnp.int32(0)
        return MIRIState(zero, x, zero, train_state, kept, gaussian)

    def step(
        self, key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, dict[str, Array]]:
        """One outer iteration, or one of its slices."""
        key_net, key_sgd, key_ode = jax.random.split(key, 3)
        if not self.warm_start:
            network = jax.lax.cond(
                state.slice == 0,
                lambda: self.fresh(key_net, data),
                lambda: state.train,
            )
            state = state._replace(train=network)
        state, losses = self.descend(key_sgd, state, data)
        state = jax.lax.cond(
            state.slice == self.num_slices,
            lambda s: self.finish(key_ode, s, data),
            lambda s: s,
            state,
        )
        return state, {"loss": losses}

    def descend(
        self, key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, Array]:
        """The SGD steps of one slice (lines 4-9), and their losses."""
        base, gaps = self.base(state), flow.gap_rows(data.m)

        def sample_batch(key: Array) -> FlowBatch:
            return flow.draw_batch(
                key,
                state.x,
                data.m,
                batch_size=self.batch_size,
                base=base,
                gaps=gaps,
                imputed_weight=self.imputed_weight,
            )

        network, losses = train.fit(
            key,
            state.train,
            sample_batch,
            self.num_steps // self.num_slices,
            loss_fn=lambda p, batch: flow.flow_loss(p, self.velocity, batch),
            optimizer=self.optimizer,
            ema_decay=self.ema_decay,
        )
        return state._replace(train=network, slice=state.slice + 1), losses

    def finish(self, key: Array, state: MIRIState, data: Masked) -> MIRIState:
        """Ends iteration t: solves the ODE (line 10), keeps the velocity."""
        params, kept = state.train.ema, state.kept
        if self.keep_velocities:
            kept = jax.tree.map(
                lambda bank, p: bank.at[state.iteration].set(p), kept, params
            )
        return state._replace(
            iteration=state.iteration + 1,
            x=self.next_table(key, state, params, state.x, data),
            slice=jnp.zeros_like(state.slice),
            kept=kept,
        )

    def next_table(
        self,
        key: Array,
        state: MIRIState,
        params: PyTree,
        x: Array,
        data: Masked,
    ) -> Array:
        """X(t) from X(t-1) = x, or from the source where it is another."""
        base = self.base(state)
        if base is not None:
            noise = jax.random.normal(key, x.shape, x.dtype)
            rows = (noise, data.x, data.m)
            x = map_rows(lambda row: base(*row), rows, self.chunk)
        return transport(
            self.velocity,
            params,
            x,
            data,
            solver=self.solver,
            ode_steps=self.ode_steps,
            chunk=self.chunk,
        )

    def impute(self, key: Array, state: MIRIState, data: Masked) -> Array:
        """A fresh draw: by the last network, or by all kept ones in order."""
        if self.source != "previous":
            return self.next_table(key, state, state.train.ema, data.x, data)
        if not self.keep_velocities:
            raise ConfigError(
                "source='previous' can draw again or impute new rows only with"
                " keep_velocities=True, and this fit kept none"
            )

        def one_iteration(x: Array, params: PyTree) -> tuple[Array, None]:
            return self.next_table(key, state, params, x, data), None

        x = initial_fill(key, data, self.initial)
        return jax.lax.scan(one_iteration, x, state.kept)[0]


def make_miri(
    *,
    num_iterations: int = 40,
    num_steps: int = 100,
    num_slices: int = 1,
    batch_size: int = 512,
    learning_rate: float = 4e-3,
    warm_start: bool = True,
    source: str = "gaussian",
    imputed_weight: float | None = 0.0,
    ema_decay: float = 0.995,
    initial: str = "normal",
    solver: str = "heun",
    ode_steps: int = 10,
    keep_velocities: bool = False,
    gaussian_rounds: int = 60,
    shrinkage: float = 0.1,
    chunk: int = 4096,
    model: Mapping[str, Any] | None = None,
) -> Imputer:
    """The fast preset: many short iterations of one network.

    Args:
      num_iterations: outer iterations T.
      num_steps: SGD steps N in each.
      num_slices: parts that an iteration is cut into, between which a run can
        be saved; must divide `num_steps`.
      batch_size: pairs B in each SGD step.
      learning_rate: of Adam, on a cosine to 0 over the life of the network.
      warm_start: keep one network through all iterations, or a fresh one each.
      source: the flow's start on the missing entries. "previous": the previous
        imputation (Algorithm 1); "noise": N(0, 1); "gaussian": a draw of the
        conditional Gaussian fitted to the incomplete table, so that the flow
        carries only what is not Gaussian.
      imputed_weight: weight in [0, 1] in the loss of targets that are
        themselves imputed, the loss then being over the coordinates the ODE
        moves; None for the paper's loss over all coordinates.
      ema_decay: of the average of weights that draws come from; 0 for none.
      initial: X(0), see `initial_fill`; the Gaussian source has its own.
      solver: "euler" (Algorithm 2) or "heun".
      ode_steps: solver steps.
      keep_velocities: keep the parameters of every iteration; only then can
        `source="previous"` impute new rows or draw again.
      gaussian_rounds: rounds of the Gaussian's fit.
      shrinkage: strength of the Gaussian's shrinkage.
      chunk: rows of the ODE solved at a time.
      model: overrides of `VelocityMLP`'s fields.

    Returns:
      The imputer, see `types.Imputer`.

    Raises:
      ConfigError: on a setting outside its range.
    """
    _check(source, initial, solver, num_steps, num_slices, imputed_weight)
    zero_output = source == "gaussian"
    defaults = dict(width=128, depth=2, residual=True, zero_output=zero_output)
    life = num_steps * (num_iterations if warm_start else 1)
    miri = _MIRI(
        network=VelocityMLP(**{**defaults, **(model or {})}),
        optimizer=train.cosine_adam(learning_rate, life),
        num_iterations=num_iterations,
        num_steps=num_steps,
        num_slices=num_slices,
        batch_size=batch_size,
        warm_start=warm_start,
        source=source,
        imputed_weight=imputed_weight,
        ema_decay=ema_decay,
        initial=initial,
        solver=solver,
        ode_steps=ode_steps,
        keep_velocities=keep_velocities,
        gaussian_rounds=gaussian_rounds,
        shrinkage=shrinkage,
        chunk=chunk,
    )
    return Imputer(
        init=jax.jit(miri.init),
        step=jax.jit(miri.step, donate_argnums=1),
        impute=jax.jit(miri.impute),
        num_iterations=num_iterations,
    )


def make_miri_paper(
    *,
    num_iterations: int = 10,
    num_steps: int = 1000,
    num_slices: int = 1,
    batch_size: int = 512,
    learning_rate: float = 2e-3,
    initial: str = "normal",
    solver: str = "euler",
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
        chunk=chunk,
        model={**defaults, **(model or {})},
    )


def _check(
    source: str,
    initial: str,
    solver: str,
    num_steps: int,
    num_slices: int,
    imputed_weight: float | None,
) -> None:
    for name, value, known in (
        ("source", source, SOURCES),
        ("initial", initial, INITIALS),
        ("solver", solver, tuple(ode.SOLVERS)),
    ):
        if value not in known:
            raise ConfigError(
                f"{name} is {value!r}; use one of {', '.join(known)}"
            )
    if num_steps % num_slices:
        raise ConfigError(
            f"num_slices={num_slices} does not divide num_steps={num_steps}"
        )
    if imputed_weight is not None and not 0 <= imputed_weight <= 1:
        raise ConfigError(
            f"imputed_weight is {imputed_weight}; use a number in [0, 1],"
            " or None for the loss over all coordinates"
        )
