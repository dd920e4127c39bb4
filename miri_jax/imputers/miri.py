"""MIRI: mutual information reducing iterations with rectified flows.

One imputer, two presets. `make_miri_paper` is Algorithm 1 as printed.
`make_miri` changes three things, each a field of its own, that Proposition 2
permits because any imputer that samples q(x_mis | x_obs) meets it:

- `warm_start`: one network lives on through many short iterations, and draws
  come from an exponential moving average of its weights;
- `source`: where the flow starts on the missing entries;
- `imputed_weight`: weight in the loss of targets that are themselves imputed.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from miri_jax import flow, ode, train
from miri_jax.exceptions import ConfigError
from miri_jax.imputers.gaussian import (
    conditional_draw,
    fit_gaussian,
    map_rows,
)
from miri_jax.imputers.simple import observed_mean, observed_median
from miri_jax.models import VelocityMLP
from miri_jax.types import Array, Cond, Imputer, Masked, PyTree

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
    gaussian_source = source == "gaussian"
    defaults = dict(
        width=128, depth=2, residual=True, zero_output=gaussian_source
    )
    network = VelocityMLP(**{**defaults, **(model or {})})
    life = num_steps * (num_iterations if warm_start else 1)
    optimizer = train.cosine_adam(learning_rate, life)

    def apply_fn(params: PyTree, x_tau: Array, cond: Cond, tau: Array) -> Array:
        return network.apply({"params": params}, x_tau, cond, tau)

    def loss_fn(params: PyTree, batch: Any) -> tuple[Array, dict[str, Array]]:
        return flow.flow_loss(params, apply_fn, batch)

    def base_of(state: MIRIState) -> flow.Base | None:
        if source == "previous":
            return None
        if source == "noise":
            return lambda noise, x, m: flow.merge(x, noise, m)
        max_steps = 20 + 2 * state.x[0].size
        return lambda noise, x, m: conditional_draw(
            noise, x, m, state.gaussian, max_steps
        )

    def fresh(key: Array, data: Masked) -> train.TrainState:
        x, m = data.x[0], data.m[0]
        params = network.init(key, x, Cond(x, x, m), jnp.float32(0))["params"]
        return train.init_train_state(params, optimizer)

    def flow_from(
        key: Array, state: MIRIState, params: PyTree, z: Array, data: Masked
    ) -> Array:
        """X(t) from X(t-1) = z, or from the source where it is another."""
        base = base_of(state)
        if base is not None:
            noise = jax.random.normal(key, z.shape, z.dtype)
            z = map_rows(lambda row: base(*row), (noise, data.x, data.m), chunk)
        return transport(
            apply_fn,
            params,
            z,
            data,
            solver=solver,
            ode_steps=ode_steps,
            chunk=chunk,
        )

    @jax.jit
    def init(key: Array, data: Masked) -> MIRIState:
        key_net, key_fill = jax.random.split(key)
        train_state = fresh(key_net, data)
        gaussian, kept = (), ()
        if gaussian_source:
            gaussian, x = fit_gaussian(
                key_fill,
                data,
                num_rounds=gaussian_rounds,
                shrinkage=shrinkage,
                chunk=chunk,
            )
        else:
            x = initial_fill(key_fill, data, initial)
        if keep_velocities:
            kept = jax.tree.map(
                lambda p: jnp.zeros((num_iterations, *p.shape), p.dtype),
                train_state.params,
            )
        zero = jnp.int32(0)
        return MIRIState(zero, x, zero, train_state, kept, gaussian)

    def finish(key: Array, state: MIRIState, data: Masked) -> MIRIState:
        """Ends iteration t: solves the ODE and keeps the velocity."""
        params = state.train.ema
        x = flow_from(key, state, params, state.x, data)
        kept = (
            jax.tree.map(
                lambda bank, p: bank.at[state.iteration].set(p),
                state.kept,
                params,
            )
            if keep_velocities
            else ()
        )
        return state._replace(
            iteration=state.iteration + 1,
            x=x,
            slice=jnp.zeros_like(state.slice),
            kept=kept,
        )

    @partial(jax.jit, donate_argnums=1)
    def step(
        key: Array, state: MIRIState, data: Masked
    ) -> tuple[MIRIState, dict[str, Array]]:
        key_net, key_sgd, key_ode = jax.random.split(key, 3)
        if not warm_start:
            state = state._replace(
                train=jax.lax.cond(
                    state.slice == 0,
                    lambda: fresh(key_net, data),
                    lambda: state.train,
                )
            )
        base, gaps = base_of(state), flow.gap_rows(data.m)

        def sample_batch(key: Array) -> Any:
            return flow.draw_batch(
                key,
                state.x,
                data.m,
                batch_size=batch_size,
                base=base,
                gaps=gaps,
                imputed_weight=imputed_weight,
            )

        train_state, losses = train.fit(
            key_sgd,
            state.train,
            sample_batch,
            num_steps // num_slices,
            loss_fn=loss_fn,
            optimizer=optimizer,
            ema_decay=ema_decay,
        )
        state = state._replace(train=train_state, slice=state.slice + 1)
        state = jax.lax.cond(
            state.slice == num_slices,
            lambda s: finish(key_ode, s, data),
            lambda s: s,
            state,
        )
        return state, {"loss": losses}

    @jax.jit
    def impute_by_chain(key: Array, state: MIRIState, data: Masked) -> Array:
        """Runs the kept velocities in order from a fresh X(0)."""
        x = initial_fill(key, data, initial)

        def one_iteration(x: Array, params: PyTree) -> tuple[Array, None]:
            return flow_from(key, state, params, x, data), None

        return jax.lax.scan(one_iteration, x, state.kept)[0]

    @jax.jit
    def impute_by_last(key: Array, state: MIRIState, data: Masked) -> Array:
        return flow_from(key, state, state.train.ema, data.x, data)

    def impute(key: Array, state: MIRIState, data: Masked) -> Array:
        if source != "previous":
            return impute_by_last(key, state, data)
        if not keep_velocities:
            raise ConfigError(
                "source='previous' can draw again or impute new rows only with"
                " keep_velocities=True, and this fit kept none"
            )
        return impute_by_chain(key, state, data)

    return Imputer(init, step, impute, num_iterations)


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
